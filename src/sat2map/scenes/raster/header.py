"""What a TIFF announces before its pixels, held against limits; nothing is decoded and GDAL is not asked.

TIFF 6.0, section 2, and BigTIFF: a chain of directories, each a table of tags. A page, its overviews and its masks are
directories of their own, and each of them may lie about its size, so every one of the chain is looked at.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from sat2map.errors import FileMissing, ImageTooLarge, UnsupportedFormat
from sat2map.images.source import Source

_MAGIC = {b"II*\0": "little", b"MM\0*": "big", b"II+\0": "little", b"MM\0+": "big"}
_WIDTH, _LENGTH, _BITS, _SAMPLES, _ROWS_PER_STRIP, _PLANAR = 256, 257, 258, 277, 278, 284
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_NUMBERS = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8}  # type of whole numbers -> bytes
_WANTED = {_WIDTH, _LENGTH, _BITS, _SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_LENGTH}
_MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Limits:
    """What a scene may cost. Scenes are read piece by piece, so these are far above what fits into memory."""

    side: int = 4_000_000  # px
    bands: int = 1024
    directories: int = 256  # page, overviews, masks, further pages
    decoded: int = 4 << 40  # bytes of the largest page
    block: int = 256 << 20  # bytes of a decoded tile or strip, the least that can be read at a time
    sparse: int = 1 << 30  # decoded bytes from which on a file must not be all holes:
    ratio: int = 200_000  # decoded bytes per byte of the file


@dataclass(frozen=True)
class Page:
    """The sizes that one directory announces."""

    height: int  # px
    width: int  # px
    bands: int
    bits: int  # per sample
    block_height: int  # px of a tile or strip
    block_width: int
    is_planar: bool  # each band in blocks of its own

    @property
    def decoded(self) -> int:
        """Bytes of the whole page."""
        return self.height * self.width * self.bands * -(-self.bits // 8)

    @property
    def block(self) -> int:
        """Bytes of one tile or strip."""
        bands = 1 if self.is_planar else self.bands
        return self.block_height * self.block_width * bands * -(-self.bits // 8)


def is_tiff(path: Path) -> bool:
    """Tell whether a file begins like a TIFF; False also for what cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) in _MAGIC
    except (OSError, ValueError):
        return False


def check_header(path: Path, limits: Limits) -> Page:
    """Return the sizes of the first page.

    Raises UnsupportedFormat if the file is no TIFF, CorruptImage if its chain of directories is broken, ImageTooLarge
    if any page exceeds the limits.
    """
    try:
        with path.open("rb") as file:
            source = Source(file, os.fstat(file.fileno()).st_size, str(path))
            pages = _pages(source, limits)
    except OSError as error:
        raise FileMissing(f"cannot read {path}: {error.strerror}", "Check its permissions") from error
    for page in pages:
        _check_page(page, source, limits)
    return pages[0]


def _check_page(page: Page, source: Source, limits: Limits) -> None:
    size = f"{page.width:,} x {page.height:,} px in {page.bands} bands"
    if min(page.width, page.height, page.bands, page.block_width, page.block_height, page.bits) < 1:
        raise source.corrupt(f"it announces {size}")
    exceeded = {
        f"more than {limits.side:,} px a side": max(page.width, page.height) > limits.side,
        f"more than {limits.bands} bands": page.bands > limits.bands,
        f"{page.decoded:,} bytes": page.decoded > limits.decoded,
        f"{page.decoded:,} bytes out of a file of {source.size:,}": page.decoded > limits.sparse
        and page.decoded > limits.ratio * source.size,
    }
    for what, is_exceeded in exceeded.items():
        if is_exceeded:
            raise ImageTooLarge(
                f"{source.name} announces {size}: {what}", "Cut it into smaller scenes with gdal_translate"
            )
    if page.block > limits.block:
        raise ImageTooLarge(
            f"{source.name} can only be read in pieces of {page.block:,} bytes, the limit is {limits.block:,}",
            "Write it anew in tiles: gdal_translate -co TILED=YES",
        )


def _pages(source: Source, limits: Limits) -> list[Page]:
    head = source.head(16)
    order = _MAGIC.get(head[:4])
    if order is None:
        fact = f"it begins with {head[:12]!r}" if head else "it is empty"
        raise UnsupportedFormat(f"{source.name} is no TIFF: {fact}", "Name a GeoTIFF")
    is_big = head[2:4] in (b"+\0", b"\0+")
    at = _number(source.read(8, 8) if is_big else source.read(4, 4), order)
    pages: list[Page] = []
    seen: set[int] = set()
    while at:
        if at in seen:
            raise source.corrupt("its directories follow one another in a circle")
        if len(pages) == limits.directories:
            raise ImageTooLarge(
                f"{source.name} has more than {limits.directories} pages", "Extract the page that you need"
            )
        seen.add(at)
        values, at = _directory(source, at, order, is_big)
        pages.append(_page(values))
    if not pages:
        raise source.corrupt("it has no page")
    return pages


def _directory(source: Source, at: int, order: str, is_big: bool) -> tuple[dict[int, int], int]:
    """Return the first value of each tag that sizes depend on, and the offset of the next directory (0: none)."""
    counter, width, field = (8, 20, 8) if is_big else (2, 12, 4)
    count = _number(source.read(at, counter), order)
    if count > _MOST_ENTRIES:
        raise source.corrupt(f"a directory announces {count} entries")
    body = source.read(at + counter, count * width)
    values: dict[int, int] = {}
    for start in range(0, len(body), width):
        number, kind = (_number(body[start + i : start + i + 2], order) for i in (0, 2))
        if number not in _WANTED:
            continue
        size = _NUMBERS.get(kind)
        if size is None or size > field or number in values:
            raise source.corrupt(f"tag {number} is there twice or is no whole number")
        length = _number(body[start + 4 : start + 4 + field], order)
        raw = body[start + 4 + field : start + width]
        if size * length > field:
            raw = source.read(_number(raw, order), size)
        values[number] = _number(raw[:size], order)
    end = at + counter + len(body)
    # Some writers leave the last link out; a file that ends there has no next page.
    return values, _number(source.read(end, field), order) if end + field <= source.size else 0


def _page(values: dict[int, int]) -> Page:
    height, width = values.get(_LENGTH, 0), values.get(_WIDTH, 0)
    return Page(
        height=height,
        width=width,
        bands=values.get(_SAMPLES, 1),
        bits=values.get(_BITS, 1),
        block_height=values.get(_TILE_LENGTH, min(values.get(_ROWS_PER_STRIP, height), height)),
        block_width=values.get(_TILE_WIDTH, width),
        is_planar=values.get(_PLANAR, 1) == 2,
    )


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, "big" if order == "big" else "little")
