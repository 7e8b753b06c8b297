"""The lines of a collection's manifest: what may be said, and its spelling as JSON."""

from typing import ClassVar, Union

import msgspec

from sat2map.errors import BadCollection

NAME = "manifest.jsonl"


class Record(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="record"):
    """One line. Its class is its field `record`."""


class Photo(Record, frozen=True, tag="photo"):
    """A photo that a provider named, whether or not its file was fetched; a later line replaces an earlier one."""

    key: str  # provider and the provider's own name of it: "commons:1234"
    page: str = ""  # where people find it
    url: str = ""  # of the file
    licence: str = ""
    author: str = ""
    title: str = ""
    longitude: float | None = None  # degrees, WGS 84
    latitude: float | None = None
    direction: float | None = None  # degrees clockwise from north
    taken: str = ""  # ISO 8601; without a zone if that is unknown
    file: str = ""  # relative to the collection, or absolute if it was not copied; empty if there is none
    sha256: str = ""
    size: int = 0  # bytes
    height: int = 0  # px, upright
    width: int = 0
    missing: str = ""  # why there is no file

    @property
    def source(self) -> str:
        """Name of the provider."""
        return self.key.partition(":")[0]


class Cursor(Record, frozen=True, tag="cursor"):
    """How far a query has come: everything before `token` is in the manifest. No token: to the end."""

    query: str
    token: str | None = None


class Measure(Record, frozen=True, tag="measure"):
    """What was measured in the pixels of a photo; costly, and independent of any threshold."""

    key: str
    what: str  # picture, scene, people or faces
    by: str  # what it was measured with; another network measures anew
    values: dict[str, float | str | list[float]] = {}


class Verdict(Record, frozen=True, tag="verdict"):
    """What a stage of the funnel says of a photo."""

    key: str
    stage: str
    kept: bool
    reason: str = ""


class Decision(Record, frozen=True, tag="decision"):
    """What a person said of photos; None takes it back."""

    keys: list[str]
    keep: bool | None


class Crop(Record, frozen=True, tag="crop"):
    """The satellite view around a photo."""

    key: str
    source: str
    file: str = ""
    sha256: str = ""
    attribution: str = ""
    metres: float = 0.0  # per pixel on the ground
    missing: str = ""  # why there is none

    SIDE: ClassVar[int] = 128  # px, of the seed's encoder


AnyRecord = Union[Photo, Cursor, Measure, Verdict, Decision, Crop]  # noqa: UP007  (msgspec wants the type itself)
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyRecord)


def encode(record: AnyRecord) -> str:
    """Return a record as one line of JSON."""
    return _encoder.encode(record).decode()


def decode(line: str, number: int, where: str) -> AnyRecord:
    """Return the record of a line. Raises BadCollection, naming the line."""
    try:
        record: AnyRecord = _decoder.decode(line)
        return record
    except msgspec.DecodeError as error:
        raise BadCollection(
            f"line {number} of {where} is no record of a collection ({error})",
            "Remove that line, or take the file from a backup; the other lines stand for themselves",
        ) from error
