"""A collection on disk and what is known of its photos."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2map import storage
from sat2map.collect.manifest import (
    NAME,
    AnyRecord,
    Crop,
    Cursor,
    Decision,
    Measure,
    Photo,
    Verdict,
    decode,
    encode,
)
from sat2map.errors import BadCollection, FileMissing

PHOTOS, PREVIEWS, CROPS, SPENT = "photos", "previews", "crops", "spent.log"


class Collection:
    """The folded manifest. Who appends to it has got it from `held`."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest if there is one. Raises BadCollection for lines that are none."""
        self.folder = folder
        self.photos: dict[str, Photo] = {}  # by key, in the order in which they came
        self.cursors: dict[str, str | None] = {}  # query -> token
        self.measures: dict[tuple[str, str], Measure] = {}  # (key, what)
        self.verdicts: dict[str, dict[str, Verdict]] = {}  # key -> stage -> verdict
        self.decisions: dict[str, bool] = {}  # key -> keep
        self.crops: dict[tuple[str, str], Crop] = {}  # (key, source)
        path = folder / NAME
        if path.is_file():
            for number, line in enumerate(storage.read_lines(path), 1):
                self._fold(decode(line, number, str(path)))

    @classmethod
    @contextmanager
    def held(cls, folder: Path, *, create: bool = False) -> "Iterator[Collection]":
        """Hold a collection for this process, to append to it; `create`: begin one in a new or empty folder.

        Raises FileMissing, BadCollection, and RunLocked if another process holds it. A refused folder stays as it was.
        """
        if create:
            others = [p for p in folder.iterdir() if p.name != ".lock"] if folder.is_dir() else []
            if others and not any((folder / name).is_file() for name in (NAME, SPENT)):
                raise BadCollection(
                    f"{folder} holds other things than a collection", "Name a new folder, or a collection"
                )
        else:
            cls.open(folder)
        with storage.locked(folder):
            yield cls(folder)  # read now: the one who held it before may have gone on writing

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Read a collection. Raises FileMissing, BadCollection."""
        if not folder.is_dir():
            raise FileMissing(f"there is no folder {folder}", "Collect photos first: sat2map collect photos")
        if not (folder / NAME).is_file():
            raise BadCollection(
                f"{folder} holds no {NAME}", "Name a folder that `sat2map collect photos` has made"
            )
        return cls(folder)

    def append(self, *records: AnyRecord, sync: bool = False) -> None:
        """Say something, durably. Raises StorageFailed.

        Without `sync` it survives a kill of the process; with it also a power cut, as does all that was said before.
        """
        for number, record in enumerate(records, 1):
            storage.append_line(self.folder / NAME, encode(record), sync=sync and number == len(records))
            self._fold(record)

    def _fold(self, record: AnyRecord) -> None:
        match record:
            case Photo():
                self.photos[record.key] = record
            case Cursor():
                self.cursors[record.query] = record.token
            case Measure():
                self.measures[record.key, record.what] = record
            case Verdict():
                self.verdicts.setdefault(record.key, {})[record.stage] = record
            case Crop():
                self.crops[record.key, record.source] = record
            case Decision():
                for key in record.keys:
                    if record.keep is None:
                        self.decisions.pop(key, None)
                    else:
                        self.decisions[key] = record.keep

    def keep_file(self, data: bytes, suffix: str, folder: str = PHOTOS) -> tuple[str, str]:
        """Store bytes under the name of their checksum; return the name, relative to the collection, and the SHA-256.

        The file is whole before anybody can name it; storing the same bytes again changes nothing. Raises
        StorageFailed.
        """
        digest = hashlib.sha256(data).hexdigest()
        name = f"{folder}/{digest[:2]}/{digest[:24]}{suffix}"
        path = self.folder / name
        if not path.is_file() or path.stat().st_size != len(data):
            storage.write_bytes(path, data)
        return name, digest

    def path(self, photo: Photo) -> Path:
        """Return where the file of a photo lies."""
        return self.folder / photo.file

    def preview(self, photo: Photo) -> Path:
        """Return where the small picture of a photo lies that `filter` makes."""
        return self.folder / PREVIEWS / photo.sha256[:2] / f"{photo.sha256[:24]}.jpg"

    def passed(self) -> Iterator[Photo]:
        """Yield the photos that the whole funnel kept, whatever a person said of them."""
        for key, photo in self.photos.items():
            said = self.verdicts.get(key, {})
            if "quality" in said and all(verdict.kept for verdict in said.values()):
                yield photo

    def kept(self, *, reviewed: bool = False) -> Iterator[Photo]:
        """Yield the photos to work with: those that passed and no person rejected; `reviewed`: and a person kept."""
        for photo in self.passed():
            decision = self.decisions.get(photo.key)
            if decision is True or (decision is None and not reviewed):
                yield photo

    def __len__(self) -> int:
        return len(self.photos)


def inside(folder: Path, path: Path) -> str:
    """Return `path` relative to `folder` if it lies in it, else as an absolute path."""
    path = path.absolute()
    try:
        return path.relative_to(folder.absolute()).as_posix()
    except ValueError:
        return str(path)
