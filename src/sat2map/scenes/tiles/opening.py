"""A GeoTIFF, opened once and read in the world's raster at any zoom."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from sat2map import mercator
from sat2map.card import ModelCard
from sat2map.grid import Window
from sat2map.mercator import Degrees
from sat2map.scenes import raster


class Opened:
    """A GeoTIFF that can be had at any zoom. All reading of the file goes through one lock."""

    def __init__(
        self, dataset: Any, name: str, card: ModelCard, read: dict[str, Any], limits: raster.Limits,
        stack: ExitStack,
    ) -> None:  # fmt: skip
        """`read`: bidx, scale and nodata, as `RasterSource` takes them. `stack` closes what is opened."""
        self.pixels = raster.RasterSource(dataset, name, card.bands, **read)
        self.extent: Degrees = raster.extent(dataset)
        self.place = raster.Place.of(dataset, name)
        self.origin = raster.origin_of(dataset, name)
        self.metres = raster.metres_per_pixel(self.place)
        self.notices: list[str] = []
        self.lock = threading.RLock()
        self.pool = stack.enter_context(ThreadPoolExecutor(1, "cells"))
        self._dataset, self._name, self._bands, self._read = dataset, name, card.bands, read
        self._limits, self._stack = limits, stack

    @property
    def size(self) -> float:
        """Side of a pixel in metres on the ground, the geometric mean of both; 0 if unknown."""
        return math.sqrt(self.metres[0] * self.metres[1]) if self.metres else 0.0

    @property
    def latitude(self) -> float:
        """Of the middle of the scene, in degrees."""
        return (max(self.extent.south, -mercator.LATITUDE) + min(self.extent.north, mercator.LATITUDE)) / 2

    def at(self, zoom: int) -> list[tuple[Window, raster.RasterSource]]:
        """Return the scene in the world's raster at `zoom`: windows of the world and what is in them.

        They are cut at 180 degrees, because no transformation of coordinates goes on there.
        """
        whole = mercator.aligned(mercator.window_of(self.extent, zoom), raster.BLOCK)
        side = max(mercator.side(zoom), raster.BLOCK)
        windows = [Window(whole.row, start, whole.height, side).shared(whole) for start in (0, side)]
        return [(window, self._warped(window, zoom)) for window in windows if window.area]

    def _warped(self, window: Window, zoom: int) -> raster.RasterSource:
        with self.lock:
            vrt = self._stack.enter_context(self._on_tiles(self._dataset, window, zoom))
            like = {key: value for key, value in self._read.items() if key != "scale"}
            return raster.RasterSource(vrt, self._name, self._bands, like=self.pixels, **like)

    def _on_tiles(self, dataset: Any, window: Window, zoom: int) -> AbstractContextManager[Any]:
        """Return what opens a dataset on the grid of this scene in a window of the world."""
        shrinks = self.size < mercator.ground_size(zoom, self.latitude)
        return raster.on_tiles(dataset, window, zoom, self._read.get("nodata"), self._limits, shrinks=shrinks)
