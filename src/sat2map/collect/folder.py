"""Photos in a folder of this machine, with the places that their EXIF data name."""

import os
from itertools import islice
from pathlib import Path

from sat2map import images
from sat2map.collect.manifest import Photo
from sat2map.collect.provider import Gone, Page
from sat2map.errors import FileMissing, Sat2MapError, StorageFailed

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
PAGE = 200  # files


class Folder:
    """All pictures below a folder, in the order of their names; a photo is named by its path below the folder."""

    name = "folder"

    def __init__(self, root: Path, licence: str = "", author: str = "") -> None:
        """`licence` and `author` stand in for what the files do not say. Raises FileMissing."""
        if not root.is_dir():
            raise FileMissing(f"there is no folder {root}", "Check the path.")
        self.root, self._licence, self._author = root.resolve(), licence, author
        self._files: list[str] | None = None

    @property
    def query(self) -> str:
        """The folder."""
        return f"folder {self.root}"

    def page(self, token: str) -> Page:
        """Return the next files behind the one called `token`."""
        if self._files is None:
            self._files = sorted(_pictures(self.root))
        names = list(islice((name for name in self._files if name > token), PAGE + 1))
        return Page([self._photo(name) for name in names[:PAGE]], names[PAGE - 1] if names[PAGE:] else None)

    def fetch(self, photo: Photo) -> bytes:
        """Read the file. Raises Gone if it cannot be read."""
        try:
            return self.path(photo).read_bytes()
        except OSError as error:
            raise Gone(f"cannot be read: {error.strerror}") from error

    def path(self, photo: Photo) -> Path:
        """Return the file of a photo."""
        return self.root / photo.key.partition(":")[2]

    def _photo(self, name: str) -> Photo:
        try:
            facts = images.read_metadata(self.root / name)
        except Sat2MapError:
            facts = images.Metadata()  # whether it is a picture at all is found out when it is read
        return Photo(
            key=f"{self.name}:{name}",
            licence=facts.copyright or self._licence,
            author=facts.author or self._author,
            longitude=facts.longitude,
            latitude=facts.latitude,
            direction=facts.direction,
            taken=facts.taken.isoformat() if facts.taken else "",
        )


def _pictures(root: Path) -> list[str]:
    """Return the paths below `root`, with slashes; hidden files and folders and links to folders are left out."""

    def refuse(error: OSError) -> None:
        raise StorageFailed(f"cannot list {error.filename}: {error.strerror}", "Check its permissions.")

    found = []
    for where, folders, files in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if Path(name).suffix.lower() in ENDINGS and not name.startswith("."):
                found.append((Path(where) / name).relative_to(root).as_posix())
    return found
