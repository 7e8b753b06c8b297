"""A scene on another grid: read lazily through GDAL's warper, in the grid that the user asks for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sat2map.errors import UnusableCrs, WrongResolution
from sat2map.scenes.raster.gate import without_warnings
from sat2map.scenes.raster.header import Limits
from sat2map.scenes.raster.place import Place

# Authority and code; other spellings reach parsers that open files and addresses.
CRS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,15}:[A-Za-z0-9]{1,16}")


@contextmanager
def warped(
    dataset: Any, crs: str | None, res: float | None, nodata: float | None, limits: Limits
) -> Iterator[Any]:
    """Yield a dataset of the scene in `crs` (None: its own) with square pixels of `res` units (None: about as large).

    Missing pixels, also those of value `nodata`, are an alpha band of the result. Interpolated bilinearly, palettes by
    the nearest pixel. Raises UnusableCrs if there is no way from one CRS to the other, WrongResolution if the result
    exceeds the limits.
    """
    from rasterio.enums import ColorInterp, Resampling
    from rasterio.vrt import WarpedVRT
    from rasterio.warp import calculate_default_transform

    place = Place.of(dataset)
    if not place.crs or not place.is_known:
        raise UnusableCrs(
            "the scene has no CRS or no transform, so it cannot be brought to another grid",
            "Leave out --output-crs and --res, or give the scene a CRS first (gdal_edit.py -a_srs)",
        )
    target = parse_crs(crs) if crs else place.crs
    bounds = place.bounds()
    shape: dict[str, Any] = {"gcps": place.gcps}
    if bounds and not place.gcps:
        shape = dict(zip(("left", "bottom", "right", "top"), bounds, strict=True))
    # Without warnings, because rasterio uses an operator that newer versions of affine advise against.
    with ways(crs or "its own CRS"), without_warnings():
        transform, width, height = calculate_default_transform(
            place.crs, target, dataset.width, dataset.height, **shape, resolution=res
        )
    if max(width, height) > limits.side or width * height * dataset.count > limits.decoded:
        raise WrongResolution(
            f"with --res {res} the result would have {width:,} x {height:,} px", "Give a larger --res"
        )
    is_palette = dataset.colorinterp[0] == ColorInterp.palette
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    options = {
        "src_crs": place.crs,
        "crs": target,
        "transform": transform,
        "width": width,
        "height": height,
        "resampling": Resampling.nearest if is_palette else Resampling.bilinear,
        "add_alpha": not has_alpha,
    }
    if nodata is not None:
        options["src_nodata"] = options["nodata"] = nodata
    with ways(crs or "its own CRS"), without_warnings():
        vrt = WarpedVRT(dataset, **options)
    with vrt:
        yield vrt


@contextmanager
def ways(target: str) -> Iterator[None]:
    """Raise UnusableCrs instead of what rasterio says when PROJ finds no way."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import CRSError, RasterioError

    try:
        yield
    except (CRSError, RasterioError, CPLE_BaseError) as error:
        raise UnusableCrs(
            f"there is no way from the CRS of the scene to {target}: {' '.join(str(error).split())[:200]}",
            "Choose an --output-crs on the same body, valid where the scene lies",
        ) from error


def parse_crs(name: str) -> Any:
    """Return a rasterio CRS from AUTHORITY:CODE. Raises UnusableCrs."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if CRS_NAME.fullmatch(name):
        try:
            return CRS.from_string(name)
        except CRSError:
            pass
    raise UnusableCrs(f"{name!r} is no known CRS", "Write authority and code, e.g. EPSG:3857")
