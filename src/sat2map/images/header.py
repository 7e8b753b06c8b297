"""Format, size and orientation of an image file, held against limits before anything is decoded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sat2map.errors import FileMissing, ImageTooLarge, UnsupportedFormat
from sat2map.images.containers import Outline, jpeg_outline, png_outline, webp_outline
from sat2map.images.source import Source
from sat2map.images.tiff import TiffFacts

Format = Literal["PNG", "JPEG", "WebP", "TIFF"]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEAD = 12  # bytes that `sniff` needs


@dataclass(frozen=True)
class Limits:
    """What an image may cost: decoding takes about 8 bytes of memory per pixel besides the file itself."""

    pixels: int = 64 * 1024 * 1024  # 8192 x 8192 px
    bytes: int = 512 * 1024 * 1024  # of the file

    def __post_init__(self) -> None:
        assert 0 < self.pixels <= 89_000_000, "more pixels than Pillow decodes without its own warning"


DEFAULT_LIMITS = Limits()


def sniff(head: bytes) -> Format | None:
    """Tell the format of a file from its first 12 bytes; None if it is none that we read."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(_TIFF_MAGIC):
        return "TIFF"
    return None


def image_size(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> tuple[int, int]:
    """Return height and width, in pixels, of the array that `read_image` would return; nothing is decoded.

    Raises `FileMissing`, `UnsupportedFormat`, `CorruptImage`, `ImageTooLarge`.
    """
    with opened(path, limits) as source:
        outline = read_outline(source, limits)
    turned = outline.orientation >= 5
    return (outline.width, outline.height) if turned else (outline.height, outline.width)


@contextmanager
def opened(path: str | os.PathLike[str], limits: Limits) -> Iterator[Source]:
    """Open a file for reading at any offset. Raises `FileMissing`, `ImageTooLarge`."""
    path = Path(path)
    if not path.is_file():
        fact = "is not a file" if path.exists() else "does not exist"
        raise FileMissing(f"the image {path} {fact}", "Check the path.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileMissing(
            f"cannot read the image {path}: {error.strerror}", "Check its permissions."
        ) from error
    with file:
        size = os.fstat(file.fileno()).st_size
        check_bytes(size, limits, str(path))
        yield Source(file, size, str(path))


def check_bytes(size: int, limits: Limits, name: str) -> None:
    """Raise `ImageTooLarge` if a file has too many bytes."""
    if size > limits.bytes:
        raise ImageTooLarge(
            f"{name} has {size:,} bytes, the limit is {limits.bytes:,}",
            "Cut it into smaller images, or save it as GeoTIFF, which is read piece by piece.",
        )


def read_outline(source: Source, limits: Limits) -> Outline:
    """Read the header. Raises `UnsupportedFormat`, `CorruptImage`, `ImageTooLarge`."""
    outline = _outline(source)
    if outline.height < 1 or outline.width < 1:
        raise source.corrupt(f"it announces {outline.width} x {outline.height} px")
    if outline.height * outline.width > limits.pixels:
        raise ImageTooLarge(
            f"{source.name} has {outline.width:,} x {outline.height:,} px, the limit is {limits.pixels:,} px",
            "Cut it into smaller images, or save it as GeoTIFF, which is read piece by piece.",
        )
    return outline


def format_of(source: Source) -> Format:
    """Return the format, or raise `UnsupportedFormat`."""
    head = source.head(HEAD)
    found = sniff(head)
    if found is None:
        fact = f"it begins with {head!r}" if head else "it is empty"
        raise UnsupportedFormat(
            f"{source.name} is no PNG, JPEG, WebP or TIFF image: {fact}", "Convert it to PNG first."
        )
    return found


def _outline(source: Source) -> Outline:
    match format_of(source):
        case "PNG":
            return png_outline(source)
        case "JPEG":
            return jpeg_outline(source)
        case "WebP":
            return webp_outline(source)
        case "TIFF":
            return TiffFacts(source).outline
