"""From what a user says of a tile source to a GeoTIFF of it on this machine."""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sat2map import mercator, storage
from sat2map.errors import BadTileSource, DownloadFailed, FileMissing
from sat2map.network import Address, Budget, Cache, Client, Clock, HostRules, Limits, Secrets, public
from sat2map.network.cache import cache_folder
from sat2map.network.hosts import Resolver, resolve
from sat2map.scenes.raster.origin import COPYRIGHT, SOURCE
from sat2map.scenes.sources import tilejson, wmts
from sat2map.scenes.sources.fetch import Progress, fetch, write_mosaic
from sat2map.scenes.sources.layer import TileLayer
from sat2map.scenes.sources.matrix import Cover, web_level
from sat2map.scenes.sources.store import TileStore
from sat2map.scenes.sources.template import Template, is_template

MAX_TILES = 1024
_TILE_BYTES = 1 << 20  # a tile, at most, on average
_DOCUMENT = ("application/", "text/")
_PLACEHOLDER = 1 << 20  # bytes


@dataclass(frozen=True)
class TileOptions:
    """What may be said of a tile source. Empty or None: found out from the source."""

    layer: str = ""
    matrix_set: str = ""
    style: str = ""
    image_format: str = ""
    tile_size: int | None = None  # px; 256 if the source does not say
    attribution: str = ""
    headers: tuple[tuple[str, str], ...] = ()  # name, value; values may say {env:NAME}
    allow_hosts: tuple[str, ...] = ()
    placeholders: tuple[Path, ...] = ()  # pictures that mean "no data here"
    rate: float = Limits.rate  # requests per second
    cache: bool = True
    max_tiles: int = MAX_TILES


class TileSource:
    """A source that was looked at. `address` is what the user gave, tokens not filled in."""

    def __init__(
        self,
        address: str,
        options: TileOptions,
        *,
        clock: Clock | None = None,
        resolver: Resolver = resolve,
        document: bytes = b"",
    ) -> None:
        """Fetch the document that describes the source, if there is one and it is not given.

        Raises BadAddress, BadTileSource, DownloadFailed; FileMissing for a placeholder that is not there.
        """
        self.address, self.options, self._clock = address, options, clock
        values = [value for _, value in options.headers]
        self.secrets = Secrets.named_in(address, *values)
        self._homes = Template.parse(address).homes if is_template(address) else [address]
        filled = [self.secrets.fill(home, in_url=True) for home in self._homes]
        self._rules = HostRules(filled, options.allow_hosts, resolver=resolver)
        self.placeholders = frozenset(_checksum(path) for path in options.placeholders)
        self.document = document
        self.layer = self._described()
        for home in self.layer.template.homes:
            self._rules.check(Address.parse(home))

    @property
    def shown(self) -> str:
        """The address as it may be shown and kept."""
        return self.secrets.mask(public(self.address))

    def _described(self) -> TileLayer:
        tile = self.options.tile_size
        if is_template(self.address):
            template = Template.parse(self.address)
            side = tile or (512 if template.is_double else mercator.TILE)
            levels = tuple(web_level(zoom, side) for zoom in range(mercator.MOST_ZOOM + 1))
            return TileLayer(self.shown, template, levels)
        if not self.document:
            with self.client(Budget(requests=20)) as client:
                self.document = client.get(self.address, kinds=_DOCUMENT).body
        body = self.document.lstrip(b"\xef\xbb\xbf \t\r\n")
        if body.startswith(b"{"):
            return tilejson.parse(body, self.shown, tile)
        if body.startswith(b"<"):
            wanted = wmts.Wanted(
                self.options.layer, self.options.matrix_set, self.options.style, self.options.image_format
            )
            return wmts.parse(self.document, self.address, self.shown, wanted)
        raise BadTileSource(
            f"{self.shown} is neither a template nor TileJSON nor WMTS capabilities",
            "Give a template like https://host/{z}/{x}/{y}.png, or the address of such a document",
        )

    def client(self, budget: Budget, limits: Limits | None = None) -> Client:
        """Return a client that may ask the hosts of this source, with the user's tokens; `limits` but for the rate."""
        return Client(
            self._rules,
            secrets=self.secrets,
            headers=dict(self.options.headers),
            homes=self._homes,
            limits=replace(limits or Limits(), rate=self.options.rate),
            cache=Cache(cache_folder()) if self.options.cache else None,
            budget=budget,
            clock=self._clock,
        )

    @contextmanager
    def gathered(
        self,
        cover: Cover,
        out: Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        on_progress: Progress | None = None,
    ) -> Iterator[Path]:
        """Yield a GeoTIFF of a cover, and remove it when the block ends well.

        Tiles wait in a hidden folder beside `out`, which survives kills and errors: with `resume` only what is
        missing is fetched. Raises what `Client.get` and `TileStore.begin` raise, and RunLocked.
        """
        store = TileStore(out.with_name(f".{out.name}.tiles"))
        if not (resume and store.is_begun):
            storage.refuse_existing(out, overwrite=overwrite)
        with storage.locked(store.folder):
            with contextlib.ExitStack() as stack:
                store.begin(self.key(cover), resume=resume, overwrite=overwrite)
                stack.callback(store.remove_if_empty)
                if not store.has_mosaic():
                    self._fetch(cover, store, on_progress)
                    write_mosaic(cover, store, self.tags(cover))
            yield store.mosaic
        store.remove()

    def _fetch(self, cover: Cover, store: TileStore, on_progress: Progress | None) -> None:
        most = self.options.max_tiles
        budget = Budget(2 * most + 100, most * _TILE_BYTES, store.spent)
        try:
            with self.client(budget) as client:
                fetch(
                    client, self.layer.template, cover, store,
                    placeholders=self.placeholders, on_progress=on_progress,
                )  # fmt: skip
        except DownloadFailed as error:
            raise DownloadFailed(
                f"{error.what}; {store.count:,} of {cover.count:,} tiles are here",
                f"{error.remedy.rstrip('.')}. To go on, give the command again with --resume",
            ) from None

    def key(self, cover: Cover) -> dict[str, object]:
        """Return what tells jobs apart, without secrets."""
        level = cover.level
        templates = "\n".join(self.secrets.mask(text) for text in self.layer.template.alternatives)
        return {
            "source": self.shown,
            "template": hashlib.sha256(templates.encode()).hexdigest(),
            "layer": self.layer.name,
            "level": [level.label, level.crs, level.left, level.top, level.size, level.tile_width],
            "window": list(cover.window),
            "placeholders": sorted(self.placeholders),
        }

    def tags(self, cover: Cover) -> dict[str, str]:
        """Return where the pixels come from, as tags of a TIFF."""
        attribution = self.options.attribution or self.layer.attribution
        tags = {
            SOURCE: self.shown,
            f"{SOURCE}_ZOOM": cover.level.label,
            f"{SOURCE}_FETCHED": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        if self.layer.name != self.shown:
            tags[f"{SOURCE}_LAYER"] = self.secrets.mask(self.layer.name)
        if attribution:
            tags[COPYRIGHT] = self.secrets.mask(attribution)
        return tags


def _checksum(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > _PLACEHOLDER:
        raise FileMissing(f"there is no picture {path}", 'Save the tile that means "no data" and name it')
    return storage.sha256(path)
