"""The durable operations under test: what was there before, what is done, and what may be found after a fault."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faultfs import put
from sat2map.storage import (
    append_line,
    committing_folder,
    read_lines,
    read_verified,
    replacing,
    restore,
    sweep,
    temporary,
    verify,
    write_bytes,
)

OLD, NEW = b"old" * 1000, b"new!" * 1000
SECOND = "second " * 100


class Scenario(NamedTuple):
    """`found` returns "old" or "new", or fails: half a version, or none."""

    before: Callable[[Path], None]
    act: Callable[[Path], None]
    found: Callable[[Path], str]


def _nothing(root: Path) -> None:
    pass


def _old_file(root: Path) -> None:
    write_bytes(root / "file.bin", OLD)


def _write(root: Path) -> None:
    write_bytes(root / "file.bin", NEW)


def _through_library(root: Path) -> None:
    with replacing(root / "file.bin", overwrite=True) as path:
        put(path, NEW)


def _naive_write(root: Path) -> None:
    put(root / "file.bin", NEW)


def _file_found(root: Path) -> str:
    content = (root / "file.bin").read_bytes()
    assert content in (OLD, NEW), f"half a file: {len(content)} bytes"
    return "old" if content == OLD else "new"


def _new_file_found(root: Path) -> str:
    return _file_found(root) if (root / "file.bin").exists() else "old"


def _fill(root: Path, content: bytes) -> None:
    with committing_folder(root / "runs" / "step-000001", overwrite=True) as folder:
        put(folder / "weights.bin", content)
        (folder / "parts").mkdir()
        put(folder / "parts" / "state.bin", content[::-1])


def _old_folder(root: Path) -> None:
    _fill(root, OLD)


def _new_folder(root: Path) -> None:
    _fill(root, NEW)


def _folder_found(root: Path) -> str:
    folder = root / "runs" / "step-000001"
    restore(folder)
    verify(folder)
    first, second = read_verified(folder, "weights.bin"), read_verified(folder, "parts/state.bin")
    assert first in (OLD, NEW) and second == first[::-1], "a mixture of two versions"
    return "old" if first == OLD else "new"


def _first_folder_found(root: Path) -> str:
    return _folder_found(root) if (root / "runs" / "step-000001").exists() else "old"


def _old_journal(root: Path) -> None:
    append_line(root / "journal", "first", sync=True)


def _append(root: Path) -> None:
    append_line(root / "journal", SECOND, sync=True)


def _journal_found(root: Path) -> str:
    first, *rest = read_lines(root / "journal")
    # Twice, if it was written, could not be forced to the disk or cut off, and was appended again.
    assert first == "first" and rest in ([], [SECOND], [SECOND] * 2), f"a torn line is read: {rest}"
    return "new" if rest else "old"


SCENARIOS = {
    "file replaced": Scenario(_old_file, _write, _file_found),
    "first file": Scenario(_nothing, _write, _new_file_found),
    "file by a library": Scenario(_old_file, _through_library, _file_found),
    "folder replaced": Scenario(_old_folder, _new_folder, _folder_found),
    "first folder": Scenario(_nothing, _new_folder, _first_folder_found),
    "journal": Scenario(_old_journal, _append, _journal_found),
}
NAIVE = Scenario(_old_file, _naive_write, _file_found)


def next_process() -> None:
    """Let this process pass for a later one with the same number."""
    temporary._session.cache_clear()


def leftovers(root: Path) -> list[Path]:
    """Unfinished work that is still there after everybody who may have swept has swept."""
    for folder in (root, root / "runs"):
        sweep(folder)
    with contextlib.suppress(FileNotFoundError):
        return [path for path in root.rglob("*") if temporary.is_temporary(path)]
    return []
