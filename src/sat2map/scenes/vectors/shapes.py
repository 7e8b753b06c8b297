"""Polygons of finished regions, in metres: small ones left out, lines made simple."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.scenes.vectors.polygons import Region
from sat2map.scenes.vectors.rings import arrange, twice_areas

Floats = npt.NDArray[np.float64]
Geometries = npt.NDArray[np.object_]


class Frame(NamedTuple):
    """The plane in which shapes are measured: x to the right and y up from the scene's top left corner.

    Both count metres on the ground, or pixels where nobody knows how large these are.
    """

    across: float  # units per pixel along a row
    down: float  # units per pixel down a column

    @property
    def pixel(self) -> float:
        """Side of a square with the area of a pixel."""
        return math.sqrt(self.across * self.down)

    def place(self, row_col: npt.NDArray[np.number]) -> Floats:
        """(n, 2) row, col of pixel corners -> (n, 2) x, y."""
        return np.stack([row_col[:, 1] * self.across, row_col[:, 0] * -self.down], 1)


def shapes(regions: Sequence[Region], frame: Frame, *, fill: float = 0.0) -> Geometries:
    """Return one valid shapely polygon per region, exactly along its pixels; holes smaller than `fill` are filled.

    Shells run anticlockwise. `fill` is in square units of `frame`.
    """
    import shapely

    if not regions:
        return np.empty(0, object)
    owner = [number for number, region in enumerate(regions) for _ in region.rings]
    rings = arrange([ring for region in regions for ring in region.rings], owner)
    areas = twice_areas(rings)
    kept = (areas > 0) | (-areas * frame.across * frame.down >= 2 * fill)
    sizes = np.diff(rings.bounds)[kept]
    place = frame.place(rings.corners)[np.repeat(kept, np.diff(rings.bounds))]
    linear = shapely.linearrings(place, indices=np.repeat(np.arange(len(sizes)), sizes))
    polygons: Geometries = shapely.polygons(linear, indices=rings.owner[kept])
    return polygons


def simplified(polygons: Geometries, tolerance: float) -> Geometries:
    """Return the polygons with fewer corners, each still valid, and outlines moved by about `tolerance` at most.

    Douglas and Peucker's method in the form of GEOS, which keeps the rings of a polygon from crossing; around the
    point where a ring begins, it may move by twice as much.
    """
    import shapely

    if tolerance <= 0:
        return polygons
    simple: Geometries = shapely.simplify(polygons, tolerance, preserve_topology=True)
    return simple
