"""The plan of a town as vector layers, in a GeoPackage or a GeoJSON file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.palette import BUILDING, CLASS_NAMES, GREEN, HIGHWAY, LAND, OTHER, ROAD, WATER
from sat2map.scenes.vectors.layers import Layer
from sat2map.scenes.vectors.writing import TOGETHER, add_styles, convert, require
from sat2map.storage import replacing
from sat2map.worlds.network import network
from sat2map.worlds.plan import Plan
from sat2map.worlds.shapes import (
    BUILDINGS,
    CARPARK,
    GROUNDS,
    HIGHWAY_LINE,
    LINES,
    PARK,
    PATH,
    PITCH,
    POND,
    RAMP,
    ROOFS,
    SERVICE,
    WIDTHS,
    WOOD,
    Shapes,
)
from sat2map.worlds.uses import USES

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Columns = dict[str, npt.NDArray[Any]]

_CLASS_OF_GROUND = {
    PARK: GREEN,
    WOOD: GREEN,
    PITCH: GREEN,
    POND: WATER,
    CARPARK: OTHER,
    SERVICE: ROAD,
    PATH: OTHER,
}
NUMBERS = ("width", "height", "radius", "bridge", "dead_end", "start", "end")
STYLED = (
    Layer("grounds", (LAND, OTHER, GREEN, ROAD), "polygons"),
    Layer("water", (WATER,), "polygons"),
    Layer("roads", (ROAD, HIGHWAY), "lines"),
    Layer("buildings", (BUILDING,), "polygons"),
)


class Place(NamedTuple):
    """Where on Earth the origin of a world is to be."""

    longitude: float
    latitude: float

    @property
    def crs(self) -> str:
        """Transverse Mercator around the place: metres are metres for many kilometres."""
        return (
            f"+proj=tmerc +lat_0={self.latitude!r} +lon_0={self.longitude!r} +k=1 +x_0=0 +y_0=0 "
            "+datum=WGS84 +units=m +no_defs"
        )


class _Layer(NamedTuple):
    name: str
    kind: str  # geometry type
    geometries: "npt.NDArray[np.object_]"
    columns: Columns


def _polygons(shapes: Shapes) -> "npt.NDArray[np.object_]":
    import shapely

    rings = [np.concatenate([ring, ring[:1]]) for ring in shapes]
    if not rings:
        return np.empty(0, object)
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    return np.asarray(shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=owner)), object)


def _named(numbers: npt.NDArray[Any], names: tuple[str, ...]) -> npt.NDArray[np.object_]:
    return np.array(names, object)[numbers.astype(np.int64)]


def _classes(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    return _named(numbers, CLASS_NAMES)


def layers(plan: Plan) -> list[_Layer]:
    """All layers of a plan: geometries and attributes. Widths, heights and radii are in metres."""
    import shapely

    net = network(plan.lines)
    kinds = net.lines.columns["kind"].astype(np.int64)
    roads = np.array([shapely.LineString(line) for line in net.lines], object)
    grounds = plan.grounds.columns["kind"].astype(np.int64)
    dry = grounds != POND
    water: BaseGeometry = shapely.union_all(
        np.concatenate([_polygons(plan.water.chosen(plan.water.columns["depth"] == 0)),
                        _polygons(plan.grounds.chosen(~dry))])
    )  # fmt: skip
    wet = np.array([p for p in shapely.get_parts(water) if p.geom_type == "Polygon"] or [], object)
    ground_class = np.array([_CLASS_OF_GROUND.get(kind, LAND) for kind in range(len(GROUNDS))])
    house = plan.buildings.columns
    major = (kinds == HIGHWAY_LINE) | (kinds == RAMP)
    return [
        _Layer("parcels", "Polygon", _polygons(plan.lots), {"use": _named(plan.lots.columns["use"], USES)}),
        _Layer("grounds", "Polygon", _polygons(plan.grounds.chosen(dry)),
               {"class": _classes(ground_class[grounds[dry]]), "kind": _named(grounds[dry], GROUNDS)}),
        _Layer("water", "Polygon", wet, {"class": _classes(np.full(len(wet), WATER))}),
        _Layer("roads", "LineString", roads,
               {"class": _classes(np.where(major, HIGHWAY, ROAD)), "kind": _named(kinds, LINES),
                "width": np.array(WIDTHS)[kinds], "bridge": net.lines.columns["bridge"].astype(np.int32),
                "dead_end": net.lines.columns["dead_end"].astype(np.int32), "start": net.edges[:, 0],
                "end": net.edges[:, 1]}),
        _Layer("buildings", "Polygon", _polygons(plan.buildings),
               {"class": _classes(np.full(len(plan.buildings), BUILDING)), "kind": _named(house["kind"], BUILDINGS),
                "height": house["height"], "roof": _named(house["roof"], ROOFS)}),
        _Layer("trees", "Point", np.asarray(shapely.points(plan.trees[:, :2]), object),
               {"radius": plan.trees[:, 2], "height": plan.trees[:, 3]}),
    ]  # fmt: skip


def write_plan(path: Path, plan: Plan, place: Place | None, *, overwrite: bool) -> None:
    """Write a plan as a GeoPackage (.gpkg, one layer per kind of thing, styled) or as one GeoJSON (.geojson).

    Without a place, coordinates are metres from the world's origin, and no coordinate system is named. Raises
    MissingExtra, OutputExists, StorageFailed.
    """
    require()
    crs = place.crs if place else None
    found = layers(plan)
    with replacing(path, overwrite=overwrite) as draft:
        if path.suffix == ".gpkg":
            for layer in found:
                _write(draft, layer, layer.name, crs)
            add_styles(draft, STYLED, "width", metric=True)
        else:
            staged = draft.with_suffix(".gpkg")
            try:
                names = sorted({name for layer in found for name in layer.columns})
                for layer in found:
                    _write(staged, _together(layer, names), TOGETHER, crs)
                convert(staged, TOGETHER, draft, "GeoJSON", "Unknown", crs)
            finally:
                staged.unlink(missing_ok=True)


def _together(layer: _Layer, names: list[str]) -> _Layer:
    """Give a layer all columns that any layer has, and its own name as one more."""
    count = len(layer.geometries)
    columns: Columns = {"layer": np.full(count, layer.name, object)}
    for name in names:
        numeric = name in NUMBERS
        empty = np.full(count, np.nan) if numeric else np.full(count, None, object)
        column = layer.columns.get(name, empty)
        columns[name] = column.astype(np.float64) if numeric else column
    return layer._replace(kind="Unknown", columns=columns)


def _write(path: Path, layer: _Layer, name: str, crs: str | None) -> None:
    import shapely
    from pyogrio import raw

    from sat2map.scenes.vectors.writing import _writing

    with _writing(path):
        raw.write(
            path, shapely.to_wkb(layer.geometries), list(layer.columns.values()), list(layer.columns), layer=name,
            driver="GPKG", geometry_type=layer.kind, crs=crs, append=path.exists(), nan_as_null=True,
        )  # fmt: skip
