"""A scene on the raster of web tiles, whose grid is the world's and not the scene's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sat2map import mercator
from sat2map.errors import UnusableCrs, WrongResolution
from sat2map.grid import Window
from sat2map.mercator import Degrees
from sat2map.scenes.raster.gate import without_warnings
from sat2map.scenes.raster.header import Limits
from sat2map.scenes.raster.place import Place
from sat2map.scenes.raster.warping import ways

BLOCK = 512  # px; scenes are warped in squares of this size
EXACT = 1e-3  # px by which the warper may approximate coordinates; 0 is not supported
_REMEDY = "Write a .tif on the scene's own grid instead"


def extent(dataset: Any) -> Degrees:
    """Return where a scene lies; `east` is above 180 if it crosses that line. Raises UnusableCrs."""
    from rasterio.transform import array_bounds
    from rasterio.warp import calculate_default_transform, transform_bounds

    place = Place.of(dataset)
    bounds = place.bounds()
    if not place.crs or bounds is None:
        raise UnusableCrs(
            "the scene has no CRS or no transform, so it has no place among web tiles",
            "Give the scene a CRS first (gdal_edit.py -a_srs), or write a .tif",
        )
    with ways("longitudes and latitudes"), without_warnings():
        if place.gcps:
            affine, width, height = calculate_default_transform(
                place.crs, "EPSG:4326", dataset.width, dataset.height, gcps=place.gcps
            )
            west, south, east, north = array_bounds(height, width, affine)
        else:
            west, south, east, north = transform_bounds(place.crs, "EPSG:4326", *bounds)
    if east < west:
        east += 360
    if not (-1000 < west <= east < 1000 and east - west <= 360 + 1e-6):
        raise UnusableCrs(f"the scene would lie between {west:g} and {east:g} degrees of longitude", _REMEDY)
    if south > mercator.LATITUDE or north < -mercator.LATITUDE:
        raise UnusableCrs(
            f"at {south:.1f} to {north:.1f} degrees of latitude there are no web tiles", _REMEDY
        )
    return Degrees(west - _turns(west), south, east - _turns(west), north)


def _turns(west: float) -> float:
    """Return the full turns in a longitude, in degrees: some scenes count from 0 to 360."""
    return (west + 180) // 360 * 360


@contextmanager
def on_tiles(
    dataset: Any, window: Window, zoom: int, nodata: float | None, limits: Limits, *, shrinks: bool
) -> Iterator[Any]:
    """Yield a dataset of the scene in `window` of the world's raster at `zoom`.

    The window does not reach over 180 degrees, and its edges are multiples of `BLOCK`. Pixels are the means of what
    they cover if the scene `shrinks`, else interpolated bilinearly; colours of palettes are those of the nearest pixel.
    Coordinates are right to a thousandth of a pixel. Missing pixels, also those of value `nodata`, are an alpha band.
    Raises UnusableCrs, WrongResolution if the result exceeds the limits.
    """
    from affine import Affine
    from rasterio.enums import ColorInterp, Resampling
    from rasterio.vrt import WarpedVRT

    place = Place.of(dataset)
    if max(window.height, window.width) > limits.side:
        raise WrongResolution(
            f"at zoom {zoom} the scene would have {window.width:,} x {window.height:,} px",
            "Choose a smaller --zoom or a larger --gsd",
        )
    size, bounds = mercator.pixel_size(zoom), mercator.bounds(window, zoom)
    smooth = Resampling.average if shrinks else Resampling.bilinear
    options: dict[str, Any] = {
        "src_crs": place.crs,
        "crs": mercator.CRS,
        "transform": Affine(size, 0, bounds.left, 0, -size, bounds.top),
        "width": window.width,
        "height": window.height,
        "resampling": Resampling.nearest if dataset.colorinterp[0] == ColorInterp.palette else smooth,
        "add_alpha": ColorInterp.alpha not in dataset.colorinterp,
        "tolerance": EXACT,
        "XSCALE": "1",  # else the warper chooses a kernel for each piece that it works on
        "YSCALE": "1",
    }
    if place.crs.is_geographic and not place.gcps:
        options["src_transform"] = _on_this_turn(place, window.col // mercator.side(zoom))
    if nodata is not None:
        options["src_nodata"] = options["nodata"] = nodata
    with ways("Web Mercator"), without_warnings():
        vrt = WarpedVRT(dataset, **options)
    with vrt:
        yield vrt


def _on_this_turn(place: Place, turn: int) -> Any:
    """Return the transform of a scene in degrees, such that its longitudes are those of -180 to 180.

    `turn` counts from that in which the scene begins. The warper does not know that a turn leads back.
    """
    from affine import Affine

    bounds, affine = place.bounds(), place.affine()
    assert bounds is not None, "looked at by extent"
    back = _turns(bounds[0]) + 360 * turn
    return Affine(affine.a, affine.b, affine.c - back, affine.d, affine.e, affine.f)
