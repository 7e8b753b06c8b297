"""Crops of a tile service, fetched when they are asked for."""

from contextlib import ExitStack

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.collect.imagery.tiles import Tiles, level_of
from sat2map.collect.imagery.views import Cut
from sat2map.collect.provider import Gone
from sat2map.errors import BadTileSource, NoImagery
from sat2map.grid import Window
from sat2map.network import Budget, Clock
from sat2map.scenes.sources.job import TileOptions, TileSource
from sat2map.views.crop import UInt8
from sat2map.views.imagery.mercator import MercatorImagery


class TileImagery(MercatorImagery):
    """XYZ, TMS, TileJSON or WMTS in Web Mercator, until the end of a `with` block."""

    def __init__(self, address: str, options: TileOptions, *, clock: Clock | None = None) -> None:
        """Look at the source; at most `options.max_tiles` requests. Raises what TileSource raises, BadTileSource."""
        self._stack = ExitStack()
        source = TileSource(address, options, clock=clock)
        self._layer, self._shown = source.layer, source.shown
        self._client = self._stack.enter_context(source.client(Budget(requests=options.max_tiles)))
        self._opened: dict[int, Tiles] = {}
        finest = _finest(self._layer)
        super().__init__(
            source.shown, self._window, mercator.ground_size(finest, 0.0),
            options.attribution or source.layer.attribution, finest,
        )  # fmt: skip

    def __enter__(self) -> "TileImagery":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _window(self, window: Window, zoom: int) -> tuple[UInt8, npt.NDArray[np.bool_]]:
        if zoom not in self._opened:
            cut = Cut(zoom, window.height, window.height, window.height)
            self._opened[zoom] = Tiles(self._client, self._layer, cut, self._shown)
        try:
            pixels = self._opened[zoom].window(window)
        except Gone as error:
            raise NoImagery(f"{self.name} shows nothing there: {error}", "Name another place") from error
        return pixels, np.ones(pixels.shape[:2], bool)


def _finest(layer: object) -> int:
    """Return the largest zoom that a layer has. Raises BadTileSource if it is not in Web Mercator."""
    for zoom in range(mercator.MOST_ZOOM, -1, -1):
        try:
            level_of(layer, zoom)  # type: ignore[arg-type]
        except BadTileSource:
            continue
        return zoom
    raise BadTileSource(
        f"{layer.name} is not in Web Mercator",  # type: ignore[attr-defined]
        "Fetch it as a GeoTIFF with `sat2map translate ADDRESS`, or name another service",
    )
