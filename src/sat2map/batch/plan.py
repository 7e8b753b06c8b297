"""The plan of a batch: which cells of the grid there are, and which sources have pixels in them.

Deterministic: the same sources, model and options give the same files, byte for byte. Where scenes overlap, the one
that was named first is shown wherever it has a pixel (`batch.mosaic`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from sat2map import mercator, storage
from sat2map.batch.area import Footprint, Ring, touches
from sat2map.batch.described import Source
from sat2map.batch.grids import Grid, WebGrid
from sat2map.errors import BadPlan, CorruptFile, FileMissing
from sat2map.grid import Window
from sat2map.mercator import Degrees
from sat2map.scenes.raster import BLOCK

HEADER, CELLS, JOURNAL, RASTERS = "plan.json", "cells.jsonl", "journal.jsonl", "cells"
FORMAT = 2
SIDES = (
    512,
    1024,
    2048,
    4096,
    8192,
)  # px per side of a cell: powers of two, so that the world is a whole number of them
LEAST_ZOOM = 5  # from here on every side divides the world

Side = Annotated[int, msgspec.Meta(ge=512)]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model by name and by content."""

    id: str
    where: str  # what finds it: an id, or the folder of a bundle
    checksum: str  # SHA-256 of its graph


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The header of a plan. Sources come first that win where they overlap."""

    format: int = FORMAT
    model: Model
    grid: Grid
    side: Side  # px of a cell
    margin: int  # px around a source within which networks may see it, or its mirror image
    products: tuple[str, ...]
    sources: tuple[Source, ...]
    bidx: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None
    nodata: float | None = None
    area: tuple[Ring, ...] | None = None  # of interest, longitudes and latitudes
    cells: int = 0
    megapixels: float = 0.0  # that sources may cover, of all cells
    checksum: str = ""  # SHA-256 of cells.jsonl

    @property
    def zoom(self) -> int:
        """The zoom of a plan on web tiles. Raises BadPlan for one in another CRS."""
        if not isinstance(self.grid, WebGrid):
            raise BadPlan(
                f"the plan lies in {self.grid.crs}, and web tiles in {mercator.CRS}",
                "Leave out --tiles, or plan without --crs",
            )
        return self.grid.zoom


class PlannedCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cell: a square of the grid, and the sources that may be seen from it, first wins."""

    id: str
    row: int  # in cells; below zero where the grid goes on there
    col: int
    bounds: tuple[float, float, float, float]  # west, south, east, north; degrees
    sources: tuple[int, ...]
    cost: float  # Mpx that sources may cover

    def window(self, side: int) -> Window:
        """Pixels of the cell in the grid."""
        return Window(self.row * side, self.col * side, side, side)


class Reach(NamedTuple):
    """A source on the grid; on that of the world columns are counted on beyond 180 degrees."""

    number: int
    own: Window  # what it may have pixels in
    seen: Window  # where networks may see them


def make_plan(
    plan: Plan,
    folder: Path,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Plan:
    """Write the plan into `folder` and return it with its number of cells and checksum.

    Cells without a source are left out. Raises BadPlan if none is left; OutputExists; StorageFailed.
    """
    header = folder / HEADER
    storage.refuse_existing(header, overwrite=overwrite)
    cells = cells_of(plan, on_progress)
    first = next(cells, None)
    if first is None:  # found out before there is a folder
        raise BadPlan(
            "no source has a pixel in the area", "Check --bbox and where the sources lie (sat2map info)"
        )
    digest, count, megapixels = hashlib.sha256(), 0, 0.0
    encoder = msgspec.json.Encoder()
    # The header comes last and names the cells' checksum: after a kill in between the two do not match.
    with storage.replacing(folder / CELLS, overwrite=True) as temporary, temporary.open("wb") as out:
        for cell in chain([first], cells):
            line = encoder.encode(cell) + b"\n"
            digest.update(line)
            out.write(line)
            count += 1
            megapixels += cell.cost
    done = msgspec.structs.replace(
        plan, cells=count, megapixels=round(megapixels, 3), checksum=digest.hexdigest()
    )
    storage.write_text(header, msgspec.json.format(msgspec.json.encode(done), indent=1).decode() + "\n")
    return done


def cells_of(plan: Plan, on_progress: Callable[[int, int, str], None] | None = None) -> Iterator[PlannedCell]:
    """Yield the cells row by row, from the north-west; only one row's are held in memory."""
    side, turn = plan.side, plan.grid.turn // plan.side  # cells until the grid comes back to where it began
    reaches = [_reach(plan, number, source) for number, source in enumerate(plan.sources)]
    area = Footprint(plan.area, plan.grid.positions) if plan.area else None
    first = min((part.own.row // side for part in reaches), default=0)
    last = max((_last(part.own.row, part.own.height, side) for part in reaches), default=-1)
    for row in range(first, last + 1):
        columns: dict[int, list[tuple[int, Window]]] = {}
        for part in reaches:
            seen = part.seen
            if not seen.row // side <= row <= _last(seen.row, seen.height, side):
                continue
            for col in range(seen.col // side, _last(seen.col, seen.width, side) + 1):
                named = col % turn if turn else col
                turned = part.own._replace(col=part.own.col - (col - named) * side)
                columns.setdefault(named, []).append((part.number, turned))
        yield from _row(plan, row, _wanted(plan, area, row, columns))
        if on_progress:
            on_progress(row - first + 1, last - first + 1, "")


def _reach(plan: Plan, number: int, source: Source) -> Reach:
    own = source.window
    return Reach(number, own, own.grown(plan.margin))


def _wanted(
    plan: Plan, area: Footprint | None, row: int, columns: dict[int, list[tuple[int, Window]]]
) -> dict[int, list[tuple[int, Window]]]:
    """Leave out the columns that have nothing of the area."""
    if area is None:
        return columns
    side, turn = plan.side, plan.grid.turn
    spans = area.spans(row * side, (row + 1) * side)
    turns = (-turn, 0, turn) if turn else (0,)
    return {
        col: found
        for col, found in columns.items()
        if any(touches(spans, col * side + add, (col + 1) * side + add) for add in turns)
    }


def _row(plan: Plan, row: int, columns: dict[int, list[tuple[int, Window]]]) -> Iterator[PlannedCell]:
    """Yield the cells of a row, without those from which sources are seen but that have no pixel of them."""
    side = plan.side
    windows = {col: Window(row * side, col * side, side, side) for col in sorted(columns)}
    covered = {
        col: sum(own.shared(window).area for _, own in columns[col]) for col, window in windows.items()
    }
    filled = [col for col in windows if covered[col]]
    for col, box in zip(
        filled, plan.grid.degrees([windows[col] for col in filled]) if filled else (), strict=True
    ):
        yield PlannedCell(
            id=plan.grid.cell_id(row, col),
            row=row,
            col=col,
            bounds=(round(box.west, 9), round(box.south, 9), round(box.east, 9), round(box.north, 9)),
            sources=tuple(sorted({number for number, _ in columns[col]})),
            cost=round(min(covered[col], windows[col].area) / 1e6, 3),
        )


def _last(start: int, length: int, side: int) -> int:
    return (start + length - 1) // side


def read_plan(folder: Path) -> Plan:
    """Read a plan's header. Raises FileMissing, BadPlan."""
    try:
        plan = msgspec.json.decode((folder / HEADER).read_bytes(), type=Plan)
    except OSError as error:
        raise FileMissing(f"{folder} holds no plan", "Make one: sat2map batch plan SOURCE… PLAN") from error
    except msgspec.DecodeError as error:
        raise BadPlan(
            f"{folder / HEADER} is no plan of ours: {error}", "Plan again, into another folder"
        ) from error
    if plan.format != FORMAT:
        raise BadPlan(f"the plan has format {plan.format}, this version knows {FORMAT}", "Plan again")
    return plan


def read_cells(folder: Path, plan: Plan) -> list[PlannedCell]:
    """Read the cells of a plan. Raises CorruptFile if they are not those that the header names."""
    data = (folder / CELLS).read_bytes() if (folder / CELLS).is_file() else b""
    if hashlib.sha256(data).hexdigest() != plan.checksum:
        raise CorruptFile(
            f"{folder / CELLS} is not the list that {HEADER} names", "Plan again, into another folder"
        )
    decoder = msgspec.json.Decoder(PlannedCell)
    return [decoder.decode(line) for line in data.splitlines()]


def margin_for(halo: int, stride: int) -> int:
    """Px within which a source can change a cell: a halo, and what is mirrored beyond the source's edge."""
    return 2 * halo + stride + BLOCK


def zoom_for(metres: float, extents: Sequence[Degrees]) -> int:
    """The zoom whose pixels are nearest to `metres` at the middle latitude of all sources."""
    south, north = min(e.south for e in extents), max(e.north for e in extents)
    zoom = mercator.nearest_zoom(metres, min(max((south + north) / 2, -80.0), 80.0))
    return max(zoom, LEAST_ZOOM)
