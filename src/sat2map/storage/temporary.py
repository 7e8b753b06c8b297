"""Names of unfinished work: beside the target, hidden, and saying which process they belong to.

`.map.tmp-5f1c2a90-4711-9be2c1d0-03a4f2.png` stands for `map.png`: host, process, session of that process, random.
The session tells a process from an earlier one with the same number, which is common in containers.
"""

import contextlib
import functools
import os
import platform
import re
import secrets
import shutil
import zlib
from pathlib import Path
from typing import Literal

_NAME = re.compile(
    r"\.(?P<stem>.*)\.(?P<kind>tmp|old)-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<session>[0-9a-f]{8})-[0-9a-f]{6}"
    r"(?P<suffix>\.[^.]*)?",
    re.DOTALL,
)
_STEM, _SUFFIX = 24, 16  # characters kept of the target's name: file systems allow 255 bytes in all


def beside(target: Path, kind: Literal["tmp", "old"] = "tmp") -> Path:
    """Return a fresh name in the folder of `target`, with its suffix kept (encoders look at it)."""
    stem = target.stem[:_STEM] if kind == "tmp" else target.name
    suffix = target.suffix if kind == "tmp" and len(target.suffix) <= _SUFFIX else ""
    pid = os.getpid()
    tag = f"{_host()}-{pid}-{_session(pid)}-{secrets.token_hex(3)}"
    return target.with_name(f".{stem}.{kind}-{tag}{suffix}")


def displaced(target: Path) -> list[Path]:
    """Return former versions of folder `target` that were moved aside and not removed, in the order of names."""
    if not target.parent.is_dir():
        return []
    found = []
    for path in target.parent.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and match["kind"] == "old" and match["stem"] == target.name:
            found.append(path)
    return sorted(found)


def displaced_name(path: Path) -> str | None:
    """Return the name that `path` had before it was moved aside, or None if it is no such thing."""
    match = _NAME.fullmatch(path.name)
    return match["stem"] if match and match["kind"] == "old" else None


def is_temporary(path: Path) -> bool:
    """Tell whether `path` has a name that only unfinished work has."""
    return _NAME.fullmatch(path.name) is not None


def is_leftover(path: Path, exclusive: bool) -> bool:
    """Tell whether `path` is unfinished work that nobody will finish.

    Only the process named in it can; of processes on other hosts nothing is known, so theirs are left alone,
    unless `exclusive` says that no process but this one works in the folder.
    """
    match = _NAME.fullmatch(path.name)
    if match is None or match["kind"] != "tmp":
        return False
    pid = int(match["pid"])
    here = match["host"] == _host()
    if here and pid == os.getpid():
        return match["session"] != _session(pid)
    return exclusive or (here and not _alive(pid))


def discard(path: Path) -> None:
    """Remove a file or a folder as far as possible; never fails, because something worse is being reported."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@functools.cache
def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


@functools.cache
def _session(pid: int) -> str:
    """Return a random word per process; `pid` is the key so that a forked child gets its own."""
    del pid
    return secrets.token_hex(4)
