"""A large file on its way here, kept in pieces: each piece is complete under its name, whatever kills the process.

The pieces lie in one folder, named after the offset of their first byte, with `download.json` saying where they come
from. They are read as one stream and never joined: what is unpacked needs no second copy.
"""

import contextlib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from sat2map import storage

STATE = "download.json"
_NAME = re.compile(r"(\d{15})\.piece")


class Origin(msgspec.Struct, frozen=True):
    """Where the pieces come from. Pieces of different origins are never mixed."""

    url: str
    validator: str = ""  # strong ETag, or Last-Modified, of the server's version; empty when it names none
    total: int = -1  # bytes, -1 when unknown


class Pieces:
    """The pieces that are there, in order and without gaps."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder, which need not exist; pieces behind a gap are not seen."""
        self.folder = folder
        self.paths: list[Path] = []
        self.size = 0
        found = sorted(folder.glob("*.piece")) if folder.is_dir() else []
        for path in found:
            name = _NAME.fullmatch(path.name)
            if name is not None and int(name[1]) == self.size:
                self.paths.append(path)
                self.size += path.stat().st_size

    def origin(self) -> Origin | None:
        """Where the pieces come from, or None when that is not known."""
        try:
            return msgspec.json.decode((self.folder / STATE).read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError):
            return None

    def restart(self, origin: Origin) -> None:
        """Remove all pieces and note a new origin."""
        for path in self.folder.glob("*.piece") if self.folder.is_dir() else ():
            path.unlink()
        self.paths, self.size = [], 0
        storage.make_folder(self.folder)
        storage.write_bytes(self.folder / STATE, msgspec.json.encode(origin))

    def complete(self) -> None:
        """Note that these are all bytes, when the server had not said how many there are."""
        origin = self.origin()
        if origin is not None and origin.total != self.size:
            storage.write_bytes(
                self.folder / STATE, msgspec.json.encode(Origin(origin.url, origin.validator, self.size))
            )

    def append(self, data: bytes | bytearray) -> None:
        """Make more bytes durable."""
        path = self.folder / f"{self.size:015d}.piece"
        storage.write_bytes(path, bytes(data))
        self.paths.append(path)
        self.size += len(data)

    def remove(self) -> None:
        """Remove the pieces and, if nothing else is in it, the folder."""
        for path in (*self.paths, self.folder / STATE, self.folder / ".lock"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


class Chain:
    """Files read one behind the other as one stream, with the checksum of what was read so far."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.size = 0  # bytes read so far

    def read(self, amount: int) -> bytes:
        """Return at most `amount` bytes, none at the end of the last file."""
        while self._file is not None or self._paths:
            if self._file is None:
                self._file = self._paths.pop(0).open("rb")
            data = self._file.read(amount)
            if data:
                self._digest.update(data)
                self.size += len(data)
                return data
            self.close()
        return b""

    def drain(self) -> str:
        """Read to the end and return the SHA-256 of everything, in hexadecimal."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file in hand."""
        if self._file is not None:
            self._file.close()
            self._file = None
