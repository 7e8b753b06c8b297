"""Palettes and classes: a street map is a picture made of a few flat colours, and each colour means something.

A `Palette` ties map colours to classes. `learn` finds the colours of a set of maps, `MAPS` is the fixed table by
which EVALUATION.md scores the `maps` set; the classes of learned colours are taken from the nearest entry of such a
table, because no statistic of pixels can know that blue is water.
"""

from collections.abc import Iterable
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.errors import BadDataset

UInt8 = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

CLASS_NAMES = ("land", "building", "road", "highway", "green", "water", "other")
LAND, BUILDING, ROAD, HIGHWAY, GREEN, WATER, OTHER = range(7)

# Colours are looked up in a table of 6 bits per channel first; cells whose corners disagree are resolved exactly.
_BITS = 6
_SHIFT = 8 - _BITS
_AMBIGUOUS = 255


class Palette(msgspec.Struct, frozen=True, dict=True):
    """Map colours, the class of each, and the class names; hashable and JSON-serialisable."""

    colours: tuple[Colour, ...]  # RGB 0-255, at most 254
    classes: tuple[int, ...]  # class of each colour, an index into names
    names: tuple[str, ...] = CLASS_NAMES

    def __post_init__(self) -> None:
        """Refuse a palette that contradicts itself; raises BadDataset."""
        if not 1 <= len(self.colours) < _AMBIGUOUS:
            raise BadDataset(f"a palette of {len(self.colours)} colours", "Use 1 to 254 colours")
        if len(self.classes) != len(self.colours) or not all(0 <= c < len(self.names) for c in self.classes):
            raise BadDataset(
                f"a palette whose {len(self.colours)} colours have the classes {self.classes}",
                f"Give each colour a class from 0 to {len(self.names) - 1}",
            )

    def __len__(self) -> int:
        return len(self.colours)

    @cached_property
    def _colours(self) -> UInt8:
        return np.array(self.colours, np.uint8)  # (K, 3)

    @cached_property
    def _classes(self) -> UInt8:
        return np.array(self.classes, np.uint8)  # (K,)

    @cached_property
    def _table(self) -> UInt8:
        """Nearest colour of every 6-bit cell, or _AMBIGUOUS where the cell's 8 corners do not agree.

        The set of points nearest to one colour is convex (a Voronoi cell), so agreement at the corners of a box
        settles the whole box. Ties are resolved by `_nearest`, the first colour winning, as in tools/score.py.
        """
        low = np.arange(1 << _BITS) << _SHIFT
        corners = np.stack([low, low + (1 << _SHIFT) - 1], -1)  # (64, 2) first and last level of a cell
        edges = corners.ravel()
        grid = np.stack(np.meshgrid(edges, edges, edges, indexing="ij"), -1).reshape(-1, 3)
        boxes = self._nearest(grid).reshape((1 << _BITS, 2) * 3).transpose(0, 2, 4, 1, 3, 5)
        near = boxes.reshape(1 << 3 * _BITS, 8)
        return np.where((near == near[:, :1]).all(1), near[:, 0], np.uint8(_AMBIGUOUS))

    def _nearest(self, rgb: npt.NDArray[np.integer]) -> UInt8:
        """(P, 3) -> (P,) index of the nearest colour by squared distance, the first one on ties."""
        out = np.empty(len(rgb), np.uint8)
        colours = self._colours.astype(np.int32)
        for start in range(0, len(rgb), 1 << 15):
            part = rgb[start : start + (1 << 15)].astype(np.int32)
            out[start : start + (1 << 15)] = ((part[:, None] - colours) ** 2).sum(-1).argmin(-1)
        return out

    def encode(self, rgb: UInt8) -> UInt8:
        """(..., 3) uint8 colours -> (...) index of the nearest palette colour (squared distance, first wins)."""
        flat = rgb.reshape(-1, 3)
        cell = (flat[:, 0].astype(np.int32) >> _SHIFT) << 2 * _BITS
        cell |= (flat[:, 1].astype(np.int32) >> _SHIFT) << _BITS
        cell |= flat[:, 2] >> _SHIFT
        out: UInt8 = self._table[cell]
        unsure = np.flatnonzero(out == _AMBIGUOUS)
        out[unsure] = self._nearest(flat[unsure])
        return out.reshape(rgb.shape[:-1])

    def decode(self, index: UInt8) -> UInt8:
        """(...) palette index -> (..., 3) uint8 colour. Inverse of `encode` on palette colours."""
        return self._colours[index]

    def to_classes(self, index: UInt8) -> UInt8:
        """(...) palette index -> (...) class."""
        return self._classes[index]

    def class_colours(self) -> tuple[Colour, ...]:
        """One colour per class for legends: the class's first palette colour, grey for a class without any."""
        first = {c: self.colours[i] for i, c in reversed(list(enumerate(self.classes)))}
        return tuple(first.get(c, (128, 128, 128)) for c in range(len(self.names)))


# The table of tools/score.py: the frozen meaning of the colours of the `maps` set.
MAPS = Palette(
    colours=(
        (234, 230, 222), (238, 226, 210), (242, 242, 234), (254, 254, 254), (250, 158, 38), (254, 226, 154),
        (254, 226, 102), (202, 222, 174), (186, 210, 186), (194, 218, 158), (178, 210, 254), (166, 198, 254),
        (222, 218, 214), (210, 202, 190), (234, 222, 190), (202, 210, 178), (214, 210, 202),
    ),
    classes=(
        LAND, LAND, BUILDING, ROAD, HIGHWAY, HIGHWAY, HIGHWAY, GREEN, GREEN, GREEN, WATER, WATER,
        OTHER, OTHER, OTHER, OTHER, OTHER,
    ),
)  # fmt: skip


FEWEST = 4  # colours of a palette that is learned: three outputs of a network mean RGB


def learn(maps: Iterable[UInt8], most: int, *, anchors: Palette = MAPS, apart: int = 10) -> Palette:
    """Find the most common colours of some street maps, `most` at the most, and name them after the nearest anchor.

    Maps are flat colours plus anti-aliased edges and JPEG noise, so the modes of the colour histogram are the
    palette: the fullest bin is taken, the bins within `apart` levels of it (largest channel difference) are
    suppressed, and so on. Bins are 4 levels wide; a colour is the mean of the pixels in its bin.

    `maps` are (H, W, 3) uint8. Flat maps, such as invented ones, have fewer modes than scanned or compressed ones; with
    fewer than FEWEST they are no maps: raises BadDataset.
    """
    counts = np.zeros(1 << 18, np.int64)
    sums = np.zeros((1 << 18, 3), np.float64)
    for rgb in maps:
        flat = rgb.reshape(-1, 3).astype(np.int64)
        bins = ((flat[:, 0] >> 2) << 12) | ((flat[:, 1] >> 2) << 6) | (flat[:, 2] >> 2)
        counts += np.bincount(bins, minlength=1 << 18)
        for channel in range(3):
            sums[:, channel] += np.bincount(bins, flat[:, channel], minlength=1 << 18)
    filled = np.flatnonzero(counts)
    means = sums[filled] / counts[filled, None]
    colours: list[Colour] = []
    weight = counts[filled].astype(np.float64)
    while len(colours) < most and weight.any():
        best = int(weight.argmax())
        red, green, blue = (round(float(level)) for level in means[best])
        colours.append((red, green, blue))
        weight[np.abs(means - means[best]).max(1) <= apart] = 0
    if len(colours) < FEWEST:
        raise BadDataset(
            f"the maps hold only {len(colours)} distinct colours, and a palette has {FEWEST} or more",
            "Look at them with `sat2map data check`; for other pictures than maps use a recipe without a palette, such "
            "as pix2pix-stable",
        )
    named = anchors.to_classes(anchors.encode(np.array(colours, np.uint8)))
    return Palette(tuple(colours), tuple(int(c) for c in named), anchors.names)
