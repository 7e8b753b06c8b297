"""Where photos come from: one small protocol, page by page, so that a kill costs at most a page of listing."""

from typing import NamedTuple, Protocol

from sat2map.collect.manifest import Photo


class Page(NamedTuple):
    """A part of what a query finds."""

    photos: list[Photo]  # without files
    token: str | None  # where to go on; None: there is no more


class Gone(Exception):
    """The provider says that a photo is no longer there, or is no picture that we read: asking again will not help."""


class Provider(Protocol):
    """A place to find photos."""

    name: str  # the keys of its photos begin with it

    @property
    def query(self) -> str:
        """What is asked for, in one line without secrets; a token means something only to the same query."""

    def page(self, token: str) -> Page:
        """Return the page at a token, the first one for "". The same token gives the same page, or a fresher one."""

    def fetch(self, photo: Photo) -> bytes:
        """Return the file of a photo. Raises Gone, or DownloadFailed if it may be there another time."""
