"""One process per run folder."""

import contextlib
import functools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2map.errors import RunLocked
from sat2map.storage.files import make_folder
from sat2map.storage.system import reporting, write_whole

LOCK = ".lock"

_held: set[int] = set()


@contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `folder` (made if missing) for this process; `RunLocked`, naming the holder, if another one does.

    The kernel owns the lock (flock), so it ends with its holder, however that ends; the file `.lock` itself stays
    and means nothing. Forked children do not inherit it: loader workers that outlive a killed trainer must not
    keep the folder.
    """
    import fcntl  # not on Windows, where the modules that need no lock must still import

    folder = make_folder(folder)
    _drop_in_children()
    with reporting(folder / LOCK, "lock"):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with reporting(folder / LOCK, "lock"):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _refusal(folder, descriptor) from None
            os.ftruncate(descriptor, 0)
            write_whole(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
        _held.add(descriptor)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _refusal(folder: Path, descriptor: int) -> RunLocked:
    holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
    return RunLocked(
        f"{holder} is working in {folder}", "Wait until it ends, stop it, or use another folder."
    )


@functools.cache
def _drop_in_children() -> None:
    """Close inherited locks in every forked child: closing drops the child's share, the parent keeps the lock."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_close_inherited)


def _close_inherited() -> None:
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()
