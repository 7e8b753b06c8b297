"""Imagery that has longitudes and latitudes, read from the world's raster in Web Mercator."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sat2map import images, mercator
from sat2map.errors import NoImagery
from sat2map.grid import Window
from sat2map.views.crop import Crop, UInt8
from sat2map.views.imagery.source import Place, refuse_coarse, refuse_unseen, with_unseen

Read = Callable[[Window, int], tuple[UInt8, npt.NDArray[np.bool_]]]
RADIUS = 6_371_008.8  # metres, mean radius of the Earth


class MercatorImagery:
    """Crops from whatever can read a window of the world's raster at a zoom: (H, W, 3) pixels and (H, W) mask."""

    def __init__(
        self, name: str, read: Read, metres: float, attribution: str = "", most_zoom: int = 24
    ) -> None:
        """`metres` per pixel of the source itself; nothing is asked of zooms above `most_zoom`."""
        self.name, self.attribution = name, attribution
        self._read, self._metres, self._most_zoom = read, metres, most_zoom

    def crop(self, place: Place, side: int, metres: float) -> Crop:
        """Return the crop around longitude and latitude, north up; see `Imagery.crop`."""
        if not (-180 <= place.x <= 180 and abs(place.y) < mercator.LATITUDE):
            raise NoImagery(
                f"{place.x:g},{place.y:g} is no place on web maps", "Give LON,LAT in degrees, longitude first"
            )
        refuse_coarse(self.name, self._metres, metres)
        zoom, window = around(place, side, metres, self._most_zoom)
        size = mercator.ground_size(zoom, place.y)
        pixels, valid = self._read(window, zoom)
        refuse_unseen(self.name, valid, f"{place.x:g},{place.y:g}")
        scale = side / window.height
        x, y = mercator.to_metres(place.x, place.y)
        row = ((mercator.EDGE - y) / mercator.pixel_size(zoom) - window.row) * scale
        col = ((x + mercator.EDGE) / mercator.pixel_size(zoom) - window.col) * scale
        shown = images.resized(with_unseen(pixels, valid), side, side)
        return Crop(shown, size / scale, row, col)

    def offset(self, start: Place, end: Place) -> tuple[float, float]:
        """Return metres to the east and north along the sphere's parallel and meridian, the shorter way round."""
        east = (end.x - start.x + 180) % 360 - 180
        middle = math.radians((start.y + end.y) / 2)
        return math.radians(east) * RADIUS * math.cos(middle), math.radians(end.y - start.y) * RADIUS


def around(place: Place, side: int, metres: float, most_zoom: int) -> tuple[int, Window]:
    """Return a zoom with pixels of at most `metres`, if there is one, and the window that `side` such pixels cover."""
    exact = math.log2(mercator.ground_size(0, place.y) / metres)
    zoom = min(max(math.ceil(exact - 1e-6), 0), most_zoom)
    count = max(round(side * metres / mercator.ground_size(zoom, place.y)), 1)
    x, y = mercator.to_metres(place.x, place.y)
    size = mercator.pixel_size(zoom)
    row, col = (mercator.EDGE - y) / size - count / 2, (x + mercator.EDGE) / size - count / 2
    return zoom, Window(round(row), round(col), count, count)
