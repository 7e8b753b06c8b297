"""A scene on a grid that is not that of web tiles: read in fixed squares, so that no reader changes a pixel.

A pixel of the grid is what lies at its centre: on straight lines between the centres of the scene's pixels, which are
first made as large as the grid's (their means) where they are smaller. Beyond the scene's edges lies its mirror image,
as far as networks may see it. Written out as sums in a fixed order, as in `scenes.resolution`, because a warper that
chooses its kernel for each piece that it works on would not give the same pixels to everybody.
"""

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.batch.grids import Grid
from sat2map.grid import Window
from sat2map.mercator import aligned
from sat2map.scenes import raster
from sat2map.scenes.raster import BLOCK
from sat2map.scenes.resolution import MISSING, Factors, Scene

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]
Piece = tuple[UInt8, Bool]

STEP = (
    32  # px between the points whose coordinates are computed; a bent grid is straight to 0.001 px in between
)
KEPT = 64  # squares
_LEAST = 1e-5  # px: nearer to a centre is on it


class Sampling(NamedTuple):
    """How a scene is looked at."""

    scene: Scene  # as the network sees it: with pixels no smaller than the grid's
    place: raster.Place  # of the scene as it is stored
    factors: Factors | None  # stored pixels per pixel of `scene`; None: one
    is_palette: bool  # colours of the nearest pixel, never between two


class Sampled:
    """The pixels of `region`, a window of the grid; a layer of `batch.mosaic`. Windows are relative to the region."""

    def __init__(self, sampling: Sampling, grid: Grid, region: Window, near: Window) -> None:
        """`near`: the window of the grid around the scene within which its mirror image is shown."""
        self.region, self._grid, self._near, self._sampling = region, grid, near, sampling
        self._pieces: OrderedDict[Window, Piece | None] = OrderedDict()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return self.region.height, self.region.width, self._sampling.scene.shape[2]

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the region."""
        return self._assembled(window)[0]

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the scene has a pixel."""
        return self._assembled(window)[1]

    def _assembled(self, window: Window) -> Piece:
        wanted = window._replace(row=window.row + self.region.row, col=window.col + self.region.col)
        pixels = np.full((wanted.height, wanted.width, self.shape[2]), MISSING, np.uint8)
        valid = np.zeros(pixels.shape[:2], np.bool_)
        for square in aligned(wanted, BLOCK).parts(BLOCK):
            piece = self._piece(square)
            if piece is not None:
                shared = square.shared(wanted)
                here, there = shared.slices(wanted), shared.slices(square)
                pixels[here], valid[here] = piece[0][there], piece[1][there]
        return pixels, valid

    def _piece(self, square: Window) -> Piece | None:
        if square in self._pieces:
            self._pieces.move_to_end(square)
        else:
            self._pieces[square] = self._made(square) if square.shared(self._near).area else None
            if len(self._pieces) > KEPT:
                self._pieces.popitem(last=False)
        return self._pieces[square]

    def _made(self, square: Window) -> Piece | None:
        """Return one square of the grid; None if there is nothing to be seen."""
        height, width, _ = self._sampling.scene.shape
        rows, cols = self._positions(square)
        known = np.isfinite(rows) & np.isfinite(cols)
        rows, cols = np.where(known, rows, -1e9), np.where(known, cols, -1e9)
        inside = (rows > -_LEAST) & (rows < height + _LEAST) & (cols > -_LEAST) & (cols < width + _LEAST)
        shown = np.zeros(inside.shape, np.bool_)
        near = square.shared(self._near)
        shown[near.slices(square)] = True
        shown &= known
        if not shown.any():
            return None
        top, down = _between(_folded(rows, height), height, exact=self._sampling.is_palette)
        left, right = _between(_folded(cols, width), width, exact=self._sampling.is_palette)
        pixels, share = self._mixed(top, down, left, right, shown)
        seen = share >= np.float32(0.5)
        pixels[~(seen & shown)] = MISSING
        return pixels, seen & shown & inside

    def _positions(self, square: Window) -> tuple[Float, Float]:
        """Return row and column in the scene, from its corner, of the centres of a square's pixels.

        Computed at every `STEP`th corner of the grid's pixels, and on straight lines in between.
        """
        count = BLOCK // STEP + 1
        rows = np.repeat(square.row + STEP * np.arange(count), count)
        cols = np.tile(square.col + STEP * np.arange(count), count)
        box = self._grid.bounds(Window(0, 0, 1, 1))
        xs, ys = box.left + cols * (box.right - box.left), box.top - rows * (box.top - box.bottom)
        found = raster.pixels_at(self._sampling.place, xs.tolist(), ys.tolist(), self._grid.crs)
        if found is None:
            return (np.full((BLOCK, BLOCK), np.nan),) * 2
        down, across = self._sampling.factors or (1.0, 1.0)
        return _filled(np.asarray(found[1]) / down, count), _filled(np.asarray(found[0]) / across, count)

    def _mixed(
        self, top: "Taps", down: Float, left: "Taps", right: Float, shown: Bool
    ) -> tuple[UInt8, npt.NDArray[np.float32]]:
        """Return (h, w, bands), and how much of the four pixels around each position is there, (h, w)."""
        first_row, first_col = int(top[shown].min()), int(left[shown].min())
        height, width, bands = self._sampling.scene.shape
        last_row = min(int(top[shown].max()) + 2, height)
        last_col = min(int(left[shown].max()) + 2, width)
        window = Window(first_row, first_col, last_row - first_row, last_col - first_col)
        seen, there = self._sampling.scene.read(window), self._sampling.scene.valid(window)
        total = np.zeros((*top.shape, bands), np.float32)
        weight = np.zeros(top.shape, np.float32)
        for row in (0, 1):
            for col in (0, 1):
                share = np.abs(1 - row - down) * np.abs(1 - col - right)
                at = (
                    (top + row - first_row).clip(0, window.height - 1),
                    (left + col - first_col).clip(0, window.width - 1),
                )
                part = np.where(there[at], share, 0).astype(np.float32)
                total += part[..., None] * seen[at]
                weight += part
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.floor(total / weight[..., None] + np.float32(0.5))
        return np.nan_to_num(mean).clip(0, 255).astype(np.uint8), weight


Taps = npt.NDArray[np.intp]


def _between(position: Float, size: int, *, exact: bool) -> tuple[Taps, Float]:
    """Return the pixel whose centre comes before each position on an axis, and the share of the next one."""
    at = np.clip(position - 0.5, 0, size - 1)
    if exact:
        return np.minimum(position, size - 1).astype(np.intp), np.zeros(position.shape)
    nearest = np.rint(at)
    at = np.where(np.abs(at - nearest) < _LEAST, nearest, at)
    first = np.floor(at)
    return first.astype(np.intp), at - first


def _folded(position: Float, size: int) -> Float:
    """Mirror positions at both ends of an axis, as often as it takes."""
    folded = position % (2 * size)
    return np.minimum(folded, 2 * size - folded)


def _filled(nodes: Float, count: int) -> Float:
    """(count * count,) values at every STEP-th corner -> (BLOCK, BLOCK) values at the centres of pixels."""
    grid = nodes.reshape(count, count)
    share = (np.arange(BLOCK) % STEP + 0.5) / STEP
    node = np.arange(BLOCK) // STEP
    rows = grid[node] * (1 - share[:, None]) + grid[node + 1] * share[:, None]  # (BLOCK, count)
    return rows[:, node] * (1 - share) + rows[:, node + 1] * share
