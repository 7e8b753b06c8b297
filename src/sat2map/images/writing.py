"""`uint8` arrays to PNG, JPEG and WebP files: pixels and nothing else."""

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2map.errors import UnsupportedFormat
from sat2map.storage import refuse_existing, write_bytes

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_LONGEST = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}  # px on a side


def write_image(
    path: str | os.PathLike[str],
    pixels: NDArray[np.uint8],
    *,
    overwrite: bool,
    palette: NDArray[np.uint8] | None = None,
) -> None:
    """Write an image durably, in the format that the suffix of `path` names; no metadata is written.

    `pixels` is RGB `uint8 (H, W, 3)`, RGBA `(H, W, 4)` or grey `(H, W)`; with a `palette` `uint8 (K, 3)` it is
    indices `(H, W)`. PNG and WebP are lossless (a map keeps its palette); JPEG has quality 95 and full colour
    resolution, and takes neither alpha nor palette.

    Raises `OutputExists` unless `overwrite`, `UnsupportedFormat` (suffix, or more pixels or bands than the format
    takes), `StorageFailed`.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UnsupportedFormat(
            f"cannot write {path}: no image format for {path.suffix!r}", "Use .png, .jpg or .webp."
        )
    _check(pixels, palette, kind, path)
    write_bytes(path, _encode(pixels, kind, palette), overwrite=overwrite)


def encode_png(
    pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None, transparent: int | None = None
) -> bytes:
    """Return a PNG file of `pixels` (and `palette`) as `write_image` writes it.

    `transparent`: the index or grey value that viewers show nothing for; for `(H, W)` pixels only.
    """
    return _encode(pixels, "PNG", palette, transparent)


def encode_webp(pixels: NDArray[np.uint8]) -> bytes:
    """Return a lossless WebP file of RGB or RGBA `pixels`, as `write_image` writes it."""
    return _encode(pixels, "WEBP", None)


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 85) -> bytes:
    """Return a JPEG file of RGB or grey `pixels` for pages, where a small file matters more than the last level."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _check(pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None, kind: str, path: Path) -> None:
    if max(pixels.shape[:2]) > _LONGEST[kind]:
        height, width = pixels.shape[:2]
        raise UnsupportedFormat(
            f"cannot write {path}: {kind} holds at most {_LONGEST[kind]:,} px on a side, not {width} x {height}",
            "Use .png.",
        )
    if (palette is not None and kind != "PNG") or (kind == "JPEG" and pixels.shape[2:] == (4,)):
        raise UnsupportedFormat(f"cannot write {path}: {kind} takes no palette or alpha here", "Use .png.")


def _encode(
    pixels: NDArray[np.uint8], kind: str, palette: NDArray[np.uint8] | None, transparent: int | None = None
) -> bytes:
    assert pixels.dtype == np.uint8, f"images are uint8, not {pixels.dtype}"
    assert pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)), f"no image: {pixels.shape}"
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if palette is not None:
        assert pixels.ndim == 2 and palette.shape[1:] == (3,), "a palette colours indices (H, W)"
        assert pixels.max(initial=0) < len(palette) <= 256, "an index lies outside the palette"
        image.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    match kind:
        case "JPEG":
            image.save(buffer, "JPEG", quality=95, subsampling="4:4:4")
        case "WEBP":
            from PIL import WebPImagePlugin  # noqa: F401  (registers the one encoder instead of all of them)

            image.save(buffer, "WEBP", lossless=True, exact=True)
        case _:
            image.save(buffer, "PNG", **({} if transparent is None else {"transparency": transparent}))
    return buffer.getvalue()
