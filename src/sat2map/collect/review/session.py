"""One sitting of a person with a collection: what there is to look at, what was decided, and the way back."""

import threading
from collections.abc import Sequence
from typing import Any

from sat2map.collect.collection import Collection
from sat2map.collect.manifest import Decision, Photo


class Review:
    """The photos that the funnel kept, in their order, and decisions on them. Threads may share it.

    The caller holds the collection's lock. Decisions are lines of the manifest, forced to the disk before they are
    acknowledged; taking one back is a line, too.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection, self._lock = collection, threading.Lock()
        self.photos: list[Photo] = list(collection.passed())
        self._done: list[list[tuple[str, bool | None]]] = []  # what each step of this sitting replaced

    def decide(self, numbers: Sequence[int], keep: bool | None) -> None:
        """Keep or reject photos, or take that back (None). Raises IndexError for a number that is none."""
        if any(not 0 <= number < len(self.photos) for number in numbers):
            raise IndexError(f"there are {len(self.photos)} photos")
        with self._lock:
            keys = [self.photos[number].key for number in dict.fromkeys(numbers)]
            changed = [key for key in keys if self._collection.decisions.get(key) is not keep]
            if changed:
                self._done.append([(key, self._collection.decisions.get(key)) for key in changed])
                self._collection.append(Decision(changed, keep), sync=True)

    def undo(self) -> list[int]:
        """Take back the last step of this sitting; return the photos concerned, none if there is no step left."""
        with self._lock:
            if not self._done:
                return []
            former = self._done.pop()
            for decision in (True, False, None):
                keys = [key for key, before in former if before is decision]
                if keys:
                    self._collection.append(Decision(keys, decision), sync=True)
            concerned = {key for key, _ in former}
            return [number for number, photo in enumerate(self.photos) if photo.key in concerned]

    def decision(self, number: int) -> bool | None:
        """Return what was said of a photo."""
        return self._collection.decisions.get(self.photos[number].key)

    def progress(self) -> dict[str, int]:
        """Return how many photos there are, are kept and are rejected, and how many steps can be taken back."""
        said = [self._collection.decisions.get(photo.key) for photo in self.photos]
        return {
            "photos": len(said),
            "kept": said.count(True),
            "rejected": said.count(False),
            "steps": len(self._done),
        }

    def state(self) -> dict[str, Any]:
        """Return everything that the page shows, fit for JSON."""
        photos = [{**self._facts(photo), "keep": self.decision(n)} for n, photo in enumerate(self.photos)]
        return {"name": self._collection.folder.resolve().name, "photos": photos, "progress": self.progress()}

    def _facts(self, photo: Photo) -> dict[str, Any]:
        scene = self._collection.verdicts[photo.key].get("scene")
        return {
            "title": photo.title or photo.key,
            "place": f"{photo.latitude:.5f}, {photo.longitude:.5f}",
            "taken": photo.taken,
            "author": photo.author,
            "licence": photo.licence,
            "page": photo.page if photo.page.startswith(("https://", "http://")) else "",
            "scene": scene.reason if scene else "",
        }

    def preview(self, number: int) -> bytes:
        """Return the small picture of a photo, a JPEG. Raises OSError if it is gone."""
        return self._collection.preview(self.photos[number]).read_bytes()

    def original(self, number: int) -> bytes:
        """Return the photo as it came. Raises OSError if it is gone."""
        return self._collection.path(self.photos[number]).read_bytes()
