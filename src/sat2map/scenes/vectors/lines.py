"""The road lines of a scene, block by block, found on pixels no finer than lines need.

Thinning reaches `ROUNDS` px to both sides, so that on pixels of 0.13 m it would break up any road wider than 17 m. What
a network draws at 0.9 m holds no more detail when it is written on a finer grid, and a middle line needs none: pixels
are put together to squares, anchored at the scene's top left corner, as small as let a road of `WIDEST` become a line.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window, align_down
from sat2map.palette import HIGHWAY, ROAD
from sat2map.scenes.vectors.paths import Networks, trace
from sat2map.scenes.vectors.roads import Road, roads
from sat2map.scenes.vectors.shapes import Frame
from sat2map.scenes.vectors.sources import NOTHING, Raster, read_mirrored
from sat2map.scenes.vectors.thinning import MARGIN, ROUNDS, centres

UInt8 = npt.NDArray[np.uint8]

WIDEST = 60.0  # metres; a motorway with both carriageways in one
STAIRS = (
    0.75  # px; the stairs of a slanting line are 0.71 px high at most, and what is smaller than these is kept
)


def square_for(pixel: float) -> int:
    """How many pixels of so many metres make the side of a square on which roads of `WIDEST` are lines."""
    return max(math.ceil(WIDEST / (2 * ROUNDS * pixel)), 1)


class Squares:
    """The roads of a raster of classes in squares of `side` px: road where at least half of a square is.

    The last squares may reach beyond the raster, and are what there is of them.
    """

    def __init__(self, source: Raster, side: int) -> None:
        """A `side` of 1 is the raster itself."""
        self._source, self._side = source, side

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in squares."""
        height, width = self._source.shape
        return -(-height // self._side), -(-width // self._side)

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside: ROAD, HIGHWAY (the commoner of both), or something else."""
        if self._side == 1:
            return self._source.read(window)
        pixels = Window(*(n * self._side for n in window))
        inside = pixels.clipped(*self._source.shape)
        classes = self._source.read(inside)
        road, highway = (self._counted(classes == kind) for kind in (ROAD, HIGHWAY))
        there = self._counted(np.ones(classes.shape, np.bool_))
        kind = np.where(highway > road, np.uint8(HIGHWAY), np.uint8(ROAD))
        return np.where(2 * (road + highway) >= there, kind, np.uint8(NOTHING))

    def _counted(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """How many pixels of each square are in the mask, whose last squares may be cut off."""
        rows, cols = (np.arange(0, size, self._side) for size in mask.shape)
        return np.add.reduceat(np.add.reduceat(mask, rows, 0, np.int64), cols, 1)


class Lines:
    """Finds the roads of a scene; give it all blocks, row by row."""

    def __init__(
        self,
        source: Raster,
        confidence: Raster | None,
        frame: Frame,
        side: int,
        shortest: float,
        tolerance: float | None,
    ) -> None:
        """`side`: of the squares, in px. `shortest` and `tolerance` as for `roads`; None: stairs vanish."""
        self._roads, self._confidence, self._side = Squares(source, side), confidence, side
        self._frame = Frame(frame.across * side, frame.down * side)
        self._shape = source.shape[0] / side, source.shape[1] / side
        self._shortest = shortest
        self._tolerance = STAIRS * self._frame.pixel if tolerance is None else tolerance
        self._networks = Networks()

    def add(self, window: Window) -> None:
        """Take a block, in px, that begins with whole squares."""
        first = Window(window.row // self._side, window.col // self._side, 0, 0)
        block = first._replace(height=-(-window.height // self._side), width=-(-window.width // self._side))
        classes = read_mirrored(self._roads, block.grown(MARGIN))
        is_road = (classes == ROAD) | (classes == HIGHWAY)
        if not is_road.any():
            return
        found = centres(is_road, block, self._roads.shape)
        values = np.full((len(found.row), 5), NOTHING, np.int32)
        values[:, 0], values[:, 1] = found.row + block.row, found.col + block.col
        values[:, 2], values[:, 3] = found.square, classes[found.row + MARGIN, found.col + MARGIN]
        if self._confidence:
            percent = self._confidence.read(window)
            middle = (
                np.minimum(places * self._side + self._side // 2, size - 1)
                for places, size in zip((found.row, found.col), percent.shape, strict=True)
            )
            values[:, 4] = percent[tuple(middle)]
        self._networks.add(trace(found, values, block, self._roads.shape[1]))

    def finish_row(self) -> Iterator[list[Road]]:
        """Yield the roads of each network that the blocks to come cannot reach; call it after each row of blocks."""
        for network in self._networks.finish_row():
            yield roads(network, self._frame, self._shape, self._shortest, self._tolerance)


def block_side(wanted: int, side: int) -> int:
    """The side of blocks of about `wanted` px that hold whole squares."""
    return max(align_down(wanted, side), side)
