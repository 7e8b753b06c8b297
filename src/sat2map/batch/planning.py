"""From what a user names to a plan on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sat2map import bundle, storage
from sat2map.batch.plan import LEAST_ZOOM, Model, Plan, make_plan, margin_for, zoom_for
from sat2map.batch.sources import describe
from sat2map.errors import BadArea, BadPlan
from sat2map.scenes.tiles.scene import cell_side
from sat2map.scenes.translate import check


def plan_batch(
    sources: Sequence[Path],
    folder: Path,
    *,
    model: str = "carto",
    products: tuple[str, ...] = ("colour", "classes", "confidence"),
    zoom: int | None = None,
    side: int = 2048,
    bbox: Sequence[float] | None = None,
    bidx: tuple[int, ...] | None = None,
    scale: tuple[float, ...] | None = None,
    nodata: float | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Plan:
    """Describe the sources, choose the zoom, write the plan.

    Raises what `describe`, `make_plan`, `bundle.find` and `translate.check` raise; BadArea; BadPlan for cells that
    do not hold a whole number of the network's.
    """
    found = bundle.find(model)
    card = found.card
    check(card, card.bands, products)
    if side % cell_side(card):
        raise BadPlan(
            f"cells of {side} px do not hold a whole number of the {cell_side(card)} px cells of {card.id}",
            f"Choose a --cell that is a multiple of {cell_side(card)}",
        )
    area = _area(bbox)
    scenes = describe(sources, on_progress)
    where = str(Path(model).resolve()) if Path(model).is_dir() else model
    plan = Plan(
        model=Model(card.id, where, storage.sha256(found.onnx)),
        zoom=max(zoom or zoom_for(card.metres_per_pixel, [scene.extent for scene in scenes]), LEAST_ZOOM),
        side=side,
        margin=margin_for(card.halo, card.stride),
        products=products,
        sources=scenes,
        bidx=bidx,
        scale=scale,
        nodata=nodata,
        bbox=area,
    )
    return make_plan(plan, folder, overwrite=overwrite, on_progress=on_progress)


def _area(bbox: Sequence[float] | None) -> tuple[float, float, float, float] | None:
    if bbox is None:
        return None
    if len(bbox) != 4 or not (
        -180 <= bbox[0] <= 180 and -90 <= bbox[1] < bbox[3] <= 90 and -180 <= bbox[2] <= 180
    ):
        raise BadArea(
            f"--bbox {','.join(f'{value:g}' for value in bbox)} is no box of longitudes and latitudes",
            "Write W,S,E,N in degrees, e.g. 8.4,47.3,8.6,47.5",
        )
    west, south, east, north = bbox
    return west, south, east + 360 if east < west else east, north
