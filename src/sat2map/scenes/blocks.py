"""What a scene job has computed so far, safe from kills: a folder with one file per block and a journal.

GDAL cannot keep a half-written GeoTIFF sound, so blocks wait in files of their own, each of them durable before the
journal names it with its checksum. The raster is put together when all blocks are there.
"""

import contextlib
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map import storage
from sat2map.errors import CorruptFile, NothingToResume, OutputExists
from sat2map.grid import Window
from sat2map.storage.lock import LOCK

UInt8 = npt.NDArray[np.uint8]

JOB, JOURNAL = "job.json", "journal.jsonl"
_LEVEL = 1  # of zlib: maps are flat and shrink well at any level


class BlockStore:
    """A sink that keeps blocks on disk, used `at_work`: while this process holds the folder."""

    def __init__(self, folder: Path, products: tuple[str, ...]) -> None:
        """`products` are those of each block, colour with three samples per pixel."""
        self.folder, self._products = folder, products
        self._done: dict[Window, str] = {}  # window -> SHA-256 of its file

    @property
    def windows(self) -> list[Window]:
        """The blocks that are done, row by row."""
        return sorted(self._done)

    @contextlib.contextmanager
    def at_work(self, key: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Hold the folder, sweep up beside it what was killed, and `begin`. Raises what that does, and RunLocked."""
        with storage.locked(self.folder):
            storage.sweep(self.folder.parent)
            self.begin(key, resume=resume, overwrite=overwrite)
            try:
                yield
            finally:
                self.remove_if_empty()

    def begin(self, key: Mapping[str, Any], *, resume: bool, overwrite: bool = False) -> None:
        """Go on with the job that was begun here, or begin anew.

        `key` (JSON values) says all that the pixels depend on. Raises NothingToResume if another job was begun here
        and `resume` is set; OutputExists if blocks are there that neither `resume` nor `overwrite` disposes of.
        """
        found = self._key()
        if resume and found is not None:
            self._compare(found, key)
            self._replay()
            return
        kept = len(self._entries())
        if kept and not overwrite:
            raise OutputExists(
                f"{self.folder} holds {kept} blocks of an unfinished job",
                "Give the command as it was with --resume to go on, or with --overwrite to begin anew",
            )
        self.discard()
        storage.write_json(self.folder / JOB, dict(key))

    def discard(self) -> None:
        """Remove what is in the folder, but for its lock."""
        self._done.clear()
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name != JOB):  # the job first
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Remove the folder if there is nothing in it to go on with."""
        if not self._done:
            self.remove()

    def remove(self) -> None:
        """Remove the folder: the job is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def holds(self, window: Window) -> bool:
        """Tell whether a block of just this window is done."""
        return window in self._done

    def write(self, window: Window, products: Mapping[str, UInt8]) -> None:
        """Keep a block. Raises StorageFailed."""
        planes = [np.ascontiguousarray(products[name]).tobytes() for name in self._products]
        data = zlib.compress(b"".join(planes), _LEVEL)
        storage.write_bytes(self._path(window), data)
        checksum = hashlib.sha256(data).hexdigest()
        storage.append_line(self.folder / JOURNAL, json.dumps({"block": list(window), "sha256": checksum}))
        self._done[window] = checksum

    def read(self, window: Window) -> dict[str, UInt8]:
        """Return the products of a block. Raises CorruptFile if it is not as it was written."""
        path = self._path(window)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self._done[window]:
            raise CorruptFile(f"{path} changed since it was written", "Run the command again with --resume")
        values = np.frombuffer(zlib.decompress(data), np.uint8)
        shapes = [(window.height, window.width, *((3,) if p == "colour" else ())) for p in self._products]
        stops = np.cumsum([int(np.prod(shape)) for shape in shapes])
        parts = np.split(values, stops[:-1])
        return {p: part.reshape(s) for p, part, s in zip(self._products, parts, shapes, strict=True)}

    def _path(self, window: Window) -> Path:
        return self.folder / f"block-{window.row}-{window.col}.z"

    def _key(self) -> dict[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / JOB).read_bytes())
            return found if isinstance(found, dict) else None
        return None

    def _compare(self, found: Mapping[str, Any], key: Mapping[str, Any]) -> None:
        key = json.loads(json.dumps(key))
        other = sorted(name for name in {*found, *key} if found.get(name) != key.get(name))
        if other:
            changes = ", ".join(f"{name} was {found.get(name)!r}, is {key.get(name)!r}" for name in other)
            raise NothingToResume(
                f"the unfinished job in {self.folder} was another one: {changes}",
                "Give the command as it was, or leave out --resume to begin anew",
            )

    def _replay(self) -> None:
        """Take the blocks that the journal names and whose files are sound; the others are computed again."""
        for entry in self._entries():
            window = Window(*entry["block"])
            with contextlib.suppress(OSError):
                if hashlib.sha256(self._path(window).read_bytes()).hexdigest() == entry["sha256"]:
                    self._done[window] = entry["sha256"]

    def _entries(self) -> list[dict[str, Any]]:
        journal = self.folder / JOURNAL
        lines = storage.read_lines(journal) if journal.is_file() else []
        return [json.loads(line) for line in lines]
