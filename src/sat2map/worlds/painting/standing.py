"""Everything that stands up in a plan, as upright panels over segments of the ground."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats
from sat2map.worlds.painting.roofs import RoofTable, roof_table
from sat2map.worlds.plan import Plan
from sat2map.worlds.shapes import Ints

WALL, RIDGE, CAR_THING, CROWN = range(4)


class Things(NamedTuple):
    """Panels, (N, ...) each; for walls and ridges also what is needed for the slope of the roof above."""

    start: Floats  # (N, 2)
    end: Floats  # (N, 2)
    top: Floats  # (N,) metres
    kind: Ints  # (N,) WALL, RIDGE, CAR_THING, CROWN
    tint: Floats  # (N,) in [0, 1)
    use: Ints  # (N,) entry of BUILDINGS for walls and ridges
    gable: npt.NDArray[np.bool_]  # (N,) the wall goes up to a sloping roof
    middle: Floats  # (N, 2) of the building
    across: Floats  # (N, 2) square to the ridge
    half: Floats  # (N,) metres from ridge to eaves
    roof: npt.NDArray[np.float32]  # (N, 3) colour of the roof


def _panels(start: Floats, end: Floats, top: Floats, kind: int, tint: Floats) -> Things:
    count = len(start)
    return Things(
        start, end, top, np.full(count, kind, np.int64), tint, np.zeros(count, np.int64), np.zeros(count, bool),
        np.zeros((count, 2)), np.zeros((count, 2)), np.ones(count), np.zeros((count, 3), np.float32),
    )  # fmt: skip


def _roofed(panels: Things, owner: Ints, plan: Plan, table: RoofTable, gable: bool) -> Things:
    row = owner + 1
    return panels._replace(
        use=plan.buildings.columns["kind"][owner].astype(np.int64),
        gable=table.gable[row] & gable,
        middle=table.middle[row],
        across=table.across[row],
        half=table.half[row],
        roof=table.colour[row],
    )


def standing(plan: Plan, x: float, y: float, far: float) -> Things:
    """All panels within `far` metres of a point."""
    parts = []
    buildings = plan.buildings
    if len(buildings):
        after = np.arange(1, len(buildings.xy) + 1)
        after[buildings.starts[1:] - 1] = buildings.starts[:-1]
        owner = buildings.owners()
        table = roof_table(buildings)
        height, tint = buildings.columns["height"], buildings.columns["tint"]
        walls = _panels(buildings.xy, buildings.xy[after], height[owner], WALL, tint[owner])
        parts.append(_roofed(walls, owner, plan, table, True))
        ridged = np.flatnonzero(table.gable[1:])
        quad = buildings.columns["quad"][ridged]
        along = np.stack([-table.across[ridged + 1, 1], table.across[ridged + 1, 0]], -1)
        reach = np.abs(((quad - quad.mean(1)[:, None]) * along[:, None]).sum(-1)).max(1)[:, None] * along
        top = height[ridged] + 0.55 * table.half[ridged + 1]
        ridges = _panels(quad.mean(1) - reach, quad.mean(1) + reach, top, RIDGE, tint[ridged])
        parts.append(_roofed(ridges, ridged, plan, table, False))
    cars = plan.cars
    ahead = np.stack([np.cos(cars[:, 2]), np.sin(cars[:, 2])], -1)
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], -1) * 0.92
    corners = [cars[:, :2] + f * ahead * 2.2 + s * aside for f, s in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    for n in range(4):
        parts.append(
            _panels(corners[n], corners[(n + 1) % 4], np.full(len(cars), 1.45), CAR_THING, cars[:, 3])
        )
    trees = plan.trees
    wide = np.array([1.0, 0.0]) * trees[:, 2:3]
    parts.append(
        _panels(trees[:, :2] - wide, trees[:, :2] + wide, trees[:, 3], CROWN, (trees[:, 0] * 0.731) % 1.0)
    )
    things = Things(*(np.concatenate([part[n] for part in parts]) for n in range(len(Things._fields))))
    nearest = np.minimum(np.hypot(*(things.start - (x, y)).T), np.hypot(*(things.end - (x, y)).T))
    # cars far off are dots; and nobody stands in a car or in the crown of a tree
    unseen = (things.kind == CAR_THING) & ((nearest > 90) | (nearest < 3.5))
    unseen |= (things.kind == CROWN) & (nearest < 4.5)
    return Things(*(column[(nearest < far) & ~unseen] for column in things))
