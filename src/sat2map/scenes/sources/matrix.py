"""Levels of tiled maps and the tiles that cover an area: arithmetic only.

A level is a tile matrix of OGC 17-083r4: a raster of square tiles hung up at its top-left corner in some CRS. The zooms
of XYZ templates are the matrices of Web Mercator; services have others.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sat2map import mercator
from sat2map.grid import Window
from sat2map.mercator import Metres

_SLACK = 1e-4  # px by which an edge may miss a pixel's and is still taken to lie on it
_NEAR = 1e-6  # relative difference of sizes that were rounded in a document


@dataclass(frozen=True)
class Level:
    """One tile matrix. `left`, `top` and `size` are in units of the CRS, counts in tiles, tiles in pixels."""

    label: str  # what the service calls it: the zoom, or the identifier of a matrix
    crs: str  # AUTHORITY:CODE
    left: float
    top: float
    size: float  # of a pixel
    tile_width: int
    tile_height: int
    cols: int
    rows: int
    limits: tuple[int, int, int, int] | None = None  # first and last column, first and last row that exist
    repeats: bool = False  # the last column is followed by the first one: Web Mercator goes round the world

    def window_of(self, box: Metres) -> Window | None:
        """Return the pixels that cover a box in units of the CRS, as far as there are tiles; None if there are none."""
        col = math.floor((box.left - self.left) / self.size + _SLACK)
        row = math.floor((self.top - box.top) / self.size + _SLACK)
        beyond = math.ceil((box.right - self.left) / self.size - _SLACK)
        below = math.ceil((self.top - box.bottom) / self.size - _SLACK)
        first_col, last_col, first_row, last_row = self.limits or (0, self.cols - 1, 0, self.rows - 1)
        if self.repeats:
            first_col, last_col = 0, 2 * self.cols - 1
        col, row = max(col, first_col * self.tile_width), max(row, first_row * self.tile_height)
        beyond = max(min(beyond, (last_col + 1) * self.tile_width), col)
        below = max(min(below, (last_row + 1) * self.tile_height), row)
        return Window(row, col, below - row, beyond - col) if beyond > col and below > row else None

    def bounds(self, window: Window) -> Metres:
        """Return what a window of pixels covers, in units of the CRS."""
        left, top = self.left + window.col * self.size, self.top - window.row * self.size
        return Metres(left, top - window.height * self.size, left + window.width * self.size, top)


class Place(NamedTuple):
    """One tile of a cover: its column and row, which may go on beyond the last column."""

    row: int
    col: int


@dataclass(frozen=True)
class Cover:
    """The pixels of a level that are wanted, and the tiles that hold them."""

    level: Level
    window: Window  # in pixels of the level

    @property
    def rows(self) -> range:
        """Rows of tiles."""
        high = self.level.tile_height
        return range(self.window.row // high, -(-(self.window.row + self.window.height) // high))

    @property
    def cols(self) -> range:
        """Columns of tiles."""
        wide = self.level.tile_width
        return range(self.window.col // wide, -(-(self.window.col + self.window.width) // wide))

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.cols)

    def places(self) -> Iterator[Place]:
        """Yield the tiles row by row."""
        for row in self.rows:
            for col in self.cols:
                yield Place(row, col)

    def pixels(self, place: Place) -> Window:
        """Return the pixels of a tile, counted from the first pixel of the cover; they may reach beyond it."""
        high, wide = self.level.tile_height, self.level.tile_width
        return Window(place.row * high - self.window.row, place.col * wide - self.window.col, high, wide)

    def touching(self, part: Window) -> Iterator[Place]:
        """Yield the tiles that have pixels in a part of the cover, counted from its first pixel."""
        moved = Window(part.row + self.window.row, part.col + self.window.col, part.height, part.width)
        yield from Cover(self.level, moved).places()


def web_level(zoom: int, tile: int = mercator.TILE) -> Level:
    """Return a zoom of Web Mercator whose tiles have `tile` px a side, as XYZ templates count them."""
    count = 1 << zoom
    size = 2 * mercator.EDGE / (tile * count)
    return Level(
        str(zoom), mercator.CRS, -mercator.EDGE, mercator.EDGE, size, tile, tile, count, count, repeats=True
    )


def snapped(level: Level) -> Level:
    """Return a level of Web Mercator with exact sizes, if it is one but for the rounding in a document."""
    edge = mercator.EDGE
    is_world = (
        level.crs == mercator.CRS
        and level.cols == level.rows
        and level.tile_width == level.tile_height
        and math.isclose(level.left, -edge, rel_tol=_NEAR)
        and math.isclose(level.top, edge, rel_tol=_NEAR)
        and math.isclose(level.size * level.cols * level.tile_width, 2 * edge, rel_tol=_NEAR)
    )
    if not is_world:
        return level
    size = 2 * edge / (level.cols * level.tile_width)
    return Level(
        level.label, level.crs, -edge, edge, size, level.tile_width, level.tile_height, level.cols, level.rows,
        level.limits, repeats=level.limits is None,
    )  # fmt: skip
