"""A world: any piece of it, whenever it is asked for."""

from functools import lru_cache

import numpy as np

from sat2map.worlds.chance import Dice
from sat2map.worlds.greenery import blob
from sat2map.worlds.lattice import Lattice
from sat2map.worlds.layouts import Bounds, EdgeKey, Radial
from sat2map.worlds.plan import Plan, district_plan, edge_plan, empty_plan, joined_plans
from sat2map.worlds.shapes import PARK, PLAZA, Shapes, gathered, joined
from sat2map.worlds.terrain import Terrain, Town
from sat2map.worlds.waters import TILE, water_tile

DISTRICTS = 160  # kept in memory


class World:
    """An endless town. Pieces are made when they are needed and do not depend on which were made before."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.terrain = Terrain(town)
        self.lattice = Lattice(self.terrain)
        self._district = lru_cache(DISTRICTS)(lambda i, j: district_plan(self.lattice, i, j))
        self._edge = lru_cache(4 * DISTRICTS)(lambda key: edge_plan(self.lattice, key))
        self._water = lru_cache(1024)(lambda col, row: water_tile(self.terrain, col, row))

    def plan(self, bounds: Bounds) -> Plan:
        """Everything that reaches into a box, in metres; the same for every box that shows it."""
        cells = self.lattice.cells_in(bounds)
        parts = [empty_plan()]
        parts += [self._district(i, j).within(bounds) for i, j in cells]
        for key in sorted(
            {key for i, j in cells for side in self.lattice.layout.sides(i, j) for key in side}
        ):
            edge = self._edge(key)
            if edge is not None:
                parts.append(edge.within(bounds))
        if isinstance(self.lattice.layout, Radial):
            parts.append(self._centre().within(bounds))
        return joined_plans(parts)._replace(water=self.water(bounds))

    def water(self, bounds: Bounds) -> Shapes:
        """Return the pieces of water that reach into a box."""
        left, bottom, right, top = (int(np.floor(v / TILE)) for v in bounds)
        tiles = [self._water(col, row) for row in range(bottom, top + 1) for col in range(left, right + 1)]
        return joined(tiles).within(bounds)

    def edges(self, bounds: Bounds) -> list[EdgeKey]:
        """Return the edges of the lattice that may reach into a box, built or not."""
        cells = self.lattice.cells_in(bounds)
        return sorted({key for i, j in cells for side in self.lattice.layout.sides(i, j) for key in side})

    def _centre(self) -> Plan:
        """The round place in the middle of a radial town."""
        layout = self.lattice.layout
        assert isinstance(layout, Radial)
        dice = Dice(self.town.seed, 110)
        keys = [EdgeKey("row", i, 0) for i in range(layout.spokes(0))]
        ring = np.concatenate([self.lattice.edge(key).curve[:-1] for key in keys])
        centre = ring.mean(0)
        plaza = blob(centre, 26.0, dice)
        angle, out = dice.rolls(90) * 2 * np.pi, dice.spread(34, 88, 90)
        trees = centre + np.stack([np.cos(angle), np.sin(angle)], -1) * out[:, None]
        trees = trees[self.terrain.shore(trees) > 2]
        return empty_plan()._replace(
            grounds=gathered([ring, plaza], {"kind": [PARK, PLAZA]}),
            trees=np.column_stack([trees, np.full(len(trees), 3.6), np.full(len(trees), 8.0)]),
        )
