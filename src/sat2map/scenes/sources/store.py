"""The tiles of one job, safe from kills: a hidden folder with one file per tile and a journal.

As with the blocks of a scene job, a tile is durable before the journal names it with its checksum. Tiles are kept as
they came; a tile that the source does not have is an entry without a file.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat2map import storage
from sat2map.errors import CorruptFile, NothingToResume, OutputExists
from sat2map.scenes.sources.matrix import Place
from sat2map.storage.lock import LOCK

JOB, JOURNAL, SPENT, MOSAIC = "job.json", "journal.jsonl", "spent.txt", "mosaic.tif"
_ANEW = "Run the command again with --resume"


class TileStore:
    """Keeps tiles on disk. Hold the folder (`storage.locked`) while it is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._done: dict[Place, str] = {}  # SHA-256 of the file; empty for a tile that does not exist
        self._mosaic = ""

    @property
    def spent(self) -> Path:
        """Where requests and bytes are counted."""
        return self.folder / SPENT

    @property
    def mosaic(self) -> Path:
        """Where the tiles are put together."""
        return self.folder / MOSAIC

    @property
    def is_begun(self) -> bool:
        """Whether there is something to go on with."""
        return (self.folder / JOB).is_file()

    @property
    def count(self) -> int:
        """Number of tiles that are here, or known not to exist."""
        return len(self._done)

    def begin(self, key: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Go on with the job that was begun here, or begin anew.

        `key` (JSON values, no secrets) says which tiles these are. Raises NothingToResume if `resume` is set and the
        job was another one; OutputExists if tiles are there that neither `resume` nor `overwrite` disposes of.
        """
        found = self._key()
        if resume and found is not None:
            other = sorted(name for name in {*found, *key} if found.get(name) != key.get(name))
            if other:
                changes = ", ".join(f"{n} was {found.get(n)!r}, is {key.get(n)!r}" for n in other)
                raise NothingToResume(
                    f"the unfinished job in {self.folder} was another one: {changes}",
                    "Give the command as it was, or leave out --resume to begin anew",
                )
            self._replay()
            return
        kept = len(self._entries())
        if kept and not overwrite:
            raise OutputExists(
                f"{self.folder} holds {kept} tiles of an unfinished job",
                "Give the command as it was with --resume to go on, or with --overwrite to begin anew",
            )
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name != JOB):  # the job first
            if path.name != LOCK:
                path.unlink(missing_ok=True)
        storage.write_json(self.folder / JOB, dict(key))

    def holds(self, place: Place) -> bool:
        """Tell whether a tile is here, or known not to exist."""
        return place in self._done

    def write(self, place: Place, data: bytes | None) -> None:
        """Keep a tile; None if the source has none there. Raises StorageFailed."""
        checksum = ""
        if data is not None:
            checksum = hashlib.sha256(data).hexdigest()
            storage.write_bytes(self._path(place), data)
        self._note({"tile": list(place), "sha256": checksum})
        self._done[place] = checksum

    def read(self, place: Place) -> bytes | None:
        """Return a tile as it came, None if the source has none there. Raises CorruptFile."""
        if not self._done[place]:
            return None
        path = self._path(place)
        with contextlib.suppress(OSError):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == self._done[place]:
                return data
        raise CorruptFile(f"{path} changed since it was written", _ANEW)

    def note_mosaic(self) -> None:
        """Note that the mosaic is whole."""
        self._mosaic = storage.sha256(self.mosaic)
        self._note({"mosaic": self._mosaic})

    def has_mosaic(self) -> bool:
        """Tell whether the mosaic is there as it was noted."""
        return bool(self._mosaic) and self.mosaic.is_file() and storage.sha256(self.mosaic) == self._mosaic

    def remove(self) -> None:
        """Remove the folder: the job is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_if_empty(self) -> None:
        """Remove the folder if there is nothing in it to go on with."""
        if not self._done:
            self.remove()

    def _path(self, place: Place) -> Path:
        return self.folder / f"{place.row}-{place.col}.tile"

    def _note(self, entry: dict[str, Any]) -> None:
        storage.append_line(self.folder / JOURNAL, json.dumps(entry))

    def _key(self) -> dict[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / JOB).read_bytes())
            return found if isinstance(found, dict) else None
        return None

    def _entries(self) -> list[dict[str, Any]]:
        journal = self.folder / JOURNAL
        lines = storage.read_lines(journal) if journal.is_file() else []
        return [json.loads(line) for line in lines]

    def _replay(self) -> None:
        """Take the tiles that the journal names and whose files are sound; the others are fetched again."""
        for entry in self._entries():
            if "mosaic" in entry:
                self._mosaic = entry["mosaic"]
                continue
            self._done[Place(*entry["tile"])] = entry["sha256"]
        for place in list(self._done):
            try:
                self.read(place)
            except CorruptFile:
                del self._done[place]
                self._mosaic = ""
