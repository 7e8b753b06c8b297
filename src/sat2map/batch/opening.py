"""Sources of a plan on its grid: open a scene, or the area of a tile service, and have layers of any region of it."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.batch.described import SceneSource, TilesSource
from sat2map.batch.grids import MetricGrid
from sat2map.batch.mosaic import Layer
from sat2map.batch.plan import Plan
from sat2map.batch.sampling import Sampled, Sampling
from sat2map.batch.services import AreaFeed, open_feed
from sat2map.batch.sources import identity
from sat2map.card import ModelCard
from sat2map.errors import BadPlan, UnusableCrs
from sat2map.grid import Window
from sat2map.scenes import raster
from sat2map.scenes.resolution import Factors, Resampled, Scene
from sat2map.scenes.sources.fetch import pieces, place_of
from sat2map.scenes.tiles import WorldSource
from sat2map.scenes.tiles.live import LiveOpened
from sat2map.scenes.tiles.opening import Opened
from sat2map.scenes.tiles.surroundings import Surroundings

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

_SHRINKS = 1.001  # times that a pixel must be smaller than the grid's for means to be taken
_LINE = 128  # px on both sides of the middle


class Placed(Protocol):
    """A source that is open."""

    def layers(self, region: Window, seen: Window) -> list[Layer]:
        """Return it on a region of the grid, once for each turn of the world on which it lies there.

        `seen` is the part of the region that will be read. Raises DownloadFailed for tiles that do not come.
        """


def open_source(plan: Plan, number: int, card: ModelCard, folder: Path, stack: ExitStack) -> Placed:
    """Open a source of a plan; `stack` closes it.

    Raises BadPlan if it is another one than when the plan was made, and what opening raises.
    """
    source = plan.sources[number]
    if isinstance(source, TilesSource):
        feed = open_feed(plan, source, folder / "tiles" / str(number), stack)
        if isinstance(plan.grid, MetricGrid):
            return OnMetric(plan, number, card, FeedScene(feed), place_of(feed.cover), is_palette=False)
        return WebTiles(plan, feed, card, stack)
    return _scene(plan, number, source, card, stack)


def _scene(plan: Plan, number: int, source: SceneSource, card: ModelCard, stack: ExitStack) -> Placed:
    if identity(Path(source.path)) != source.identity:
        raise BadPlan(f"{source.path} has changed since the plan was made", "Plan again, into another folder")
    limits = raster.Limits()
    dataset = stack.enter_context(raster.open_scene(Path(source.path), limits))
    if isinstance(plan.grid, MetricGrid):
        pixels = raster.RasterSource(
            dataset, source.path, card.bands, bidx=plan.bidx, scale=plan.scale, nodata=plan.nodata
        )
        place = raster.Place.of(dataset, source.path)
        return OnMetric(plan, number, card, pixels, place, is_palette=bool(pixels.bands.palette))
    read = {"bidx": plan.bidx, "scale": plan.scale, "nodata": plan.nodata}
    return OnWeb(plan, Opened(dataset, source.path, card, read, limits, stack), card)


class OnWeb:
    """A scene on the raster of web tiles, by the same calls as in a job of tiles."""

    def __init__(self, plan: Plan, opened: Opened, card: ModelCard) -> None:
        self._plan, self._opened = plan, opened
        self.zoom = plan.zoom
        self._parts = opened.at(self.zoom)
        data = mercator.window_of(opened.extent, self.zoom)
        self._near = data.grown(plan.margin)
        self._around = Surroundings(opened.place, self.zoom, data, card.halo + card.stride)

    def layers(self, region: Window, seen: Window) -> list[Layer]:
        """See `Placed`."""
        return [layer for layer, _ in self.turned(region)]

    def turned(self, region: Window) -> Iterator[tuple[WorldSource, int]]:
        """Yield layers, and the columns by which each is turned."""
        turn = mercator.side(self.zoom)
        for add in (-turn, 0, turn):
            part = region._replace(col=region.col + add)
            if self._near.shared(part).area:
                yield WorldSource(self._parts, part, self._opened.lock, self._around), add


class WebTiles(OnWeb):
    """The area of a tile service on the raster of web tiles, as if all of its tiles were one GeoTIFF."""

    def __init__(self, plan: Plan, feed: AreaFeed, card: ModelCard, stack: ExitStack) -> None:
        self._feed, self._live = feed, LiveOpened(feed, {}, feed.name, card, stack)
        super().__init__(plan, self._live, card)

    def layers(self, region: Window, seen: Window) -> list[Layer]:
        """See `Placed`. Tiles are brought before anybody reads."""
        found = []
        for layer, _ in self.turned(region):
            inside = seen._replace(row=seen.row - region.row, col=seen.col - region.col)
            self._feed.bring_all(self._live.places(layer.squares(inside), self.zoom))
            found.append(layer)
        return list[Layer](found)


class OnMetric:
    """A scene on the grid of a projected CRS."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        card: ModelCard,
        pixels: Scene,
        place: raster.Place,
        *,
        is_palette: bool,
    ) -> None:
        self._grid, own = plan.grid, plan.sources[number].window
        self._near = own.grown(card.halo + card.stride)
        shown, factors = _shown(plan, own, pixels, place)
        self._sampling = Sampling(shown, place, factors, is_palette)

    def layers(self, region: Window, seen: Window) -> list[Layer]:
        """See `Placed`."""
        if not self._near.shared(region).area:
            return []
        return [Sampled(self._sampling, self._grid, region, self._near)]


def _shown(plan: Plan, own: Window, pixels: Scene, place: raster.Place) -> tuple[Scene, Factors | None]:
    """Return a scene with pixels no smaller than those of the grid, and how many of its own make one.

    Counted along a line of many pixels through the middle, so that it is exact where both grids are parallel.
    """
    row, col = own.row + own.height // 2, own.col + own.width // 2
    box = plan.grid.bounds(Window(row - _LINE, col - _LINE, 2 * _LINE, 2 * _LINE))
    x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    found = raster.pixels_at(place, [box.left, box.right, x, x], [y, y, box.top, box.bottom], plan.grid.crs)
    if found is None or not np.isfinite(found).all():
        raise UnusableCrs(
            "the scene does not lie where the plan's CRS is defined", "Plan again, with another --crs"
        )
    sides = []
    for along in (found[1], found[0]):  # rows, then columns of the scene
        covered = math.hypot(along[1] - along[0], along[3] - along[2]) / (2 * _LINE)
        sides.append(round(covered, 9) if covered > _SHRINKS else 1.0)
    factors = Factors(*sides)
    return (Resampled(pixels, factors), factors) if factors != (1.0, 1.0) else (pixels, None)


class FeedScene:
    """A tile service as a scene on its own grid, whose tiles come when they are read; see `scenes.resolution.Scene`."""

    def __init__(self, feed: AreaFeed) -> None:
        self._feed = feed
        self._recent: tuple[Window, UInt8, Bool] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        window = self._feed.cover.window
        return window.height, window.width, 3

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the area. Raises DownloadFailed."""
        return self._made(window)[1]

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the service has a pixel."""
        return self._made(window)[2]

    def _made(self, window: Window) -> tuple[Window, UInt8, Bool]:
        if self._recent is None or self._recent[0] != window:
            self._feed.bring_all(self._feed.cover.touching(window))
            for _, found, valid in pieces(self._feed.cover, [window], self._feed.read):
                assert valid is not None, "pieces of tiles have a mask"
                self._recent = window, found["colour"], valid
        assert self._recent is not None, "a window is one piece"
        return self._recent
