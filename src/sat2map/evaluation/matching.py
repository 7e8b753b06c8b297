"""Does a drawn view match its own photo better than those of other places? The loss study of the fourth seed, on any N.

Every drawn view is compared with every true one: row i, column j is the loss of drawn view i against photo j. A loss
is of use, and a model draws what belongs to its place, where rows have their minimum on the diagonal. The three losses
are those of `losses.views`, computed here in numpy on pictures of one size.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]

SIDE = 64  # px at which views are compared, a multiple of 32
GRIDS, FIELDS, SCALES, ORIENTATIONS, KERNEL, GAIN, TEXTURE = (2, 4, 8, 16), 4, 3, 4, 7, 20.0, 0.15
WINDOW, SPREAD = 11, 1.5
DRAWS = 2000  # of the bootstrap


class Match(msgspec.Struct, frozen=True):
    """How one loss finds the true pairs among N."""

    n: int
    hits: int  # rows whose minimum is the true pair
    share: float  # of the rows
    low: float  # 95 % interval of the share (Wilson 1927): rows as if they were independent
    high: float
    chance: float  # 1 / N
    columns: float  # share of columns whose minimum is the true pair
    preferred: float  # mean share of the other photos that fit worse than the true one; 0.5 by chance
    preferred_low: float  # 95 % interval, whole places drawn with replacement
    preferred_high: float
    order: tuple[int, ...]  # of each row: how many photos fit better than the true one
    nearest: tuple[int, ...]  # of each row: the photo of its minimum


class Prepared(NamedTuple):
    """What is computed once for each picture."""

    pixels: Float32  # (N, 3, S, S) in [-1, 1]
    colours: Float32  # (N, C) mean colours, each weighted so that absolute differences add up to the loss
    textures: Float32  # (N, T) likewise


def tables(drawn: UInt8, true: UInt8, progress: Progress | None = None) -> dict[str, Float64]:
    """(N, S, S, 3) against (M, S, S, 3), S a multiple of 32 -> (N, M) losses by name: mse, ssim, layout."""
    one, two = prepared(drawn), prepared(true)
    found = {name: np.empty((len(drawn), len(true))) for name in ("mse", "ssim", "layout")}
    structure = _Structure(two.pixels)
    for row in range(len(drawn)):
        found["mse"][row] = ((one.pixels[row] - two.pixels) ** 2).mean((1, 2, 3))
        found["ssim"][row] = structure.losses(one.pixels[row])
        found["layout"][row] = np.abs(one.colours[row] - two.colours).sum(1)
        found["layout"][row] += np.abs(one.textures[row] - two.textures).sum(1)
        if progress:
            progress(row + 1, len(drawn))
    return found


def prepared(pictures: UInt8) -> Prepared:
    """Return pixels and features of uint8 (N, S, S, 3)."""
    pixels = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).astype(np.float32) / 127.5 - 1
    colours = [_fields(pixels, grid).reshape(len(pixels), -1) / (len(GRIDS) * 3 * grid**2) for grid in GRIDS]
    filters = gabor().reshape(2 * ORIENTATIONS, -1).T  # (49, 8)
    textures = [_textures(picture.mean(0), filters) for picture in pixels]
    return Prepared(pixels, np.concatenate(colours, 1), np.stack(textures))


def gabor() -> Float32:
    """(ORIENTATIONS, 2, KERNEL, KERNEL), as `losses.views.gabor`."""
    at = np.arange(KERNEL) - KERNEL // 2
    y, x = np.meshgrid(at, at, indexing="ij")
    window = np.exp(-(x**2 + y**2) / (2 * 1.6**2))
    pairs = []
    for n in range(ORIENTATIONS):
        turn = np.pi * n / ORIENTATIONS
        phase = (x * np.cos(turn) + y * np.sin(turn)) * np.pi / 2
        even, odd = window * np.cos(phase), window * np.sin(phase)
        even = even - window * (even.sum() / window.sum())
        pairs.append(np.stack([even, odd]) / np.abs(even).sum())
    return np.stack(pairs).astype(np.float32)


def _fields(maps: Float32, grid: int) -> Float32:
    """(..., S, S) -> (..., grid, grid) means."""
    side = maps.shape[-1] // grid
    blocks = maps.reshape(*maps.shape[:-2], grid, side, grid, side)
    return np.asarray(blocks.mean((-3, -1)), np.float32)


def _modulus(levels: Float32, filters: Float32) -> Float32:
    """(N, S, S) -> (N, ORIENTATIONS, S, S)."""
    margin = KERNEL // 2
    padded = np.pad(levels, ((0, 0), (margin, margin), (margin, margin)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (KERNEL, KERNEL), (1, 2))
    answer = windows.reshape(*levels.shape, -1) @ filters  # (N, S, S, 8)
    pairs = answer.reshape(*levels.shape, ORIENTATIONS, 2)
    return np.moveaxis(np.sqrt((pairs**2).sum(-1) + 1e-6), -1, 1)


def _textures(level: Float32, filters: Float32) -> Float32:
    """(S, S) grey -> all texture features of a picture, weighted."""
    found = []
    for scale in range(SCALES):
        if scale:
            level = _fields(level, level.shape[-1] // 2)
        first = _modulus(level[None], filters)  # (1, 4, S, S)
        below = _fields(first[0], first.shape[-1] // 2)
        second = _modulus(below, filters)  # (4, 4, S/2, S/2)
        found += [_fields(maps, FIELDS).ravel() for maps in (first, second)]
    textures = np.concatenate(found)
    return np.asarray(TEXTURE * np.log1p(GAIN * textures) / len(textures), np.float32)


class _Structure:
    """1 - SSIM of pictures against many others (N, 3, S, S), whose own moments are computed once."""

    def __init__(self, others: Float32) -> None:
        at = np.arange(WINDOW) - WINDOW // 2
        line = np.exp(-(at**2) / (2 * SPREAD**2))
        line /= line.sum()
        size = others.shape[-1]
        self._blur = np.zeros((size - WINDOW + 1, size), np.float32)  # windows that lie inside
        for row in range(len(self._blur)):
            self._blur[row, row : row + WINDOW] = line
        self._others = others
        self._means = self._mean(others)
        self._squares = self._mean(others**2)

    def _mean(self, pictures: Float32) -> Float32:
        return np.asarray(self._blur @ pictures @ self._blur.T)

    def losses(self, picture: Float32) -> Float64:
        """(3, S, S) -> (N,)."""
        one, two = (2 * 0.01) ** 2, (2 * 0.03) ** 2
        mean, others = self._mean(picture), self._means
        variance, spread = self._mean(picture**2) - mean**2, self._squares - others**2
        shared = self._mean(self._others * picture) - others * mean
        index = ((2 * mean * others + one) * (2 * shared + two)) / (
            (mean**2 + others**2 + one) * (variance + spread + two)
        )
        return np.asarray(1 - index.mean((1, 2, 3), dtype=np.float64))


def judge(table: Float64, places: Sequence[str]) -> Match:
    """Count the true pairs of a square table (N, N); `places` (N,) say which rows belong together."""
    count = len(table)
    assert table.shape == (count, count) and len(places) == count and count > 1, "a square of two or more"
    own = np.diagonal(table)
    better, equal = (table < own[:, None]).sum(1), (table == own[:, None]).sum(1) - 1
    hits = int(((better == 0) & (equal == 0)).sum())  # a tie is no hit
    low, high = wilson(hits, count)
    down = (table < own[None]).sum(0) + (table == own[None]).sum(0) - 1
    preferred = 1 - (better + equal / 2) / (count - 1)
    interval = _over_places(preferred, places)
    return Match(
        count,
        hits,
        hits / count,
        low,
        high,
        1 / count,
        float((down == 0).mean()),
        float(preferred.mean()),
        *interval,
        tuple(int(n) for n in better),
        tuple(int(n) for n in table.argmin(1)),
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), which also holds near 0."""
    z, share = 1.959964, hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def _over_places(values: Float64, places: Sequence[str]) -> tuple[float, float]:
    """95 % interval of a mean, whole places drawn with replacement: views of one place resemble each other."""
    names, label = np.unique(np.array(places), return_inverse=True)
    sums, sizes = np.bincount(label, values), np.bincount(label)
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    means = drawn @ sums / np.maximum(drawn @ sizes, 1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
