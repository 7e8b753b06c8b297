"""Where photos are wanted: a box, or polygons of a GeoJSON file, in longitudes and latitudes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sat2map.errors import BadArea, FileMissing
from sat2map.mercator import Degrees

Ring = tuple[tuple[float, float], ...]  # (longitude, latitude), closed or not
_LARGEST = 64 << 20  # bytes of a GeoJSON file


class Region(NamedTuple):
    """An area: all of its box or, if it has rings, the points that an odd number of them run around (so holes work)."""

    box: Degrees  # `east` is above 180 where it crosses that line
    rings: tuple[Ring, ...] = ()

    def holds(self, longitude: float, latitude: float) -> bool:
        """Tell whether a point lies in the area, whichever way around the world its longitude is counted."""
        longitude = self.box.west + (longitude - self.box.west) % 360
        if longitude > self.box.east or not self.box.south <= latitude <= self.box.north:
            return False
        return not self.rings or sum(_crossings(ring, longitude, latitude) for ring in self.rings) % 2 == 1


def _crossings(ring: Ring, longitude: float, latitude: float) -> int:
    """Count the sides of a ring that a ray from the point to the east crosses."""
    count = 0
    for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
        if (y0 > latitude) != (y1 > latitude):  # half-open, so that a corner belongs to one side only
            count += x0 + (latitude - y0) / (y1 - y0) * (x1 - x0) > longitude
    return count


def from_box(west: float, south: float, east: float, north: float) -> Region:
    """Return a box; west above east means that it crosses 180 degrees. Raises BadArea."""
    if not (-180 <= west <= 180 and -180 <= east <= 360 and -90 <= south < north <= 90 and west != east):
        raise BadArea(
            f"{west:g},{south:g},{east:g},{north:g} is no box of longitudes and latitudes",
            "Give WEST,SOUTH,EAST,NORTH in degrees, with SOUTH below NORTH",
        )
    return Region(Degrees(west, south, east + 360 if east < west else east, north))


def from_geojson(path: Path) -> Region:
    """Read the polygons of a GeoJSON file (RFC 7946). Raises FileMissing, BadArea."""
    if not path.is_file():
        raise FileMissing(f"there is no file {path}", "Check the path.")
    remedy = "Give a GeoJSON file with a Polygon or MultiPolygon in longitudes and latitudes"
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        rings = tuple(_rings(json.loads(path.read_bytes())))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise BadArea(f"cannot read an area from {path}: {error}", remedy) from error
    corners = [corner for ring in rings for corner in ring]
    if not corners or not all(-180 <= x <= 360 and -90 <= y <= 90 for x, y in corners):
        raise BadArea(f"{path} holds no polygon in degrees", remedy)
    longitudes, latitudes = zip(*corners, strict=True)
    return Region(Degrees(min(longitudes), min(latitudes), max(longitudes), max(latitudes)), rings)


def _rings(thing: dict[str, Any]) -> Iterator[Ring]:
    """Yield the rings of all polygons in a GeoJSON object; points and lines in it are passed over."""
    match thing.get("type"):
        case "FeatureCollection":
            for feature in thing["features"]:
                yield from _rings(feature)
        case "Feature":
            yield from _rings(thing["geometry"] or {})
        case "GeometryCollection":
            for part in thing["geometries"]:
                yield from _rings(part)
        case "MultiPolygon":
            for polygon in thing["coordinates"]:
                yield from (_ring(ring) for ring in polygon)
        case "Polygon":
            yield from (_ring(ring) for ring in thing["coordinates"])


def _ring(corners: list[list[float]]) -> Ring:
    if len(corners) < 3:
        raise ValueError(f"a ring has {len(corners)} corners")
    return tuple((float(corner[0]), float(corner[1])) for corner in corners)
