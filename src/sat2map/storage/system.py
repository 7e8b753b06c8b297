"""The operating-system calls that durability rests on, and their failures as `StorageFailed`."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2map.errors import StorageFailed

_REMEDIES = {
    errno.ENOSPC: "Free some space on that disk or choose another folder, then run the command again.",
    errno.EDQUOT: "Your quota on that disk is used up: free some space or choose another folder.",
    errno.EFBIG: "The file system or a limit of this session (ulimit -f) does not allow files this large.",
    errno.EROFS: "That disk is mounted read-only: choose another folder.",
    errno.EACCES: "You may not write there: choose another folder or change its permissions.",
    errno.EPERM: "You may not write there: choose another folder or change its permissions.",
    errno.EIO: "The disk reports a hardware or network error: check it (dmesg), and write to another one meanwhile.",
    errno.EMFILE: "Too many files are open: close some or raise the limit (ulimit -n).",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOTDIR: "A part of that path is a file, not a folder: choose another path.",
    errno.EISDIR: "There is a folder of that name: choose another name.",
}
_REMEDY = "Check the folder and its disk, then run the command again."


def storage_failed(error: OSError, path: Path, doing: str = "write") -> StorageFailed:
    """Turn a refusal of the operating system into an error with a remedy. `doing` is the verb of the message."""
    cause = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, _REMEDY)
    return StorageFailed(f"cannot {doing} {path}: {cause}", remedy)


@contextmanager
def reporting(path: Path, doing: str = "write") -> Iterator[None]:
    """Raise `StorageFailed`, naming `path`, instead of any `OSError` inside."""
    try:
        yield
    except OSError as error:
        raise storage_failed(error, path, doing) from error


def write_whole(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; `os.write` may take less than it is given (and then a full disk shows on the next)."""
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(descriptor, rest) :]


def sync_file(path: Path) -> None:
    """Wait until the content of `path` is on the disk.

    After a failure the kernel may have dropped the unwritten pages and call the next fsync a success (Rebello et
    al., "Can applications recover from fsync failures?", ATC 2020): never call it again on the same file, write
    a new one.
    """
    _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Wait until the names in folder `path` (new, renamed, removed) are on the disk."""
    if os.name == "nt":  # folders cannot be opened there; NTFS journals its names
        return
    try:
        _sync(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: this file system does not synchronise folders (some FUSE)
            raise


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
