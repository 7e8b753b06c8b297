"""The graph of a road network: junctions and ends, and the roads between them, cleaned of what thinning adds.

Everything is done in an order given by the positions of pixels, so that a network has one result however it was found.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.scenes.vectors.paths import CLASS, COL, CONFIDENCE, ROW, SQUARE, Path
from sat2map.scenes.vectors.shapes import Frame

Floats = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Node = int

BESIDE = 1.5  # widths of a road; what splits it also pushes its halves apart


@dataclass(frozen=True)
class Edge:
    """A road between two nodes."""

    start: Node
    stop: Node
    line: Floats  # (n, 2) x, y of pixel centres, from start to stop
    half: Floats  # (n,) distance to the edge of the road, in units of the frame
    kind: Int32  # (n,) class
    confidence: Int32  # (n,) percent, 255 where there is none

    @property
    def length(self) -> float:
        """Along the line."""
        return float(np.hypot(*np.diff(self.line, axis=0).T).sum())

    def turned(self) -> "Edge":
        """Return the edge from stop to start."""
        return Edge(
            self.stop, self.start, self.line[::-1], self.half[::-1], self.kind[::-1], self.confidence[::-1]
        )

    def joined(self, other: "Edge") -> "Edge":
        """Return this edge and the one that begins where it stops as one."""
        return Edge(
            self.start,
            other.stop,
            np.concatenate([self.line, other.line[1:]]),
            np.concatenate([self.half, other.half[1:]]),
            np.concatenate([self.kind, other.kind[1:]]),
            np.concatenate([self.confidence, other.confidence[1:]]),
        )


class Limits(NamedTuple):
    """What is too short to be meant, in units of the frame."""

    shortest: float  # dead ends and roads standing alone


class Graph:
    """Edges by number, and the edges at each node; an edge that begins and stops at one node is there twice."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges: dict[int, Edge] = {}
        self.at: dict[Node, list[int]] = defaultdict(list)
        self.place: dict[Node, Floats] = {}  # (2,) x, y
        self._next = 0
        for edge in edges:
            self.place[edge.start], self.place[edge.stop] = edge.line[0], edge.line[-1]
            self._add(edge)

    def degree(self, node: Node) -> int:
        """How many roads meet there."""
        return len(self.at[node])

    def _add(self, edge: Edge) -> None:
        self.edges[self._next] = edge
        self.at[edge.start].append(self._next)
        self.at[edge.stop].append(self._next)
        self._next += 1

    def _remove(self, number: int) -> Edge:
        edge = self.edges.pop(number)
        self.at[edge.start].remove(number)
        self.at[edge.stop].remove(number)
        return edge

    def merge(self) -> None:
        """Make one edge of two wherever no more than two meet."""
        for node in sorted(self.at):
            numbers = self.at[node]
            if len(numbers) == 2 and numbers[0] != numbers[1]:
                one, other = self._remove(numbers[0]), self._remove(self.at[node][0])
                before = one if one.stop == node else one.turned()
                after = other if other.start == node else other.turned()
                self._add(before.joined(after))

    def prune(self, limits: Limits) -> bool:
        """Drop dead ends that are bumps in the side of a road, and roads too short to be any; tells if there were.

        The line to a bump begins at the middle of the road, so it is about half the road's width long; a fork of two
        such lines is what thinning makes of a square end.
        """
        gone = []
        for number, edge in self.edges.items():
            ends = self.degree(edge.start), self.degree(edge.stop)
            if 1 not in ends:
                continue
            alone = ends == (1, 1)
            half = edge.half.max() if alone else edge.half[0 if ends[1] == 1 else -1]
            if edge.length < max(2 * float(half), limits.shortest):
                gone.append((number, edge, alone))
        dying = defaultdict(list)
        for number, edge, alone in gone:
            if not alone:
                dying[edge.stop if self.degree(edge.start) == 1 else edge.start].append((edge.length, number))
        kept: set[int] = set()
        for node, ends_here in dying.items():
            if len(ends_here) == self.degree(node):  # a star: its two longest arms are one short road
                kept.update(number for _, number in sorted(ends_here)[-2:])
        for number, _, _ in gone:
            if number not in kept:
                self._remove(number)
        return any(number not in kept for number, _, _ in gone)

    def contract(self) -> None:
        """Make one junction of those that are less than a road's width apart along a road."""
        parent: dict[Node, Node] = {}

        def find(node: Node) -> Node:
            while parent.setdefault(node, node) != node:
                node = parent[node]
            return node

        short: set[int] = set()
        for number, edge in self.edges.items():
            if min(self.degree(edge.start), self.degree(edge.stop)) < 3:
                continue
            if edge.length <= float(edge.half[0] + edge.half[-1]):
                short.add(number)
                one, other = sorted((find(edge.start), find(edge.stop)))
                parent[other] = one
        members = defaultdict(list)
        for node in sorted(parent):
            members[find(node)].append(node)
        for root, nodes in members.items():
            self.place[root] = np.mean([self.place[node] for node in nodes], axis=0)
        for number in short:
            self._remove(number)
        for number in list(self.edges):
            edge = self.edges[number]
            ends = find(edge.start), find(edge.stop)
            if ends != (edge.start, edge.stop):
                self._remove(number)
                self._add(Edge(*ends, edge.line, edge.half, edge.kind, edge.confidence))

    def collapse(self) -> bool:
        """Make one edge of two that run side by side within about the width of one road; tells if there were any.

        They lead round something small in the road: an arrow or a letter on a map, a tree or a car in a picture.
        """
        beside = defaultdict(list)
        for number, edge in self.edges.items():
            if edge.start != edge.stop:
                beside[min(edge.start, edge.stop), max(edge.start, edge.stop)].append(number)
        found = False
        for (start, _), numbers in beside.items():
            for one, other in itertools.pairwise(numbers):
                if one in self.edges:
                    first, second = (
                        e if e.start == start else e.turned() for e in (self.edges[one], self.edges[other])
                    )
                    between = _between(first, second)
                    if between is not None:
                        self._remove(one)
                        self._remove(other)
                        self._add(between)
                        found = True
                        break  # a third edge is looked at in the next round
        return found

    def clean(self, limits: Limits) -> None:
        """Do all of this until nothing changes; junctions are made one when the rest is done."""
        for last in (False, True):
            self.merge()
            while self.prune(limits) | self.collapse():
                self.merge()
            if not last:
                self.contract()


def _between(one: Edge, other: Edge) -> Edge | None:
    """Return the middle of two edges with the same start and stop, None if they are too far apart for one road."""
    count = max(len(one.line), len(other.line))
    places = [np.round(np.linspace(0, len(edge.line) - 1, count)).astype(int) for edge in (one, other)]
    first, second = one.line[places[0]], other.line[places[1]]
    width = float(max(one.half[0], other.half[0]) + max(one.half[-1], other.half[-1]))
    if np.hypot(*(first - second).T).max() > BESIDE * width:
        return None
    half = np.linspace(one.half[0], one.half[-1], count)
    return Edge(
        one.start, one.stop, (first + second) / 2, half, one.kind[places[0]], one.confidence[places[0]]
    )


def graph(paths: list[Path], frame: Frame) -> Graph:
    """Make the graph of a network."""
    ordered = sorted((_canonical(path, len(paths) == 1) for path in paths), key=_order)
    return Graph(_edge(path, frame) for path in ordered)


def _order(path: Path) -> tuple[int, ...]:
    return tuple(path.pixels[[0, -1, 1, -2], :2].ravel().tolist())


def _canonical(path: Path, alone: bool) -> Path:
    """Begin a path at its lesser end, and a ring at its least pixel; of two ways round take the lesser."""
    if alone and path.start == path.stop:
        ring = path.pixels[:-1]
        ring = np.roll(ring, -int(np.lexsort((ring[:, COL], ring[:, ROW]))[0]), 0)
        path = Path(np.concatenate([ring, ring[:1]]), path.start, path.stop)
    turned = path.turned()
    return path if _order(path) <= _order(turned) else turned


def _edge(path: Path, frame: Frame) -> Edge:
    assert isinstance(path.start, int) and isinstance(path.stop, int)
    pixels = path.pixels
    return Edge(
        path.start, path.stop,
        frame.place(pixels[:, [ROW, COL]] + 0.5),
        # From the centre of one pixel to that of another: the side of the road is half a pixel nearer.
        (np.sqrt(pixels[:, SQUARE]) - 0.25) * frame.pixel,
        pixels[:, CLASS], pixels[:, CONFIDENCE],
    )  # fmt: skip
