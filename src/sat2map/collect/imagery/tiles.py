"""Imagery in tiles of Web Mercator: XYZ and TMS templates, TileJSON, WMTS."""

import math
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.collect.imagery.views import Cut, View, around
from sat2map.collect.provider import Gone
from sat2map.errors import BadTileSource
from sat2map.grid import Window
from sat2map.network import Client, Reply
from sat2map.scenes.sources.layer import TileLayer
from sat2map.scenes.sources.matrix import Cover, Level, Place
from sat2map.scenes.sources.pixels import ABSENT, KINDS, check_tile, decoded, is_absent

_KEPT = 256  # decoded tiles: photos lie close together
_NEAR = 1e-3  # relative difference of sizes of a pixel


class Tiles:
    """Views pasted together from tiles, without a resampling."""

    def __init__(self, client: Client, layer: TileLayer, cut: Cut, name: str, attribution: str = "") -> None:
        """`name` is the address as it may be shown. Raises BadTileSource if the layer lacks the zoom."""
        self.name, self.attribution = name, attribution or layer.attribution
        self._client, self._cut, self._template = client, cut, layer.template
        self._level = level_of(layer, cut.zoom)
        self._recent: OrderedDict[Place, npt.NDArray[np.uint8]] = OrderedDict()

    def view(self, longitude: float, latitude: float) -> View:
        """Return the view around a place."""
        window = around(longitude, latitude, self._cut.zoom, self._cut.view)
        return View(self.window(window), mercator.ground_size(self._cut.zoom, latitude))

    def window(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return (height, width, 3) of a window of the world's raster at the cut's zoom. Raises as `view` does."""
        if not 0 <= window.row <= mercator.side(self._cut.zoom) - window.height:
            raise Gone("beyond the edge of Web Mercator")
        window = window._replace(col=window.col % mercator.side(self._cut.zoom))
        cover, whole = Cover(self._level, window), Window(0, 0, window.height, window.width)
        pixels = np.empty((window.height, window.width, 3), np.uint8)
        for place in cover.places():
            tile = cover.pixels(place)
            inside = tile.clipped(whole.height, whole.width)
            pixels[inside.slices()] = self._tile(place)[inside.slices(tile)]
        return pixels

    def _tile(self, place: Place) -> npt.NDArray[np.uint8]:
        place = place._replace(col=place.col % self._level.cols)
        if place not in self._recent:
            self._recent[place] = self._fetch(place)
            if len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(place)
        return self._recent[place]

    def _fetch(self, place: Place) -> npt.NDArray[np.uint8]:
        level = self._level

        def check(reply: Reply) -> None:
            check_tile(reply, level.tile_height, level.tile_width, ())

        reply = self._client.get(self._template.fill(level, place), kinds=KINDS, also=ABSENT, check=check)
        if is_absent(reply, ()):
            raise Gone(f"no tile {self._cut.zoom}/{place.col}/{place.row}")
        rgb, opaque = decoded(reply.body)
        if opaque is not None and not opaque.all():
            raise Gone(f"tile {self._cut.zoom}/{place.col}/{place.row} has holes")
        return rgb


def level_of(layer: TileLayer, zoom: int) -> Level:
    """Return the level of a layer whose pixels are those of a zoom of Web Mercator. Raises BadTileSource."""
    for level in layer.levels:
        is_web = level.crs == mercator.CRS and math.isclose(
            level.size, mercator.pixel_size(zoom), rel_tol=_NEAR
        )
        if is_web and math.isclose(level.left, -mercator.EDGE, rel_tol=_NEAR):
            return level
    raise BadTileSource(
        f"{layer.name} has no level like zoom {zoom} of Web Mercator",
        "Choose another --zoom, or translate the service to a GeoTIFF first and name that",
    )
