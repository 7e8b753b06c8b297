"""Plans of invented towns keep their promises, on some hundred seeds: one district of each, with what is around it."""

from collections import Counter

import numpy as np
import pytest
import shapely

from sat2map.worlds import STYLES, Bounds, Town, World
from sat2map.worlds.network import network
from sat2map.worlds.plan import Plan, joined_plans
from sat2map.worlds.shapes import ARTERIAL, HIGHWAY_LINE, TURNING, WIDTHS, Shapes

SEEDS = 200


def district(seed: int) -> tuple[World, Plan]:
    """A town of each style in turn, and one of its districts with the main streets around it and the water."""
    parameters = {"density": seed % 7 / 6, "water": seed % 5 / 4, "green": seed % 3 / 2}
    world = World(Town(seed, STYLES[seed % 4], **parameters))
    i, j = (seed // 4 % 5, 1 + seed // 20 % 3)
    if world.town.style == "radial":
        i %= 6
    parts = [world._district(i, j)]
    for key in {key for side in world.lattice.layout.sides(i, j) for key in side}:
        edge = world._edge(key)
        parts += [edge] if edge is not None else []
    plan = joined_plans(parts)
    box = plan.buildings.boxes()
    bounds = Bounds(*box[:, :2].min(0), *box[:, 2:].max(0)) if len(box) else Bounds(0, 0, 1, 1)
    return world, plan._replace(water=world.water(bounds))


def polygons(shapes: Shapes) -> np.ndarray:
    return np.array([shapely.Polygon(ring) for ring in shapes], object)


def lines_of(shapes: Shapes) -> np.ndarray:
    return np.array([shapely.LineString(line) for line in shapes], object)


def overlapping(buildings: np.ndarray) -> list[tuple[int, int]]:
    tree = shapely.STRtree(buildings)
    one, two = tree.query(buildings, predicate="intersects")
    pairs = [(a, b) for a, b in zip(one, two, strict=True) if a < b]
    return [(a, b) for a, b in pairs if shapely.intersection(buildings[a], buildings[b]).area > 1e-6]


def on_a_street(buildings: np.ndarray, lines: Shapes) -> list[tuple[int, int]]:
    """(building, line) for buildings that reach over a kerb."""
    width = np.array(WIDTHS)[lines.columns["kind"].astype(int)]
    streets = shapely.buffer(lines_of(lines), width / 2)
    ends = lines.xy[lines.starts[1:] - 1][lines.columns["dead_end"].astype(bool)]
    streets = np.concatenate([streets, shapely.buffer(shapely.points(ends), TURNING)])
    one, two = shapely.STRtree(streets).query(buildings, predicate="intersects")
    return list(zip(one.tolist(), two.tolist(), strict=True))


def in_water(buildings: np.ndarray, water: Shapes) -> list[int]:
    if not len(water):
        return []
    return shapely.STRtree(polygons(water)).query(buildings, predicate="intersects")[0].tolist()


def crossings(lines: Shapes) -> list[tuple[int, int]]:
    """Pairs of lines that meet anywhere but at an end of one of them; arterials pass under highways."""
    shapes, kinds = lines_of(lines), lines.columns["kind"]
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    found = []
    for a, b in zip(one, two, strict=True):
        if a >= b or {int(kinds[a]), int(kinds[b])} == {ARTERIAL, HIGHWAY_LINE}:
            continue
        meeting = shapely.get_coordinates(shapely.intersection(shapes[a], shapes[b]))
        ends = np.concatenate([shapely.get_coordinates(shapes[n])[[0, -1]] for n in (a, b)])
        away = np.hypot(*(meeting[:, None] - ends[None]).transpose(2, 0, 1)).min(1)
        if away.max() > 1e-3:
            found.append((int(a), int(b)))
    return found


def loose_ends(lines: Shapes) -> list[int]:
    """Nodes of the network where a local street just ends. Arterials go on where this district ends."""
    net = network(lines)
    local = ~np.isin(net.lines.columns["kind"], (ARTERIAL, HIGHWAY_LINE))
    turning = net.edges[net.lines.columns["dead_end"].astype(bool), 1]
    assert (net.degrees()[turning] == 1).all(), "a turning circle is an end"
    single = set(np.flatnonzero(net.degrees() == 1)) & set(net.edges[local].ravel())
    return sorted(single - set(turning))


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_streets_and_buildings_keep_out_of_each_others_way(first: int) -> None:
    built = Counter()
    for seed in range(first, first + 20):
        _, plan = district(seed)
        buildings = polygons(plan.buildings)
        assert shapely.is_valid(buildings).all(), seed
        assert overlapping(buildings) == [], seed
        assert on_a_street(buildings, plan.lines) == [], seed
        assert in_water(buildings, plan.water) == [], seed
        assert crossings(plan.lines) == [], seed
        assert loose_ends(plan.lines) == [], seed
        built.update({"buildings": len(buildings), "streets": len(plan.lines), "trees": len(plan.trees)})
    assert min(built["buildings"], built["streets"], built["trees"]) > 100, "the towns are not empty"


@pytest.mark.parametrize("style", STYLES)
def test_arterials_end_only_where_there_is_water_or_the_window_ends(style: str) -> None:
    """The network inside a window: every end is a turning circle, or an arterial's next edge would be in water."""
    world = World(Town(8, style, water=0.5))
    bounds = Bounds(-450, -450, 450, 450)
    net = network(world.plan(bounds).lines)
    # what sticks out of the window is cut off by it, not an end
    inside = (np.abs(net.nodes) < 400).all(1)
    ends = np.flatnonzero((net.degrees() == 1) & inside)
    turning = net.edges[net.lines.columns["dead_end"].astype(bool), 1]
    unbuilt = [world.lattice.edge(key) for key in world.edges(bounds)]
    corners = np.array([edge.curve[[0, -1]] for edge in unbuilt if not edge.exists]).reshape(-1, 2)
    for node in set(ends) - set(turning):
        assert np.hypot(*(corners - net.nodes[node]).T).min() < 1e-3
    lengths = [np.hypot(*np.diff(line, axis=0).T).sum() for line in net.lines]
    assert min(lengths) > 4.0, "junctions are not on top of one another"


def test_what_is_broken_is_seen() -> None:
    """The checks above would notice: a house moved onto another, onto a street, a street that ends nowhere."""
    _, plan = district(0)
    buildings = polygons(plan.buildings)
    moved = buildings.copy()
    shift = buildings[1].centroid
    moved[0] = shapely.transform(buildings[0], lambda xy: xy - xy.mean(0) + (shift.x, shift.y))
    assert overlapping(moved)
    street = plan.lines.xy[0]
    moved[0] = shapely.transform(buildings[0], lambda xy: xy - xy.mean(0) + street)
    assert on_a_street(moved, plan.lines)
    mask = np.arange(len(plan.lines)) % 3 > 0
    assert loose_ends(plan.lines.chosen(mask))
