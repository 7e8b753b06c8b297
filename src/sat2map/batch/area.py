"""The area of interest: polygons in degrees, and which columns of a row of cells or tiles they touch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.errors import BadArea
from sat2map.mercator import Degrees

Float = npt.NDArray[np.float64]
Point = tuple[float, float]  # longitude, latitude
Ring = tuple[Point, ...]
Positions = Callable[[Sequence[float], Sequence[float]], tuple[Float, Float]]  # degrees -> rows and columns

_PIECE = (
    0.05  # degrees: edges are straight in degrees, and bent on a grid by less than a pixel over this length
)
_SLACK = 1e-4  # px by which things may meet without touching
_MOST = 1_000_000  # pieces of all edges


def from_bbox(bbox: Sequence[float]) -> tuple[Ring, ...]:
    """Return west, south, east, north as rings; an east below west lies across 180 degrees. Raises BadArea."""
    if len(bbox) != 4 or not (
        -180 <= bbox[0] <= 180
        and -90 <= bbox[1] < bbox[3] <= 90
        and -180 <= bbox[2] <= 180
        and bbox[0] != bbox[2]
    ):
        raise BadArea(
            f"--bbox {','.join(f'{value:g}' for value in bbox)} is no box of longitudes and latitudes",
            "Write W,S,E,N in degrees, e.g. 8.4,47.3,8.6,47.5",
        )
    west, south, east, north = (float(value) for value in bbox)
    east += 360 if east < west else 0
    return (((west, south), (east, south), (east, north), (west, north)),)


def from_geojson(path: Path) -> tuple[Ring, ...]:
    """Return the rings of all polygons of a GeoJSON file (RFC 7946: longitude first, WGS 84). Raises BadArea.

    What lies in an odd number of rings is inside, so holes need no sign.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
        rings = tuple(_rings(document))
    except (OSError, msgspec.DecodeError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise BadArea(f"{path} is no area: {error}", "Give a GeoJSON file of polygons in degrees") from error
    if not rings:
        raise BadArea(f"{path} has no polygon", "Give a GeoJSON file of polygons in degrees")
    for lon, lat in (point for ring in rings for point in ring):
        if not (-360 <= lon <= 540 and -90 <= lat <= 90):
            raise BadArea(f"{path} has a point at {lon:g}, {lat:g}", "GeoJSON has degrees, longitude first")
    return rings


def _rings(part: Any) -> list[Ring]:
    kind = part["type"]
    if kind == "FeatureCollection":
        return [ring for feature in part["features"] for ring in _rings(feature)]
    if kind == "Feature":
        return _rings(part["geometry"]) if part["geometry"] else []
    if kind == "GeometryCollection":
        return [ring for geometry in part["geometries"] for ring in _rings(geometry)]
    if kind not in ("Polygon", "MultiPolygon"):
        return []
    polygons = [part["coordinates"]] if kind == "Polygon" else part["coordinates"]
    rings = [tuple((float(p[0]), float(p[1])) for p in ring) for polygon in polygons for ring in polygon]
    if any(len(ring) < 3 for ring in rings):
        raise ValueError("a ring has fewer than three points")
    return rings


def box_of(rings: Sequence[Ring]) -> Degrees:
    """Return the smallest box around rings; `east` may be above 180."""
    points = np.array([point for ring in rings for point in ring])
    (west, south), (east, north) = points.min(0), points.max(0)
    turns = (west + 180) // 360 * 360
    return Degrees(float(west - turns), float(south), float(east - turns), float(north))


class Footprint:
    """An area on a grid: asked for the columns that it touches in a strip of rows."""

    def __init__(self, rings: Sequence[Ring], positions: Positions) -> None:
        """`positions` is that of the grid. Raises BadArea for an area that the grid does not reach, or too fine."""
        starts, ends = [], []
        for ring in rings:
            lons, lats = _pieces(ring)
            rows, cols = positions(lons, lats)
            points = np.stack([rows, cols], 1)
            if not np.isfinite(points).all():
                raise BadArea(
                    "the area reaches to where the CRS is not defined",
                    "Choose a smaller area, or another --crs",
                )
            starts.append(points)
            ends.append(np.roll(points, -1, 0))
        self._from, self._to = np.concatenate(starts), np.concatenate(ends)
        if len(self._from) > _MOST:
            raise BadArea(f"the area has {len(self._from):,} pieces of edges", "Simplify its outline")
        self._top = np.minimum(self._from[:, 0], self._to[:, 0])
        self._below = np.maximum(self._from[:, 0], self._to[:, 0])

    def spans(self, top: float, below: float) -> Float:
        """Return (n, 2) first and last column of what the area touches between two rows, in pixels."""
        near = (self._below > top + _SLACK) & (self._top < below - _SLACK)
        start, end = self._from[near], self._to[near]
        cut = np.stack(
            [_at(start, end, top), _at(start, end, below)]
        )  # columns where an edge leaves the strip
        inside = [np.where((p[:, 0] >= top) & (p[:, 0] <= below), p[:, 1], np.nan) for p in (start, end)]
        ends = np.concatenate([cut, np.stack(inside)])
        touched = np.stack([np.nanmin(ends, 0), np.nanmax(ends, 0)], 1) if near.any() else np.empty((0, 2))
        middle = (top + below) / 2
        crossing = (start[:, 0] <= middle) != (end[:, 0] <= middle)
        cols = np.sort(_at(start[crossing], end[crossing], middle))
        return np.concatenate([touched, cols.reshape(-1, 2)])


def touches(spans: Float, first: float, last: float) -> bool:
    """Tell whether columns `first` to `last` (pixels) have something in common with spans."""
    return bool(((spans[:, 0] < last - _SLACK) & (spans[:, 1] > first + _SLACK)).any())


def _at(start: Float, end: Float, row: float) -> Float:
    """Return the columns where edges pass a row, NaN where they do not."""
    rise = end[:, 0] - start[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (row - start[:, 0]) / rise
        passed = (share >= 0) & (share <= 1)
        return np.where(passed, start[:, 1] + share * (end[:, 1] - start[:, 1]), np.nan)


def _pieces(ring: Ring) -> tuple[list[float], list[float]]:
    """Return longitudes and latitudes of a ring, with points on its long edges."""
    lons: list[float] = []
    lats: list[float] = []
    points = ring[:-1] if ring[0] == ring[-1] else ring
    for (lon, lat), (to_lon, to_lat) in zip(points, (*points[1:], points[0]), strict=True):
        count = int(min(max(abs(to_lon - lon), abs(to_lat - lat)) / _PIECE, 4096)) + 1
        share = np.arange(count) / count
        lons += (lon + share * (to_lon - lon)).tolist()
        lats += (lat + share * (to_lat - lat)).tolist()
    return lons, lats
