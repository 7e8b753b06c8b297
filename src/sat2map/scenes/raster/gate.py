"""The gate: from a name that a user gave to an open GeoTIFF, by way of GTiff and no other driver."""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sat2map.errors import CorruptImage, FileMissing, ImageTooLarge, Sat2MapError, UnsupportedFormat
from sat2map.scenes.raster.header import Limits, Page, check_header

# Set whenever GDAL works for us. The first two keep it from looking at other files, the third from writing some.
ENVIRONMENT: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "GDAL_CACHEMAX": 256 << 20,  # bytes; otherwise a share of the machine's memory
}
DEFAULT_LIMITS = Limits()


@contextmanager
def many_open() -> Iterator[None]:
    """Hold this around scenes that are closed in another order than the reverse of that in which they were opened.

    rasterio's environments form a stack, and one that is left restores what was there before it.
    """
    import rasterio

    with rasterio.Env(**ENVIRONMENT):
        yield


@contextmanager
def open_scene(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Iterator[Any]:
    """Yield a rasterio dataset of a local GeoTIFF, opened for reading.

    Raises FileMissing for what is no regular file, UnsupportedFormat for other formats or kinds of samples,
    ImageTooLarge by the header alone, CorruptImage if GDAL cannot open the file.
    """
    import rasterio

    real = regular_file(path)
    page = check_header(real, limits)
    with rasterio.Env(**ENVIRONMENT), ExitStack() as stack:
        with translated_errors(path), without_warnings():
            dataset = stack.enter_context(rasterio.open(real, driver="GTiff", sharing=False))
            check_dataset(dataset, page, path, limits)
        yield dataset


def tags_of(path: Path) -> dict[str, str]:
    """Return the tags of a GeoTIFF; none if there is no such file, or if it cannot be opened."""
    try:
        with open_scene(path) as dataset:
            found: dict[str, str] = dataset.tags()
            return found
    except Sat2MapError:
        return {}


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence rasterio: that there is no georeference is said by us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def regular_file(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of an existing regular file, which no library can take for anything else.

    Raises FileMissing.
    """
    remedy = "Name a GeoTIFF file on this machine; addresses and GDAL's names of other places are not opened"
    try:
        real = Path(path).resolve(strict=True)
        is_regular = stat.S_ISREG(real.stat().st_mode)
        os.fspath(real).encode()
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: NUL, or not to be encoded
        reason = getattr(error, "strerror", None) or str(error)
        raise FileMissing(f"cannot open {os.fspath(path)!r}: {reason}", remedy) from error
    if not is_regular or os.fspath(real).startswith("/vsi"):
        raise FileMissing(f"{path} is no regular file", remedy)
    return real


@contextmanager
def translated_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise CorruptImage, or ImageTooLarge for lack of memory, instead of what rasterio and GDAL raise.

    For calls of rasterio only: it has plain errors of Python for some kinds of damage (no colour table, bad text).
    """
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    try:
        yield
    except Sat2MapError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(f"{path} needs more memory than there is", "Use a smaller --window") from error
    except (RasterioError, CPLE_BaseError, ValueError, KeyError, OverflowError) as error:
        cause = error.__cause__ or error
        text = " ".join(str(cause).split())[:300] or type(cause).__name__
        raise CorruptImage(
            f"{path} is damaged, GDAL says: {text}", "Copy or download it again, or save it anew"
        ) from error


def check_dataset(dataset: Any, page: Page, path: str | os.PathLike[str], limits: Limits) -> None:
    """Refuse what GDAL understands otherwise than the header said, and samples that are no plain numbers."""
    if (dataset.height, dataset.width) != (page.height, page.width) or not 1 <= dataset.count <= limits.bands:
        raise CorruptImage(
            f"{path} is damaged: its header says {page.width} x {page.height} px in {page.bands} bands, "
            f"GDAL {dataset.width} x {dataset.height} in {dataset.count}",
            "Save it anew",
        )
    for kind in dict.fromkeys(dataset.dtypes):
        if "complex" in kind:
            raise UnsupportedFormat(
                f"{path} has {kind} samples", "Convert it to magnitudes first, as uint16 or float32"
            )
    largest = max(rows * cols for rows, cols in dataset.block_shapes) * 8
    if largest > 8 * limits.block:
        raise ImageTooLarge(
            f"{path} can only be read in pieces of {largest // 8:,} px", "Write it anew in tiles"
        )
