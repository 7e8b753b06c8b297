"""Photos of a provider into a collection: listed page by page, each fetched once, whatever happens in between."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from sat2map import images
from sat2map.collect.collection import Collection, inside
from sat2map.collect.folder import Folder
from sat2map.collect.manifest import Cursor, Photo
from sat2map.collect.provider import Gone, Provider
from sat2map.collect.region import Region
from sat2map.errors import DownloadFailed, Sat2MapError

Progress = Callable[[int, int, str], None]
FAILED = "failed: "  # a file that may arrive another time; other reasons are final
NO_PLACE, OUTSIDE = "no coordinates", "outside the region"
_FAILURES = 5  # in a row, before we stop to ask
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "TIFF": ".tif"}


@dataclass
class Gathered:
    """What came of it, photo by photo; the known ones were in the collection before."""

    fetched: int = 0
    known: int = 0
    without_place: int = 0
    outside: int = 0
    gone: int = 0
    failed: int = 0
    is_complete: bool = False

    @property
    def seen(self) -> int:
        """All photos that the provider named."""
        return self.fetched + self.known + self.without_place + self.outside + self.gone + self.failed


class Gathering:
    """One run of a query. The caller holds the collection's lock."""

    def __init__(
        self,
        collection: Collection,
        provider: Provider,
        region: Region | None = None,
        *,
        limit: int | None = None,
        copies: bool = True,
        on_progress: Progress = lambda done, total, note: None,
    ) -> None:
        """Stop when the collection holds `limit` files; files of a `Folder` are pointed to unless `copies`."""
        self._collection, self._provider, self._region = collection, provider, region
        self._limit, self._copies, self._progress = limit, copies, on_progress
        self._in_a_row = 0
        self.held = sum(1 for photo in collection.photos.values() if photo.file)  # files in the collection
        self.result = Gathered()

    def run(self) -> Gathered:
        """Fetch what is missing, go on where this query was left, and stop at its end or at the limit.

        A query that had come to its end begins anew and finds what is new. Raises DownloadFailed when nothing arrives
        any more, and what the provider raises; what has arrived is in the collection then.
        """
        for photo in self._unfetched():
            if self._is_full():
                return self.result
            self._take(photo)
        token = self._collection.cursors.get(self._provider.query) or ""
        while True:
            page = self._provider.page(token)
            for photo in page.photos:
                if self._is_full():
                    return self.result
                self._consider(photo)
                self._progress(self.result.seen, 0, photo.key)
            self._collection.append(Cursor(self._provider.query, page.token), sync=True)
            if page.token is None or page.token == token:
                self.result.is_complete = True
                return self.result
            token = page.token

    def _unfetched(self) -> list[Photo]:
        mine = f"{self._provider.name}:"
        photos = self._collection.photos.values()
        return [p for p in photos if p.missing.startswith(FAILED) and p.key.startswith(mine)]

    def _is_full(self) -> bool:
        return self._limit is not None and self.held >= self._limit

    def _consider(self, photo: Photo) -> None:
        """Take a photo unless it is known or there is a reason not to ask for its file."""
        known = self._collection.photos.get(photo.key)
        if known is not None and known.missing != OUTSIDE:  # another run may have another region
            self.result.known += 1
            return
        photo = _clean(photo)
        if photo.longitude is None or photo.latitude is None:
            self.result.without_place += 1
            self._collection.append(msgspec.structs.replace(photo, missing=NO_PLACE))
        elif self._region and not self._region.holds(photo.longitude, photo.latitude):
            self.result.outside += 1
            if known is None:
                self._collection.append(msgspec.structs.replace(photo, missing=OUTSIDE))
        else:
            self._take(photo)

    def _take(self, photo: Photo) -> None:
        try:
            found = self._with_file(photo)
            self.result.fetched += 1
            self.held += 1
            self._in_a_row = 0
        except Gone as fact:
            found = msgspec.structs.replace(photo, missing=str(fact))
            self.result.gone += 1
        except DownloadFailed as error:
            self._in_a_row += 1
            self.result.failed += 1
            self._collection.append(msgspec.structs.replace(photo, missing=FAILED + error.what))
            if self._in_a_row >= _FAILURES:
                raise
            return
        self._collection.append(found)

    def _with_file(self, photo: Photo) -> Photo:
        """Fetch, look at and store the file. Raises Gone for what is no picture that we read."""
        data = self._provider.fetch(photo)
        kind = images.sniff(data[:12])
        if kind is None:
            raise Gone(f"no picture: it begins with {data[:12]!r}")
        if isinstance(self._provider, Folder) and not self._copies:
            path, digest = self._provider.path(photo), hashlib.sha256(data).hexdigest()
            name = inside(self._collection.folder, path)
        else:
            name, digest = self._collection.keep_file(data, _SUFFIXES[kind])
            path = self._collection.folder / name
        try:
            height, width = images.image_size(path)
        except Sat2MapError as error:
            raise Gone(f"no picture: {error.what}") from error
        facts: dict[str, Any] = {"file": name, "sha256": digest, "size": len(data), "missing": ""}
        return msgspec.structs.replace(photo, height=height, width=width, **facts)


def _clean(photo: Photo) -> Photo:
    """Return a photo whose texts, which strangers wrote, have one line and a length that a table can bear."""
    texts = {name: _line(getattr(photo, name)) for name in ("licence", "author", "title")}
    return msgspec.structs.replace(photo, **texts)


def _line(text: str, longest: int = 300) -> str:
    text = " ".join(re.sub(r"<[^<>]*>", " ", text).split())
    text = "".join(sign for sign in text if sign.isprintable())
    return text if len(text) <= longest else text[: longest - 1] + "…"
