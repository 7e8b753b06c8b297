"""Where the lines of the lattice of main streets run: rectilinear, or radial around the origin.

Edges run between nodes in two families: "row" edges from node (i, j) to (i + 1, j), "col" edges from (i, j) to
(i, j + 1). In `Radial` rows are rings, cols are spokes, and every doubling of the circumference doubles the spokes.
"""

from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import numpy as np

from sat2map.worlds.chance import Dice, Floats, key_of, unit

Family = Literal["row", "col"]
SAMPLES = 49  # points per edge


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
