"""Tile services as sources of a plan: what of them an area needs, and their tiles on a disk that all workers share.

A tile is fetched once, by whoever needs it first. Workers take turns: one of them asks the service at a time, so that
the rate holds for all of them together, and whoever waited finds the tiles that the other one brought.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from sat2map import mercator, storage
from sat2map.batch.area import Float, Footprint, Ring, box_of, touches
from sat2map.batch.described import TilesSource
from sat2map.batch.grids import LONLAT, Grid, MetricGrid
from sat2map.batch.plan import Plan
from sat2map.errors import BadTileSource, RunLocked, TooMuchToFetch
from sat2map.network import Limits
from sat2map.scenes import raster
from sat2map.scenes.sources.area import cover_of, nearest_level
from sat2map.scenes.sources.feed import Feed
from sat2map.scenes.sources.fetch import CONNECTIONS, place_of
from sat2map.scenes.sources.job import TileOptions, TileSource
from sat2map.scenes.sources.matrix import Cover, Level, Place

_LOOK = 0.1  # seconds between two looks whether another worker is still fetching
_PATIENCE = 3600.0  # seconds for a handful of tiles; the client gives up long before
_ROOM = 1 << 60  # bytes: nothing is thrown away while the plan is there
_DOCUMENT = 4 << 20  # bytes of a description that a plan carries


def describe_service(
    address: str, options: TileOptions, rings: Sequence[Ring], metres: float
) -> tuple[TileSource, Cover, int]:
    """Look at a service and choose its level, that nearest to `metres` per pixel; also how many tiles the area needs.

    Raises BadTileSource, TooMuchToFetch for more than `options.max_tiles`, and what `TileSource` raises.
    """
    source = TileSource(address, options)
    if len(source.document) > _DOCUMENT:
        raise BadTileSource(
            f"the description of {source.shown} has {len(source.document):,} bytes", "Use a template"
        )
    box = box_of(rings)
    level = nearest_level(source.layer, box, metres)
    cover = cover_of(source.layer, level, box, 1 << 40)
    footprint = _on_level(rings, level)
    count = 0
    for row in cover.rows:
        count += sum(1 for col in cover.cols if _has(footprint, level, row, col))
        if count > options.max_tiles:
            raise TooMuchToFetch(
                f"the area needs more than {options.max_tiles:,} tiles at zoom {level.label}",
                "Choose a smaller area, or raise --max-tiles if the provider permits that many",
            )
    if not count:
        raise BadTileSource(f"{source.shown} has no tiles in that area", "Check --bbox or --area")
    return source, cover, count


def planned(source: TileSource, cover: Cover, count: int, grid: Grid) -> TilesSource:
    """Return what a plan says of a service."""
    place, options = place_of(cover), source.options
    if isinstance(grid, MetricGrid):
        window = grid.window_of(place, source.shown)
        extent = grid.degrees([window])[0]
    else:
        with raster.in_part(place, raster.Layer("colour", {}), ()) as dataset:
            extent = raster.extent(dataset)
        window = mercator.window_of(extent, grid.zoom)
    west, south, east, north = (round(value, 9) for value in extent)
    return TilesSource(
        address=source.address,
        name=source.shown,
        level=cover.level.label,
        cover=cover.window,
        tiles=count,
        extent=(west, south, east, north),
        window=window,
        document=source.document.decode("utf-8", "replace"),
        attribution=source.secrets.mask(options.attribution or source.layer.attribution),
        layer=options.layer,
        matrix_set=options.matrix_set,
        style=options.style,
        image_format=options.image_format,
        tile_size=options.tile_size,
        headers=options.headers,
        allow_hosts=options.allow_hosts,
        placeholders=tuple(str(path.resolve()) for path in options.placeholders),
        rate=options.rate,
        cache=options.cache,
    )


def open_feed(plan: Plan, planned: TilesSource, folder: Path, stack: ExitStack) -> "AreaFeed":
    """Open a service as it was planned. Nobody is asked for anything before a tile is needed."""
    source = TileSource(
        planned.address,
        TileOptions(
            planned.layer, planned.matrix_set, planned.style, planned.image_format, planned.tile_size,
            planned.attribution, planned.headers, planned.allow_hosts,
            tuple(Path(path) for path in planned.placeholders), planned.rate, planned.cache,
        ),
        document=planned.document.encode(),
    )  # fmt: skip
    cover = Cover(source.layer.level(planned.level), planned.cover)
    assert plan.area is not None, "a service is planned with an area"
    return AreaFeed(source, cover, folder, _on_level(plan.area, cover.level), stack)


class AreaFeed(Feed):
    """Brings the tiles that touch an area; others are not there. Processes may share the folder."""

    def __init__(
        self, source: TileSource, cover: Cover, folder: Path, footprint: Footprint, stack: ExitStack
    ) -> None:
        super().__init__(source, cover, folder, _ROOM, stack, replace(Limits(), rate=source.options.rate))
        self.name, self._folder, self._footprint = source.shown, folder, footprint

    def bring_all(self, places: Iterable[Place]) -> None:
        """Return when all tiles of the area among `places` are on disk. Raises what `Client.get` raises."""
        missing = self._missing(places)
        if not missing:
            return
        with _turn(self._folder):
            missing = self._missing(missing)  # others may have brought some in the meantime
            for first in range(0, len(missing), CONNECTIONS):
                self.bring(missing[first : first + CONNECTIONS], _PATIENCE)

    def read(self, place: Place) -> bytes | None:
        """Return a tile, None if there is none or it has nothing of the area. Raises what `Client.get` raises."""
        if not self._is_wanted(place):
            return None
        self.bring_all([place])
        return super().read(place)

    def _missing(self, places: Iterable[Place]) -> list[Place]:
        wanted = sorted({self._named(place) for place in places if self._is_wanted(place)})
        return [place for place in wanted if self._kept.find(place) is None]

    def _is_wanted(self, place: Place) -> bool:
        return _has(self._footprint, self.cover.level, place.row, place.col)


def _has(footprint: Footprint, level: Level, row: int, col: int) -> bool:
    """Tell whether a tile has something of the area; columns may go on beyond the last."""
    high, wide = level.tile_height, level.tile_width
    spans = footprint.spans(row * high, (row + 1) * high)
    turns = (-level.cols, 0, level.cols) if level.repeats else (0,)
    return any(touches(spans, (col + add) * wide, (col + add + 1) * wide) for add in turns)


def _on_level(rings: Sequence[Ring], level: Level) -> Footprint:
    """Return an area in pixels of a level."""

    def positions(lons: Sequence[float], lats: Sequence[float]) -> tuple[Float, Float]:
        if level.crs == mercator.CRS:
            points = np.array([mercator.to_metres(lon, lat) for lon, lat in zip(lons, lats, strict=True)])
            return (level.top - points[:, 1]) / level.size, (points[:, 0] - level.left) / level.size
        wide, high = level.cols * level.tile_width, level.rows * level.tile_height
        whole = raster.north_up(level.crs, level.left, level.top, level.size, high, wide)
        found = raster.pixels_at(whole, list(lons), list(lats), LONLAT)
        if found is None:
            return (np.array([math.inf]),) * 2
        return np.asarray(found[1]), np.asarray(found[0])

    return Footprint(rings, positions)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other worker is fetching into `folder`, and hold it."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(storage.locked(folder))
                break
            except RunLocked:
                time.sleep(_LOOK)
        yield
