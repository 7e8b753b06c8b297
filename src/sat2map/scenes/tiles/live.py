"""A tile source as a scene whose pixels come when somebody looks, each as it would be in a file of all of them.

The job puts the tiles of an area together as a GeoTIFF and warps it in squares of the world's raster. Here the same is
done square by square: the tiles that a square may have a share in go into a GeoTIFF in memory, on the grid of the whole
(`raster.in_part`), which is warped by the same call. So a square has the same bytes, and a square of which a tile is
not there is not made at all.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.card import ModelCard
from sat2map.grid import Window
from sat2map.mercator import Tile
from sat2map.runtime import Translator
from sat2map.scenes import raster
from sat2map.scenes.resolution import choose
from sat2map.scenes.sources.area import area_of, cover_of, nearest_level
from sat2map.scenes.sources.feed import Feed
from sat2map.scenes.sources.fetch import pieces, place_of
from sat2map.scenes.sources.job import TileSource
from sat2map.scenes.sources.matrix import Cover, Place
from sat2map.scenes.tiles.opening import Opened
from sat2map.scenes.tiles.scene import SOURCE, MercatorScene
from sat2map.scenes.translate import check

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

_MARGIN = 16  # px of the source around a square: more than any kernel of the warper reaches
_POINTS = 33  # per edge of a square, by which its outline in another CRS is found


class LiveOpened(Opened):
    """The area of a tile source, opened like a GeoTIFF of it."""

    def __init__(
        self, feed: Feed, tags: dict[str, str], name: str, card: ModelCard, stack: ExitStack
    ) -> None:
        self.feed, self._layer = feed, raster.Layer("colour", tags)
        empty = stack.enter_context(raster.in_part(place_of(feed.cover), self._layer, ()))
        super().__init__(
            empty, name, card, {"bidx": None, "scale": None, "nodata": None}, raster.Limits(), stack
        )

    def _warped(self, window: Window, zoom: int) -> "LivePixels":  # type: ignore[override]
        return LivePixels(self, window, zoom)

    def parts(self, square: Window, zoom: int) -> list[Window]:
        """Return the window of the cover that a square of the world may have a share of, in a list; empty if none."""
        box = mercator.bounds(square, zoom)
        xs = [*np.linspace(box.left, box.right, _POINTS)] * 2 + [box.left] * _POINTS + [box.right] * _POINTS
        ys = [box.top] * _POINTS + [box.bottom] * _POINTS + [*np.linspace(box.bottom, box.top, _POINTS)] * 2
        found = raster.pixels_at(self.place, xs, ys, mercator.CRS)
        whole = self.feed.cover.window
        if found is None or not np.isfinite(found).all():
            return [Window(0, 0, whole.height, whole.width)]
        (left, right), (top, bottom) = ((min(values), max(values)) for values in found)
        row, col = int(top) - _MARGIN, int(left) - _MARGIN
        reach = Window(row, col, int(bottom) + 1 + _MARGIN - row, int(right) + 1 + _MARGIN - col)
        inside = reach.clipped(whole.height, whole.width)
        return [inside] if inside.area else []

    def places(self, squares: Iterable[Window], zoom: int) -> Iterator[Place]:
        """Yield the tiles that squares of the world need."""
        for square in squares:
            for part in self.parts(square, zoom):
                yield from self.feed.cover.touching(part)

    def pixels_of(self, window: Window, zoom: int, square: Window) -> tuple[UInt8, Bool]:
        """Return pixels and mask of a square of the world, which lies in `window`, as a file of all tiles has them."""
        parts = self.parts(square, zoom)
        given = pieces(self.feed.cover, parts, self.feed.read)
        with (
            raster.in_part(self.place, self._layer, given) as dataset,
            self._on_tiles(dataset, window, zoom) as vrt,
        ):
            source = raster.RasterSource(vrt, self._name, self._bands, like=self.pixels)
            here = square._replace(row=square.row - window.row, col=square.col - window.col)
            return source.read(here), source.valid(here)


class LivePixels:
    """A window of the world at one zoom, read in the squares of the warper; a source for `WorldSource`."""

    def __init__(self, opened: LiveOpened, window: Window, zoom: int) -> None:
        self._opened, self._window, self._zoom = opened, window, zoom
        self._recent: tuple[Window, UInt8, Bool] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return self._window.height, self._window.width, self._opened.pixels.shape[2]

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a square. Raises DownloadFailed if a tile is not on disk."""
        return self._made(window)[1]

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the source has a pixel."""
        return self._made(window)[2]

    def _made(self, window: Window) -> tuple[Window, UInt8, Bool]:
        if self._recent is None or self._recent[0] != window:
            square = window._replace(row=window.row + self._window.row, col=window.col + self._window.col)
            self._recent = window, *self._opened.pixels_of(self._window, self._zoom, square)
        return self._recent


class LiveScene(MercatorScene):
    """A tile source and a model, asked for tiles; `feed` must bring the `places` of a tile before."""

    def __init__(
        self, translator: Translator, opened: LiveOpened, zoom: int, products: Sequence[str], kept: int
    ) -> None:
        super().__init__(translator, opened, zoom, products, kept)
        self.feed, self._live = opened.feed, opened

    def places(self, tile: Tile, product: str) -> set[Place]:
        """Return the tiles of the source that a tile of the scene or of a map needs, with halo and mirror images."""
        tile = self._unwrapped(tile)
        if product == SOURCE and tile.z >= self.zoom:
            square = mercator.aligned(tile.window, raster.BLOCK)
            return set(self._live.places([square], tile.z))
        window = mercator.at_zoom(tile.window, tile.z, self.zoom).shared(self.data)
        squares: set[Window] = set()
        box = mercator.aligned(window, self.side)
        for part in box.parts(self.side) if window.area else ():
            seen = self.seen(part.row // self.side, part.col // self.side)
            squares |= self.source(self.zoom).squares(seen)
        return set(self._live.places(squares, self.zoom))


def cover_for(source: TileSource, bbox: Sequence[float], zoom: str, metres: float, most: int) -> Cover:
    """Return what of a source is served: an area in degrees at the level `zoom`, or at that nearest to `metres`.

    Raises BadTileSource, TooMuchToFetch for more than `most` tiles.
    """
    area = area_of(bbox)
    level = source.layer.level(zoom) if zoom else nearest_level(source.layer, area, metres)
    return cover_of(source.layer, level, area, most)


@contextmanager
def open_live(
    translator: Translator,
    source: TileSource,
    feed: Feed,
    products: Sequence[str],
    *,
    gsd: float | None = None,
    kept: int,
) -> Iterator[LiveScene]:
    """Yield the area of a tile source that `feed` covers, as `open_mercator` yields a GeoTIFF.

    Raises what `raster.extent`, `resolution.choose` and `translate.check` raise; reading raises DownloadFailed.
    """
    card = translator.card
    check(card, card.bands, products)
    with ExitStack() as stack:
        opened = LiveOpened(feed, source.tags(feed.cover), source.shown, card, stack)
        choose(opened.metres, card.metres_per_pixel, gsd)
        zoom = mercator.nearest_zoom(gsd or card.metres_per_pixel, opened.latitude)
        yield LiveScene(translator, opened, zoom, products, kept)
