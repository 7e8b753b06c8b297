"""A tile index of the cells as GDAL's GTI driver reads it: for collections too large for one XML file.

A GeoPackage, because that is a format which also GDAL builds with few formats have, rasterio's wheels for example.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sat2map import storage
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import RASTERS, Plan, PlannedCell
from sat2map.errors import StorageFailed


def write_index(
    folder: Path,
    plan: Plan,
    cells: list[PlannedCell],
    finished: Mapping[str, Outcome],
    on_notice: Callable[[str], None],
) -> list[Path]:
    """Write `merged.gti.gpkg` for each product, if the vector extra is there; else say so.

    Field `location` names the raster, relative to the index, as gdal.org/drivers/raster/gti.html asks for.
    """
    from importlib.util import find_spec

    if find_spec("pyogrio") is None or find_spec("shapely") is None:
        on_notice("without the vector extra there is no tile index: pip install 'sat2map[vector]'")
        return []
    done = [cell for cell in cells if cell.id in finished and finished[cell.id].files]
    written = []
    for product in plan.products:
        name = "merged.gti.gpkg" if product == "colour" else f"merged_{product}.gti.gpkg"
        places = [f"{RASTERS}/{cell.id}_{product}.tif" for cell in done]
        with storage.replacing(folder / name, overwrite=True) as draft:
            _write(draft, plan, done, places)
        written.append(folder / name)
    return written


def _write(path: Path, plan: Plan, cells: list[PlannedCell], places: list[str]) -> None:
    """Write one rectangle per cell with the place of its raster. Raises StorageFailed."""
    import shapely
    from pyogrio import raw
    from pyogrio.errors import DataLayerError, DataSourceError

    boxes = np.array([plan.grid.bounds(cell.window(plan.side)) for cell in cells], np.float64).reshape(-1, 4)
    try:
        raw.write(
            path, shapely.to_wkb(shapely.box(*boxes.T)), [np.asarray(places, object)], ["location"],
            layer="index", driver="GPKG", geometry_type="Polygon", crs=plan.grid.crs,
        )  # fmt: skip
    except (DataSourceError, DataLayerError, RuntimeError) as error:
        raise StorageFailed(
            f"cannot write {path}: {error}", "Make room, or check the folder's permissions"
        ) from error
