"""Logs and journals: one line at a time; a line torn by a kill or a full disk is not a line."""

import os
from pathlib import Path

from sat2map.errors import FileMissing
from sat2map.storage.files import make_folder
from sat2map.storage.system import reporting, sync_folder, write_whole

_BLOCK = 4096  # bytes read backwards at a time when looking for the last line's end


def append_line(path: str | os.PathLike[str], text: str, *, sync: bool = False) -> None:
    """Append one line in one write; a torn line that an earlier kill left at the end is cut off first.

    One writer at a time (see `locked`). Survives a kill of the process; with `sync` also a power cut.
    Raises `StorageFailed`; the file then ends as before, as far as the disk still allows to cut it.
    """
    assert "\n" not in text, f"one line at a time: {text!r}"
    path = Path(path)
    make_folder(path.parent)
    with reporting(path, "append to"):
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _append(descriptor, text.encode() + b"\n", sync)
        finally:
            os.close(descriptor)
        if sync and is_new:
            sync_folder(path.parent)


def _append(descriptor: int, line: bytes, sync: bool) -> None:
    size = os.fstat(descriptor).st_size
    end = _end_of_last_line(descriptor, size)
    if end < size:
        os.ftruncate(descriptor, end)
    try:
        write_whole(descriptor, line)
        if sync:
            os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Return the offset behind the last line feed, 0 if there is none."""
    stop = size
    while stop > 0:
        start = max(0, stop - _BLOCK)
        os.lseek(descriptor, start, os.SEEK_SET)
        found = os.read(descriptor, stop - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        stop = start
    return 0


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the complete lines of a journal, without line feeds; a torn last line is left out.

    Raises `FileMissing` if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileMissing(f"there is no file {path}", "Check the path.")
    with reporting(path, "read"):
        data = path.read_bytes()
    return [line.decode(errors="replace") for line in data.split(b"\n")[:-1]]
