"""Unpacks an archive from a stranger: regular files with expected suffixes, inside one fresh folder, within limits.

Only what a paired set needs of the tar format is understood (POSIX ustar, long names of GNU and pax), so that no
feature of it can surprise: a link, a device, an absolute path, `..`, two names that are one on some file system, or
an archive that unpacks to far more than it weighs refuses the whole archive, and nothing of it appears.
"""

import os
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, NoReturn, Protocol

from sat2map import storage
from sat2map.data.pairs import SUFFIXES
from sat2map.errors import UnsafeArchive

BLOCK = 512  # bytes; all of tar is a multiple of it
PADDING = 1 << 20  # bytes of zeros at the end, more than any tar writes
_WINDOWS_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


class Stream(Protocol):
    """Bytes that are read once, from the front; `data.pieces.Chain` is one."""

    size: int

    def read(self, amount: int, /) -> bytes:
        """Return at most `amount` bytes, none at the end."""

    def close(self) -> None:
        """End reading."""


@dataclass(frozen=True)
class Caps:
    """What an archive may unpack to."""

    entries: int = 100_000
    total: int = 4 << 30  # bytes of all files
    file: int = 256 << 20  # bytes of one file
    ratio: float = 20.0  # unpacked bytes for each packed byte; pictures hardly shrink
    allowance: int = 16 << 20  # unpacked bytes before the ratio counts
    name: int = 1024  # bytes of one path
    suffixes: frozenset[str] = SUFFIXES


class Member(NamedTuple):
    """One entry of an archive."""

    name: str
    kind: str  # the type flag of tar: "0" regular, "5" folder, others are refused
    size: int


class _Tape:
    """The unpacked bytes of an archive, counted and held against the caps."""

    def __init__(self, stream: Stream, caps: Caps) -> None:
        self._stream = stream
        self._caps = caps
        self._ready = bytearray()
        self._packed = b""
        self._gzip: zlib._Decompress | None = None
        self._first = True
        self.count = 0

    def _more(self) -> bool:
        """Unpack a little more; False at the end."""
        if not self._packed:
            self._packed = self._stream.read(1 << 16)
            if self._first:
                self._first = False
                if self._packed[:2] == b"\x1f\x8b":
                    self._gzip = zlib.decompressobj(wbits=31)
            if not self._packed:
                if self._gzip is not None and not self._gzip.eof:
                    refuse("it is truncated")
                return False
        if self._gzip is None:
            fresh, self._packed = self._packed, b""
        else:
            if self._gzip.eof:  # gzip allows several parts, one behind the other
                self._gzip = zlib.decompressobj(wbits=31)
            try:
                fresh = self._gzip.decompress(self._packed, 1 << 18)
            except zlib.error as fault:
                refuse(f"it is damaged ({fault})")
            self._packed = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail
        self.count += len(fresh)
        if self.count > self._caps.allowance + self._caps.ratio * self._stream.size:
            refuse(f"it unpacks to more than {self._caps.ratio:g} times its size")
        if self.count > self._caps.total + self._caps.entries * 2 * BLOCK + PADDING:
            refuse(f"it unpacks to more than {self._caps.total} bytes")
        self._ready += fresh
        return True

    def take(self, amount: int) -> bytes:
        """Return exactly `amount` bytes; refuses an archive that ends before."""
        while len(self._ready) < amount:
            if not self._more():
                refuse("it is truncated")
        data = bytes(self._ready[:amount])
        del self._ready[:amount]
        return data

    def copy(self, amount: int) -> Iterator[bytes]:
        """Yield `amount` bytes in portions, then skip to the end of the block."""
        left = amount
        while left:
            part = self.take(min(left, 1 << 16))
            left -= len(part)
            yield part
        self.take(-amount % BLOCK)

    def finish(self) -> None:
        """Read what is behind the end mark: checks gzip's checksum and that there is no hidden bulk."""
        self._ready.clear()
        while self._more():
            self._ready.clear()


def refuse(why: str) -> NoReturn:
    """Raise UnsafeArchive."""
    raise UnsafeArchive(
        f"the archive is refused: {why}", "Get it again from its source; nothing was unpacked"
    )


def _number(field: bytes) -> int:
    """Read an octal field; base-256 numbers, which only files over 8 GiB need, are refused."""
    text = field.strip(b"\0 ")
    if not re.fullmatch(rb"[0-7]*", text):
        refuse(f"a number in it reads {field!r}")
    return int(text or b"0", 8)


def _text(field: bytes) -> str:
    try:
        return field.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError:
        refuse(f"a name in it is no UTF-8: {field[:80]!r}")


def _pax_path(data: bytes) -> str:
    """Return the path that a pax header gives, or ''; a size there would contradict the plain header."""
    path = ""
    while data:
        length = data.partition(b" ")[0]
        if not length.isdigit() or len(length) > 5 or not len(length) + 1 < int(length) <= len(data):
            refuse("one of its extended headers is malformed")
        key, _, value = data[len(length) + 1 : int(length)].rstrip(b"\n").partition(b"=")
        if key in (b"size", b"linkpath") or key.startswith(b"GNU.sparse"):
            refuse(f"one of its extended headers sets {key.decode(errors='replace')}")
        if key == b"path":
            path = _text(value)
        data = data[int(length) :]
    return path


def members(tape: _Tape, caps: Caps) -> Iterator[Member]:
    """Yield the entries; the caller takes each one's bytes off the tape before asking for the next."""
    long_name = ""
    for _ in range(2 * caps.entries):
        header = tape.take(BLOCK)
        if header == bytes(BLOCK):
            tape.finish()
            return
        if sum(header) - sum(header[148:156]) + 8 * 32 != _number(header[148:156]):
            refuse("a header in it has a wrong checksum")
        kind, size = header[156:157].decode("latin-1"), _number(header[124:136])
        if kind in "Lxg":
            if size > 8 * caps.name:
                refuse(f"one of its extended headers measures {size} bytes")
            data = b"".join(tape.copy(size))
            long_name = _text(data) if kind == "L" else (_pax_path(data) or long_name)
            continue
        name = _text(header[:100])
        if header[257:262] == b"ustar" and header[262:265] != b" \0" and header[345] and not long_name:
            name = _text(header[345:500]) + "/" + name
        yield Member(long_name or name, "0" if kind == "\0" else kind, size)
        long_name = ""
    refuse(f"it has more than {caps.entries} entries")


def safe_path(name: str, strip: int, caps: Caps) -> PurePosixPath | None:
    """Turn a member's name into a path below the target, without its first `strip` parts; None when nothing is left.

    Refuses every name that could mean another place, here or on another operating system.
    """
    if not name or len(name.encode()) > caps.name:
        refuse(f"it holds a name of {len(name)} characters")
    if name.startswith("/") or "\\" in name or ":" in name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        refuse(f"it holds the name {name[:200]!r}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for part in parts:
        if part == ".." or _WINDOWS_NAMES.match(part) or part[-1] in ". " or len(part.encode()) > 255:
            refuse(f"it holds the name {name[:200]!r}")
    return PurePosixPath(*parts[strip:]) if len(parts) > strip else None


class _Taken:
    """Paths that are in use, as a file system would compare them that ignores case and composes accents."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._spelt: dict[str, str] = {}

    def claim(self, path: PurePosixPath) -> None:
        """Note a file and its folders; refuses a path that collides with an earlier one."""
        for folder in [p for p in path.parents if p != PurePosixPath(".")]:
            key = self._key(folder)
            if key in self._files or self._spelt.setdefault(key, str(folder)) != str(folder):
                refuse(f"{folder} collides with another name in it")
            self._folders.add(key)
        key = self._key(path)
        if key in self._files or key in self._folders:
            refuse(f"{path} collides with another name in it")
        self._files.add(key)

    @staticmethod
    def _key(path: PurePosixPath) -> str:
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def unpack(
    stream: Stream,
    target: Path,
    *,
    strip: int = 0,
    caps: Caps | None = None,
    finish: Callable[[Path], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """Unpack a tar or tar.gz into the new folder `target`, all or nothing; return the names that were left out.

    Left out are regular files whose suffix is not expected. `strip` removes leading folders of every name. `finish`
    may check and complete the folder before it gets its name; an error there leaves nothing behind. Raises
    UnsafeArchive, OutputExists and StorageFailed.
    """
    caps = caps or Caps()
    taken, left_out, total = _Taken(), [], 0
    with closing(stream), storage.committing_folder(target) as folder:
        tape = _Tape(stream, caps)
        for number, member in enumerate(members(tape, caps), 1):
            if number > caps.entries:
                refuse(f"it has more than {caps.entries} entries")
            if member.kind not in "05":
                refuse(f"{member.name[:200]!r} is no regular file but of the kind {member.kind!r}")
            path = safe_path(member.name, strip, caps)
            total += member.size
            if member.size > caps.file or total > caps.total or (member.kind == "5" and member.size):
                refuse(f"{member.name[:200]!r} announces {member.size} bytes")
            if member.kind == "5":
                continue  # folders are made for the files in them
            if path is None or path.suffix.lower() not in caps.suffixes or path.name.startswith("."):
                left_out.append(member.name)
                for _ in tape.copy(member.size):
                    pass
                continue
            taken.claim(path)
            _write(folder, path, tape.copy(member.size))
            if progress:
                progress(stream.size)
        if finish:
            finish(folder)
    return left_out


def _write(folder: Path, path: PurePosixPath, content: Iterator[bytes]) -> None:
    """Write a new file; an existing one or a link in its place is an error of the operating system."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(folder / path, flags, 0o644), "wb") as file:
        for part in content:
            file.write(part)
