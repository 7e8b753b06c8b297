"""Synthetic GeoTIFFs: scenes of any kind of sample, mask, georeference and layout, written by rasterio."""

import pathlib
import warnings
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

UTM = "EPSG:32632"


NORTH_UP = Affine(0.9, 0, 500_000, 0, -0.9, 5_000_000)


def texture(height: int, width: int, bands: int = 3, seed: int = 7) -> np.ndarray:
    """(H, W, bands) uint8 with structure at several scales, so that the fakes find several classes in it."""
    random = np.random.default_rng(seed)
    layers = [
        np.kron(random.uniform(-50, 50, (-(-height // s), -(-width // s), bands)), np.ones((s, s, 1)))
        for s in (1, 7, 40)
    ]
    return (sum(layer[:height, :width] for layer in layers) + 128).clip(0, 255).astype(np.uint8)


def write(
    path: pathlib.Path,
    pixels: np.ndarray,
    *,
    mask: np.ndarray | None = None,
    crs: str | None = UTM,
    transform: Affine | None = NORTH_UP,
    gcps: list[Any] | None = None,
    interp: list[Any] | None = None,
    colormap: dict[int, tuple[int, ...]] | None = None,
    tags: dict[str, str] | None = None,
    **profile: Any,
) -> pathlib.Path:
    """Write (H, W, bands) pixels of any type; the rest is what `rasterio.open` and its dataset take."""
    height, width, bands = pixels.shape
    if transform is not None:
        profile["transform"] = transform
    if crs is not None and not gcps:
        profile["crs"] = crs
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES", GDAL_PAM_ENABLED="NO"),
        rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=pixels.dtype, **profile
        ) as file,
    ):
        if interp:
            file.colorinterp = interp  # before the pixels: afterwards it would go into a file beside this one
        file.write(np.moveaxis(pixels, -1, 0))
        if gcps:
            file.gcps = gcps, rasterio.CRS.from_string(crs)
        if colormap:
            file.write_colormap(1, colormap)
        if mask is not None:
            file.write_mask(mask)
        if tags:
            file.update_tags(**tags)
    return path
