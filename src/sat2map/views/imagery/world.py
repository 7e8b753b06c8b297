"""Crops of an invented world, which needs no file and no network."""

import math

import numpy as np

from sat2map.grid import Window
from sat2map.views.camera import Camera
from sat2map.views.crop import Crop, UInt8
from sat2map.views.imagery.around import around
from sat2map.views.imagery.source import Place
from sat2map.worlds import Eye, Town, World, paint, paint_view, standpoint

WIDEST = 120.0  # degrees that a level pinhole camera can show without much stretching
HORIZON = 0.12  # of half the width: how far below the middle the worlds' painter has its horizon


class WorldImagery:
    """A world by its town. Places are metres to the east and north of its origin."""

    attribution = "A town that does not exist"

    def __init__(self, town: Town) -> None:
        self.name, self._world = f"world {town.seed}", World(town)

    def street(self, x: float = 0.0, y: float = 0.0) -> tuple[Place, float]:
        """Return a place on the pavement near a point, and the heading along that street."""
        eye = standpoint(self._world, x, y)
        return Place(eye.x, eye.y), eye.heading

    def crop(self, place: Place, side: int, metres: float) -> Crop:
        """Return the crop around a place, painted at the very resolution."""
        row, col = -place.y / metres, place.x / metres
        top, left = math.floor(row) - side // 2, math.floor(col) - side // 2
        pixels = paint(self._world, Window(top, left, side, side), metres).sat
        return Crop(pixels, metres, row - top, col - left)

    def offset(self, start: Place, end: Place) -> tuple[float, float]:
        """Return metres to the east and north."""
        return end.x - start.x, end.y - start.y

    def truth(self, place: Place, heading: float, camera: Camera) -> UInt8:
        """Return what is to be seen there, (H, W, 3), painted from the plan: all around, or 120 degrees at most."""
        if camera.is_panorama:

            def face(right: float, height: int, width: int) -> UInt8:
                eye = Eye(place.x, place.y, heading + right, camera.eye, 90.0)
                return np.asarray(paint_view(self._world, eye, height, width))

            return around(face, camera, HORIZON)
        eye = Eye(place.x, place.y, heading, camera.eye, min(camera.field, WIDEST))
        return np.asarray(paint_view(self._world, eye, camera.height, camera.width))
