"""Fills many polygons at a time: which samples of a raster lie inside.

A sample belongs to a ring if its centre does; a centre on an edge belongs to the ring on its right or below, so that
rings that share an edge never share a sample and leave none out. Crossings of edges and sample rows are found for
all edges at once, marked with the edge's direction, and summed along the rows.

Rasters are windows of one endless raster that is anchored to the world's origin, and a sample does not depend on the
window: corners are rounded to fractions of a sample that floating point holds exactly wherever they are, and so are
the crossings' distances from them. What is left are exact sums.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats
from sat2map.worlds.layouts import Bounds
from sat2map.worlds.shapes import Ints, Shapes, areas

Mask = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]


CORNERS = 64  # corners lie on multiples of 1 / 64 sample
CROSSINGS = float(1 << 24)


class Canvas(NamedTuple):
    """A window of the endless raster with samples of `step` metres; sample (0, 0) lies south-east of the origin."""

    row: int  # first row, counted to the south
    col: int
    height: int  # samples
    width: int
    step: float  # metres

    @property
    def bounds(self) -> Bounds:
        """The box that the window shows, in metres."""
        left, top, step = self.col * self.step, -self.row * self.step, self.step
        return Bounds(left, top - self.height * step, left + self.width * step, top)

    def grown(self, samples: int) -> "Canvas":
        """Return the window with so many samples more on each side."""
        return Canvas(
            self.row - samples,
            self.col - samples,
            self.height + 2 * samples,
            self.width + 2 * samples,
            self.step,
        )

    def finer(self, factor: int) -> "Canvas":
        """Return the same window with `factor` samples for each on both axes."""
        row, col, height, width, step = self
        return Canvas(factor * row, factor * col, factor * height, factor * width, step / factor)

    def place(self, xy: Floats) -> Floats:
        """World metres to (x, y) in samples of the window, rounded."""
        return np.asarray(
            np.rint(xy * (CORNERS / self.step, -CORNERS / self.step)) / CORNERS - (self.col, self.row)
        )

    def centres(self) -> tuple[Floats, Floats]:
        """World (x, y) of all samples, (1, width) and (height, 1)."""
        x = (np.arange(self.col, self.col + self.width) + 0.5) * self.step
        y = -(np.arange(self.row, self.row + self.height) + 0.5) * self.step
        return np.asarray(x[None], np.float64), np.asarray(y[:, None], np.float64)


def _marks(canvas: Canvas, shapes: Shapes, values: Ints) -> Int32:
    """(height, width) sums of `values` of the rings around each sample, whichever way the rings turn."""
    xy = canvas.place(shapes.xy)
    after = np.arange(1, len(xy) + 1)
    after[shapes.starts[1:] - 1] = shapes.starts[:-1]
    x0, y0, x1, y1 = xy[:, 0], xy[:, 1], xy[after, 0], xy[after, 1]
    turn = np.where(areas(shapes) < 0, -1, 1) * values
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, canvas.height).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, canvas.height).astype(np.int64)
    counts = last - first
    edges = np.repeat(np.arange(len(xy)), counts)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    slope = (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
    away = (rows + 0.5 - y0[edges]) * slope[edges]
    cross = x0[edges] + np.rint(away * CROSSINGS) / CROSSINGS
    cols = np.clip(np.ceil(cross - 0.5), 0, canvas.width).astype(np.int64)
    # the raster's y points south, which mirrors the ring: an edge that goes down opens a counter-clockwise ring
    signs = np.where(y1 > y0, 1, -1) * np.repeat(turn, shapes.counts)
    sums = np.bincount(
        rows * (canvas.width + 1) + cols, signs[edges], minlength=canvas.height * (canvas.width + 1)
    )
    grid = sums.astype(np.int32).reshape(canvas.height, canvas.width + 1)
    return np.asarray(np.cumsum(grid, axis=1, dtype=np.int32)[:, :-1])


def covered(canvas: Canvas, shapes: Shapes) -> Mask:
    """(height, width) whether any ring holds the sample."""
    if not len(shapes):
        return np.zeros((canvas.height, canvas.width), bool)
    return np.asarray(_marks(canvas, shapes, np.ones(len(shapes), np.int64)) > 0)


def numbered(canvas: Canvas, shapes: Shapes) -> Int32:
    """(height, width) number of the ring that holds the sample, from 1, and 0 for none (or for two).

    Rings must not overlap; along common walls, rounding may let two hold a sample. At most a million.
    """
    if not len(shapes):
        return np.zeros((canvas.height, canvas.width), np.int32)
    assert len(shapes) < 1 << 20, "too many rings for one number each"
    marks = _marks(canvas, shapes, (1 << 20) + np.arange(1, len(shapes) + 1))
    return np.where(marks >> 20 == 1, marks & ((1 << 20) - 1), 0)


def tallied(canvas: Canvas, shapes: Shapes, kinds: Ints) -> Int32:
    """(height, width) how many rings of each kind hold the sample: 4 bits for each of at most 7 kinds.

    Rings may overlap, up to 15 of a kind.
    """
    if not len(shapes):
        return np.zeros((canvas.height, canvas.width), np.int32)
    return _marks(canvas, shapes, np.left_shift(1, 4 * kinds))
