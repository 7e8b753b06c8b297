"""The finished cells of a plan as one raster, read by windows; a cell that is missing or empty has no pixels."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.batch.journal import Outcome
from sat2map.batch.plan import RASTERS, Plan, PlannedCell
from sat2map.grid import Window
from sat2map.mercator import aligned
from sat2map.scenes import raster
from sat2map.scenes.vectors.sources import NOTHING, Affine

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
KEPT_OPEN = 32


class Tile(NamedTuple):
    """One finished cell's raster."""

    window: Window  # in the merged raster, may reach beyond it
    path: Path


def frame_of(plan: Plan) -> Window:
    """The rectangle of the grid that holds all sources, whatever the size of the cells.

    On a grid that goes round the world it may go on across 180 degrees: it begins after the widest gap.
    """
    turn = plan.grid.turn
    windows = [source.window for source in plan.sources]
    top = min(window.row for window in windows)
    bottom = max(window.row + window.height for window in windows)
    if not turn:
        start = min(window.col for window in windows)
        width = max(window.col + window.width for window in windows) - start
        return Window(top, start, bottom - top, width)
    spans = sorted((window.col % turn, window.width) for window in windows)
    start = _after_widest_gap(spans, turn)
    width = max((col - start) % turn + length for col, length in spans)
    return Window(top, start, bottom - top, min(width, turn))


def _after_widest_gap(spans: list[tuple[int, int]], turn: int) -> int:
    """Return where the shortest arc begins that holds all spans (start, length) of a circle, sorted by start."""
    reached = max(col + length for col, length in spans) - turn  # what comes around from the end
    start, widest = spans[0][0], -turn
    for col, length in spans:
        if col - reached > widest:
            start, widest = col, col - reached
        reached = max(reached, col + length)
    return start


class Mosaicked:
    """One product of all finished cells, on the rectangle that holds all sources.

    Pixels are read inside a `with`; where they lie is known without.
    """

    detail: float | None = None  # cells are drawn on this very grid

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        cells: Iterable[PlannedCell],
        finished: Mapping[str, Outcome],
        product: str,
    ) -> None:
        """`finished`: cell -> how it ended, of the journal."""
        done = [cell for cell in cells if cell.id in finished and finished[cell.id].files]
        self.product, self.plan = product, plan
        self.world = frame_of(plan)
        self.tiles = {}
        for cell in done:
            window = cell.window(plan.side)
            col = window.col - self.world.col
            if plan.grid.turn:
                col = (col + plan.side - 1) % plan.grid.turn - plan.side + 1
            self.tiles[cell.row, cell.col] = Tile(
                window._replace(row=window.row - self.world.row, col=col),
                folder / RASTERS / f"{cell.id}_{product}.tif",
            )
        self._open: OrderedDict[Path, tuple[ExitStack, Any]] = OrderedDict()
        self._environment = ExitStack()

    def __enter__(self) -> "Mosaicked":
        self._environment.enter_context(raster.many_open())
        return self

    def __exit__(self, *_: object) -> None:
        for stack, _dataset in self._open.values():
            stack.close()
        self._open.clear()
        self._environment.close()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.world.height, self.world.width

    @property
    def place(self) -> raster.Place:
        """Where the merged raster lies."""
        return self.plan.grid.place(self.world)

    @property
    def transform(self) -> Affine:
        """From pixel corners to the coordinate system."""
        return Affine(*tuple(self.place.affine())[:6])

    @property
    def crs(self) -> str:
        """The coordinate system as WKT."""
        wkt: str = self.place.crs.to_wkt()
        return wkt

    @property
    def metres(self) -> tuple[float, float] | None:
        """Ground size of a pixel along a row and down a column at the middle."""
        found = raster.metres_per_pixel(self.place)
        return found and (found[1], found[0])

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of one band, 255 where there is no pixel."""
        values, valid = self.pixels(window)
        values = values[..., 0]
        values[~valid] = NOTHING
        return values

    def pixels(self, window: Window) -> tuple[UInt8, Bool]:
        """Return (height, width, bands), and (height, width) True where there is a pixel."""
        bands = 3 if self.product == "colour" else 1
        values = np.full((window.height, window.width, bands), 0 if bands == 3 else NOTHING, np.uint8)
        valid = np.zeros(values.shape[:2], np.bool_)
        for tile in self._touching(window):
            shared = tile.window.shared(window)
            down, across = shared.slices(tile.window)
            place, here = ((down.start, down.stop), (across.start, across.stop)), shared.slices(window)
            dataset = self._dataset(tile.path)
            values[here] = np.moveaxis(dataset.read(window=place), 0, -1)
            valid[here] = dataset.read_masks(1, window=place) != 0
        return values, valid

    def _touching(self, window: Window) -> Iterator[Tile]:
        side, turn = self.plan.side, self.plan.grid.turn // self.plan.side
        box = aligned(window._replace(row=window.row + self.world.row, col=window.col + self.world.col), side)
        for row in range(box.row // side, (box.row + box.height) // side):
            for col in range(box.col // side, (box.col + box.width) // side):
                key = row, col % turn if turn else col
                if key in self.tiles:
                    yield self.tiles[key]

    def _dataset(self, path: Path) -> Any:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path][1]
        while len(self._open) >= KEPT_OPEN:
            self._open.popitem(last=False)[1][0].close()
        stack = ExitStack()
        dataset = stack.enter_context(raster.open_scene(path))
        self._open[path] = (stack, dataset)
        return dataset
