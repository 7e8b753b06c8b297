"""A tile source of other people as a scene of ours: what the user said of it at start, for server and worker."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sat2map.runtime import Translator
    from sat2map.scenes.sources.job import TileSource
    from sat2map.scenes.tiles.live import LiveScene


class Remote(msgspec.Struct, frozen=True):
    """A source by the id that requests use. Tokens stay {env:NAME}; each process looks them up itself."""

    id: str
    address: str
    bbox: tuple[float, ...]  # west, south, east, north in degrees
    document: bytes = b""  # TileJSON or WMTS capabilities, fetched once at start; empty for a template
    zoom: str = ""  # label of a level; empty: the one nearest to what the model was trained at
    layer: str = ""
    tile_size: int | None = None
    attribution: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    allow_hosts: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()  # pictures that mean "no data here"
    rate: float = 8.0  # requests per second
    max_tiles: int = 65_536  # of the source that the area may have
    folder: str = ""  # of kept tiles
    kept: int = 0  # bytes of tiles on disk


def described(remote: Remote) -> Remote:
    """Return a source with its document, which is fetched here if there is one. Raises what `TileSource` raises."""
    return msgspec.structs.replace(remote, document=source_of(remote).document)


def source_of(remote: Remote) -> "TileSource":
    """Return the source as the scenes know it. Raises what `TileSource` raises."""
    from sat2map.scenes.sources.job import TileOptions, TileSource

    options = TileOptions(
        layer=remote.layer,
        tile_size=remote.tile_size,
        attribution=remote.attribution,
        headers=remote.headers,
        allow_hosts=remote.allow_hosts,
        placeholders=tuple(map(Path, remote.placeholders)),
        rate=remote.rate,
        cache=False,  # tiles are kept by the feed
    )
    return TileSource(remote.address, options, document=remote.document)


def opened(
    remote: Remote, translator: "Translator", products: tuple[str, ...], gsd: float | None, kept: int,
    stack: ExitStack,
) -> "tuple[LiveScene, dict[str, Any]]":  # fmt: skip
    """Open a source for a model; return it, and what its pixels depend on.

    Raises what `cover_for` and `open_live` raise. Nobody is asked for a tile.
    """
    from sat2map.scenes.sources.feed import Feed
    from sat2map.scenes.tiles.live import cover_for, open_live

    source = source_of(remote)
    cover = cover_for(
        source, remote.bbox, remote.zoom, gsd or translator.card.metres_per_pixel, remote.max_tiles
    )
    feed = Feed(source, cover, Path(remote.folder), remote.kept, stack)
    scene = stack.enter_context(open_live(translator, source, feed, products, gsd=gsd, kept=kept))
    return scene, source.key(cover)
