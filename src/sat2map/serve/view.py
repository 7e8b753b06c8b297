"""A scene as a model sees it, in the worker: any tile as the PNG file that a job would have written."""

import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sat2map import mercator
from sat2map.images import decode_image_with_alpha
from sat2map.images.writing import encode_webp
from sat2map.mercator import TILE, Tile
from sat2map.scenes.tiles import SOURCE, MercatorScene, TilePixels, encode, pyramid
from sat2map.scenes.tiles.live import LiveScene

DEEPER = 4  # zooms beyond the network's that repeat pixels
SPECK = 64  # px; a scene that is smaller than this at some zoom is not offered at still smaller ones


class _Packed(NamedTuple):
    """Pixels of a tile, compressed: maps become a tenth, and overviews need many of them at once."""

    pixels: bytes
    depth: tuple[int, ...]
    valid: bytes | None  # None: all


def _pack(tile: TilePixels) -> _Packed:
    valid = None if tile.valid.all() else zlib.compress(np.packbits(tile.valid).tobytes(), 1)
    return _Packed(zlib.compress(tile.pixels.tobytes(), 1), tile.pixels.shape[2:], valid)


def _unpack(packed: _Packed) -> TilePixels:
    pixels = np.frombuffer(zlib.decompress(packed.pixels), np.uint8).reshape(TILE, TILE, *packed.depth)
    if packed.valid is None:
        return TilePixels(pixels, np.ones((TILE, TILE), np.bool_))
    bits = np.unpackbits(np.frombuffer(zlib.decompress(packed.valid), np.uint8))
    return TilePixels(pixels, bits.reshape(TILE, TILE).astype(np.bool_))


class Remembered:
    """Tiles that were computed, the most recently used up to a number of bytes; shared by all views of a worker."""

    def __init__(self, size: int) -> None:
        self._size, self._used = size, 0
        self._tiles: OrderedDict[tuple[str, str, Tile], _Packed | None] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[str, str, Tile]) -> tuple[TilePixels | None] | None:
        """Return (tile,), where an empty tile is None; None if it is not known."""
        with self._lock:
            if key not in self._tiles:
                return None
            self._tiles.move_to_end(key)
            packed = self._tiles[key]
        return (packed and _unpack(packed),)

    def keep(self, key: tuple[str, str, Tile], tile: TilePixels | None) -> None:
        """Remember a tile."""
        packed = tile and _pack(tile)
        with self._lock:
            self._used += _size(packed) - (_size(self._tiles.pop(key)) if key in self._tiles else 0)
            self._tiles[key] = packed
            while self._used > self._size:
                _, oldest = self._tiles.popitem(last=False)
                self._used -= _size(oldest)


def _size(packed: _Packed | None) -> int:
    return 200 + (len(packed.pixels) + len(packed.valid or b"") if packed else 0)


class View:
    """A scene, a model, and what they have made so far."""

    def __init__(self, name: str, scene: MercatorScene, remembered: Remembered) -> None:
        self._name, self.scene, self._remembered = name, scene, remembered

    def png(self, tile: Tile, product: str) -> bytes | None:
        """Return a tile as a PNG file, None if nothing is there: the bytes that `translate … tiles/` writes."""
        found = self._tile(tile, product)
        return found and encode(found, product, self.scene.card.palette)

    def pixels(self, tile: Tile, product: str) -> TilePixels | None:
        """Return the pixels of a tile, None if nothing is there."""
        return self._tile(tile, product)

    def file(self, tile: Tile, product: str, kind: str) -> bytes | None:
        """Return a tile as PNG, or as lossless WebP of the same colours."""
        data = self.png(tile, product)
        if data is None or kind == "png":
            return data
        rgb, alpha = decode_image_with_alpha(data)
        return encode_webp(rgb if alpha is None else np.dstack([rgb, alpha]))

    def bring(
        self, tile: Tile, product: str, seconds: float, wanted: Callable[[], bool] = lambda: True
    ) -> int:
        """Have on disk what a tile needs of a tile source; return the requests spent so far. Nothing for files.

        Raises what `Feed.bring` raises.
        """
        if not isinstance(self.scene, LiveScene):
            return 0
        self.scene.feed.bring(self.scene.places(tile, product), seconds, wanted)
        return self.scene.feed.budget.requests

    def _tile(self, tile: Tile, product: str) -> TilePixels | None:
        """Return a tile as `MercatorScene.tile` does, but remember what it and those below it were made of."""
        scene = self.scene
        if tile.z > scene.zoom or (product == SOURCE and tile.z == scene.zoom):
            return scene.tile(tile, product)
        known = self._remembered.find((self._name, product, tile))
        if known:
            return known[0]
        if not scene.touches(tile) and not scene.extent.east > 180:
            return None
        if tile.z == scene.zoom:
            return self._cell_of(tile, product)
        joined = pyramid.joined([self._tile(child, product) for child in tile.children], product)
        self._remembered.keep((self._name, product, tile), joined)
        return joined

    def _cell_of(self, tile: Tile, product: str) -> TilePixels | None:
        """Return a tile at the network's zoom, and remember all that its cell has: every tile in every product."""
        scene, side = self.scene, self.scene.side
        window = mercator.aligned(tile.window, side) if side % TILE == 0 else tile.window
        found: TilePixels | None = None
        for other in mercator.tiles(window, tile.z):
            for name in scene.products:
                made = scene.tile(other, name)
                self._remembered.keep((self._name, name, other), made)
                if (other, name) == (tile, product):
                    found = made
        return found


def least_zoom(scene: MercatorScene, most_cells: int) -> int:
    """Return the smallest zoom that is worth a tile and needs at most `most_cells` cells for one."""
    zoom = scene.zoom
    while zoom > 0:
        shown = mercator.at_zoom(scene.data, scene.zoom, zoom)
        if max(shown.height, shown.width) <= SPECK or _cells_below(scene, zoom - 1) > most_cells:
            break
        zoom -= 1
    return zoom


def _cells_below(scene: MercatorScene, zoom: int) -> int:
    """Return a bound on the cells that a tile of a smaller zoom than the network's needs."""
    reach = TILE << (scene.zoom - zoom)
    down, across = (-(-min(reach, size) // scene.side) + 1 for size in (scene.data.height, scene.data.width))
    return down * across


def most_zoom(scene: MercatorScene) -> int:
    """Return the largest zoom at which tiles are offered: some beyond the network's, and the scene's own pixels."""
    own = scene.zoom
    if scene.scene_metres:
        latitude = (scene.extent.south + scene.extent.north) / 2
        own = max(own, mercator.nearest_zoom(scene.scene_metres, latitude))
    return min(max(scene.zoom + DEEPER, own + 1), mercator.MOST_ZOOM)
