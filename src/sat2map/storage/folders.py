"""Whole folders that appear at once or not at all, and the clearing away of what killed processes left."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2map.errors import StorageFailed
from sat2map.storage.files import concerns, make_folder, refuse_existing
from sat2map.storage.manifest import write_manifest
from sat2map.storage.system import reporting, storage_failed, sync_folder
from sat2map.storage.temporary import beside, discard, displaced, displaced_name, is_leftover


@contextmanager
def committing_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; on a clean exit it becomes `path`, complete, with its manifest, durably.

    Whatever happens, `path` is then the old version or the new one. Replacing a folder takes two renames; a kill
    exactly between them leaves the old version under another name, and whoever looks next (`restore`, `sweep`,
    `committing_folder`) puts it back.

    Raises `OutputExists` before any work, unless `overwrite`; `StorageFailed` when the operating system refuses.
    """
    path = Path(path)
    restore(path)
    refuse_existing(path, overwrite=overwrite)
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise StorageFailed(
            f"cannot write the folder {path}: there is a file of that name", "Choose another name."
        )
    make_folder(target.parent)
    temporary = beside(target)
    try:
        temporary.mkdir()
        yield temporary
        write_manifest(temporary)
        _put_in_place(temporary, target, overwrite)
    except OSError as error:
        discard(temporary)
        if concerns(error, temporary):
            raise storage_failed(error, path) from error
        raise
    except BaseException:
        discard(temporary)
        raise


def _put_in_place(temporary: Path, target: Path, overwrite: bool) -> None:
    with reporting(target), _renaming_in(target.parent):
        refuse_existing(target, overwrite=overwrite)  # somebody else may have been faster
        aside = beside(target, "old")
        if target.exists():
            target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            if aside.exists():
                aside.rename(target)
            raise
        sync_folder(target.parent)
        _clear_aside(target)


def restore(path: str | os.PathLike[str]) -> bool:
    """Put the former version of folder `path` back if a kill left it moved aside; tell whether it did."""
    target = Path(os.path.realpath(path))
    with reporting(target, "restore"):
        if not displaced(target):
            return False
    with reporting(target, "restore"), _renaming_in(target.parent):
        former = displaced(target)
        if target.exists() or not former:
            _clear_aside(target)
            return False
        former[0].rename(target)  # there is never more than one: `_clear_aside` comes before the next
        sync_folder(target.parent)
        return True


def _clear_aside(target: Path) -> None:
    """Remove former versions; renamed first, so that a half-removed one can never be taken for a version."""
    for former in displaced(target):
        garbage = beside(target)
        try:
            former.rename(garbage)
        except OSError:
            continue  # the new version is in place; whoever comes next tries again
        discard(garbage)


def sweep(folder: str | os.PathLike[str], *, exclusive: bool = False) -> list[Path]:
    """Remove unfinished files and folders of dead processes from `folder` (not below); return what was found.

    Folders that a kill left moved aside go back to their names. `exclusive`: the caller holds the folder
    (`locked`), so what processes on other hosts left is dead too.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        former = displaced_name(path)
        if former is not None:
            restore(folder / former)
            found.append(path)
        elif is_leftover(path, exclusive):
            discard(path)
            found.append(path)
    return found


@contextmanager
def _renaming_in(folder: Path) -> Iterator[None]:
    """Keep others from taking the moment between two renames in `folder` for the traces of a kill."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems do not lock folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
