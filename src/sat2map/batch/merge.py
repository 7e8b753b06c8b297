"""What makes one thing of the cells, without copying them: virtual rasters, an index, a catalogue, vector layers."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from sat2map import bundle, storage
from sat2map.batch.catalogue import collection_of, item_of
from sat2map.batch.index import write_index
from sat2map.batch.journal import Outcome, read_standing
from sat2map.batch.plan import Plan, PlannedCell, read_cells, read_plan
from sat2map.batch.pyramid import write_tiles
from sat2map.batch.rasters import Mosaicked
from sat2map.batch.vrt import vrt_of
from sat2map.errors import CellsMissing, UnsuitableModel
from sat2map.scenes.vectorize import VectorOptions, vectorize

Progress = Callable[[int, int, str], None]
Notice = Callable[[str], None]


def merge_plan(
    folder: Path,
    *,
    vectors: bool = False,
    tiles: bool = False,
    partial: bool = False,
    options: VectorOptions | None = None,
    on_progress: Progress | None = None,
    on_notice: Notice = lambda text: None,
) -> list[Path]:
    """Write `merged*.vrt`, the index, the STAC catalogue and, if asked for, `merged*.pmtiles` and `merged.gpkg`.

    What is there of an earlier merge is replaced. Raises CellsMissing if cells are not done, unless `partial`;
    UnsuitableModel for vectors without class rasters; what `read_plan` and `vectorize` raise; RunLocked.
    """
    plan = read_plan(folder)
    if vectors and "classes" not in plan.products:
        raise UnsuitableModel(
            "the plan has no class rasters, so there are no vectors", "Plan with --products colour,classes"
        )
    with storage.locked(folder):
        cells, finished = read_cells(folder, plan), read_standing(folder).finished
        lacking = [cell for cell in cells if cell.id not in finished]
        if lacking and not partial:
            raise CellsMissing(
                f"{len(lacking)} of {len(cells)} cells are not done, e.g. {lacking[0].id}",
                "Run the plan first (sat2map batch run), or merge what there is with --partial",
            )
        written = _virtual(folder, plan, cells, finished)
        written += _catalogue(folder, plan, cells, finished)
        written += write_index(folder, plan, cells, finished, on_notice)
        if tiles and any(finished[cell.id].files for cell in cells if cell.id in finished):
            palette = bundle.find(plan.model.where).card.palette
            written += write_tiles(folder, plan, cells, finished, palette)
        if vectors:
            written += _vectors(folder, plan, cells, finished, options, on_progress, on_notice)
    return written


def _name(product: str, suffix: str) -> str:
    return f"merged{suffix}" if product == "colour" else f"merged_{product}{suffix}"


def _virtual(
    folder: Path, plan: Plan, cells: list[PlannedCell], finished: Mapping[str, Outcome]
) -> list[Path]:
    palette = bundle.find(plan.model.where).card.palette
    written = []
    for product in plan.products:
        merged = Mosaicked(folder, plan, cells, finished, product)
        colours, names = (palette.class_colours(), palette.names) if palette else ((), ())
        path = folder / _name(product, ".vrt")
        storage.write_text(path, vrt_of(merged, folder, colours, names))
        written.append(path)
    return written


def _catalogue(
    folder: Path, plan: Plan, cells: list[PlannedCell], finished: Mapping[str, Outcome]
) -> list[Path]:
    done = [cell for cell in cells if cell.id in finished and finished[cell.id].files]
    if not done:
        return []
    items = storage.make_folder(folder / "items")
    for cell in done:
        storage.write_json(items / f"{cell.id}.json", item_of(plan, cell, finished[cell.id]))
    card = bundle.find(plan.model.where).folder / bundle.CARD
    storage.write_bytes(folder / "model.json", card.read_bytes())
    collection = folder / "collection.json"
    storage.write_json(collection, collection_of(plan, cells, finished, "model.json"))
    return [collection]


def _vectors(
    folder: Path, plan: Plan, cells: list[PlannedCell], finished: Mapping[str, Outcome],
    options: VectorOptions | None, on_progress: Progress | None, on_notice: Notice,
) -> list[Path]:  # fmt: skip
    """Vectorise the cells as one raster: shapes are joined across cells because nothing ever sees a border."""
    with ExitStack() as stack:
        classes = stack.enter_context(Mosaicked(folder, plan, cells, finished, "classes"))
        sure = None
        if "confidence" in plan.products:
            sure = stack.enter_context(Mosaicked(folder, plan, cells, finished, "confidence"))
        summary = vectorize(
            classes, folder / "merged.gpkg", options, sure, overwrite=True, on_progress=on_progress
        )
    for text in summary.notices:
        on_notice(text)
    return summary.paths
