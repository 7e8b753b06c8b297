"""Web Mercator tiles: one raster of the whole world for each zoom, and its squares of 256 pixels.

At zoom z the world is a square raster of 256 · 2^z pixels a side in EPSG:3857, row 0 in the north and column 0 at 180
degrees west (OGC 17-083r4, WebMercatorQuad; tiles are named z/x/y with y growing to the south, as in XYZ). Whatever is
anchored to this raster means the same to every scene, job and server. Columns beyond the last go on east of 180
degrees, so that a scene which crosses that line stays in one piece; `Tile.wrapped` brings them back. Nothing here
touches pixels.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from sat2map.grid import Window, align_down, align_up

CRS = "EPSG:3857"
TILE = 256  # px per side
RADIUS = 6_378_137.0  # metres, of the sphere
EDGE = math.pi * RADIUS  # metres from the middle of the world to its edge
MOST_ZOOM = 24  # 0.01 m at the equator
LATITUDE = math.degrees(
    2 * math.atan(math.exp(math.pi)) - math.pi / 2
)  # 85.05 degrees, where the raster ends
_SLACK = 1e-4  # px; near the poles a degree holds many pixels, and their arithmetic is no better


class Metres(NamedTuple):
    """A rectangle in EPSG:3857."""

    left: float
    bottom: float
    right: float
    top: float


class Degrees(NamedTuple):
    """A rectangle of longitudes and latitudes; `east` is above 180 where it crosses that line."""

    west: float
    south: float
    east: float
    north: float


class Tile(NamedTuple):
    """One tile. `x` may go on beyond the last column, see the module."""

    z: int
    x: int
    y: int

    @property
    def window(self) -> Window:
        """The tile's pixels in the world at its zoom."""
        return Window(self.y * TILE, self.x * TILE, TILE, TILE)

    @property
    def parent(self) -> "Tile":
        """The tile that shows this one at half its size."""
        return Tile(self.z - 1, self.x // 2, self.y // 2)

    @property
    def children(self) -> "tuple[Tile, Tile, Tile, Tile]":
        """The four tiles of the next zoom: north-west, north-east, south-west, south-east."""
        z, x, y = self.z + 1, 2 * self.x, 2 * self.y
        return Tile(z, x, y), Tile(z, x + 1, y), Tile(z, x, y + 1), Tile(z, x + 1, y + 1)

    @property
    def wrapped(self) -> "Tile":
        """The tile under its own name, with `x` inside the world."""
        return self._replace(x=self.x % (1 << self.z))


def side(zoom: int) -> int:
    """Return the side of the world in pixels."""
    return TILE << zoom


def pixel_size(zoom: int) -> float:
    """Return the side of a pixel in units of EPSG:3857, which are metres at the equator only."""
    return 2 * EDGE / side(zoom)


def ground_size(zoom: int, latitude: float) -> float:
    """Return the side of a pixel in metres on the ground at a latitude in degrees (on the sphere)."""
    return pixel_size(zoom) * math.cos(math.radians(latitude))


def nearest_zoom(metres: float, latitude: float) -> int:
    """Return the zoom whose pixels at this latitude are nearest in size, by ratio, to `metres` on the ground."""
    exact = math.log2(ground_size(0, latitude) / metres)
    return min(max(math.floor(exact + 0.5), 0), MOST_ZOOM)


def to_metres(longitude: float, latitude: float) -> tuple[float, float]:
    """Return x and y in EPSG:3857; latitudes beyond the raster's edge are on it."""
    latitude = min(max(latitude, -LATITUDE), LATITUDE)
    return (
        RADIUS * math.radians(longitude),
        RADIUS * math.asinh(math.tan(math.radians(latitude))),
    )


def to_degrees(x: float, y: float) -> tuple[float, float]:
    """Return longitude and latitude of a point in EPSG:3857."""
    return math.degrees(x / RADIUS), math.degrees(math.atan(math.sinh(y / RADIUS)))


def bounds(window: Window, zoom: int) -> Metres:
    """Return the rectangle that a window of the world's raster covers."""
    size = pixel_size(zoom)
    left, top = window.col * size - EDGE, EDGE - window.row * size
    return Metres(left, top - window.height * size, left + window.width * size, top)


def degrees(window: Window, zoom: int) -> Degrees:
    """Return the longitudes and latitudes that a window of the world's raster covers."""
    box = bounds(window, zoom)
    west, south = to_degrees(box.left, box.bottom)
    east, north = to_degrees(box.right, box.top)
    return Degrees(west, south, east, north)


def window_of(box: Degrees, zoom: int) -> Window:
    """Return the smallest window of whole pixels that covers a box; rows stay inside the world.

    A corner within a ten-thousandth of a pixel of an edge is taken to lie on it.
    """
    size = pixel_size(zoom)
    left, bottom = to_metres(box.west, box.south)
    right, top = to_metres(box.east, box.north)
    row = math.floor((EDGE - top) / size + _SLACK)
    col = math.floor((left + EDGE) / size + _SLACK)
    below = math.ceil((EDGE - bottom) / size - _SLACK)
    beyond = math.ceil((right + EDGE) / size - _SLACK)
    row = min(max(row, 0), side(zoom) - 1)
    return Window(row, col, max(min(below, side(zoom)) - row, 1), max(beyond - col, 1))


def aligned(window: Window, step: int) -> Window:
    """Return the smallest window around `window` whose edges are multiples of `step` px."""
    row, col = align_down(window.row, step), align_down(window.col, step)
    bottom, right = align_up(window.row + window.height, step), align_up(window.col + window.width, step)
    return Window(row, col, bottom - row, right - col)


def tiles(window: Window, zoom: int) -> Iterator[Tile]:
    """Yield the tiles that a window of the world's raster touches, row by row."""
    box = aligned(window, TILE)
    for y in range(box.row // TILE, (box.row + box.height) // TILE):
        for x in range(box.col // TILE, (box.col + box.width) // TILE):
            yield Tile(zoom, x, y)


def at_zoom(window: Window, zoom: int, other: int) -> Window:
    """Return the smallest window of another zoom that covers what `window` covers at `zoom`."""
    if other >= zoom:
        factor = 1 << (other - zoom)
        return Window(*(value * factor for value in window))
    step = 1 << (zoom - other)
    box = aligned(window, step)
    return Window(*(value // step for value in box))
