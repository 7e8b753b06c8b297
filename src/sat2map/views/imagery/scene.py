"""Crops of a GeoTIFF."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.errors import UnusableCrs
from sat2map.grid import Window
from sat2map.scenes import raster
from sat2map.views.crop import UInt8
from sat2map.views.imagery.mercator import MercatorImagery


class SceneImagery(MercatorImagery):
    """A scene, open until the end of a `with` block; from one thread only."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises what `raster.open_scene` and `raster.extent` raise, and UnusableCrs."""
        self._path, self._limits, self._stack = path, raster.Limits(), ExitStack()
        try:
            self._dataset = self._stack.enter_context(raster.open_scene(path))
            self._source = raster.RasterSource(self._dataset, str(path))
            self._extent = raster.extent(self._dataset)
            metres = raster.metres_per_pixel(raster.Place.of(self._dataset, str(path)))
            if metres is None:
                raise UnusableCrs(f"the size of a pixel of {path} is unknown", "Give the scene a CRS first")
        except BaseException:
            self._stack.close()
            raise
        super().__init__(path.name, self._window, max(metres))

    def __enter__(self) -> "SceneImagery":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def extent(self) -> mercator.Degrees:
        """West, south, east, north in degrees."""
        return self._extent

    def _window(self, window: Window, zoom: int) -> tuple[UInt8, npt.NDArray[np.bool_]]:
        whole = mercator.window_of(self._extent, zoom)
        if not window.shared(whole).area and self._extent.east > 180:
            window = window._replace(col=window.col + mercator.side(zoom))
        if not window.shared(whole).area:
            return np.zeros((window.height, window.width, 3), np.uint8), np.zeros(
                (window.height, window.width), bool
            )
        aligned = mercator.aligned(window, raster.BLOCK)
        latitude = (self._extent.south + self._extent.north) / 2
        shrinks = self._metres < mercator.ground_size(zoom, latitude)
        with raster.on_tiles(self._dataset, aligned, zoom, None, self._limits, shrinks=shrinks) as vrt:
            source = raster.RasterSource(vrt, str(self._path), like=self._source)
            inside = Window(window.row - aligned.row, window.col - aligned.col, window.height, window.width)
            return source.read(inside), source.valid(inside)
