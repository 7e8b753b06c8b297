"""`MercatorScene`: a scene and a model, asked for tiles or for cells, in any order, from any thread."""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.card import ModelCard
from sat2map.grid import Block, CellGrid, Window, align_up
from sat2map.mercator import TILE, Tile
from sat2map.runtime import Translator
from sat2map.scenes import raster
from sat2map.scenes.blend import Blend
from sat2map.scenes.crop import Crop
from sat2map.scenes.resolution import choose
from sat2map.scenes.tiles.opening import Opened
from sat2map.scenes.tiles.pyramid import TilePixels, encode, enlarged, joined
from sat2map.scenes.tiles.source import WorldSource
from sat2map.scenes.tiles.surroundings import Surroundings
from sat2map.scenes.translate import WINDOW, Work, check

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

SOURCE = "source"  # the scene itself, as a product of tiles
KEPT_CELLS = 16


class Cell(NamedTuple):
    """One cell of the world's raster, computed."""

    window: Window  # px of the world at the scene's zoom
    products: dict[str, UInt8]  # product -> (height, width, …)
    valid: Bool  # (height, width)


class MercatorScene:
    """What a model makes of a scene, on the world's raster. Safe from several threads; of equal calls each computes.

    Use `open_mercator`. `zoom` is the one at which the network works, `data` the window of the world that the scene
    touches at that zoom, `extent` the same in degrees.
    """

    def __init__(
        self,
        translator: Translator,
        opened: Opened,
        zoom: int,
        products: Sequence[str],
        kept: int = KEPT_CELLS,
    ) -> None:
        """`kept`: how many computed cells are remembered."""
        self.card, self.zoom, self.products = translator.card, zoom, tuple(products)
        self.extent, self.notices, self.origin = opened.extent, opened.notices, opened.origin
        self.data = mercator.window_of(opened.extent, zoom)
        self.side = cell_side(self.card)
        self.scene, self.scene_metres = opened.pixels, opened.size
        self._opened = opened
        self._sources: dict[int, WorldSource] = {}
        self._cells: OrderedDict[tuple[int, int], Cell | None] = OrderedDict()
        self._kept, self._lock = kept, threading.Lock()
        # Around the data at least a halo, so that no cell with data sees the region's edge.
        step = self.side * max(WINDOW // self.side, 1)
        margin = align_up(max(self.card.halo, 1), self.side)
        self.region = mercator.aligned(self.data.grown(margin), step)
        self.grid = CellGrid(self.region.height, self.region.width, self.side, self.card.halo)
        painter = Blend if self.card.windowing == "blend" else Crop
        self._work: Work[Any, Any] = Work(
            translator, self.source(zoom), self.grid, painter(self.grid, self.card.palette, products),
            opened.pool, None,
        )  # fmt: skip

    def source(self, zoom: int) -> WorldSource:
        """Return the scene in the world's raster at any zoom; at the network's, its region is that of the cells."""
        with self._lock:
            if zoom not in self._sources:
                parts = self._opened.at(zoom)
                covered = mercator.aligned(mercator.window_of(self.extent, zoom), raster.BLOCK)
                region = self.region if zoom == self.zoom else covered
                around = None
                if zoom == self.zoom:  # only there is the scene shown to the network
                    around = Surroundings(
                        self._opened.place, zoom, self.data, self.card.halo + self.card.stride
                    )
                self._sources[zoom] = WorldSource(parts, region, self._opened.lock, around)
            return self._sources[zoom]

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield row and column, in the world, of the cells that the scene may have pixels in."""
        box = mercator.aligned(self.data, self.side)
        for row in range(box.row // self.side, (box.row + box.height) // self.side):
            for col in range(box.col // self.side, (box.col + box.width) // self.side):
                yield row, col

    def cell(self, row: int, col: int) -> Cell | None:
        """Compute a cell, or take it from those that are remembered; None if the scene has no pixel there."""
        with self._lock:
            if (row, col) in self._cells:
                self._cells.move_to_end((row, col))
                return self._cells[row, col]
        made = self._compute(row, col)
        with self._lock:
            self._cells[row, col] = made
            while len(self._cells) > self._kept:
                self._cells.popitem(last=False)
        return made

    def tile(self, tile: Tile, product: str = "colour") -> TilePixels | None:
        """Return a tile of any zoom, of one of the products or of the scene itself; None if nothing is there.

        Tiles of smaller zooms take all the cells below them: four times as many for each zoom.
        """
        tile = self._unwrapped(tile)
        if not self.touches(tile):
            return None
        own = self.zoom
        if product == SOURCE:
            own = max(tile.z, self.zoom)  # the scene may have smaller pixels than the network sees
        if tile.z < own:
            return joined([self.tile(child, product) for child in tile.children], product)
        if tile.z > own:
            factor = 1 << (tile.z - own)
            above = self.tile(Tile(own, tile.x // factor, tile.y // factor), product)
            return above and _not_empty(enlarged(above, factor, tile.y % factor, tile.x % factor))
        return self._scene_tile(tile) if product == SOURCE else self._own_tile(tile, product)

    def png(self, tile: Tile, product: str = "colour") -> bytes | None:
        """Return a tile as a PNG file, None if nothing is there: the very bytes that a job writes."""
        found = self.tile(tile, product)
        return found and encode(found, product, self.card.palette)

    def _unwrapped(self, tile: Tile) -> Tile:
        """Return the tile with `x` beyond 180 degrees where the scene is."""
        turn = 1 << tile.z
        later = tile._replace(x=tile.x % turn + turn)
        return later if self.extent.east > 180 and self.touches(later) else tile.wrapped

    def touches(self, tile: Tile) -> bool:
        """Tell whether the scene's rectangle reaches into a tile; `x` as in `data`."""
        return mercator.at_zoom(self.data, self.zoom, tile.z).shared(tile.window).area > 0

    def _own_tile(self, tile: Tile, product: str) -> TilePixels | None:
        window, side = tile.window, self.side
        pixels: UInt8 | None = None
        valid = np.zeros((TILE, TILE), np.bool_)
        for row in range(window.row // side, -(-(window.row + TILE) // side)):
            for col in range(window.col // side, -(-(window.col + TILE) // side)):
                cell = self.cell(row, col)
                if cell is None:
                    continue
                values = cell.products[product]
                if pixels is None:
                    pixels = np.zeros((TILE, TILE, *values.shape[2:]), np.uint8)
                shared = cell.window.shared(window)
                here, there = shared.slices(window), shared.slices(cell.window)
                pixels[here], valid[here] = values[there], cell.valid[there]
        return None if pixels is None else _not_empty(TilePixels(pixels, valid))

    def _scene_tile(self, tile: Tile) -> TilePixels | None:
        source, window = self.source(tile.z), tile.window
        inside = window._replace(row=window.row - source.region.row, col=window.col - source.region.col)
        return _not_empty(TilePixels(source.read(inside), source.valid(inside)))

    def seen(self, row: int, col: int) -> Window:
        """Return what the network is shown for a cell: a window of the region of the scene at its zoom."""
        inside = Window(
            row * self.side - self.region.row, col * self.side - self.region.col, self.side, self.side
        )
        needed = self._work.painter.needs(Block(inside.row // self.side, inside.col // self.side, 1, 1))
        around = self.grid.pixels(needed).grown(self.grid.halo)
        return around.clipped(self.region.height, self.region.width)

    def _compute(self, row: int, col: int) -> Cell | None:
        window = Window(row * self.side, col * self.side, self.side, self.side)
        inside = window._replace(row=window.row - self.region.row, col=window.col - self.region.col)
        if not self.region.covers(window):
            return None
        valid = self.source(self.zoom).valid(inside)
        if not valid.any():
            return None
        block = Block(inside.row // self.side, inside.col // self.side, 1, 1)
        for products in self._work.finish(block, self._work.start(block)):
            if products is not None:
                return Cell(window, dict(products), valid)
        raise AssertionError("a block ends with its products")


def cell_side(card: ModelCard) -> int:
    """Return the side of the cells on the world's raster: whole tiles, about as large as the model's own cells.

    Models that are blended keep theirs, unless it would do for a whole number of tiles.
    """
    step = math.lcm(TILE, card.stride)
    side = max(round(card.cell / step), 1) * step
    if card.windowing == "blend" and (side < 2 * card.halo or (side + 2 * card.halo) % card.stride):
        return card.cell
    return side


def _not_empty(tile: TilePixels) -> TilePixels | None:
    return tile if tile.valid.any() else None


@contextmanager
def open_mercator(
    translator: Translator,
    path: Path,
    products: Sequence[str] = ("colour",),
    *,
    gsd: float | None = None,
    bidx: Sequence[int] | None = None,
    scale: Sequence[float] | None = None,
    nodata: float | None = None,
    limits: raster.Limits | None = None,
    kept: int = KEPT_CELLS,
) -> Iterator[MercatorScene]:
    """Yield a GeoTIFF on the world's raster, at the zoom nearest to the model's ground sampling distance, or to `gsd`.

    `bidx`, `scale`, `nodata` as for `RasterSource`. Raises what `raster.open_scene`, `RasterSource`, `raster.extent`,
    `raster.on_tiles`, `resolution.choose` and `translate.check` raise.
    """
    check(translator.card, translator.card.bands, products)
    limits = limits or raster.Limits()
    read = {"bidx": bidx, "scale": scale, "nodata": nodata}
    with ExitStack() as stack:
        dataset = stack.enter_context(raster.open_scene(path, limits))
        opened = Opened(dataset, str(path), translator.card, read, limits, stack)
        choose(opened.metres, translator.card.metres_per_pixel, gsd)  # refuses what is too far off
        target = gsd or translator.card.metres_per_pixel
        zoom = mercator.nearest_zoom(target, opened.latitude)
        yield MercatorScene(translator, opened, zoom, products, kept)
