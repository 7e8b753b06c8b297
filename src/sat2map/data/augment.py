"""Variations of a training pair: what other sensors, hours, seasons and ground resolutions would have shown.

Every function takes its random generator from the caller, so that a sample stays a pure function of its number.
Light changes the satellite picture only. A warp moves every layer of a pair alike: pictures are interpolated, palette
indices are taken from the nearest pixel, since a mixture of two colours' numbers is a third colour.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class Light(NamedTuple):
    """How far the satellite picture may change: deviations of factors' logarithms, 0 = not at all."""

    gain: float = 0.0  # brightness; each channel also by a third of it on its own
    contrast: float = 0.0  # spread around the picture's mean, and the exponent of its tone curve
    saturation: float = 0.0  # distance of colours from grey

    def vary(self, sat: UInt8, random: np.random.Generator) -> UInt8:
        """(H, W, 3) -> (H, W, 3), one draw for the whole picture."""
        if not any(self):
            return sat
        factor = np.exp(random.normal(0, self.gain) + random.normal(0, self.gain / 3, 3))
        level = np.arange(256, dtype=np.float64)
        if self.contrast:
            spread, curve = np.exp(random.normal(0, self.contrast, 2))
            middle = sat.mean()
            level = middle + (255 * (level / 255) ** curve - middle) * spread
        table = (level[:, None] * factor).round().clip(0, 255).astype(np.uint8)  # (256, 3)
        varied = np.stack([table[sat[..., c], c] for c in range(3)], -1)
        if not self.saturation:
            return varied
        share = np.float32(np.exp(random.normal(0, self.saturation)))
        grey = (varied @ LUMA)[..., None]
        mixed: UInt8 = (grey + share * (varied - grey)).round().clip(0, 255).astype(np.uint8)
        return mixed


class Warp(NamedTuple):
    """A square of `side` px cut at another size and angle: output px lie at centre + zoom · R(angle) · offset."""

    row: float  # of the centre, px
    col: float
    side: int
    zoom: float  # source px per output px
    angle: float  # radians, counter-clockwise

    def apply(self, layer: UInt8) -> UInt8:
        """Sample an (H, W, 3) picture bilinearly or an (H, W) index map by nearest pixel; reflected beyond the edge."""
        height, width = layer.shape[:2]
        offset = (np.arange(self.side) - (self.side - 1) / 2) * self.zoom
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        rows = self.row + offset[:, None] * cos - offset[None] * sin
        cols = self.col + offset[:, None] * sin + offset[None] * cos
        if layer.ndim == 2:
            nearest: UInt8 = layer[_mirror(np.round(rows), height), _mirror(np.round(cols), width)]
            return nearest
        top, left = np.floor(rows), np.floor(cols)
        down, right = (rows - top).astype(np.float32)[..., None], (cols - left).astype(np.float32)[..., None]
        upper, lower = _mirror(top, height), _mirror(top + 1, height)
        near, far = _mirror(left, width), _mirror(left + 1, width)
        above = layer[upper, near] * (1 - right) + layer[upper, far] * right
        below = layer[lower, near] * (1 - right) + layer[lower, far] * right
        mixed: UInt8 = (above * (1 - down) + below * down).round().astype(np.uint8)
        return mixed


def draw_warp(random: np.random.Generator, height: int, width: int, side: int, scale: float) -> Warp | None:
    """Any angle and a zoom of exp(±scale), at a place where the square fits if it can; None for half of the samples.

    Half stay as they are because interpolation blurs, and what will be translated is sharp.
    """
    if random.random() < 0.5:
        return None
    zoom = math.exp(random.uniform(-scale, scale))
    angle = random.uniform(0, 2 * math.pi)
    reach = zoom * (side - 1) / 2 * (abs(math.cos(angle)) + abs(math.sin(angle)))
    row, col = (_centre(random, length, reach) for length in (height, width))
    return Warp(row, col, side, zoom, angle)


def _centre(random: np.random.Generator, length: int, reach: float) -> float:
    """A centre whose square of half-extent `reach` stays within [0, length - 1], or the middle if none does."""
    free = max(length - 1 - 2 * reach, 0.0)
    return (length - 1) / 2 + free * (random.random() - 0.5)


def _mirror(place: npt.NDArray[np.floating], length: int) -> npt.NDArray[np.int64]:
    """Whole pixel numbers, those beyond the edge mirrored with the edge pixel repeated."""
    folded = place.astype(np.int64) % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)
