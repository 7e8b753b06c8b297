"""Building the pyramid of tiles of a finished job, depth first: each tile from the four below it."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.grid import Window
from sat2map.mercator import Tile
from sat2map.palette import Palette
from sat2map.scenes.blocks import BlockStore
from sat2map.scenes.tiles.containers import Put
from sat2map.scenes.tiles.pyramid import TilePixels, encode, enlarged, joined
from sat2map.scenes.tiles.scene import MercatorScene

UInt8 = npt.NDArray[np.uint8]
VALID = "valid"  # beside the products of a block: 1 where the scene has a pixel


class Finished(Protocol):
    """Everything that a network made of an area, on the world's raster at its zoom."""

    @property
    def zoom(self) -> int:
        """At which the network worked."""

    @property
    def data(self) -> Window:
        """The window of the world that has pixels."""

    @property
    def palette(self) -> Palette | None:
        """Of the model, for tiles of classes."""

    def touches(self, tile: Tile) -> bool:
        """Tell whether the area reaches into a tile of any zoom."""

    def read(self, window: Window) -> dict[str, UInt8] | None:
        """Return product -> pixels of a window of the world, and `VALID`; None if there is no pixel."""


class Blocks:
    """The blocks of a finished job as one raster: windows may reach over several of them."""

    def __init__(self, store: BlockStore, scene: MercatorScene) -> None:
        self._store, self._origin, self.touches = store, scene.region, scene.touches
        self.zoom, self.data, self.palette = scene.zoom, scene.data, scene.card.palette
        self._recent: dict[Window, dict[str, UInt8]] = {}
        # All blocks but those at the end of a row or column have one size and begin at its multiples.
        windows = store.windows
        self._step = (
            max((window.height for window in windows), default=1),
            max((window.width for window in windows), default=1),
        )
        self._at = {(window.row // self._step[0], window.col // self._step[1]): window for window in windows}

    def read(self, window: Window) -> dict[str, UInt8] | None:
        """Return the products of a window of the world, None if the scene has no pixel there."""
        wanted = window._replace(row=window.row - self._origin.row, col=window.col - self._origin.col)
        found: dict[str, UInt8] = {}
        for block in self._touching(wanted):
            shared = wanted.shared(block)
            for name, values in self._block(block).items():
                if name not in found:
                    found[name] = np.zeros((window.height, window.width, *values.shape[2:]), np.uint8)
                found[name][shared.slices(wanted)] = values[shared.slices(block)]
        return found if found and found[VALID].any() else None

    def _touching(self, window: Window) -> list[Window]:
        down, across = self._step
        rows = range(window.row // down, (window.row + window.height - 1) // down + 1)
        cols = range(window.col // across, (window.col + window.width - 1) // across + 1)
        return [self._at[place] for place in itertools.product(rows, cols) if place in self._at]

    def _block(self, window: Window) -> dict[str, UInt8]:
        if window not in self._recent:
            if len(self._recent) == 4:
                del self._recent[next(iter(self._recent))]
            self._recent[window] = self._store.read(window)
        return self._recent[window]


class _Level(NamedTuple):
    """What building a pyramid needs to know."""

    finished: Finished
    puts: Mapping[str, Put]
    zooms: tuple[int, int]


def build(finished: Finished, puts: Mapping[str, Put], zooms: tuple[int, int]) -> bool:
    """Put the tiles of all products, of the smallest to the largest of `zooms`; tell whether there were any."""
    level = _Level(finished, puts, zooms)
    least = min(zooms[0], finished.zoom)
    top = mercator.at_zoom(finished.data, finished.zoom, least)
    made = [_build(level, tile) for tile in mercator.tiles(top, least)]
    return any(made)


def _build(level: _Level, tile: Tile) -> dict[str, TilePixels] | None:
    """Put a tile and all below it, and return it, product by product; None if there is nothing."""
    finished, (least, most) = level.finished, level.zooms
    if not finished.touches(tile):
        return None
    made: dict[str, TilePixels] = {}
    if tile.z == finished.zoom:
        found = finished.read(tile.window)
        if found is None:
            return None
        valid = found[VALID].astype(np.bool_)
        made = {name: TilePixels(found[name], valid) for name in level.puts}
        for zoom in range(max(tile.z + 1, least), most + 1):
            _enlarge(level, tile, made, zoom)
    else:
        children = [_build(level, child) for child in tile.children]
        for name in level.puts:
            above = joined([child[name] if child else None for child in children], name)
            if above is None:
                return None
            made[name] = above
    if least <= tile.z <= most:
        _put(level, tile, made)
    return made


def _enlarge(level: _Level, tile: Tile, made: Mapping[str, TilePixels], zoom: int) -> None:
    """Put all tiles of a larger zoom that lie in `tile`."""
    factor = 1 << (zoom - tile.z)
    for row in range(factor):
        for col in range(factor):
            parts = {name: enlarged(part, factor, row, col) for name, part in made.items()}
            if next(iter(parts.values())).valid.any():
                _put(level, Tile(zoom, tile.x * factor + col, tile.y * factor + row), parts)


def _put(level: _Level, tile: Tile, made: Mapping[str, TilePixels]) -> None:
    for name, put in level.puts.items():
        put(tile.wrapped, encode(made[name], name, level.finished.palette))
