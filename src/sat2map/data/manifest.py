"""The manifest of a paired set, `pairs.jsonl`: a header line, then one line for each pair.

Paths are relative to the manifest's folder, with forward slashes, so that a set can be moved as a whole; a set that
only references its images may point outside the folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from sat2map import storage
from sat2map.data.pairs import MANIFEST, Pair, PairedSet, Part, Picture
from sat2map.errors import BadDataset

FORMAT = "sat2map-pairs"
VERSION = 1

Record = TypeVar("Record")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of a manifest."""

    format: str
    version: int
    licence: str = ""
    attribution: str = ""


class HalfRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One half of a pair: relative path, part of the file's width, checksum of the whole file."""

    path: str
    part: Part
    sha256: str


class PairRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line for each pair; height and width in px are those of one half."""

    name: str
    split: str
    height: int
    width: int
    sat: HalfRecord
    street: HalfRecord


def _picture(folder: Path, half: HalfRecord) -> Picture:
    return Picture(folder / half.path, half.part, half.sha256)


def _decode(path: Path, number: int, line: bytes, kind: type[Record]) -> Record:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as fault:
        raise BadDataset(f"{path}, line {number}: {fault}", "Import the images again") from fault


def read_manifest(folder: Path) -> PairedSet:
    """Read `pairs.jsonl` of a folder; raises BadDataset naming the line that is wrong."""
    path = folder / MANIFEST
    lines = path.read_bytes().splitlines()
    header = _decode(path, 1, lines[0] if lines else b"", Header)
    if header.format != FORMAT or header.version != VERSION:
        raise BadDataset(
            f"{path} is {header.format} version {header.version}, not {FORMAT} version {VERSION}",
            "Import the images again with this version of sat2map",
        )
    records = [_decode(path, number, line, PairRecord) for number, line in enumerate(lines[1:], 2)]
    pairs = [Pair(r.name, r.split, _picture(folder, r.sat), _picture(folder, r.street)) for r in records]
    return PairedSet(folder, pairs, header.licence, header.attribution)


def write_manifest(found: PairedSet, sizes: Mapping[str, tuple[int, int]]) -> Path:
    """Write `pairs.jsonl` into the set's folder, which must not have one yet.

    `sizes` are (height, width) of one half by pair name. Checksums that a pair does not carry are computed.
    """
    digests: dict[Path, str] = {}

    def half(picture: Picture) -> HalfRecord:
        if picture.path not in digests:
            digests[picture.path] = picture.sha256 or storage.sha256(picture.path)
        relative = os.path.relpath(picture.path, found.folder).replace(os.sep, "/")
        return HalfRecord(relative, picture.part, digests[picture.path])

    lines = [msgspec.json.encode(Header(FORMAT, VERSION, found.licence, found.attribution))]
    for pair in found:
        height, width = sizes[pair.name]
        record = PairRecord(pair.name, pair.split, height, width, half(pair.sat), half(pair.street))
        lines.append(msgspec.json.encode(record))
    path = found.folder / MANIFEST
    storage.write_bytes(path, b"\n".join(lines) + b"\n")
    return path
