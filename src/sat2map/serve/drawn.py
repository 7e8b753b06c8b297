"""In the worker: the view from the ground at a place of a scene, or of an invented town, as a PNG file."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.grid import Window
from sat2map.images import encode_png
from sat2map.mercator import TILE
from sat2map.scenes.tiles import SOURCE
from sat2map.serve.messages import Look
from sat2map.serve.view import View, most_zoom
from sat2map.views import Imagery, MercatorImagery, Place, Viewer, WorldImagery
from sat2map.worlds import Town

UInt8 = npt.NDArray[np.uint8]
_PATIENCE = 30.0  # seconds for what a tile source has to bring


def drawn(look: Look, views: Mapping[str, View], viewers: Mapping[str, Viewer]) -> bytes:
    """Return the picture. Raises NoImagery, WrongResolution, and for tile sources what `View.bring` raises."""
    viewer = viewers[look.model]
    imagery = _world(look) if look.style else _scene(views[look.view])
    crop = imagery.crop(Place(look.x, look.y), viewer.side, viewer.metres)
    return encode_png(viewer(crop, look.heading))


def _world(look: Look) -> Imagery:
    return WorldImagery(Town(seed=look.seed, style=look.style))  # type: ignore[arg-type]


def _scene(view: View) -> Imagery:
    """Return the scene as imagery: the very tiles of its source layer."""
    scene = view.scene

    def read(window: Window, zoom: int) -> tuple[UInt8, npt.NDArray[np.bool_]]:
        pixels = np.zeros((window.height, window.width, 3), np.uint8)
        valid = np.zeros((window.height, window.width), np.bool_)
        for tile in mercator.tiles(mercator.aligned(window, TILE), zoom):
            view.bring(tile, SOURCE, _PATIENCE)
            found = view.pixels(tile, SOURCE)
            if found is not None:
                shared = tile.window.shared(window)
                here, there = shared.slices(window), shared.slices(tile.window)
                pixels[here], valid[here] = found.pixels[there], found.valid[there]
        return pixels, valid

    metres = scene.scene_metres or mercator.ground_size(
        scene.zoom, (scene.extent.south + scene.extent.north) / 2
    )
    return MercatorImagery("the scene", read, metres, most_zoom=most_zoom(scene))
