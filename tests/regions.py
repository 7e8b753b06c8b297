"""Two scenes of neighbouring UTM zones that overlap, for batches, and plans made of them."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from affine import Affine
from rasterio.warp import transform

import geotiffs
import tiny
from sat2map.batch.plan import Plan
from sat2map.batch.planning import AreaOptions, GridOptions, PlanOptions, Reading, plan_batch

PRODUCTS = ("colour", "classes", "confidence")


def scene(
    path: pathlib.Path,
    lon: float,
    lat: float,
    crs: str,
    height: int = 500,
    width: int = 620,
    seed: int = 1,
    **how: Any,
) -> pathlib.Path:
    """A textured scene of 0.9 m pixels whose top-left corner is at (lon, lat)."""
    (left,), (top,) = transform("EPSG:4326", crs, [lon], [lat])
    pixels = geotiffs.texture(height, width, seed=seed)
    return geotiffs.write(path, pixels, crs=crs, transform=Affine(0.9, 0, left, 0, -0.9, top), **how)


def region(folder: pathlib.Path) -> list[pathlib.Path]:
    """Two scenes that overlap, one on each side of 12 degrees east, and a hole in the first."""
    folder.mkdir(exist_ok=True)
    mask = np.ones((500, 620), np.bool_)
    mask[100:220, 300:420] = False
    return [
        scene(folder / "west.tif", 11.9945, 47.003, "EPSG:32632", seed=1, mask=mask),
        scene(folder / "east.tif", 11.9995, 47.001, "EPSG:32633", seed=2),
    ]


def model(folder: pathlib.Path) -> str:
    if not folder.exists():
        tiny.bundle(folder)
    return str(folder)


def options(folder: pathlib.Path, **wanted: Any) -> PlanOptions:
    """Options of a plan in `folder`: a tiny model and small cells; the rest is what the groups of options take."""
    groups: dict[str, tuple[str, Any]] = {
        name: (group, kind)
        for group, kind in (("grid", GridOptions), ("area", AreaOptions), ("reading", Reading))
        for name in kind.__dataclass_fields__
    }
    told: dict[str, Any] = {"model": model(folder.parent / "model"), "products": PRODUCTS, "side": 512}
    grouped: dict[str, dict[str, Any]] = {}
    for name, value in wanted.items():
        if name in groups:
            grouped.setdefault(groups[name][0], {})[name] = value
        else:
            told[name] = value
    kinds = {"grid": GridOptions, "area": AreaOptions, "reading": Reading}
    return PlanOptions(**told, **{group: kinds[group](**values) for group, values in grouped.items()})


def plan(sources: Sequence[pathlib.Path | str], folder: pathlib.Path, **wanted: Any) -> Plan:
    return plan_batch(sources, folder, options(folder, **wanted))
