"""Tiles of a cover from their source into a store, a few at a time, and from there into a mosaic."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

import numpy as np

from sat2map.errors import DownloadFailed, TooMuchToFetch
from sat2map.grid import Window
from sat2map.network import Client, Reply
from sat2map.scenes import raster
from sat2map.scenes.sources.matrix import Cover, Place
from sat2map.scenes.sources.pixels import ABSENT, KINDS, check_tile, decoded, is_absent
from sat2map.scenes.sources.store import TileStore
from sat2map.scenes.sources.template import Template

Progress = Callable[[int, int, str], None]

CONNECTIONS = 4
_PIECE = 2048  # px a side of what is written to the mosaic at a time; a multiple of its blocks


def fetch(
    client: Client,
    template: Template,
    cover: Cover,
    store: TileStore,
    *,
    placeholders: Collection[str] = (),
    on_progress: Progress | None = None,
) -> None:
    """Bring all tiles that are not in the store. Raises what `Client.get` raises; what has arrived stays."""
    level = cover.level

    def check(reply: Reply) -> None:
        check_tile(reply, level.tile_height, level.tile_width, placeholders)

    def get(place: Place) -> bytes | None:
        reply = client.get(template.fill(level, place), kinds=KINDS, also=ABSENT, check=check)
        return None if is_absent(reply, placeholders) else reply.body

    wanted = (place for place in cover.places() if not store.holds(place))
    done = sum(1 for place in cover.places() if store.holds(place))
    pool = ThreadPoolExecutor(CONNECTIONS, "fetch")
    try:
        under_way: dict[Future[bytes | None], Place] = {
            pool.submit(get, place): place for place in islice(wanted, CONNECTIONS)
        }
        while under_way:
            ready, _ = wait(under_way, return_when=FIRST_COMPLETED)
            failure: Exception | None = None
            for future in ready:
                place = under_way.pop(future)
                try:
                    store.write(place, future.result())
                except (DownloadFailed, TooMuchToFetch) as error:
                    failure = failure or error
                    continue
                done += 1
                if on_progress:
                    on_progress(done, cover.count, "")
            if failure:
                raise failure
            for place in islice(wanted, len(ready)):
                under_way[pool.submit(get, place)] = place
    finally:
        client.cancel()
        pool.shutdown(cancel_futures=True)
        _rescue(under_way, store)


def _rescue(under_way: Mapping[Future[bytes | None], Place], store: TileStore) -> None:
    """Keep what still arrived while something else went wrong, so that nobody is asked for it again."""
    for future, place in under_way.items():
        if future.done() and not future.cancelled() and future.exception() is None:
            store.write(place, future.result())


def write_mosaic(cover: Cover, store: TileStore, tags: Mapping[str, str]) -> None:
    """Put the tiles together as a GeoTIFF with a mask, piece by piece, so that memory does not grow with the area."""
    place = place_of(cover)
    layer = raster.Layer("colour", tags)
    whole = Window(0, 0, cover.window.height, cover.window.width)
    written = pieces(cover, whole.parts(_PIECE), store.read)
    raster.write_plain({"colour": store.mosaic}, {"colour": layer}, place, written, masked=True)
    store.note_mosaic()


def place_of(cover: Cover) -> raster.Place:
    """Return where the pixels of a cover lie on the ground."""
    box = cover.level.bounds(cover.window)
    return raster.north_up(
        cover.level.crs, box.left, box.top, cover.level.size, cover.window.height, cover.window.width
    )


def pieces(
    cover: Cover, parts: Iterable[Window], read: Callable[[Place], bytes | None]
) -> Iterator[raster.Piece]:
    """Yield parts of a cover (windows from its first pixel) with the pixels of the tiles that `read` returns."""
    for part in parts:
        pixels = np.zeros((part.height, part.width, 3), np.uint8)
        valid = np.zeros((part.height, part.width), np.bool_)
        for place in cover.touching(part):
            data = read(place)
            if data is not None:
                _paste(pixels, valid, part, cover.pixels(place), decoded(data))
        yield part, {"colour": pixels}, valid


def _paste(pixels: Any, valid: Any, part: Window, tile: Window, image: Any) -> None:
    """Copy the share of a tile that lies in `part`; both windows count from the first pixel of the cover."""
    moved = Window(tile.row - part.row, tile.col - part.col, tile.height, tile.width)
    inside = moved.clipped(part.height, part.width)
    there, here = inside.slices(), inside.slices(moved)
    rgb, opaque = image
    pixels[there] = rgb[here]
    valid[there] = True if opaque is None else opaque[here]
