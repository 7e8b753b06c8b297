"""Tag directories: the structure that TIFF files consist of and EXIF blocks borrow (TIFF 6.0, section 2)."""

from typing import Literal, NamedTuple

from sat2map.errors import Sat2MapError
from sat2map.images.source import Source

ORIENTATION = 274

Order = Literal["little", "big"]  # of bytes

_TYPE_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_UNSIGNED = {1, 3, 4, 16}
_WHOLE = {3, 4}  # of these two types an orientation is
_MOST_ENTRIES = 4096


class Tag(NamedTuple):
    """One entry of a directory."""

    number: int
    type: int
    values: int  # how many
    offset: int  # of the values, from the start of the file
    raw: bytes  # the entry as it stands in the directory

    @property
    def size(self) -> int:
        """Bytes that the values take; 0 for an unknown type."""
        return _TYPE_SIZES.get(self.type, 0) * self.values


class Directory(NamedTuple):
    """The first directory of a file."""

    order: Order
    is_big: bool  # BigTIFF: 8-byte offsets
    start: int  # offset of the directory
    stop: int  # offset behind it and its link to the next one
    tags: list[Tag]


def read_directory(source: Source, *, lenient: bool = False, start: int | None = None) -> Directory:
    """Read the first directory of a TIFF structure, or the one at the offset `start`. Raises `CorruptImage`.

    `lenient`, for EXIF blocks: any version counts as the classic one, and a directory that is cut off as what is left.
    """
    head = source.read(0, 8)
    order: Order = "little" if head[:2] == b"II" else "big"
    version = _integer(head[2:4], order)
    if head[:2] not in (b"II", b"MM") or (version not in (42, 43) and not lenient):
        raise source.corrupt("it does not begin with a TIFF header")
    is_big = version == 43 and not lenient
    if start is None:
        start = _integer(source.read(8, 8) if is_big else head[4:8], order)
    width = 20 if is_big else 12  # bytes of an entry
    counter = 8 if is_big else 2
    count = _integer(source.read(start, counter), order)
    if lenient:
        count = min(count, (source.size - start - counter) // width)
    if count > _MOST_ENTRIES:
        raise source.corrupt(f"its directory announces {count} entries")
    body = source.read(start + counter, count * width)
    tags = []
    for index in range(count):
        raw = body[index * width : (index + 1) * width]
        tags.append(_tag(raw, start + counter + index * width, order, is_big))
    return Directory(order, is_big, start, start + counter + len(body) + (8 if is_big else 4), tags)


def _tag(raw: bytes, at: int, order: Order, is_big: bool) -> Tag:
    number, kind = _integer(raw[0:2], order), _integer(raw[2:4], order)
    field = 8 if is_big else 4  # bytes of the count and of the value or offset
    count = _integer(raw[4 : 4 + field], order)
    tag = Tag(number, kind, count, at + 4 + field, raw)
    if tag.size > field:
        tag = tag._replace(offset=_integer(raw[4 + field :], order))
    return tag


def integers(source: Source, directory: Directory, tag: Tag) -> list[int]:
    """Return the values of a tag of whole numbers. Raises `CorruptImage` if it is of another type or cut off."""
    if tag.type not in _UNSIGNED or (tag.type == 16 and not directory.is_big):
        raise source.corrupt(f"tag {tag.number} has type {tag.type}, not whole numbers")
    data = source.read(tag.offset, tag.size)
    step = _TYPE_SIZES[tag.type]
    return [_integer(data[i : i + step], directory.order) for i in range(0, len(data), step)]


def exif_orientation(block: bytes, name: str) -> int:
    """Return the orientation 1…8 of an EXIF block; 1 if it says nothing valid, as viewers do."""
    block = block.removeprefix(b"Exif\0\0")
    source = Source(block, len(block), name)
    try:
        return orientation_of(source, read_directory(source, lenient=True))
    except Sat2MapError:
        return 1


def orientation_of(source: Source, directory: Directory) -> int:
    """Return the orientation 1…8 that a directory names, 1 if it names none. Raises `CorruptImage` if it is cut off."""
    for tag in directory.tags:
        if tag.number == ORIENTATION and tag.type in _WHOLE and tag.values:
            value = integers(source, directory, tag._replace(values=1))[0]
            return value if 1 <= value <= 8 else 1
    return 1


def _integer(data: bytes, order: Order) -> int:
    return int.from_bytes(data, order)
