"""What a folder of ours holds: `manifest.json`, name to size and SHA-256, and reads that are checked against it."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sat2map.errors import CorruptFile, FileMissing, Sat2MapError
from sat2map.storage.files import write_json
from sat2map.storage.system import reporting, sync_file, sync_folder
from sat2map.storage.temporary import is_temporary

MANIFEST = "manifest.json"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMEDY = "Do not use it: copy it again from a good copy, or make it anew."


class _Entry(NamedTuple):
    size: int  # bytes
    sha256: str  # 64 lower-case hexadecimal digits


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits. Raises `StorageFailed` if it cannot be read."""
    path = Path(path)
    with reporting(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: str | os.PathLike[str]) -> None:
    """Force every file in `folder` (and below) to the disk, then write `manifest.json` over it, last.

    Raises `StorageFailed`.
    """
    folder = Path(folder)
    entries: dict[str, dict[str, object]] = {}
    with reporting(folder):
        for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder itself
            if path.is_dir():
                sync_folder(path)
            elif path.is_file() and not is_temporary(path) and path != folder / MANIFEST:
                sync_file(path)
                name = path.relative_to(folder).as_posix()
                entries[name] = {"size": path.stat().st_size, "sha256": sha256(path)}
        sync_folder(folder)
    write_json(folder / MANIFEST, dict(sorted(entries.items())))


def verify(folder: str | os.PathLike[str]) -> None:
    """Check every file of the manifest in `folder`; files that it does not name are nobody's concern.

    Raises `FileMissing` if there is no such folder, `CorruptFile`, naming the file, if one is missing, has
    another size or another checksum, or if the manifest itself is missing or damaged.
    """
    folder = Path(folder)
    for name, entry in _read_manifest(folder).items():
        path = folder / name
        if not path.is_file():
            raise CorruptFile(f"{path} is missing, but {MANIFEST} names it", _REMEDY)
        size = path.stat().st_size
        if size != entry.size:
            raise CorruptFile(f"{path} has {size} bytes instead of {entry.size}", _REMEDY)
        if sha256(path) != entry.sha256:
            raise CorruptFile(f"{path} does not match its checksum in {MANIFEST}", _REMEDY)


def read_verified(folder: str | os.PathLike[str], name: str) -> bytes:
    """Return the bytes of one file of `folder`, the very bytes that were checked. Raises as `verify` does."""
    folder = Path(folder)
    entry = _read_manifest(folder).get(name)
    if entry is None:
        raise CorruptFile(f"{MANIFEST} of {folder} names no file {name}", _REMEDY)
    path = folder / name
    if not path.is_file():
        raise CorruptFile(f"{path} is missing, but {MANIFEST} names it", _REMEDY)
    with reporting(path, "read"):
        data = path.read_bytes()
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise CorruptFile(f"{path} does not match its checksum in {MANIFEST}", _REMEDY)
    return data


def newest_valid(
    folder: str | os.PathLike[str],
    pattern: str = "step-*",
    *,
    rejected: Callable[[Path, Sat2MapError], None] | None = None,
) -> Path | None:
    """Return the last subfolder, in the order of the numbers in its name, that passes `verify`, or None.

    Clocks go backwards, so times do not count. `rejected` is told of every newer one that was passed over, and why.
    """
    folder = Path(folder)
    candidates = sorted((p for p in folder.glob(pattern) if p.is_dir()), key=_in_number_order, reverse=True)
    for candidate in candidates:
        try:
            verify(candidate)
        except Sat2MapError as error:
            if rejected is not None:
                rejected(candidate, error)
        else:
            return candidate
    return None


def _in_number_order(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _read_manifest(folder: Path) -> dict[str, _Entry]:
    if not folder.is_dir():
        raise FileMissing(f"there is no folder {folder}", "Check the path.")
    path = folder / MANIFEST
    if not path.is_file():
        raise CorruptFile(f"{folder} holds no {MANIFEST}, so it is not complete", _REMEDY)
    with reporting(path, "read"):
        text = path.read_bytes()
    try:
        return {_checked_name(name): _entry(**fields) for name, fields in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{path} is damaged ({error})", _REMEDY) from error


def _checked_name(name: str) -> str:
    """Refuse names that lead out of the folder: manifests also come from strangers."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name or "\0" in name:
        raise ValueError(f"the name {name!r} leads out of the folder")
    return name


def _entry(*, size: object, sha256: object) -> _Entry:
    if not isinstance(size, int) or isinstance(size, bool) or not isinstance(sha256, str):
        raise ValueError("a size or a checksum has the wrong type")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is no SHA-256")
    return _Entry(size, sha256)
