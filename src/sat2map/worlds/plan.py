"""The plan: everything that stands in a piece of a world, as shapes with attributes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sat2map.worlds.chance import Dice, Floats
from sat2map.worlds.district import District, make_district
from sat2map.worlds.footprints import apart, rims
from sat2map.worlds.greenery import cars_along, trees_along
from sat2map.worlds.lattice import Lattice
from sat2map.worlds.layouts import Bounds, EdgeKey
from sat2map.worlds.patch import CORRIDOR
from sat2map.worlds.shapes import (
    ARTERIAL,
    FRONTAGE,
    HIGHWAY_LINE,
    POND,
    WIDTHS,
    Shapes,
    gathered,
    joined,
)
from sat2map.worlds.terrain import Terrain
from sat2map.worlds.uses import USES, build_blocks

CROWN = 3.9  # metres, usual radius of a tree
KERB = 6.0  # metres between a building and water


class Plan(NamedTuple):
    """A piece of a world. Shapes may reach beyond it; nothing that reaches into it is missing."""

    lines: Shapes  # columns kind, dead_end, bridge
    grounds: Shapes  # column kind; painted in the order of GROUNDS
    lots: Shapes  # column use
    buildings: Shapes  # columns kind, roof, height (m), tint, quad (N, 4, 2)
    trees: Floats  # (N, 4) x, y, radius, height
    cars: Floats  # (N, 4) x, y, heading, tint
    water: Shapes  # convex pieces that fit together; column depth (0 near the shore, 1 farther out)

    def within(self, bounds: Bounds) -> "Plan":
        """Return what touches a box."""

        def near(points: Floats, margin: float) -> Floats:
            x, y = points[:, 0], points[:, 1]
            left, bottom, right, top = bounds.grown(margin)
            return points[(x >= left) & (x <= right) & (y >= bottom) & (y <= top)]

        return Plan(
            self.lines.within(bounds.grown(20.0)),
            self.grounds.within(bounds),
            self.lots.within(bounds),
            self.buildings.within(bounds),
            near(self.trees, 9.0),
            near(self.cars, 4.0),
            self.water.within(bounds),
        )


def joined_plans(plans: Sequence[Plan]) -> Plan:
    """Put pieces together that have nothing in common."""
    return Plan(
        joined([plan.lines for plan in plans]),
        joined([plan.grounds for plan in plans]),
        joined([plan.lots for plan in plans]),
        joined([plan.buildings for plan in plans]),
        np.concatenate([plan.trees for plan in plans]),
        np.concatenate([plan.cars for plan in plans]),
        joined([plan.water for plan in plans]),
    )


def no_shapes(**columns: str) -> Shapes:
    """An empty collection with columns of the given types."""
    return gathered([], {name: np.empty(0, kind) for name, kind in columns.items()})


def district_plan(lattice: Lattice, i: int, j: int) -> Plan:
    """Everything inside one district; its arterials and water are not part of it."""
    terrain = lattice.terrain
    district = make_district(lattice, i, j)
    built = build_blocks(terrain, district)
    dice = Dice(terrain.town.seed, 100, i, j)
    houses = built.houses
    if houses:
        around = rims(np.stack([house.quad for house in houses]))
        dry = terrain.shore(around).min(1) > KERB
        houses = [house for house, keep in zip(houses, dry, strict=True) if keep]
    if houses:
        clear = apart(np.stack([house.quad for house in houses]), 0.0)
        houses = [house for house, keep in zip(houses, clear, strict=True) if keep]
    buildings = gathered(
        [house.ring for house in houses],
        {
            "kind": np.array([house.kind for house in houses], np.int64),
            "roof": np.array([house.roof for house in houses], np.int64),
            "height": np.array([house.height for house in houses], float),
            "tint": np.array([house.tint for house in houses], float),
            "quad": np.array([house.quad for house in houses], float).reshape(-1, 4, 2),
        },
    )
    trees, cars = _around_streets(district, dice)
    trees = np.concatenate([trees, *built.trees])
    trees = trees[terrain.shore(trees) > 2.0]
    cars = np.concatenate([cars, *built.cars])
    cars = cars[terrain.shore(cars[:, :2]) > 4.0]
    size = dice.rolls(len(trees))
    radius = CROWN * (0.55 + 0.9 * size * size)
    lots = np.flatnonzero(_driest(terrain, built.lots) > 0)
    dry_grounds = _driest(terrain, [ring for _, ring in built.grounds]) > 8
    grounds = [area for area, dry in zip(built.grounds, dry_grounds, strict=True) if area[0] != POND or dry]
    return Plan(
        Shapes(
            district.streets.xy,
            district.streets.starts,
            {**district.streets.columns, "bridge": np.zeros(len(district.streets), bool)},
        ),
        gathered([ring for _, ring in grounds], {"kind": np.array([kind for kind, _ in grounds], np.int64)}),
        gathered(
            [built.lots[n] for n in lots], {"use": np.array([built.lot_uses[n] for n in lots], np.int64)}
        ),
        buildings,
        np.column_stack([trees, radius, radius * (2.0 + 0.8 * dice.rolls(len(trees)))]),
        cars,
        no_shapes(depth="int64"),
    )


def _driest(terrain: Terrain, rings: Sequence[Floats]) -> Floats:
    """(N,) least distance from water of the corners of each ring."""
    shapes = gathered(rings, {})
    if not len(shapes):
        return np.empty(0)
    return np.asarray(np.minimum.reduceat(terrain.shore(shapes.xy), shapes.starts[:-1]))


# Share of the places at the kerb where a car is parked, and of those on the road where one drives.
TRAFFIC = {"core": (0.7, 0.5), "rows": (0.72, 0.25), "suburb": (0.3, 0.12), "loops": (0.16, 0.06),
           "estate": (0.45, 0.15), "works": (0.3, 0.25), "park": (0.1, 0.1)}  # fmt: skip
ALLEY = {"core": 0.35, "rows": 0.55, "suburb": 0.62, "loops": 0.5, "estate": 0.5, "works": 0.12, "park": 0.5}


def _around_streets(district: District, dice: Dice) -> tuple[Floats, Floats]:
    """Street trees and cars of a district's own streets."""
    streets = district.streets
    widths = np.array(WIDTHS)[streets.columns["kind"].astype(np.int64)]
    kerb, road = TRAFFIC[district.kind]
    beside = streets.columns["kind"] == FRONTAGE
    parked, driving = np.where(beside, kerb * 0.4, kerb), np.where(beside, 0.3, road)
    return (
        trees_along(streets, widths, ALLEY[district.kind], dice),
        cars_along(streets, widths, parked, driving, dice),
    )


def edge_plan(lattice: Lattice, key: EdgeKey) -> Plan | None:
    """One edge of the lattice: the arterial or highway, with its traffic and trees. None where nothing is built."""
    edge = lattice.edge(key)
    if not edge.exists:
        return None
    dice = Dice(lattice.terrain.town.seed, 101, key.i, key.j, int(key.family == "row"))
    kind = HIGHWAY_LINE if edge.highway else ARTERIAL
    roads = gathered([edge.curve], {"kind": [kind], "dead_end": [False], "bridge": [edge.wet]})
    width = np.array([WIDTHS[kind]])
    parked, driving = np.full(1, 0.0 if edge.highway else 0.35), np.full(1, 0.85 if edge.highway else 0.6)
    cars = [
        cars_along(roads, width * f, parked, driving, dice)
        for f in ((0.62, 1.36) if edge.highway else (1.0,))
    ]
    trees = np.empty((0, 2)) if edge.highway else trees_along(roads, width, 0.4, dice)
    trees = trees[lattice.terrain.shore(trees) > 3]
    for node, end in zip(lattice.layout.ends(key), edge.curve[[0, -1]], strict=True):
        if lattice.layout.is_highway(EdgeKey("row", *node)):  # which passes here
            trees = trees[np.hypot(*(trees - end).T) > CORRIDOR]
    radius = CROWN * (0.7 + 0.5 * dice.rolls(len(trees)))
    return empty_plan()._replace(
        lines=roads, trees=np.column_stack([trees, radius, radius * 2.3]), cars=np.concatenate(cars)
    )


def empty_plan() -> Plan:
    """A plan with nothing in it."""
    return Plan(
        gathered(
            [], {"kind": np.empty(0, np.int64), "dead_end": np.empty(0, bool), "bridge": np.empty(0, bool)}
        ),
        no_shapes(kind="int64"),
        no_shapes(use="int64"),
        gathered(
            [],
            {
                "kind": np.empty(0, np.int64),
                "roof": np.empty(0, np.int64),
                "height": np.empty(0),
                "tint": np.empty(0),
                "quad": np.empty((0, 4, 2)),
            },
        ),
        np.empty((0, 4)),
        np.empty((0, 4)),
        no_shapes(depth="int64"),
    )


__all__ = ["USES", "Plan", "district_plan", "edge_plan", "empty_plan", "joined_plans"]
