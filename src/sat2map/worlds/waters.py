"""Water as polygons: the field of distances to the shore, contoured on one grid for the whole world.

Marching squares with linear interpolation (Lorensen and Cline, SIGGRAPH 1987, in two dimensions). The grid is fixed to
the world, so contours do not depend on who asks. Each grid square gives a convex piece (two where it is ambiguous), and
squares that are all water are joined to one piece per row.
"""

import numpy as np

from sat2map.worlds.chance import Floats
from sat2map.worlds.shapes import Shapes, gathered
from sat2map.worlds.terrain import Terrain

STEP = 8.0  # metres between grid points
TILE = 512.0  # metres, side of what is contoured at a time
SHALLOW = 7.0  # metres from the shore that maps show a little darker


def water_tile(terrain: Terrain, col: int, row: int) -> Shapes:
    """Water of one tile; tiles are numbered from the origin to the east and to the north."""
    count = int(TILE / STEP)
    x = col * TILE + STEP * np.arange(count + 1)
    y = row * TILE + STEP * np.arange(count + 1)
    grid = np.stack(np.meshgrid(x, y), -1)  # (count + 1, count + 1, 2), rows to the north
    depth = terrain.shore(grid)
    rings, depths = [], []
    for level, threshold in enumerate((0.0, -SHALLOW)):
        if depth.min() < threshold:
            found = _contoured(depth - threshold, grid)
            rings += found
            depths += [level] * len(found)
    return gathered(rings, {"depth": np.array(depths, np.int64)})


def _contoured(field: Floats, grid: Floats) -> list[Floats]:
    """Rings around where `field` is negative."""
    wet = field < 0
    corners = np.stack(
        [wet[:-1, :-1], wet[:-1, 1:], wet[1:, 1:], wet[1:, :-1]], -1
    )  # (n, n, 4) anticlockwise
    number = corners.sum(-1)
    rings: list[Floats] = []
    for row in range(field.shape[0] - 1):
        full = np.flatnonzero(np.diff(np.concatenate([[False], number[row] == 4, [False]]).astype(np.int8)))
        for start, end in zip(full[::2], full[1::2], strict=True):
            rings.append(
                np.stack([grid[row, start], grid[row, end], grid[row + 1, end], grid[row + 1, start]])
            )
    for row, col in np.argwhere((number > 0) & (number < 4)):
        places = [(row, col), (row, col + 1), (row + 1, col + 1), (row + 1, col)]
        rings += _piece([float(field[p]) for p in places], [grid[p] for p in places])
    return rings


def _piece(values: list[float], points: list[Floats]) -> list[Floats]:
    """The negative part of one square, given its corners in order; two triangles where opposite corners are wet."""
    ring: list[Floats] = []
    for n in range(4):
        here, after = values[n], values[(n + 1) % 4]
        if here < 0:
            ring.append(points[n])
        if (here < 0) != (after < 0):
            ring.append(_crossing(here, after, points[n], points[(n + 1) % 4]))
    if len(ring) == 6 and values[0] < 0 and values[2] < 0:
        return [np.array([ring[5], ring[0], ring[1]]), np.array([ring[2], ring[3], ring[4]])]
    if len(ring) == 6:
        return [np.array(ring[:3]), np.array(ring[3:])]
    return [np.array(ring)]


def _crossing(here: float, after: float, start: Floats, end: Floats) -> Floats:
    """Where the field is zero between two corners: the same bits for both squares that ask."""
    if (end[0], end[1]) < (start[0], start[1]):
        here, after, start, end = after, here, end, start
    return np.asarray(start + here / (here - after) * (end - start))
