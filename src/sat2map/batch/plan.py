"""The plan of a batch: which cells of the world's raster there are, and which sources have pixels in them.

Deterministic: the same sources, model and options give the same files, byte for byte. Where scenes overlap, the one
that was named first is shown wherever it has a pixel (`batch.mosaic`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from sat2map import mercator, storage
from sat2map.errors import BadPlan, CorruptFile, FileMissing
from sat2map.grid import Window
from sat2map.mercator import Degrees
from sat2map.scenes.raster import BLOCK

HEADER, CELLS, JOURNAL, RASTERS = "plan.json", "cells.jsonl", "journal.jsonl", "cells"
FORMAT = 1
SIDES = (
    512,
    1024,
    2048,
    4096,
    8192,
)  # px per side of a cell: powers of two, so that the world is a whole number of them
LEAST_ZOOM = 5  # from here on every side divides the world

Side = Annotated[int, msgspec.Meta(ge=512)]


class SceneSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scene: where it is, how it is known again, where it lies."""

    path: str
    identity: str  # SHA-256 of its length, beginning and end
    extent: tuple[
        float, float, float, float
    ]  # west, south, east (above 180 across that line), north; degrees
    item: str = ""  # id of the STAC item that named it


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model by name and by content."""

    id: str
    where: str  # what finds it: an id, or the folder of a bundle
    checksum: str  # SHA-256 of its graph


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The header of a plan. Sources come first that win where they overlap."""

    format: int = FORMAT
    model: Model
    zoom: int
    side: Side  # px of a cell
    margin: int  # px around a source within which networks may see it, or its mirror image
    products: tuple[str, ...]
    sources: tuple[SceneSource, ...]
    bidx: tuple[int, ...] | None = None
    scale: tuple[float, ...] | None = None
    nodata: float | None = None
    bbox: tuple[float, float, float, float] | None = None  # area of interest, degrees
    cells: int = 0
    checksum: str = ""  # SHA-256 of cells.jsonl

    @property
    def area(self) -> Degrees | None:
        """The area of interest."""
        return Degrees(*self.bbox) if self.bbox else None


class PlannedCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cell: a square of the world's raster, and the sources that may be seen from it, first wins."""

    id: str
    row: int  # in cells
    col: int
    bounds: tuple[float, float, float, float]  # west, south, east, north; degrees
    sources: tuple[int, ...]
    cost: float  # Mpx that sources may cover

    def window(self, side: int) -> Window:
        """Pixels of the cell in the world's raster."""
        return Window(self.row * side, self.col * side, side, side)


class Reach(NamedTuple):
    """A source on the raster, columns counted on beyond 180 degrees."""

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
    storage.make_folder(folder)
    digest, count = hashlib.sha256(), 0
    encoder = msgspec.json.Encoder()
    # The header comes last and names the cells' checksum: after a kill in between the two do not match.
    with storage.replacing(folder / CELLS, overwrite=True) as temporary, temporary.open("wb") as out:
        for cell in cells_of(plan, on_progress):
            line = encoder.encode(cell) + b"\n"
            digest.update(line)
            out.write(line)
            count += 1
        if not count:
            raise BadPlan(
                "no source has a pixel in the area", "Check --bbox and where the sources lie (sat2map info)"
            )
    done = msgspec.structs.replace(plan, cells=count, checksum=digest.hexdigest())
    storage.write_text(header, msgspec.json.format(msgspec.json.encode(done), indent=1).decode() + "\n")
    return done


def cells_of(plan: Plan, on_progress: Callable[[int, int, str], None] | None = None) -> Iterator[PlannedCell]:
    """Yield the cells row by row, from the north-west; only one row's are held in memory."""
    world = mercator.side(plan.zoom) // plan.side  # cells per side of the world
    reaches = [_reach(plan, number, source) for number, source in enumerate(plan.sources)]
    area = plan.area and mercator.window_of(plan.area, plan.zoom)
    first = min((part.own.row // plan.side for part in reaches), default=0)
    last = max((_last(part.own.row, part.own.height, plan.side) for part in reaches), default=-1)
    for row in range(first, last + 1):
        columns: dict[int, list[tuple[int, Window]]] = {}
        for part in reaches:
            seen = part.seen
            if not seen.row // plan.side <= row <= _last(seen.row, seen.height, plan.side):
                continue
            for col in range(seen.col // plan.side, _last(seen.col, seen.width, plan.side) + 1):
                turned = part.own._replace(col=part.own.col - (col - col % world) * plan.side)
                columns.setdefault(col % world, []).append((part.number, turned))
        for col in sorted(columns):
            cell = _cell(plan, row, col, columns[col])
            if cell is not None and (area is None or _touches(area, cell.window(plan.side), plan.zoom)):
                yield cell
        if on_progress:
            on_progress(row - first + 1, last - first + 1, "")


def _reach(plan: Plan, number: int, source: SceneSource) -> Reach:
    own = mercator.window_of(Degrees(*source.extent), plan.zoom)
    return Reach(number, own, own.grown(plan.margin))


def _cell(plan: Plan, row: int, col: int, found: Sequence[tuple[int, Window]]) -> PlannedCell | None:
    """Build a cell; None where sources are seen from it but have no pixel in it."""
    window = Window(row * plan.side, col * plan.side, plan.side, plan.side)
    covered = sum(own.shared(window).area for _, own in found)
    if not covered:
        return None
    box = mercator.degrees(window, plan.zoom)
    return PlannedCell(
        id=f"{plan.zoom}-{row}-{col}",
        row=row,
        col=col,
        bounds=(round(box.west, 9), round(box.south, 9), round(box.east, 9), round(box.north, 9)),
        sources=tuple(sorted({number for number, _ in found})),
        cost=round(min(covered, window.area) / 1e6, 3),
    )


def _touches(area: Window, window: Window, zoom: int) -> bool:
    turn = mercator.side(zoom)
    return any(area.shared(window._replace(col=window.col + add)).area for add in (0, turn))


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


def zoom_for(metres: float, extents: Sequence[tuple[float, float, float, float]]) -> int:
    """The zoom whose pixels are nearest to `metres` at the middle latitude of all sources."""
    south, north = min(e[1] for e in extents), max(e[3] for e in extents)
    zoom = mercator.nearest_zoom(metres, min(max((south + north) / 2, -80.0), 80.0))
    return max(zoom, LEAST_ZOOM)
