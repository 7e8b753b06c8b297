"""Imagery in a GeoTIFF of this machine, in the same squares of Web Mercator as tiles have."""

from contextlib import ExitStack
from pathlib import Path

from sat2map import mercator
from sat2map.collect.imagery.views import Cut, View, around
from sat2map.collect.provider import Gone
from sat2map.errors import UnusableCrs
from sat2map.grid import Window
from sat2map.scenes import raster


class Scene:
    """Views read from a scene; from one thread only. Use it as a context manager."""

    attribution = ""

    def __init__(self, path: Path, cut: Cut) -> None:
        """Open the file. Raises what `raster.open_scene` and `raster.extent` raise."""
        self.name = f"scene {path.name}"
        self._path, self._cut, self._limits = path, cut, raster.Limits()
        self._stack = ExitStack()
        self._dataset = self._stack.enter_context(raster.open_scene(path))
        self._source = raster.RasterSource(self._dataset, str(path))
        self._extent = raster.extent(self._dataset)
        metres = raster.metres_per_pixel(raster.Place.of(self._dataset, str(path)))
        if metres is None:
            self._stack.close()
            raise UnusableCrs(f"the size of a pixel of {path} is unknown", "Give the scene a CRS first")
        self._metres = max(metres)

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def view(self, longitude: float, latitude: float) -> View:
        """Return the view around a place; Gone if a part of it lies outside the scene or is missing in it."""
        cut, metres = self._cut, mercator.ground_size(self._cut.zoom, latitude)
        whole = mercator.window_of(self._extent, cut.zoom)
        window = around(longitude, latitude, cut.zoom, cut.view)
        if longitude < self._extent.west:
            window = window._replace(col=window.col + mercator.side(cut.zoom))
        if not whole.covers(window):
            raise Gone("outside the scene")
        aligned = mercator.aligned(window, raster.BLOCK)
        with raster.on_tiles(
            self._dataset, aligned, cut.zoom, None, self._limits, shrinks=self._metres < metres
        ) as vrt:
            source = raster.RasterSource(vrt, str(self._path), like=self._source)
            inside = Window(window.row - aligned.row, window.col - aligned.col, window.height, window.width)
            pixels = source.read(inside)
            if not source.valid(inside).all():
                raise Gone("the scene has holes there")
        return View(pixels, metres)
