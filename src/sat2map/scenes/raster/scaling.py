"""From samples of any kind to uint8, once per scene: pure arithmetic.

uint8 stays as it is. Anything else is stretched linearly from [low, high] to [0, 255]; what lies beyond is clipped.
Unless the user names the two values, they are the 2nd and 98th percentile over the bands together (so that colours
keep their balance) of an evenly spread sample of the scene. They never depend on a window.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
PERCENTILES = (2.0, 98.0)


class Scale(NamedTuple):
    """The values that become 0 and 255, per band."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __str__(self) -> str:
        pairs = dict.fromkeys(zip(self.low, self.high, strict=True))
        return ", ".join(f"{low:g} to {high:g}" for low, high in pairs)


def same_for_all(low: float, high: float, bands: int) -> Scale:
    """Return a scale with one pair of values."""
    return Scale((low,) * bands, (high,) * bands)


def to_bytes(samples: npt.NDArray[Any], scale: Scale | None) -> UInt8:
    """(bands, H, W) of any real type -> uint8: floor(255 (v - low) / (high - low) + 1/2), clipped; NaN becomes 0."""
    if scale is None:
        return samples.astype(np.uint8, copy=False)
    out = np.empty(samples.shape, np.uint8)
    for band, low, high, result in zip(samples, scale.low, scale.high, out, strict=True):
        with np.errstate(all="ignore"):  # signalling NaN, numbers beyond all measure
            levels = (band.astype(np.float64) - low) * (255 / (high - low)) + 0.5
        np.nan_to_num(levels, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
        result[:] = np.floor(levels).clip(0, 255)
    return out


def from_sample(values: Sequence[npt.NDArray[Any]], bands: int) -> Scale:
    """Return the percentiles of the finite ones among the sampled values; 0 to 1 if there are none."""
    with np.errstate(all="ignore"):
        finite = [part[np.isfinite(part)].astype(np.float64) for part in values]
    together = np.concatenate(finite) if finite else np.empty(0)
    if not together.size:
        return same_for_all(0.0, 1.0, bands)
    with np.errstate(all="ignore"):
        low, high = (float(value) for value in np.percentile(together, PERCENTILES))
    if high <= low:  # one value everywhere
        high = low + max(abs(low) * 1e-6, 1.0)
    return same_for_all(low, high, bands)
