"""Grids that somebody else defined: their CRS, its units and the order of its axes, and where an area lies in it."""

import re
from typing import Any, NamedTuple

from sat2map import mercator
from sat2map.errors import UnusableCrs
from sat2map.mercator import Degrees, Metres
from sat2map.scenes.raster.place import WGS84, Place
from sat2map.scenes.raster.warping import parse_crs, ways

_DEGREE = WGS84[0] * 3.141592653589793 / 180  # metres, as OGC 17-083r4 counts degrees for scale denominators


class Units(NamedTuple):
    """How numbers of a CRS are to be read."""

    metres: float  # per unit
    is_north_first: bool  # the authority names the northing or latitude first


def north_up(crs: str, left: float, top: float, size: float, height: int, width: int) -> Place:
    """Return the place of a raster of square pixels whose top-left corner is at (left, top). Raises UnusableCrs."""
    from rasterio import Affine

    return Place(
        crs=parse_crs(crs), transform=Affine(size, 0, left, 0, -size, top), height=height, width=width
    )


def placed(projection: str, left: float, top: float, size: float, height: int, width: int) -> Place:
    """As `north_up`, with a PROJ string of our own in place of a name (users name a CRS by its authority)."""
    from rasterio import Affine
    from rasterio.crs import CRS

    transform = Affine(size, 0, left, 0, -size, top)
    return Place(crs=CRS.from_string(projection), transform=transform, height=height, width=width)


def units_of(crs: str) -> Units:
    """Return the units and the order of axes of AUTHORITY:CODE. Raises UnusableCrs."""
    parsed = parse_crs(crs)
    text = parsed.to_wkt(version="WKT2_2019")
    first = re.search(r'AXIS\["[^"]*",([a-z]+)', text)
    is_north_first = first is not None and first[1] == "north"
    if parsed.is_geographic:
        return Units(_DEGREE, is_north_first)
    with ways(crs):
        _, metres = parsed.linear_units_factor
    return Units(metres, is_north_first)


def box_in(crs: str, area: Degrees) -> Metres:
    """Return the rectangle of a CRS, in its units, that holds an area. Raises UnusableCrs."""
    from rasterio.warp import transform_bounds

    parsed: Any = parse_crs(crs)
    if crs == mercator.CRS:
        left, bottom = mercator.to_metres(area.west, area.south)
        right, top = mercator.to_metres(area.east, area.north)
        return Metres(left, bottom, right, top)
    if parsed.is_geographic:
        return Metres(*area)
    if area.east > 180:
        raise UnusableCrs(
            f"the area crosses 180 degrees, and {crs} does not", "Fetch its two halves one by one"
        )
    with ways(crs):
        box = Metres(*transform_bounds("OGC:CRS84", parsed, *area))
    if not all(abs(value) < 1e12 for value in box):
        raise UnusableCrs(
            f"the area does not lie where {crs} is defined", "Check --bbox, or name another --matrix-set"
        )
    return box
