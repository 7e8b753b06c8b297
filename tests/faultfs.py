"""A file system that fails, kills or forgets at the N-th call: an in-process shim over the calls that storage makes.

`faulty(at=N, …)` counts the calls of `CALLS` and lets the N-th go wrong: an `OSError` once or for ever, or death,
after which no call has an effect any more (`Killed` is no `Exception`, so only a real handler of everything sees it).
Nothing is really forced to the disk, which makes thousands of runs cheap. `recorded()` notes the calls for
`powerloss.py`.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

CALLS = (
    *("open", "write", "fsync", "replace", "rename", "unlink", "remove"),
    *("mkdir", "rmdir", "ftruncate", "truncate", "link", "symlink"),
)
REAL = {name: getattr(os, name) for name in CALLS}


class Killed(BaseException):
    """The process is dead; tests catch this outside of it."""


@dataclass
class Faults:
    """Which call goes wrong and how; what was called so far."""

    at: int = 0  # the call that goes wrong, from 1; 0: none
    how: str = (
        "kill"  # or "torn" (a write is half done, then death), "signal" (a real SIGKILL), "once", "forever"
    )
    code: int = errno.ENOSPC
    count: int = 0
    happened: bool = False
    events: list[tuple[Any, ...]] = field(default_factory=list)
    folders: dict[int, Path] = field(default_factory=dict)  # of open descriptors

    def call(self, name: str, *args: Any, **keywords: Any) -> Any:
        """Do what `os.<name>` does, or what the fault says."""
        self.count += 1
        is_due = self.at and (self.count == self.at or (self.count > self.at and self.how != "once"))
        if is_due:
            self.happened = True
            self._go_wrong(name, args)
        result = None if name == "fsync" else REAL[name](*args, **keywords)
        self._note(name, args, keywords, result)
        return result

    def _go_wrong(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "write" and self.count == self.at and self.how != "kill":
            REAL["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
        if self.how == "signal":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how in ("kill", "torn"):
            raise Killed
        raise OSError(self.code, os.strerror(self.code))

    def _note(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> None:
        parent = self.folders.get(keywords.get("dir_fd") or -1, Path())
        if name == "open":
            self.folders[result] = parent / args[0]
            self.events.append(("open", parent / args[0], bool(args[1] & os.O_CREAT)))
        elif name == "write":
            self.events.append(("write", self.folders[args[0]], bytes(args[1])[:result]))
        elif name == "fsync":
            self.events.append(("fsync", self.folders[args[0]]))
        elif name == "ftruncate":
            self.events.append(("truncate", self.folders[args[0]], args[1]))
        elif name in ("replace", "rename"):
            self.events.append(("rename", Path(args[0]), Path(args[1])))
        elif name in ("unlink", "remove", "rmdir"):
            self.events.append(("remove", parent / args[0]))
        else:
            self.events.append((name, parent / args[0]))


@contextmanager
def faulty(at: int = 0, how: str = "kill", code: int = errno.ENOSPC) -> Iterator[Faults]:
    """Replace the calls of `os`; yields the counter."""
    faults = Faults(at, how, code)

    def shim(name: str) -> Any:
        return lambda *args, **keywords: faults.call(name, *args, **keywords)

    with mock.patch.multiple(os, **{name: shim(name) for name in CALLS}):
        yield faults


def put(path: Path, data: bytes) -> None:
    """Write a file as a library does, in two writes and without fsync, but through the shim."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            os.write(descriptor, part)
    finally:
        os.close(descriptor)
