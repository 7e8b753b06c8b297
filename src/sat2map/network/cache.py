"""Answers kept on disk, so that nobody is asked twice for what has not changed: a private cache by RFC 9111.

Each entry is one file, a line of JSON and the body, with the SHA-256 of the body; an entry that does not match it is no
entry. Files are named by a hash of the address, from which tokens are left out before.
"""

import contextlib
import email.utils
import hashlib
import os
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sat2map import storage
from sat2map.errors import StorageFailed

DAY = 86_400.0  # seconds
_ENDING = ".entry"


def cache_folder() -> Path:
    """Folder of kept answers: below $XDG_CACHE_HOME, or ~/.cache (~/Library/Caches, %LOCALAPPDATA%)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named:
        base = Path(named)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path.home() / ".cache"
    return base / "sat2map" / "http"


class Entry(msgspec.Struct, frozen=True):
    """What is known of an answer besides its body."""

    address: str  # as it may be shown
    sha256: str  # of the body
    content_type: str
    etag: str
    modified: str  # Last-Modified as the server wrote it
    stored: float  # seconds since 1970
    expires: float

    @property
    def conditions(self) -> dict[str, str]:
        """Header fields that ask for the body only if it has changed; none if the server gave nothing to go by."""
        fields = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in fields.items() if value}

    def is_fresh(self, now: float) -> bool:
        """Tell whether it may be used without asking; what lies in the future was stored by a wrong clock."""
        return self.stored <= now < self.expires


class Cache:
    """Entries in a folder. Threads and processes may share it: files appear whole, and nobody needs them to stay."""

    def __init__(self, folder: Path, size: int = 1 << 30) -> None:
        """Keep at most about `size` bytes in `folder`, which need not exist; the oldest entries go first."""
        self._folder, self._size = folder, size
        self._lock = threading.Lock()
        self._written = 0  # bytes since the last look at the size of it all

    def find(self, key: str) -> tuple[Entry, bytes] | None:
        """Return the entry of an address, fresh or not, and its body."""
        try:
            head, _, body = self._path(key).read_bytes().partition(b"\n")
            entry = msgspec.json.decode(head, type=Entry)
        except (OSError, msgspec.DecodeError):
            return None
        return (entry, body) if hashlib.sha256(body).hexdigest() == entry.sha256 else None

    def keep(self, key: str, shown: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Keep an answer if its headers (names in lower case) permit it; `shown` is its address without secrets."""
        expires = expiry(headers, now)
        if expires is None:
            return
        entry = Entry(
            shown,
            hashlib.sha256(body).hexdigest(),
            headers.get("content-type", ""),
            headers.get("etag", ""),
            headers.get("last-modified", ""),
            now,
            expires,
        )
        if expires <= now and not entry.conditions:
            return
        with contextlib.suppress(StorageFailed):  # a full disk is no reason to fail: nobody needs this copy
            storage.write_bytes(self._path(key), msgspec.json.encode(entry) + b"\n" + body)
            with self._lock:
                self._written += len(body)
                if self._written > self._size // 16:
                    self._written = 0
                    self.trim()

    def confirm(self, key: str, entry: Entry, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Note that the server says that the body is still what it was (304), and until when."""
        known = {"content-type": entry.content_type, "etag": entry.etag, "last-modified": entry.modified}
        self.keep(key, entry.address, {**known, **headers}, body, now)

    def trim(self) -> None:
        """Remove the oldest entries until the rest fits."""
        found = []
        for path in self._folder.glob(f"*/*{_ENDING}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._size:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}{_ENDING}"


def expiry(headers: Mapping[str, str], now: float) -> float | None:
    """Return until when an answer may be used without asking, in seconds since 1970; None if it may not be kept.

    RFC 9111, sections 3 and 4.2; without a word from the server, a tenth of the age of the file, at most a day.
    """
    rules = dict(re.findall(r"([a-z-]+)(?:\s*=\s*\"?(\d+))?", headers.get("cache-control", "").lower()))
    if "no-store" in rules or headers.get("vary", "").strip() == "*":
        return None
    if "no-cache" in rules:
        return now
    date = _seconds(headers.get("date")) or now
    age = float(headers["age"]) if headers.get("age", "").isdigit() else 0.0
    if rules.get("max-age"):
        return now + float(rules["max-age"]) - age
    if "expires" in headers:
        until = _seconds(headers["expires"])
        return now if until is None else now + until - date - age
    modified = _seconds(headers.get("last-modified"))
    return now if modified is None else now + min(max(date - modified, 0.0) / 10, DAY)


def _seconds(date: str | None) -> float | None:
    """Return a date of HTTP in seconds since 1970; None for what is none (an `Expires: 0`)."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except (TypeError, ValueError, OverflowError):
        return None
