"""The main streets: an endless lattice whose nodes, edges and cells anybody can compute where he stands.

Edges run between nodes in two families: "row" edges from node (i, j) to (i + 1, j), "col" edges from (i, j) to (i, j
+ 1). Cell (i, j) lies between them and is a district. Lines of the lattice are arterials; some rows are highways. In
`Radial` rows are rings, cols are spokes, and every doubling of the circumference doubles the spokes."""

from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import numpy as np

from sat2map.worlds.chance import Dice, Floats, key_of, unit
from sat2map.worlds.terrain import DRY, Terrain

Family = Literal["row", "col"]
SAMPLES = 49  # points per edge
SLACK = 45.0  # metres that the inside of a cell may bulge beyond the box around its sides
LONGEST_BRIDGE = 360.0  # metres of water that an arterial crosses


class Bounds(NamedTuple):
    """A box in metres."""

    left: float
    bottom: float
    right: float
    top: float

    def grown(self, margin: float) -> "Bounds":
        """Return the box with `margin` metres more on each side."""
        return Bounds(self.left - margin, self.bottom - margin, self.right + margin, self.top + margin)

    def corners(self) -> Floats:
        """(4, 2) corners."""
        left, bottom, right, top = self
        return np.array([(left, bottom), (right, bottom), (right, top), (left, top)])


class EdgeKey(NamedTuple):
    """Names one edge of the lattice."""

    family: Family
    i: int
    j: int


class Edge(NamedTuple):
    """One edge: its course and what is built on it."""

    key: EdgeKey
    curve: Floats  # (SAMPLES, 2) world metres
    highway: bool
    exists: bool  # False where there is too much water
    wet: bool  # a bridge is part of it


class Layout(Protocol):
    """Where the lattice's lines run, in plan coordinates."""

    def node(self, i: int, j: int) -> Floats:
        """(2,) position of a node."""
        ...

    def curve(self, key: EdgeKey) -> Floats:
        """(SAMPLES, 2) course of an edge."""
        ...

    def ends(self, key: EdgeKey) -> tuple[tuple[int, int], tuple[int, int]]:
        """Nodes at the two ends of an edge."""
        ...

    def sides(self, i: int, j: int) -> tuple[list[EdgeKey], list[EdgeKey], list[EdgeKey], list[EdgeKey]]:
        """Edges of a cell: bottom, right, top, left, each in rising order."""
        ...

    def cells(self, box: Bounds) -> list[tuple[int, int]]:
        """Return the cells that may reach into a box."""
        ...

    def is_highway(self, key: EdgeKey) -> bool:
        """Tell whether an edge carries a highway."""
        ...

    def cuts(self, i: int, j: int) -> tuple[Floats, Floats]:
        """Places in (0, 1) across and along a cell where streets may run; neighbours agree on them."""
        ...


def _jittered_cuts(seed: int, salt: int, line: int, length: float, irregular: float) -> Floats:
    """Evenly spaced places with some jitter, the same for all cells of one column (or row)."""
    dice = Dice(seed, salt, line)
    count = max(round(length / dice.between(62, 80)), 3)
    places = np.arange(1, count) + dice.spread(-irregular, irregular, count - 1)
    return places / count


class Rectilinear:
    """Rows and columns at uneven distances."""

    def __init__(self, seed: int, pitch: float, jitter: float, highway_share: float, coastal: bool) -> None:
        self._seed, self._pitch, self._jitter = seed, pitch, jitter
        self._highways, self._coastal = highway_share, coastal
        self.reach = pitch * (0.25 + jitter)  # farthest a node is from its regular place

    def _line(self, salt: int, number: int) -> float:
        if self._coastal and salt == 51 and number == 0:
            return 58.0  # the road along the shore
        return self._pitch * (number + 0.44 * (float(unit(key_of(self._seed, salt, number))[0]) - 0.5))

    @lru_cache(maxsize=4096)  # noqa: B019 (one per world, and small)
    def node(self, i: int, j: int) -> Floats:
        """(2,) position of a node."""
        shift = Dice(self._seed, 52, i, j).spread(-1, 1, 2) * self._pitch * self._jitter
        if self.is_highway(EdgeKey("row", i, j)) or (self._coastal and j == 0):
            shift[1] = 0.0  # a smooth course
        return np.array([self._line(50, i), self._line(51, j)]) + shift

    def curve(self, key: EdgeKey) -> Floats:
        """(SAMPLES, 2) cubic through the edge's nodes, with tangents from the nodes before and after."""
        di, dj = (1, 0) if key.family == "row" else (0, 1)
        before, first, last, after = (self.node(key.i + n * di, key.j + n * dj) for n in (-1, 0, 1, 2))
        t = np.linspace(0, 1, SAMPLES)[:, None]
        slope_in, slope_out = (last - before) / 2, (after - first) / 2
        return np.asarray(
            (2 * t**3 - 3 * t**2 + 1) * first
            + (t**3 - 2 * t**2 + t) * slope_in
            + (3 * t**2 - 2 * t**3) * last
            + (t**3 - t**2) * slope_out
        )

    def ends(self, key: EdgeKey) -> tuple[tuple[int, int], tuple[int, int]]:
        """Nodes at the two ends of an edge."""
        di, dj = (1, 0) if key.family == "row" else (0, 1)
        return (key.i, key.j), (key.i + di, key.j + dj)

    def sides(self, i: int, j: int) -> tuple[list[EdgeKey], list[EdgeKey], list[EdgeKey], list[EdgeKey]]:
        """Edges of a cell: bottom, right, top, left."""
        return (
            [EdgeKey("row", i, j)],
            [EdgeKey("col", i + 1, j)],
            [EdgeKey("row", i, j + 1)],
            [EdgeKey("col", i, j)],
        )

    def cells(self, box: Bounds) -> list[tuple[int, int]]:
        """Return the cells that may reach into a box."""
        left, bottom, right, top = (v / self._pitch for v in box.grown(self.reach))
        return [
            (i, j)
            for j in range(int(np.floor(bottom)) - 1, int(np.floor(top)) + 1)
            for i in range(int(np.floor(left)) - 1, int(np.floor(right)) + 1)
        ]

    def is_highway(self, key: EdgeKey) -> bool:
        """Some rows are highways, never two in a row; in a coastal town none by the sea."""
        if key.family == "col" or key.j % 2 or (self._coastal and key.j <= 0):
            return False
        return float(unit(key_of(self._seed, 53, key.j))[0]) < 2 * self._highways

    def cuts(self, i: int, j: int) -> tuple[Floats, Floats]:
        """Cuts of the column and of the row."""
        irregular = min(0.5 * self._jitter, 0.12)
        across = _jittered_cuts(self._seed, 54, i, self._line(50, i + 1) - self._line(50, i), irregular)
        along = _jittered_cuts(self._seed, 55, j, self._line(51, j + 1) - self._line(51, j), irregular)
        return across, along


class Radial:
    """Rings around the origin and spokes between them; the innermost cell is a round place without streets."""

    INNERMOST = 110.0  # metres

    def __init__(self, seed: int, pitch: float) -> None:
        dice = Dice(seed, 60)
        self._seed, self._pitch = seed, pitch
        self._spokes = 6 + int(dice.roll() * 4)
        self._phase = dice.between(0, 2 * np.pi)
        self._beltway = 3 + int(dice.roll() * 2)
        self.reach = 0.0

    def radius(self, j: int) -> float:
        """Radius of ring j in metres; ring 0 is the innermost."""
        if j <= 0:
            return self.INNERMOST
        jitter = 0.2 * (float(unit(key_of(self._seed, 61, j))[0]) - 0.5) if j > 1 else 0.0
        return self.INNERMOST + self._pitch * (j + jitter) * 0.85

    def spokes(self, j: int) -> int:
        """Return the number of spokes that leave ring j outward."""
        return self._spokes << max(int(np.log2(max(self.radius(j) / (1.2 * self._pitch), 1))), 0)

    def _angle(self, i: int, j: int) -> float:
        return self._phase + 2 * np.pi * i / self.spokes(j)

    def node(self, i: int, j: int) -> Floats:
        """(2,) node where ring j meets the spoke i of those that leave it."""
        angle = self._angle(i, j)
        return np.array([np.cos(angle), np.sin(angle)]) * self.radius(j)

    def curve(self, key: EdgeKey) -> Floats:
        """(SAMPLES, 2) arc of a ring, counted by its outward spokes, or the spoke from ring j to the next."""
        t = np.linspace(0, 1, SAMPLES)
        angle = np.full(SAMPLES, self._angle(key.i, key.j))
        radius = np.full(SAMPLES, self.radius(key.j))
        if key.family == "row":
            angle = angle + t * 2 * np.pi / self.spokes(key.j)
        else:
            radius = radius + t * (self.radius(key.j + 1) - self.radius(key.j))
        return np.asarray(np.stack([np.cos(angle), np.sin(angle)], -1) * radius[:, None])

    def ends(self, key: EdgeKey) -> tuple[tuple[int, int], tuple[int, int]]:
        """Nodes at the two ends of an edge, numbered by the outward spokes of their ring."""
        if key.family == "row":
            return (key.i, key.j), ((key.i + 1) % self.spokes(key.j), key.j)
        return (key.i, key.j), (key.i * (self.spokes(key.j + 1) // self.spokes(key.j)), key.j + 1)

    def sides(self, i: int, j: int) -> tuple[list[EdgeKey], list[EdgeKey], list[EdgeKey], list[EdgeKey]]:
        """Edges of a cell: inner arc, right spoke, outer arcs, left spoke."""
        ratio = self.spokes(j + 1) // self.spokes(j)
        return (
            [EdgeKey("row", i, j)],
            [EdgeKey("col", (i + 1) % self.spokes(j), j)],
            [EdgeKey("row", i * ratio + n, j + 1) for n in range(ratio)],
            [EdgeKey("col", i, j)],
        )

    def cells(self, box: Bounds) -> list[tuple[int, int]]:
        """Return the cells that may reach into a box, by their polar boxes."""
        near = np.hypot(
            max(box.left, -box.right, 0.0), max(box.bottom, -box.top, 0.0)
        )  # metres from the origin
        far = float(np.hypot(box.corners()[:, 0], box.corners()[:, 1]).max())
        found = []
        j = 0
        while self.radius(j) < far:
            if self.radius(j + 1) > near:
                found += [(i, j) for i in range(self.spokes(j)) if self._may_touch(i, j, box)]
            j += 1
        return found

    def _may_touch(self, i: int, j: int, box: Bounds) -> bool:
        angles = self._angle(i, j) + np.linspace(0, 2 * np.pi / self.spokes(j), 9)
        # the chord between two samples lies inside the arc by this much
        outer = self.radius(j + 1) / np.cos(np.pi / self.spokes(j) / 8)
        x = np.outer([self.radius(j), outer], np.cos(angles))
        y = np.outer([self.radius(j), outer], np.sin(angles))
        return bool(
            x.min() <= box.right and x.max() >= box.left and y.min() <= box.top and y.max() >= box.bottom
        )

    def is_highway(self, key: EdgeKey) -> bool:
        """One ring is a beltway, and every eighth beyond it."""
        return key.family == "row" and key.j >= self._beltway and (key.j - self._beltway) % 8 == 0

    def cuts(self, i: int, j: int) -> tuple[Floats, Floats]:
        """Halves of halves along the ring, so that streets go on where spokes double; even steps outward."""
        arc = 2 * np.pi * (self.radius(j) + self.radius(j + 1)) / 2 / self.spokes(j)
        across = 1 << max(int(np.log2(max(arc / 58, 1))), 1)
        return np.arange(1, across) / across, _jittered_cuts(
            self._seed, 62, j, self.radius(j + 1) - self.radius(j), 0.05
        )


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
