"""What a GeoTIFF says about itself, for people and programs that ask; from its header, no pixel is decoded."""

import math
from dataclasses import dataclass, field
from typing import Any

from sat2map.errors import UnusableCrs
from sat2map.scenes.raster.gate import translated_errors, without_warnings
from sat2map.scenes.raster.place import Place, metres_per_pixel

SHOWN = "SAT2MAP_SHOWN_METRES_PER_PIXEL"  # how large pixels were to the network
OWN = "SAT2MAP_"  # what the tags of our products begin with
_EDGE = 21  # points per edge, where bounds are brought to degrees


@dataclass(frozen=True)
class RasterFacts:
    """Sizes in px; coordinates in units of the CRS; None where the file does not say."""

    width: int
    height: int
    bands: int
    dtypes: tuple[str, ...]  # of each band
    colours: tuple[str, ...]  # of each band: red, gray, palette, alpha, undefined ...
    nodata: float | None
    mask: str  # what marks missing pixels: "mask", "alpha", "nodata" or "none"
    block: tuple[int, int]  # (height, width) of a tile or strip
    compression: str
    overviews: tuple[int, ...]  # factors
    is_cog: bool
    crs: str | None  # AUTHORITY:CODE, or WKT where there is none
    transform: tuple[float, ...] | None  # pixel -> coordinates: a, b, c, d, e, f
    control_points: int
    bounds: tuple[float, float, float, float] | None  # left, bottom, right, top
    lonlat: tuple[float, float, float, float] | None  # west, south, east, north in degrees of WGS 84
    metres_per_pixel: tuple[float, float] | None  # (height, width) of the middle pixel on the ground
    problem: str | None = None  # why the georeference cannot be right
    product: dict[str, str] = field(default_factory=dict)  # tags that sat2map wrote, without their prefix


def facts_of(dataset: Any, name: str) -> RasterFacts:
    """Describe a dataset as `open_scene` yields it. Raises CorruptImage."""
    with translated_errors(name), without_warnings():
        place = Place.of(dataset, name)
        bounds = place.bounds()
        return RasterFacts(
            width=dataset.width,
            height=dataset.height,
            bands=dataset.count,
            dtypes=tuple(dataset.dtypes),
            colours=tuple(kind.name for kind in dataset.colorinterp),
            nodata=dataset.nodatavals[0],
            mask=_mask(dataset),
            block=dataset.block_shapes[0],
            compression=dataset.compression.name if dataset.compression else "none",
            overviews=tuple(dataset.overviews(1)),
            is_cog=dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG",
            crs=place.crs.to_string() if place.crs else None,
            transform=tuple(place.transform)[:6] if place.transform is not None else None,
            control_points=len(place.gcps),
            bounds=bounds,
            product={
                tag.removeprefix(OWN).lower(): value
                for tag, value in dataset.tags().items()
                if tag.startswith(OWN)
            },
            **_on_earth(place, bounds),
        )


def _mask(dataset: Any) -> str:
    flags = {flag.name for flag in dataset.mask_flag_enums[0]}
    return next(
        (kind for kind in ("alpha", "nodata") if kind in flags), "mask" if "per_dataset" in flags else "none"
    )


def _on_earth(place: Place, bounds: tuple[float, float, float, float] | None) -> dict[str, Any]:
    """Return the size of a pixel and the bounds in degrees, or why there are none."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, RasterioError
    from rasterio.warp import transform_bounds

    lonlat, problem, metres = None, None, None
    try:
        metres = metres_per_pixel(place)
    except UnusableCrs as error:
        problem = str(error)
    if place.crs and bounds and not problem:
        try:
            degrees = transform_bounds(place.crs, "EPSG:4326", *bounds, densify_pts=_EDGE)
        except (CRSError, RasterioError, CPLE_BaseError):
            degrees = ()  # another body, or outside what the CRS is made for
        lonlat = degrees if degrees and all(map(math.isfinite, degrees)) else None
    return {"metres_per_pixel": metres, "lonlat": lonlat, "problem": problem}
