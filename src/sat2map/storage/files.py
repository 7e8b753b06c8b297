"""Single files: written beside the target, forced to the disk, then renamed over it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2map.errors import OutputExists, StorageFailed
from sat2map.storage.system import reporting, storage_failed, sync_file, sync_folder, write_whole
from sat2map.storage.temporary import beside, discard


def refuse_existing(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raise `OutputExists` if something is there and `overwrite` is false. Call it before long work."""
    if not overwrite and (Path(path).exists() or Path(path).is_symlink()):
        raise OutputExists(f"{path} already exists", "Give another name, or --overwrite to replace it.")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make folder `path` and its missing parents, durably; one that exists is fine. Raises `StorageFailed`."""
    path = Path(path)
    missing = []
    step = path
    while not step.is_dir():
        missing.append(step)
        if step.parent == step:
            break
        step = step.parent
    with reporting(path, "make the folder"):
        for step in reversed(missing):
            step.mkdir(exist_ok=True)
            sync_folder(step.parent)
    return path


@contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """Yield a name for any library to write to; on a clean exit that file becomes `path`, durably and at once.

    The name is in the same folder (made if missing) and has the same suffix. On an error or a kill the former
    `path` is untouched. A symbolic link is written through, not replaced.

    Raises `OutputExists` before any work, unless `overwrite`; `StorageFailed` when the operating system refuses,
    also inside the block. If only the last directory fsync failed, the new version is already in place.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise StorageFailed(f"cannot write {path}: it is a folder", "Choose another name.")
    make_folder(target.parent)
    temporary = beside(target)
    try:
        yield temporary
        sync_file(temporary)
        refuse_existing(path, overwrite=overwrite)  # somebody else may have been faster
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        discard(temporary)
        if concerns(error, temporary):
            raise storage_failed(error, path) from error
        raise
    except BaseException:
        discard(temporary)
        raise


def concerns(error: OSError, temporary: Path) -> bool:
    """Tell a refusal to write `temporary` from other errors in the same block (an input file that is missing)."""
    if error.errno is None:
        return False
    return error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(temporary)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Write a whole file: afterwards `path` holds `data`; on any failure what it held before.

    Raises `OutputExists`, `StorageFailed`.
    """
    with replacing(path, overwrite=overwrite) as temporary:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
        try:
            write_whole(descriptor, data)
        finally:
            os.close(descriptor)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = True) -> None:
    """Write `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode(), overwrite=overwrite)


def write_json(path: str | os.PathLike[str], obj: object, *, overwrite: bool = True) -> None:
    """Write `obj` as indented JSON, as `write_bytes` does. NaN and infinity are not JSON: `ValueError`."""
    write_text(
        path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n", overwrite=overwrite
    )
