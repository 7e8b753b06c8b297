"""Chance without state: hashes of integers, streams of numbers drawn from a key, and smooth noise over the plane.

Everything that a world contains follows from these functions and its seed. They are integer arithmetic on 64 bits up to
the last step, so a value depends on its key alone: not on how many others are asked for, nor on the version of NumPy.
The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_MANTISSA = 1.0 / (1 << 53)


def mixed(keys: Keys) -> Keys:
    """Scatter 64-bit keys, an array of any shape but (), over all 64-bit integers, one to one."""
    keys = (keys ^ (keys >> np.uint64(30))) * _FIRST
    keys = (keys ^ (keys >> np.uint64(27))) * _SECOND
    return keys ^ (keys >> np.uint64(31))


def key_of(seed: int | Keys, *parts: int | npt.NDArray[np.int64]) -> Keys:
    """One key, (1,), for a seed and some integers, or (...) for arrays of them, broadcast; order matters."""
    # arrays throughout, never scalars: only those wrap around without a warning
    keys: Keys = np.array([seed], np.uint64) if isinstance(seed, int) else seed
    for part in parts:
        numbers = np.atleast_1d(np.asarray(part, np.int64)).astype(np.uint64)
        keys = mixed((keys + _GOLDEN) ^ numbers * _SECOND)
    return keys


def unit(keys: Keys) -> Floats:
    """Turn keys into numbers in [0, 1)."""
    return (keys >> np.uint64(11)).astype(np.float64) * _MANTISSA


class Dice:
    """A stream of numbers that belongs to a key; two streams of one key are the same."""

    def __init__(self, seed: int | Keys, *parts: int) -> None:
        self._key, self._drawn = key_of(seed, *parts), 0

    def rolls(self, count: int) -> Floats:
        """(count,) numbers in [0, 1)."""
        places = np.arange(self._drawn, self._drawn + count, dtype=np.uint64)
        self._drawn += count
        return unit(mixed(self._key + (places + np.uint64(1)) * _GOLDEN))

    def roll(self) -> float:
        """One number in [0, 1)."""
        return float(self.rolls(1)[0])

    def between(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * self.roll()

    def spread(self, low: float, high: float, count: int) -> Floats:
        """(count,) numbers in [low, high)."""
        return low + (high - low) * self.rolls(count)

    def pick(self, weights: dict[str, float]) -> str:
        """One of the names, as likely as its weight (weights are not negative, and not all are zero)."""
        left = self.roll() * sum(weights.values())
        for name, weight in weights.items():
            left -= weight
            if left < 0:
                return name
        return next(name for name, weight in reversed(weights.items()) if weight > 0)


def noise(seed: int, salt: int, x: Floats, y: Floats, scale: float) -> Floats:
    """Smooth noise of mean 0 within [-1, 1] over points in metres; `scale` is the distance between its knots.

    Value noise with quintic interpolation (Perlin, SIGGRAPH 2002): twice differentiable, so what follows it is smooth.
    """
    u, v = x / scale, y / scale
    i, j = np.floor(u), np.floor(v)
    a, b = u - i, v - j
    a, b = a * a * a * (a * (a * 6 - 15) + 10), b * b * b * (b * (b * 6 - 15) + 10)
    i, j = i.astype(np.int64), j.astype(np.int64)
    base = key_of(seed, salt)
    if x.size > 64 and (cells := (i.max() - i.min() + 2) * (j.max() - j.min() + 2)) < x.size:
        i0, j0 = i.min(), j.min()  # fewer knots than points: look them up
        knots = unit(key_of(base, np.arange(j0, j.max() + 2)[:, None], np.arange(i0, i.max() + 2)[None]))
        assert knots.size == cells
        i, j = i - i0, j - j0
        low, high = ((1 - a) * knots[j + n, i] + a * knots[j + n, i + 1] for n in (0, 1))
    else:
        rows = [key_of(base, j), key_of(base, j + 1)]
        low, high = ((1 - a) * unit(key_of(row, i)) + a * unit(key_of(row, i + 1)) for row in rows)
    return np.asarray((2 * ((1 - b) * low + b * high) - 1).reshape(x.shape))


def layered(seed: int, salt: int, x: Floats, y: Floats, scale: float, octaves: int) -> Floats:
    """Sum of `octaves` noises of halving scale and halving strength, within [-2, 2]."""
    return np.asarray(
        sum(noise(seed, salt + n, x, y, scale / 2**n) / 2**n for n in range(octaves)), np.float64
    )
