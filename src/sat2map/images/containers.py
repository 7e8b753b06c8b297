"""What PNG, JPEG and WebP files announce before their pixels, and the least file that decodes to the same pixels.

Sources: PNG third edition (W3C), section 5; JPEG ITU-T T.81, annex B; WebP container RFC 9649.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from sat2map.images.exif import exif_orientation
from sat2map.images.source import Source


class Outline(NamedTuple):
    """Header facts of an image."""

    height: int  # px, as stored
    width: int  # px, as stored
    orientation: int = 1  # EXIF, 1…8


def exif_block(source: Source) -> bytes:
    """Return the EXIF block of a PNG, JPEG or WebP, which is a TIFF structure; empty if there is none.

    Raises `CorruptImage` for a file whose parts cannot be told from one another.
    """
    head = source.head(4)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_exif(source)
    kind, chunks = (b"EXIF", _webp_chunks) if head == b"RIFF" else (b"eXIf", _png_chunks)
    for name, start, length in chunks(source):
        if name == kind:
            return source.read(start + 8, length).removeprefix(b"Exif\0\0")
    return b""


def _jpeg_exif(source: Source) -> bytes:
    for marker, start, length in _jpeg_segments(source):
        if marker == _EXIF:
            block = source.read(start + 4, length - 2)
            if block.startswith(b"Exif\0\0"):
                return block.removeprefix(b"Exif\0\0")
    return b""


# -- PNG --------------------------------------------------------------------------------------------------------

_MOST_CHUNKS = 1 << 20
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def png_outline(source: Source) -> Outline:
    """Read size and orientation of a PNG, walking all its chunks."""
    first, start, length = next(_png_chunks(source))
    if first != b"IHDR" or length != 13:
        raise source.corrupt("it does not begin with an IHDR chunk")
    header = source.read(start + 8, 8)
    orientation = 1
    for kind, start, length in _png_chunks(source):
        if kind == b"eXIf":
            orientation = exif_orientation(source.read(start + 8, length), source.name)
    return Outline(int.from_bytes(header[4:]), int.from_bytes(header[:4]), orientation)


def reduced_png(source: Source) -> bytes:
    """Return the PNG with no chunks but those that pixels need."""
    kept = [b"\x89PNG\r\n\x1a\n"]
    for kind, start, length in _png_chunks(source):
        chunk = source.read(start, length + 12)
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(
            chunk[-4:]
        ):  # its name may be damaged, so check what is dropped
            raise source.corrupt(f"the checksum of chunk {kind!r} does not match")
        if kind in _PIXEL_CHUNKS:
            kept.append(chunk)
    return b"".join(kept)


def _png_chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and data length of each chunk up to IEND."""
    start = 8
    for _ in range(_MOST_CHUNKS):
        head = source.read(start, 8)
        kind, length = head[4:], int.from_bytes(head[:4])
        if start + length + 12 > source.size:
            raise source.corrupt(f"it ends in the middle of chunk {kind!r}")
        yield kind, start, length
        if kind == b"IEND":
            return
        start += length + 12
    raise source.corrupt(f"it has more than {_MOST_CHUNKS} chunks")


# -- JPEG -------------------------------------------------------------------------------------------------------

_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; all Huffman-coded
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_SCAN = 0xDA
_EXIF = 0xE1
_ADOBE = {0xE0, 0xEE}  # JFIF and Adobe segments say how colours are coded
_MOST_SEGMENTS = 1 << 14
_MOST_SCANS = 100  # each costs a pass over the whole image
_MOST_JUNK = 4096  # bytes between segments that decoders skip


def jpeg_outline(source: Source) -> Outline:
    """Read size and orientation of a JPEG from the segments before its first scan."""
    size: tuple[int, int] | None = None
    orientation = None
    for marker, start, length in _jpeg_segments(source):
        if marker in _OTHER_FRAMES:
            raise source.unsupported("it is a lossless, hierarchical or arithmetic-coded JPEG")
        if marker in _FRAMES:
            if size is not None:
                raise source.corrupt("it has two frame headers")
            if length < 8:
                raise source.corrupt("its frame header is too short")
            frame = source.read(start + 4, 5)
            if frame[0] != 8:
                raise source.unsupported(f"it has {frame[0]} bits per sample")
            size = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
        elif marker == _EXIF and orientation is None:
            block = source.read(start + 4, length - 2)
            if block.startswith(b"Exif\0\0"):
                orientation = exif_orientation(block, source.name)
    if size is None:
        raise source.corrupt("it has no frame header before its first scan")
    return Outline(*size, orientation or 1)


def reduced_jpeg(source: Source) -> bytes:
    """Return the JPEG without the application segments and comments before its first scan."""
    kept = [b"\xff\xd8"]
    for marker, start, length in _jpeg_segments(source):
        if marker == _SCAN:
            scans = source.read(start, source.size - start)
            if scans.count(b"\xff\xda") > _MOST_SCANS:  # inside entropy-coded data FF is never followed by DA
                raise source.corrupt(f"it has more than {_MOST_SCANS} scans")
            kept.append(scans)
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker in _ADOBE:
            kept.append(source.read(start, length + 2))
    return b"".join(kept)


def _jpeg_segments(source: Source) -> Iterator[tuple[int, int, int]]:
    """Yield marker, offset and length (without the marker) of each segment up to and with the first scan."""
    start = 2
    junk = 0
    for _ in range(_MOST_SEGMENTS):
        head = source.read(start, 2)
        while head[0] != 0xFF or head[1] in (0x00, 0xFF):
            start += 1
            junk += 1
            if junk > _MOST_JUNK:
                raise source.corrupt("there is other data between its segments")
            head = source.read(start, 2)
        marker = head[1]
        if marker == 0xD9:
            raise source.corrupt("it ends before its first scan")
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:
            raise source.corrupt(f"marker {marker:02X} stands before the first scan")
        length = int.from_bytes(source.read(start + 2, 2))
        if length < 2:
            raise source.corrupt("a segment is shorter than its own length field")
        source.read(start, length + 2)
        yield marker, start, length
        if marker == _SCAN:
            return
        start += length + 2
    raise source.corrupt(f"it has more than {_MOST_SEGMENTS} segments")


# -- WebP -------------------------------------------------------------------------------------------------------


def webp_outline(source: Source) -> Outline:
    """Read canvas size and orientation of a WebP."""
    size: tuple[int, int] | None = None
    orientation = 1
    has_exif = False
    for kind, start, length in _webp_chunks(source):
        if size is None:
            size = _webp_size(source, kind, start, length)
            has_exif = kind == b"VP8X" and bool(source.read(start + 8, 1)[0] & 0x08)
        if kind == b"EXIF" and has_exif:
            has_exif = False  # the first one counts
            orientation = exif_orientation(source.read(start + 8, length), source.name)
    if size is None:
        raise source.corrupt("it holds no image")
    return Outline(*size, orientation)


def _webp_size(source: Source, kind: bytes, start: int, length: int) -> tuple[int, int]:
    """Return height and width that the first chunk announces."""
    data = source.read(start + 8, min(length, 10))
    if kind == b"VP8X" and len(data) == 10:
        return int.from_bytes(data[7:10], "little") + 1, int.from_bytes(data[4:7], "little") + 1
    if kind == b"VP8 " and len(data) == 10 and data[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(data[8:10], "little") & 0x3FFF, int.from_bytes(data[6:8], "little") & 0x3FFF
    if kind == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    raise source.corrupt(f"its first chunk {kind!r} describes no image")


def _webp_chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, offset and data length of each chunk of the RIFF container."""
    end = int.from_bytes(source.read(4, 4), "little") + 8
    if end > source.size:
        raise source.corrupt(f"it has {source.size} bytes, but announces {end}")
    start = 12
    for _ in range(_MOST_CHUNKS):
        if start + 8 > end:
            return
        head = source.read(start, 8)
        length = int.from_bytes(head[4:], "little")
        if start + 8 + length > end:
            raise source.corrupt(f"it ends in the middle of chunk {head[:4]!r}")
        yield head[:4], start, length
        start += 8 + length + length % 2
    raise source.corrupt(f"it has more than {_MOST_CHUNKS} chunks")
