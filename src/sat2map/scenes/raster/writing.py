"""Products to Cloud Optimized GeoTIFFs: first a plain tiled file, then a copy by GDAL's COG driver, then a check.

The COG driver copies whole datasets only, and overviews need all pixels, hence the plain file in between. Nothing
here gives a file its final name.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map import storage
from sat2map.errors import StorageFailed
from sat2map.grid import Window
from sat2map.scenes.raster.gate import ENVIRONMENT, without_warnings
from sat2map.scenes.raster.place import Place

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Piece = tuple[Window, Mapping[str, UInt8], Bool | None]  # window, product -> pixels, where valid

TILE = 512  # px
NO_CLASS = 255  # what class and confidence rasters hold where the scene has no pixel
LOSSY = frozenset({"JPEG", "WEBP", "LERC"})
# Keys that may be given by users, as gdal_translate -of COG has them. None of them names a file.
CREATION_KEYS = frozenset(
    {"COMPRESS", "LEVEL", "QUALITY", "PREDICTOR", "BLOCKSIZE", "BIGTIFF", "NUM_THREADS"}
)


@dataclass(frozen=True)
class Layer:
    """How one product is stored."""

    product: str
    tags: Mapping[str, str]
    colours: tuple[tuple[int, int, int], ...] = ()  # of classes

    @property
    def bands(self) -> int:
        """Samples per pixel."""
        return 3 if self.product == "colour" else 1

    @property
    def overviews(self) -> str:
        """How overviews are made: colours may be mixed, class numbers never."""
        return {"colour": "AVERAGE", "classes": "MODE"}.get(self.product, "AVERAGE")


def write_plain(
    paths: Mapping[str, Path],
    layers: Mapping[str, Layer],
    place: Place,
    pieces: Iterable[Piece],
    *,
    masked: bool,
) -> None:
    """Write the products to temporary GeoTIFFs in `paths` (product -> path), which are replaced.

    `masked`: the files get an internal mask from what the pieces say is valid. Raises StorageFailed.
    """
    import rasterio

    with rasterio.Env(**ENVIRONMENT), _refusals(next(iter(paths.values()))), contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(_plain_file(path, layers[name], place)) for name, path in paths.items()
        }
        for window, products, valid in pieces:
            for name, file in files.items():
                write_piece(file, window, products[name], valid if masked else None)


@contextlib.contextmanager
def _plain_file(path: Path, layer: Layer, place: Place) -> Iterator[Any]:
    """Yield a new dataset, described but empty, that becomes `path`."""
    import rasterio

    with storage.replacing(path, overwrite=True) as draft:
        with without_warnings():
            file = rasterio.open(draft, "w", **profile_of(layer, place))
        with file:
            describe(file, layer, place)
            yield file


def profile_of(layer: Layer, place: Place) -> dict[str, Any]:
    """Return what rasterio needs to create the plain file."""
    profile = {
        "driver": "GTiff",
        "height": place.height,
        "width": place.width,
        "count": layer.bands,
        "dtype": "uint8",
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "pixel",
        "compress": "zstd",  # of the file in between: its level 1 costs a fraction of deflate's
        "zstd_level": 1,
        "sparse_ok": True,
        "bigtiff": "yes",
        "photometric": "rgb" if layer.bands == 3 else "minisblack",
    }
    if place.crs and not place.gcps:
        profile["crs"] = place.crs
    if place.transform is not None:
        profile["transform"] = place.transform
    if layer.product == "classes":
        profile["nodata"] = NO_CLASS
        profile.pop("photometric")
    elif layer.product == "confidence":
        profile["nodata"] = NO_CLASS
    return profile


def describe(file: Any, layer: Layer, place: Place) -> None:
    """Write into an empty dataset what is known of it besides pixels."""
    if place.gcps:
        file.gcps = (list(place.gcps), place.crs)
    if place.rpcs is not None:
        file.rpcs = place.rpcs
    file.update_tags(AREA_OR_POINT="Point" if place.is_point else "Area", **layer.tags)
    names = ("red", "green", "blue") if layer.bands == 3 else (layer.product,)
    for number, name in enumerate(names, 1):
        file.set_band_description(number, name)
    if layer.colours:
        file.write_colormap(1, {number: (*colour, 255) for number, colour in enumerate(layer.colours)})


def write_piece(file: Any, window: Window, pixels: UInt8, valid: Bool | None) -> None:
    """Write a window, (H, W) or (H, W, 3), and with `valid` the mask as well."""
    from rasterio.windows import Window as Rectangle

    place = Rectangle(window.col, window.row, window.width, window.height)
    if valid is not None:
        pixels = np.where(valid if pixels.ndim == 2 else valid[..., None], pixels, _filling(pixels))
        file.write_mask(valid, window=place)
    if pixels.ndim == 3:
        file.write(np.moveaxis(pixels, -1, 0), window=place)
    else:
        file.write(pixels, 1, window=place)


def _filling(pixels: UInt8) -> np.uint8:
    return np.uint8(0 if pixels.ndim == 3 else NO_CLASS)


def finalise(plain: Path, cog: Path, layer: Layer, creation: Mapping[str, str]) -> None:
    """Copy a plain file to a COG and compare the two; `cog` is replaced. Raises StorageFailed.

    `creation` are options of the COG driver out of `CREATION_KEYS`; lossy compression is for colours only.
    """
    import rasterio
    from rasterio.shutil import copy

    options = {
        "COMPRESS": "DEFLATE",
        "BLOCKSIZE": str(TILE),
        "BIGTIFF": "IF_SAFER",
        "OVERVIEW_RESAMPLING": layer.overviews,
        "OVERVIEWS": "AUTO",
        "NUM_THREADS": "2",  # of compression; the file is the same for any number
        **{key: value for key, value in creation.items() if layer.product == "colour" or key != "QUALITY"},
    }
    is_lossy = options["COMPRESS"].upper() in LOSSY
    if is_lossy and layer.product != "colour":
        options["COMPRESS"], is_lossy = "DEFLATE", False
    with rasterio.Env(**ENVIRONMENT), storage.replacing(cog, overwrite=True) as draft, _refusals(cog):
        with without_warnings():
            source = rasterio.open(plain, driver="GTiff", sharing=False)
            with source:
                copy(source, draft, driver="COG", **options)
            source = rasterio.open(plain, driver="GTiff", sharing=False)
            made = rasterio.open(draft, driver="GTiff", sharing=False)
        with source, made:
            for window in _pieces(source.height, source.width):
                if not _same(source, made, window, is_lossy):
                    raise StorageFailed(
                        f"what was read back of {cog.name} is not what was written",
                        "Check the disk (dmesg), then run the command again with --resume",
                    )


def _pieces(height: int, width: int) -> Iterator[Any]:
    from rasterio.windows import Window as Rectangle

    side = 4 * TILE
    for row in range(0, height, side):
        for col in range(0, width, side):
            yield Rectangle(col, row, min(side, width - col), min(side, height - row))


def _same(source: Any, made: Any, window: Any, is_lossy: bool) -> bool:
    mask, expected = made.dataset_mask(window=window), source.dataset_mask(window=window)
    if not np.array_equal(mask, expected):
        return False
    return is_lossy or np.array_equal(made.read(window=window), source.read(window=window))


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Raise StorageFailed instead of what GDAL says when it cannot write."""
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        text = " ".join(str(error.__cause__ or error).split())[:300]
        raise StorageFailed(
            f"cannot write {path}: {text}",
            "See that the disk has room, then run the command again with --resume",
        ) from error
