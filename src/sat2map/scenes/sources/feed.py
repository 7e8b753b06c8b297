"""Tiles of a source when somebody looks, not all at once: fetched a few at a time, each once, then from the disk."""

import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

from sat2map.errors import DownloadFailed
from sat2map.network import Address, Budget, Limits, Reply
from sat2map.scenes.job import hashed
from sat2map.scenes.sources.fetch import CONNECTIONS
from sat2map.scenes.sources.job import TileSource
from sat2map.scenes.sources.kept import KeptTiles
from sat2map.scenes.sources.matrix import Cover, Place
from sat2map.scenes.sources.pixels import ABSENT, KINDS, check_tile, is_absent

# Somebody waits: few tries, short ones, and whoever asks for a longer pause gets it from us (`_hold`).
LIVE = Limits(connect=5.0, silence=10.0, total=20.0, tries=3, pause=0.3, longest_pause=2.0, longest_wait=2.0)
_TICK = 0.25  # seconds between two looks whether anybody still waits
_AGAIN = 5.0  # seconds after which it may be worth to ask again for what did not come in time


class Feed:
    """Brings tiles of a cover. Threads may share it; close it with the stack it was given."""

    def __init__(
        self,
        source: TileSource,
        cover: Cover,
        folder: Path,
        size: int,
        stack: ExitStack,
        limits: Limits = LIVE,
    ) -> None:
        """Keep tiles below `folder`, in a folder of this source and level alone, about `size` bytes at most."""
        self.cover, self._source = cover, source
        facts = {name: value for name, value in source.key(cover).items() if name != "window"}
        self._kept = KeptTiles(folder / hashed(facts)[:32], size)
        self.budget = Budget()
        self._client = stack.enter_context(source.client(self.budget, limits))
        self._pool = ThreadPoolExecutor(CONNECTIONS, "feed")
        stack.callback(self._pool.shutdown, wait=False, cancel_futures=True)
        self._under_way: dict[Place, Future[None]] = {}
        self._lock = threading.Lock()
        self._held_until = 0.0  # monotonic seconds

    def bring(
        self, places: Iterable[Place], seconds: float, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Return when all tiles are on disk, or as soon as `wanted` says no.

        Raises DownloadFailed, with `wait` where the source asks for a pause or when `seconds` are over, and what
        `Client.get` raises. What is still under way then arrives nevertheless, for the next who asks.
        """
        self._refuse_while_held()
        end = time.monotonic() + seconds
        missing = [p for p in map(self._named, places) if self._kept.find(p) is None]
        futures = {self._start(place) for place in dict.fromkeys(missing)}
        while futures and wanted():
            left = end - time.monotonic()
            if left <= 0:
                raise DownloadFailed(
                    f"{len(futures)} tiles of the source did not come within {seconds:.0f} s",
                    "Try again",
                    _AGAIN,
                )
            done, futures = wait(futures, min(left, _TICK), FIRST_EXCEPTION)
            for future in done:
                if not future.cancelled():
                    future.result()

    def read(self, place: Place) -> bytes | None:
        """Return a tile that `bring` brought, None if the source has none. Raises DownloadFailed if it is gone."""
        found = self._kept.find(self._named(place))
        if found is None:
            raise DownloadFailed("a tile of the source is not on disk any more", "Try again", 1.0)
        return found[0]

    def _named(self, place: Place) -> Place:
        """Return the tile under its own name: columns go on beyond the last one."""
        return place._replace(col=place.col % self.cover.level.cols)

    def _start(self, place: Place) -> "Future[None]":
        with self._lock:
            if place not in self._under_way:
                self._under_way[place] = self._pool.submit(self._fetch, place)
            return self._under_way[place]

    def _fetch(self, place: Place) -> None:
        level, placeholders = self.cover.level, self._source.placeholders

        def check(reply: Reply) -> None:
            check_tile(reply, level.tile_height, level.tile_width, placeholders)

        try:
            self._refuse_while_held()
            address = self._source.layer.template.fill(level, place)
            reply = self._client.get(address, kinds=KINDS, also=ABSENT, check=check)
            self._kept.keep(place, None if is_absent(reply, placeholders) else reply.body)
        except DownloadFailed as error:
            if error.wait:
                with self._lock:
                    self._held_until = max(self._held_until, time.monotonic() + error.wait)
            raise DownloadFailed(self._nameless(error.what), "Try again later", error.wait) from None
        finally:
            with self._lock:
                del self._under_way[place]

    def _nameless(self, text: str) -> str:
        """Take places of other people's files out of a message: it may go to clients of ours."""
        text = re.sub(r"https?://[^\s:]+(:\d+)?[^\s:]*", "the tile source", text)
        for home in self._source.layer.template.homes:
            host = Address.parse(home).host
            text = re.sub(rf"\[?{re.escape(host)}\]?(:\d+)?", "the tile source", text)
        return text

    def _refuse_while_held(self) -> None:
        left = self._held_until - time.monotonic()
        if left > 0:
            raise DownloadFailed(
                f"the tile source asks to wait {left:.0f} s", "Try again after that time", left
            )
