"""From the graph of a network to lines: straight into junctions, smooth between them, with class and width."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.scenes.vectors.graph import Edge, Graph, Limits, graph
from sat2map.scenes.vectors.paths import Path
from sat2map.scenes.vectors.shapes import Frame
from sat2map.scenes.vectors.sources import NOTHING

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Shape = tuple[float, float]  # height, width

SMOOTH = 3  # px to both sides over which the steps of pixels are averaged


class Road(NamedTuple):
    """A stretch of road of one class between two junctions, ends or changes of class."""

    class_: int
    line: Floats  # (n, 2) x, y
    width: float
    confidence: float | None  # mean percent along it


def roads(paths: list[Path], frame: Frame, shape: Shape, shortest: float, tolerance: float) -> list[Road]:
    """Return the roads of one network.

    `shape` is (height, width) of the scene in pixels of the frame, of which the last may be cut off. Dead ends and
    roads shorter than `shortest` are left out; lines stray at most `tolerance` from the smoothed middle of the road.
    Both are in units of `frame`.
    """
    import shapely

    net = graph(paths, frame)
    net.clean(Limits(shortest))
    found = [road for edge in net.edges.values() for road in _roads(net, edge, frame, shape)]
    if not found:
        return []
    corner = frame.place(np.array([[0, 0], shape]))
    lines = np.array(
        [shapely.LineString(np.clip(road.line, corner.min(0), corner.max(0))) for road in found], object
    )
    simple = shapely.simplify(lines, tolerance, preserve_topology=True)
    return [
        road._replace(line=shapely.get_coordinates(line)) for road, line in zip(found, simple, strict=True)
    ]


def _roads(net: Graph, edge: Edge, frame: Frame, shape: Shape) -> Iterator[Road]:
    line = _smooth(edge.line)
    for part in _stretches(edge):
        stretch = line[part.start : part.stop + 1]  # one point more: stretches of a road join
        if part.start == 0:
            stretch = _begin(net, edge, stretch, frame, shape)
        if part.stop >= len(line):
            stretch = _begin(net, edge.turned(), stretch[::-1], frame, shape)[::-1]
        percent = edge.confidence[part]
        known = percent[percent != NOTHING]
        yield Road(
            _most(edge, part),
            stretch,
            2 * float(np.median(edge.half[part])),
            float(known.mean()) if len(known) else None,
        )


def _most(edge: Edge, part: slice) -> int:
    return int(np.bincount(edge.kind[part]).argmax())


def _stretches(edge: Edge) -> list[slice]:
    """Cut an edge where its class changes for longer than the road is wide."""
    kind = edge.kind
    cuts = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), len(kind)]
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(edge.line, axis=0).T))])
    least = 4 * float(np.median(edge.half))
    while len(cuts) > 2:
        lengths = [float(steps[min(stop, len(kind) - 1)] - steps[start]) for start, stop in pairwise(cuts)]
        short = min(range(len(lengths)), key=lambda i: (lengths[i], i))
        if lengths[short] >= least:
            break
        del cuts[short if short else 1]
        if 0 < short < len(cuts) - 1 and _most(edge, slice(cuts[short - 1], cuts[short])) == _most(
            edge, slice(cuts[short], cuts[short + 1])
        ):
            del cuts[short]
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def _smooth(line: Floats) -> Floats:
    """Average each point with its neighbours, fewer towards the ends, which stay where they are."""
    count = len(line)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(line - line[0], 0)])
    place = np.arange(count)
    reach = np.minimum(np.minimum(place, count - 1 - place), SMOOTH)
    mean: Floats = (sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1)[:, None] + line[0]
    return mean


def _begin(net: Graph, edge: Edge, line: Floats, frame: Frame, shape: Shape) -> Floats:
    """Lead the beginning of a line to its junction, or to the end of the road."""
    if net.degree(edge.start) == 1:
        first = 0 if _at_border(edge.line[0], frame, shape) else _full(edge, frame)
        tip = _tip(edge.line[first:], float(edge.half[first]), frame, shape)
        return np.concatenate([[tip], line[min(first, len(line) - 1) :]])
    half = float(edge.half[0])
    node = net.place[edge.start]
    # Near a junction the middle of a road is drawn towards the other roads: go straight there instead.
    far = np.hypot(*(line - node).T) >= half
    first = int(far.argmax()) if far.any() else len(line) - 1
    return np.concatenate([[node], line[min(first, len(line) - 1) :]])


def _at_border(point: Floats, frame: Frame, shape: Shape) -> bool:
    """Tell whether a point lies in one of the outermost pixels of the scene."""
    col, row = float(point[0]) / frame.across, -float(point[1]) / frame.down
    return min(col, row, shape[1] - col, shape[0] - row) < 1


def _full(edge: Edge, frame: Frame) -> int:
    """Where the road has its full width: before that, thinning leads to a corner of its end."""
    usual = float(np.median(edge.half))
    reach = max(min(len(edge.half) // 3, round(2 * usual / frame.pixel)), 1)
    full = np.flatnonzero(edge.half[:reach] >= 0.9 * usual)
    return int(full[0]) if len(full) else 0


def _tip(line: Floats, half: float, frame: Frame, shape: Shape) -> Floats:
    """Where a road ends: thinning ends about half a width before; at the scene's border, half a pixel."""
    back = line[min(len(line) - 1, max(3, round(2 * half / frame.pixel)))]
    way = line[0] - back
    length = float(np.hypot(*way))
    if _at_border(line[0], frame, shape):
        half = frame.pixel / 2
    tip: Floats = line[0] + (way / length * half if length else 0)
    return tip
