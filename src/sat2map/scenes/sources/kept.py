"""Tiles as they came, kept on disk for those who come back: threads and processes may share a folder.

An entry is a file with the SHA-256 of what follows in front; one that does not match is none. Entries appear whole. The
oldest go when there is no room, and losing one costs a request.
"""

import contextlib
import hashlib
import threading
from pathlib import Path

from sat2map import storage
from sat2map.scenes.sources.matrix import Place

_ABSENT = b"absent"  # it is known that the source has no such tile
_SUM = hashlib.sha256().digest_size


class KeptTiles:
    """Tiles of one level of one source."""

    def __init__(self, folder: Path, size: int) -> None:
        """Keep about `size` bytes at most in `folder`, which need not exist."""
        self._folder, self._size = folder, size
        self._lock, self._written = threading.Lock(), 0

    def find(self, place: Place) -> tuple[bytes | None] | None:
        """Return (tile,), where a tile that does not exist is None; None if nothing is known."""
        try:
            content = self._path(place).read_bytes()
        except OSError:
            return None
        total, data = content[:_SUM], content[_SUM:]
        if hashlib.sha256(data).digest() != total:
            return None
        return (None if data == _ABSENT else data,)

    def keep(self, place: Place, data: bytes | None) -> None:
        """Keep a tile; None if the source has none there. Raises StorageFailed."""
        content = _ABSENT if data is None else data
        storage.write_bytes(self._path(place), hashlib.sha256(content).digest() + content)
        with self._lock:
            self._written += len(content)
            if self._written > self._size // 16:
                self._written = 0
                trim(self._folder, self._size)

    def _path(self, place: Place) -> Path:
        return self._folder / f"{place.row % 256:02x}" / f"{place.row}-{place.col}.tile"


def trim(folder: Path, size: int) -> None:
    """Remove the oldest tiles in the folders in `folder` until the rest leaves room for a sixteenth of `size` bytes."""
    found = []
    for path in folder.glob("*/*.tile"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = sum(taken for _, taken, _ in found)
    for _, taken, path in sorted(found):
        if total <= size - size // 16:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            total -= taken
