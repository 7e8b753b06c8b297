"""A scene of any size as a small picture, added up from windows as they pass by.

Each pixel of the sketch is the mean of the valid pixels that lie in it, or the most frequent class; sums are exact
whole numbers, so the order of windows does not matter. Memory is that of the sketch.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.grid import Indices, Window

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Piece = tuple[
    Window, Mapping[str, UInt8], Bool | None
]  # window, name -> pixels, where valid (None: everywhere)

LONGEST = 1200  # px
MOST_CLASSES = 16


class Sketch:
    """Adds up windows of a scene of `height` by `width` px: pictures (H, W, 3), classes or percents (H, W)."""

    def __init__(self, height: int, width: int, longest: int = LONGEST) -> None:
        """The sketch is at most `longest` px a side, and never larger than the scene."""
        share = min(longest / max(height, width), 1)
        self._scene = height, width
        self.shape = max(round(height * share), 1), max(round(width * share), 1)
        self._sums: dict[str, npt.NDArray[np.int64]] = {}
        self._votes: dict[str, npt.NDArray[np.int32]] = {}
        self._ready: dict[str, UInt8] = {}
        self._count = np.zeros(self.shape, np.int64)

    def add(self, window: Window, products: Mapping[str, UInt8], valid: Bool | None) -> None:
        """Add a window of the scene; the windows of a scene do not overlap."""
        window, products, valid = self._inside(window, products, valid)
        if not window.area:
            return
        rows = _bins(window.row, window.height, self._scene[0], self.shape[0])
        cols = _bins(window.col, window.width, self._scene[1], self.shape[1])
        known = np.ones((window.height, window.width), np.bool_) if valid is None else valid
        place = np.ix_(rows.number, cols.number)
        self._count[place] += _summed(known, rows, cols)
        for name, values in products.items():
            if name == "classes":
                votes = self._votes.setdefault(name, np.zeros((MOST_CLASSES, *self.shape), np.int32))
                for number in np.unique(values[known]):
                    votes[number][place] += _summed((values == number) & known, rows, cols)
            else:
                own = self._sums.setdefault(name, np.zeros((*self.shape, *values.shape[2:]), np.int64))
                seen = known[..., None] if values.ndim == 3 else known
                own[place] += _summed(np.where(seen, values, 0), rows, cols)

    def put(self, name: str, picture: UInt8) -> None:
        """Take a picture (h, w, 3) that is reduced already."""
        assert picture.shape[:2] == self.shape, f"{picture.shape} is not the sketch's {self.shape}"
        self._ready[name] = picture

    def passing(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield what comes, and add it."""
        for piece in pieces:
            self.add(*piece)
            yield piece

    def _inside(
        self, window: Window, products: Mapping[str, UInt8], valid: Bool | None
    ) -> tuple[Window, Mapping[str, UInt8], Bool | None]:
        inside = window.clipped(*self._scene)
        part = inside.slices(window)
        return inside, {n: v[part] for n, v in products.items()}, None if valid is None else valid[part]

    @property
    def valid(self) -> Bool:
        """(h, w), True where any pixel of the scene is."""
        return self._count > 0

    def picture(self, name: str) -> UInt8:
        """Return (h, w, 3) colours, (h, w) class numbers or percents; 0 where nothing is valid."""
        if name in self._ready:
            return self._ready[name]
        made: UInt8
        if name in self._votes:
            made = self._votes[name].argmax(0).astype(np.uint8)
            return made
        total = self._sums[name]
        count = np.maximum(self._count, 1) if total.ndim == 2 else np.maximum(self._count, 1)[..., None]
        made = ((total + count // 2) // count).astype(np.uint8)
        return made

    def areas(self) -> list[float] | None:
        """Return the share of each class number of all valid pixels, exactly; None if there were no classes."""
        if "classes" not in self._votes:
            return None
        counts = self._votes["classes"].sum((1, 2), np.int64)
        return [float(count) / max(int(counts.sum()), 1) for count in counts]


class _Bins(NamedTuple):
    """Pixels of an axis that fall together."""

    number: Indices  # of the sketch's axis, each once
    start: Indices  # where they begin in the window


def _bins(start: int, count: int, size: int, bins: int) -> _Bins:
    at = (np.arange(start, start + count, dtype=np.int64) * 2 + 1) * bins // (2 * size)
    first = np.flatnonzero(np.diff(at, prepend=-1))
    return _Bins(at[first], first)


def _summed(values: npt.NDArray[np.generic], rows: _Bins, cols: _Bins) -> npt.NDArray[np.int64]:
    down = np.add.reduceat(values, rows.start, axis=0, dtype=np.int64)
    total: npt.NDArray[np.int64] = np.add.reduceat(down, cols.start, axis=1, dtype=np.int64)
    return total
