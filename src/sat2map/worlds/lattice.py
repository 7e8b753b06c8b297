"""The main streets: an endless lattice whose nodes, edges and cells anybody can compute where he stands.

Cell (i, j) lies between four sides, each an edge of the layout or two, and is a district. Lines of the lattice are
arterials; some rows are highways.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sat2map.worlds.chance import Floats
from sat2map.worlds.layouts import SAMPLES, Bounds, EdgeKey, Layout, Radial, Rectilinear
from sat2map.worlds.terrain import DRY, Terrain

SLACK = 45.0  # metres that the inside of a cell may bulge beyond the box around its sides
LONGEST_BRIDGE = 360.0  # metres of water that an arterial crosses


class Edge(NamedTuple):
    """One edge: its course and what is built on it."""

    key: EdgeKey
    curve: Floats  # (SAMPLES, 2) world metres
    highway: bool
    exists: bool  # False where there is too much water
    wet: bool  # a bridge is part of it


class Lattice:
    """The layout of a town, laid over its terrain."""

    def __init__(self, terrain: Terrain) -> None:
        town = terrain.town
        self.terrain = terrain
        self.layout: Layout
        if town.style == "radial":
            self.layout = Radial(town.seed, 430.0)
        else:
            pitch, jitter = {"grid": (540.0, 0.03), "organic": (470.0, 0.13), "coastal": (500.0, 0.06)}[
                town.style
            ]
            self.layout = Rectilinear(town.seed, pitch, jitter, 0.16, town.style == "coastal")
        # Farthest that a point of the lattice is from where its plan point would be.
        self.reach = terrain.displacement + 160.0

    def cells_in(self, bounds: Bounds) -> list[tuple[int, int]]:
        """Return the cells that may reach into a box of the world."""
        turned = self.terrain.to_plan(bounds.corners())
        (left, bottom), (right, top) = turned.min(0), turned.max(0)
        cells = self.layout.cells(Bounds(left, bottom, right, top).grown(self.reach))
        return [cell for cell in cells if self._meets(cell, bounds.grown(SLACK))]

    def _meets(self, cell: tuple[int, int], bounds: Bounds) -> bool:
        """Tell whether the box around a cell's sides meets a box."""
        (x0, y0, x1, y1) = np.array(
            [self._box(key) for side in self.layout.sides(*cell) for key in side]
        ).T  # fmt: skip
        return bool(
            x0.min() <= bounds.right
            and x1.max() >= bounds.left
            and y0.min() <= bounds.top
            and y1.max() >= bounds.bottom
        )

    @lru_cache(maxsize=1024)  # noqa: B019 (one per world)
    def _box(self, key: EdgeKey) -> tuple[float, float, float, float]:
        (left, bottom), (right, top) = (f(self.edge(key).curve, axis=0) for f in (np.min, np.max))
        return float(left), float(bottom), float(right), float(top)

    @lru_cache(maxsize=4096)  # noqa: B019 (one per world)
    def _shift(self, node: tuple[int, int]) -> Floats:
        """(2,) how far a node is moved away from water."""
        place = self.terrain.to_world(self.layout.node(*node))
        return np.asarray(self.terrain.ashore(place) - place)

    @lru_cache(maxsize=1024)  # noqa: B019 (one per world)
    def edge(self, key: EdgeKey) -> Edge:
        """Return the edge and what is built on it; both districts beside it get the same."""
        first, last = self.layout.ends(key)
        t = np.linspace(0, 1, SAMPLES)[:, None]
        ease = t * t * (3 - 2 * t)
        shift = (1 - ease) * self._shift(first) + ease * self._shift(last)
        curve = self.terrain.to_world(self.layout.curve(key)) + shift
        dry = self.terrain.shore(curve)
        highway = self.layout.is_highway(key)
        steps = np.hypot(*np.diff(curve, axis=0).T)
        flooded = float(steps[(dry[1:] < 0) | (dry[:-1] < 0)].sum())
        exists = highway or (flooded <= LONGEST_BRIDGE and min(dry[0], dry[-1]) > DRY)
        return Edge(key, curve, highway, bool(exists), flooded > 0)
