"""A tile index of the cells as GDAL's GTI driver reads it: for collections too large for one XML file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from sat2map import storage
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import RASTERS, Plan, PlannedCell
from sat2map.scenes.vectors.writing import write_boxes


def write_index(
    folder: Path,
    plan: Plan,
    cells: list[PlannedCell],
    finished: Mapping[str, Outcome],
    on_notice: Callable[[str], None],
) -> list[Path]:
    """Write `merged.gti.fgb` for each product, if the vector extra is there; else say so.

    Field `location` names the raster, as gdal.org/drivers/raster/gti.html asks for.
    """
    from importlib.util import find_spec

    if find_spec("pyogrio") is None or find_spec("shapely") is None:
        on_notice("without the vector extra there is no tile index: pip install 'sat2map[vector]'")
        return []
    written = []
    for product in plan.products:
        done = [cell for cell in cells if cell.id in finished and finished[cell.id].files]
        boxes = [plan.grid.bounds(cell.window(plan.side)) for cell in done]
        places = [f"{RASTERS}/{cell.id}_{product}.tif" for cell in done]
        name = "merged.gti.fgb" if product == "colour" else f"merged_{product}.gti.fgb"
        with storage.replacing(folder / name, overwrite=True) as draft:
            write_boxes(draft, boxes, "location", places, plan.grid.crs)
        written.append(folder / name)
    return written
