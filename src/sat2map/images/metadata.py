"""What a photo says about where and when it was taken: the GPS and EXIF directories (EXIF 3.0, CIPA DC-008).

Cameras, phones and editors write these directories in every state of disrepair. A field that cannot be read, or says
what cannot be, is as if it were not there; only a file that is no image at all is an error.
"""

import math
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple, TypeVar

from sat2map.errors import Sat2MapError
from sat2map.images.containers import exif_block
from sat2map.images.exif import Directory, Tag, integers, read_directory
from sat2map.images.header import DEFAULT_LIMITS, Limits, format_of, opened
from sat2map.images.source import Source

_ARTIST, _COPYRIGHT, _EXIF, _GPS = 0x013B, 0x8298, 0x8769, 0x8825
_TAKEN, _OFFSET = 0x9003, 0x9011  # DateTimeOriginal, OffsetTimeOriginal
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE = 1, 2, 3, 4
_TIME, _DIRECTION, _DATE = 7, 17, 29
_ASCII, _BYTES, _UTF8 = 2, 7, 129
_LONGEST = 1000  # bytes of a text
_FARTHEST = timedelta(hours=14, minutes=10)  # between a local time and UTC, and what two clocks may differ
_QUARTER = 900  # seconds; zones differ from UTC by whole quarters of an hour
_FIRST_YEAR = 1900

T = TypeVar("T")


class Metadata(NamedTuple):
    """Facts of a photo; None or empty where it does not say."""

    longitude: float | None = None  # degrees east, WGS 84
    latitude: float | None = None  # degrees north
    direction: float | None = None  # degrees clockwise from north that the camera looked at
    taken: datetime | None = None  # with a zone if there is a way to know it, else the time on a local clock
    author: str = ""
    copyright: str = ""


def read_metadata(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> Metadata:
    """Read the metadata of a PNG, JPEG, WebP or TIFF; pixels are not touched.

    Longitude and latitude are given both or not at all; 0, 0 counts as not at all, since that is what devices without
    a fix write. Raises `FileMissing`, `UnsupportedFormat`, `CorruptImage`, `ImageTooLarge`.
    """
    with opened(path, limits) as source:
        if format_of(source) == "TIFF":
            return _metadata(source)
        block = exif_block(source)
    return _metadata(Source(block, len(block), str(path))) if block else Metadata()


def _metadata(source: Source) -> Metadata:
    try:
        main = _Fields(source, read_directory(source, lenient=True))
    except Sat2MapError:
        return Metadata()
    exif, gps = main.below(_EXIF), main.below(_GPS)
    longitude = _degrees(gps.numbers(_LONGITUDE), gps.text(_LONGITUDE_REF), "EW", 180)
    latitude = _degrees(gps.numbers(_LATITUDE), gps.text(_LATITUDE_REF), "NS", 90)
    if longitude is None or latitude is None or longitude == latitude == 0:
        longitude = latitude = None
    direction = next(iter(gps.numbers(_DIRECTION)), math.nan)
    return Metadata(
        longitude,
        latitude,
        direction % 360 if 0 <= direction <= 360 else None,
        _when(exif.text(_TAKEN), exif.text(_OFFSET), gps.text(_DATE), gps.numbers(_TIME)),
        main.text(_ARTIST),
        main.text(_COPYRIGHT),
    )


class _Fields:
    """The fields of one directory, by tag."""

    def __init__(self, source: Source, directory: Directory | None) -> None:
        self._source, self._directory = source, directory
        self._tags = {tag.number: tag for tag in reversed(directory.tags)} if directory else {}

    def below(self, number: int) -> "_Fields":
        """Return the directory to which a tag points; an empty one if it leads nowhere."""
        directory = None
        with suppress(Sat2MapError, IndexError):
            tag = self._tags.get(number)
            if tag is not None and self._directory is not None:
                start = integers(self._source, self._directory, tag)[0]
                directory = read_directory(self._source, lenient=True, start=start)
        return _Fields(self._source, directory)

    def text(self, number: int) -> str:
        def read(tag: Tag) -> str:
            if tag.type not in (_ASCII, _BYTES, _UTF8) or tag.values > _LONGEST:
                return ""
            # UTF-8 has its own type since EXIF 3.0, and was written into the plain one for long before
            raw = self._source.read(tag.offset, tag.values).partition(b"\0")[0]
            text = raw.decode("utf-8", errors="replace")
            return "".join(sign if sign.isprintable() else " " for sign in text).strip()

        return self._read(number, read) or ""

    def numbers(self, number: int) -> list[float]:
        """Return unsigned rationals; none if there is a zero below one of them."""

        def read(tag: Tag) -> list[float]:
            assert self._directory is not None
            if tag.type != 5 or tag.values > 8:
                return []
            data, order = self._source.read(tag.offset, 8 * tag.values), self._directory.order
            parts = [int.from_bytes(data[i : i + 4], order) for i in range(0, len(data), 4)]
            return [above / below for above, below in zip(parts[::2], parts[1::2], strict=True)]

        with suppress(ZeroDivisionError):
            return self._read(number, read) or []
        return []

    def _read(self, number: int, read: Callable[[Tag], T]) -> T | None:
        with suppress(Sat2MapError):
            if number in self._tags:
                return read(self._tags[number])
        return None


def _degrees(parts: list[float], side: str, sides: str, most: float) -> float | None:
    """Return degrees of up to three parts (degrees, minutes, seconds) on the side of the world that is named."""
    if not parts or len(parts) > 3 or side[:1].upper() not in tuple(sides):
        return None
    value = sum(part / 60**place for place, part in enumerate(parts))
    sign = -1 if side[:1].upper() == sides[1] else 1
    return sign * value if value <= most else None


def _when(taken: str, offset: str, gps_date: str, gps_time: list[float]) -> datetime | None:
    """Return the time of exposure; its zone is what the camera says, or what the satellites' clock implies."""
    local = _date(taken[:10].replace("-", ":"), taken[11:19])
    satellites = None
    if len(gps_time) == 3 and all(0 <= part < 61 for part in gps_time):
        hours, minutes, seconds = (int(part) for part in gps_time)
        satellites = _date(gps_date.replace("-", ":"), f"{hours:02}:{minutes:02}:{min(seconds, 59):02}")
    if local is None:
        return satellites.replace(tzinfo=UTC) if satellites else None
    zone = _zone(offset)
    if zone is None and satellites is not None and abs(local - satellites) <= _FARTHEST:
        quarters = round((local - satellites).total_seconds() / _QUARTER)
        zone = timezone(timedelta(seconds=quarters * _QUARTER))
    return local.replace(tzinfo=zone)


def _date(day: str, time: str) -> datetime | None:
    try:
        found = datetime.strptime(f"{day} {time}", "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    return found if found.year >= _FIRST_YEAR else None


def _zone(offset: str) -> timezone | None:
    with suppress(ValueError):
        delta = datetime.strptime(offset, "%z").utcoffset()
        return None if delta is None else timezone(delta)
    return None
