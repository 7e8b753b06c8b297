"""The space for uploads and results: one private folder, a folder of random name for each upload, and a quota.

No name, path or type that a client sends has a part in any path here. Folders vanish when their job does, and the whole
space when the server ends.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from sat2map import storage
from sat2map.errors import Sat2MapError
from sat2map.serve.lane import Refused
from sat2map.serve.limits import ServeLimits
from sat2map.serve.names import UPLOAD

_PREFIX = "sat2map-serve-"


class TooLarge(Exception):
    """The body has more bytes than allowed."""


class Spool:
    """Folders for uploads. `used` counts the bytes of what has been received and of finished results."""

    def __init__(self, limits: ServeLimits) -> None:
        self._limits = limits
        _remove_orphans()
        self._space = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._folder = Path(self._space.name)  # readable by this user only
        self._lock = contextlib.ExitStack()
        with contextlib.suppress(ImportError):  # Windows has no such locks
            self._lock.enter_context(storage.locked(self._folder))
        self._sizes: dict[str, int] = {}
        self._receiving = 0
        self._private: set[str] = set()

    @property
    def used(self) -> int:
        """Bytes."""
        return sum(self._sizes.values())

    def folder(self, name: str) -> Path:
        """Return the folder of an upload; `name` is one that `receive` gave."""
        assert name in self._sizes
        return self._folder / name

    async def receive(self, body: AsyncIterator[bytes], announced: int | None) -> str:
        """Write a body to a new folder and return its name; nothing is left of it if this fails.

        Raises Refused, TooLarge as soon as the limit is passed, and what `body` raises when the client leaves.
        """
        limits = self._limits
        if (announced or 0) > limits.upload:
            raise TooLarge
        if self._receiving >= limits.uploads:
            raise Refused("uploads", 5)
        if self.used + (announced or 0) > limits.spool:
            raise Refused("spool", 60)
        name = secrets.token_urlsafe(16)
        self._receiving += 1
        self._sizes[name] = 0
        try:
            with tempfile.TemporaryFile(
                dir=self._folder
            ) as file:  # without a name: nothing to clean up after a kill
                async for chunk in body:
                    self._sizes[name] += len(chunk)
                    if self._sizes[name] > limits.upload:
                        raise TooLarge
                    if self.used > limits.spool:
                        raise Refused("spool", 60)
                    file.write(chunk)
                file.seek(0)
                await asyncio.to_thread(_name, file, self._folder / name / UPLOAD)
            return name
        except BaseException:
            self.drop(name)
            raise
        finally:
            self._receiving -= 1

    def reserve(self) -> str:
        """Make an empty folder for results and return its name. Raises Refused."""
        if self.used > self._limits.spool:
            raise Refused("spool", 60)
        name = secrets.token_urlsafe(16)
        self._sizes[name] = 0
        storage.make_folder(self._folder / name)
        return name

    def private(self, name: str) -> Path:
        """Return a folder of the server's own, which is in nobody's way and vanishes with the rest."""
        self._private.add(name)
        return self._folder / name

    def measure(self, name: str) -> None:
        """Count the files of a folder anew, after results came into it."""
        if name in self._sizes:
            with contextlib.suppress(OSError):
                self._sizes[name] = sum(
                    p.stat().st_size for p in (self._folder / name).rglob("*") if p.is_file()
                )

    def drop(self, name: str) -> None:
        """Remove a folder."""
        if name in self._sizes:
            shutil.rmtree(self._folder / name, ignore_errors=True)
            del self._sizes[name]

    def sweep(self) -> None:
        """Remove what the worker may have written for work that was cancelled meanwhile."""
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in {*self._sizes, *self._private}:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        self._space.cleanup()
        self._lock.close()
        self._sizes.clear()


def _remove_orphans() -> None:
    """Remove the spaces of servers that were killed: those of ours that nobody holds a lock on."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ImportError, Sat2MapError):
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with storage.locked(path):
                shutil.rmtree(path, ignore_errors=True)


def _name(file: BinaryIO, path: Path) -> None:
    """Give what was received a name, for the worker to open."""
    with storage.replacing(path, overwrite=False) as draft, draft.open("wb") as named:
        shutil.copyfileobj(file, named, 1 << 20)
