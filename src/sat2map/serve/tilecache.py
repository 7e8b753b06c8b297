"""Finished tiles, in memory and on disk: what is read back is what was written, or nothing.

An entry on disk is a file named by a hash of what the tile depends on (scene, model, options, version, product, place),
with the SHA-256 of its content in front; one that does not match is removed and the tile made anew. Copies are kept as
long as there is room, those not used for longest go first, and losing one costs time only.
"""

import asyncio
import contextlib
import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from sat2map import storage
from sat2map.errors import StorageFailed
from sat2map.mercator import Tile
from sat2map.scenes.sources.kept import trim

_EMPTY = b"empty"  # on disk: it is known that nothing is there
_SUM = hashlib.sha256().digest_size
_OVERHEAD = 300  # bytes of memory per entry, about
_WAITING = 256  # entries that wait to be written; more are not kept on disk


@dataclass(frozen=True)
class Entry:
    """A finished tile: PNG bytes, None where nothing is; `etag` is a hash of the content, in quotes."""

    data: bytes | None
    etag: str


def entry_of(data: bytes | None) -> Entry:
    """Return a tile with its hash."""
    return Entry(data, f'"{hashlib.sha256(data or _EMPTY).hexdigest()[:32]}"')


class TileCache:
    """Entries by the digest of a layer (and a format) and tile."""

    def __init__(self, folder: Path | None, memory: int, disk: int) -> None:
        """Keep about `memory` bytes in memory, and `disk` bytes in `folder` (None: nothing on disk)."""
        self._folder, self._memory, self._disk = folder, memory, disk
        self._entries: OrderedDict[tuple[str, Tile], Entry] = OrderedDict()
        self._used = 0
        self._queue: asyncio.Queue[tuple[Path, bytes]] = asyncio.Queue(_WAITING)
        self._written = 0
        self._writer: asyncio.Task[None] | None = None
        self.hits = self.disk_hits = self.misses = self.damaged = 0

    def start(self) -> None:
        """Begin to write."""
        if self._folder:
            self._writer = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._writer:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._queue.join()
            self._writer.cancel()

    def recent(self, digest: str, tile: Tile) -> Entry | None:
        """Return what is in memory."""
        entry = self._entries.get((digest, tile))
        if entry:
            self._entries.move_to_end((digest, tile))
            self.hits += 1
        return entry

    async def find(self, digest: str, tile: Tile) -> Entry | None:
        """Return what is in memory or on disk."""
        entry = self.recent(digest, tile)
        if entry or self._folder is None:
            self.misses += entry is None
            return entry
        entry = await asyncio.to_thread(self._read, self._path(digest, tile))
        if entry is None:
            self.misses += 1
            return None
        self.disk_hits += 1
        self._remember(digest, tile, entry)
        return entry

    def keep(self, digest: str, tile: Tile, data: bytes | None) -> Entry:
        """Keep a finished tile and return it with its hash."""
        entry = entry_of(data)
        self._remember(digest, tile, entry)
        if self._writer:
            content = data or _EMPTY
            with contextlib.suppress(asyncio.QueueFull):
                self._queue.put_nowait((self._path(digest, tile), hashlib.sha256(content).digest() + content))
        return entry

    def _remember(self, digest: str, tile: Tile, entry: Entry) -> None:
        key = digest, tile
        if key in self._entries:
            self._used -= _size(self._entries.pop(key))
        self._entries[key] = entry
        self._used += _size(entry)
        while self._used > self._memory:
            _, oldest = self._entries.popitem(last=False)
            self._used -= _size(oldest)

    def _path(self, digest: str, tile: Tile) -> Path:
        assert self._folder
        name = hashlib.sha256(f"{digest}/{tile.z}/{tile.x}/{tile.y}".encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.tile"

    def _read(self, path: Path) -> Entry | None:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        total, data = content[:_SUM], content[_SUM:]
        if hashlib.sha256(data).digest() != total:
            self.damaged += 1
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used just now
        return entry_of(None if data == _EMPTY else data)

    async def _write(self) -> None:
        while True:
            path, content = await self._queue.get()
            try:
                await asyncio.to_thread(self._put, path, content)
            finally:
                self._queue.task_done()

    def _put(self, path: Path, content: bytes) -> None:
        assert self._folder
        with contextlib.suppress(StorageFailed):  # a full disk is no reason to fail: nobody needs this copy
            if self._written == 0 or self._written > self._disk // 16:
                trim(self._folder, self._disk)
                self._written = 0
            storage.write_bytes(path, content)
            self._written += len(content)


def _size(entry: Entry) -> int:
    return len(entry.data or b"") + _OVERHEAD
