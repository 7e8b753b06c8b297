"""Where a scene lies on the ground, carried to the output as it is."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from sat2map.errors import UnusableCrs
from sat2map.scenes.raster.gate import translated_errors

WGS84 = 6_378_137.0, 1 / 298.257223563  # semi-major axis in metres, flattening


@dataclass(frozen=True)
class Place:
    """The georeference of a scene, in rasterio's types."""

    crs: Any = None  # rasterio.crs.CRS
    transform: Any = None  # affine.Affine; None if the file has none
    gcps: tuple[Any, ...] = ()  # ground control points, used where there is no transform
    rpcs: Any = None
    is_point: bool = False  # AREA_OR_POINT=Point: coordinates in the file are those of pixel centres
    height: int = field(default=0)  # px
    width: int = field(default=0)

    @classmethod
    def of(cls, dataset: Any, name: str = "the scene") -> "Place":
        """Read the georeference of a dataset. Raises CorruptImage."""
        with translated_errors(name):
            return cls._of(dataset)

    @classmethod
    def _of(cls, dataset: Any) -> "Place":
        gcps, gcp_crs = dataset.gcps
        has_transform = not dataset.transform.is_identity
        return cls(
            crs=None if _says_nothing(dataset.crs) else dataset.crs or gcp_crs,
            transform=dataset.transform if has_transform else None,
            gcps=() if has_transform else tuple(gcps),
            rpcs=dataset.rpcs,
            is_point=dataset.tags().get("AREA_OR_POINT") == "Point",
            height=dataset.height,
            width=dataset.width,
        )

    @property
    def is_known(self) -> bool:
        """Whether pixels have coordinates at all."""
        return self.transform is not None or bool(self.gcps)

    def affine(self) -> Any:
        """Return pixel -> coordinates; for control points the best fit, None if there is nothing."""
        from rasterio.transform import from_gcps

        if self.transform is None and len(self.gcps) >= 3:
            return from_gcps(list(self.gcps))
        return self.transform

    def bounds(self) -> tuple[float, float, float, float] | None:
        """Return left, bottom, right, top in units of the CRS, also of rotated scenes; None if there is nothing."""
        affine = self.affine()
        if affine is None:
            return None
        ends = ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))
        xs, ys = zip(*(_apply(affine, col, row) for col, row in ends), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def moved(self, **changes: Any) -> "Place":
        """Return another place with some fields replaced."""
        return replace(self, **changes)


def _says_nothing(crs: Any) -> bool:
    """Tell whether this is what GDAL makes of a file that says AREA_OR_POINT and no CRS."""
    return crs is not None and crs.to_wkt().startswith('LOCAL_CS["unnamed",UNIT["unknown"')


def wkt_of(crs: Any, *, esri: bool = False) -> str:
    """Return a CRS as well-known text; `esri`: as ESRI's programs read it."""
    text: str = crs.to_wkt(version="WKT1_ESRI") if esri else crs.to_wkt()
    return text


def pixels_at(
    place: Place, xs: list[float], ys: list[float], crs: str
) -> tuple[list[float], list[float]] | None:
    """Return columns and rows of a scene, from its corner, at points of another CRS; None if that cannot be told."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, RasterioError
    from rasterio.warp import transform

    affine = place.affine()
    if affine is None or not place.crs:
        return None
    try:
        east, north = transform(crs, place.crs, xs, ys)
    except (CRSError, RasterioError, CPLE_BaseError):
        return None
    if place.crs.is_geographic:  # the turn that the scene counts from
        middle = _apply(affine, place.width / 2, place.height / 2)[0]
        east = [x + round((middle - x) / 360) * 360 if math.isfinite(x) else x for x in east]
    det = affine.a * affine.e - affine.b * affine.d
    pairs = [(x - affine.c, y - affine.f) for x, y in zip(east, north, strict=True)]
    cols = [(affine.e * x - affine.b * y) / det for x, y in pairs]
    rows = [(affine.a * y - affine.d * x) / det for x, y in pairs]
    return cols, rows


def label_of(crs: Any) -> str:
    """Return a CRS as people know it: its name, and authority and code where it has them."""
    name = crs.to_wkt().partition('"')[2].partition('"')[0]
    known = crs.to_authority()
    return f"{name} ({':'.join(known)})" if known else name


def metres_per_pixel(place: Place) -> tuple[float, float] | None:
    """Return the height and width of the middle pixel in metres on the ground, or None if that cannot be told.

    Measured on the WGS 84 ellipsoid at the middle of the scene, so that degrees and the stretched metres of Web
    Mercator come out right; on another body, or where there is no way to longitudes and latitudes, in the units of
    the CRS. Raises UnusableCrs if the coordinates cannot be what the CRS says.
    """
    affine = place.affine()
    if affine is None or not place.crs:
        return None
    row, col = place.height / 2, place.width / 2
    corners = [_apply(affine, *point) for point in ((col, row), (col, row + 1), (col + 1, row))]
    degrees = _degrees(place.crs, corners)
    if degrees is None:
        return _by_units(place.crs, corners)
    (east, north), *others = degrees
    if not all(math.isfinite(value) for point in degrees for value in point) or abs(north) > 90:
        raise UnusableCrs(
            f"the CRS {place.crs.to_string()[:60]} cannot be right: the middle of the scene would lie at "
            f"{north:.6g} degrees of latitude",
            "Give the scene the CRS that its coordinates are in: gdal_edit.py -a_srs",
        )
    per_degree_north, per_degree_east = _metres_per_degree(north)
    lengths = [
        math.hypot((lat - north) * per_degree_north, ((lon - east + 180) % 360 - 180) * per_degree_east)
        for lon, lat in others
    ]
    return (lengths[0], lengths[1]) if min(lengths) > 0 else None


def _apply(affine: Any, col: float, row: float) -> tuple[float, float]:
    """Return coordinates of a position in pixels; the operator for it differs between versions of `affine`."""
    return affine.a * col + affine.b * row + affine.c, affine.d * col + affine.e * row + affine.f


def _degrees(crs: Any, points: list[tuple[float, float]]) -> list[tuple[float, float]] | None:
    """Return longitudes and latitudes, or None if the CRS has none on Earth."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, RasterioError
    from rasterio.warp import transform

    if crs.is_geographic:
        return points
    try:
        east, north = transform(crs, "EPSG:4326", *zip(*points, strict=True))
    except (CRSError, RasterioError, CPLE_BaseError):
        return None
    return list(zip(east, north, strict=True))


def _by_units(crs: Any, points: list[tuple[float, float]]) -> tuple[float, float] | None:
    from rasterio.errors import CRSError

    try:
        _, factor = crs.linear_units_factor
    except CRSError:
        return None
    (x, y), *others = points
    lengths = [math.hypot(a - x, b - y) * factor for a, b in others]
    return (lengths[0], lengths[1]) if min(lengths) > 0 and all(map(math.isfinite, lengths)) else None


def _metres_per_degree(latitude: float) -> tuple[float, float]:
    """Return metres per degree to the north and to the east at a latitude in degrees."""
    axis, flattening = WGS84
    squared = flattening * (2 - flattening)  # eccentricity, squared
    sine = math.sin(math.radians(latitude))
    across = axis / math.sqrt(1 - squared * sine * sine)  # radius of curvature in the prime vertical
    along = across * (1 - squared) / (1 - squared * sine * sine)  # in the meridian
    degree = math.pi / 180
    return along * degree, across * math.cos(math.radians(latitude)) * degree
