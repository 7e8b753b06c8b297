"""Right angles for buildings: walls run along one direction or across it.

The direction is found from the walls themselves and walls are moved onto it; the result is taken only if it still
covers what was seen, otherwise the outline stays as it was.
"""

import cmath
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from shapely import Polygon

Point = tuple[float, float]
Wall = tuple[bool, float, float]  # lies along x; its y (its x if not); length

COARSER = (1, 2, 5)  # tolerances of simplifications that are tried
CORNER = 4.0  # tolerances; a corner must be worth a square of this side
SHORTEST = 2.5  # tolerances; shorter walls are merged into their neighbours
SLANTING = 1.3  # what an outline without right angles costs more


def house(exact: "Polygon", simple: "Polygon", tolerance: float, overlap: float) -> "Polygon":
    """Return the simplest shape that still covers a building; right-angled if one will do.

    `exact` is the outline along the pixels and `simple` its simplification by `tolerance`. Coarser simplifications and
    right-angled shapes of all of them compete: each pays for the area in which it differs from `exact`, and for its
    corners. But for `simple` itself, nothing is taken that overlaps `exact` by less than `overlap`, the intersection
    over the union.
    """
    corner = (CORNER * tolerance) ** 2
    best, price = simple, math.inf
    seen = 0
    for coarseness in COARSER:
        outline = simple if coarseness == 1 else exact.simplify(coarseness * tolerance)
        count = len(outline.exterior.coords)
        if count == seen:
            continue
        seen = count
        squares = [(_squared(outline, angle, SHORTEST * tolerance), 1.0) for angle in _directions(outline)]
        for shape, factor in [(outline, SLANTING), *squares]:
            if shape is None or not shape.is_valid:
                continue
            common = shape.intersection(exact).area
            union = shape.area + exact.area - common
            cost = factor * (union - common + corner * _corner_count(shape))
            if cost < price and (common >= overlap * union or shape is simple):
                best, price = shape, cost
    return best


def _corner_count(polygon: "Polygon") -> int:
    return sum(len(ring.coords) - 1 for ring in [polygon.exterior, *polygon.interiors])


def _directions(polygon: "Polygon") -> Iterator[float]:
    """Candidate directions of walls in radians: that of most wall length, and that of the smallest box around."""
    corners = _corners(polygon.exterior)
    # An angle counted four times over is the same for all four walls of a right-angled house.
    total = 0j
    for (x, y), (u, v) in zip(corners, corners[1:] + corners[:1], strict=True):
        side = complex(u - x, v - y)
        total += abs(side) ** 2 * cmath.exp(4j * cmath.phase(side))
    if abs(total) > 0:
        yield cmath.phase(total) / 4
    box = polygon.minimum_rotated_rectangle
    if box.geom_type == "Polygon":
        (x, y), (u, v) = _corners(box.exterior)[:2]
        yield math.atan2(v - y, u - x)


def _corners(ring: object) -> list[Point]:
    points: npt.NDArray[np.float64] = np.asarray(ring.coords)  # type: ignore[attr-defined]
    return [(x, y) for x, y in points[:-1].tolist()]


def _squared(polygon: "Polygon", angle: float, shortest: float) -> "Polygon | None":
    """Turn the polygon by -angle, move its walls onto the axes, turn it back; None if nothing is left of it."""
    import shapely

    shell = _squared_ring(_corners(polygon.exterior), angle, shortest)
    if shell is None:
        return None
    holes = [_squared_ring(_corners(hole), angle, shortest) for hole in polygon.interiors]
    return shapely.Polygon(shell, [hole for hole in holes if hole is not None])


def _squared_ring(corners: list[Point], angle: float, shortest: float) -> list[Point] | None:
    turn, back = cmath.exp(-1j * angle), cmath.exp(1j * angle)
    turned = [complex(x, y) * turn for x, y in corners]
    walls = _merged([_wall(a, b) for a, b in zip(turned, turned[1:] + turned[:1], strict=True)])
    while len(walls) >= 4:
        lengths = _lengths(walls)
        short = min(range(len(walls)), key=lambda i: (lengths[i], i))
        if lengths[short] >= shortest:
            points = [complex(p, q) * back for p, q in _meetings(walls)]
            return [(point.real, point.imag) for point in points]
        walls = _merged(walls[short + 1 :] + walls[:short])  # its neighbours lie the same way and become one
    return None


def _wall(a: complex, b: complex) -> Wall:
    """The wall from a to b, laid onto the nearer axis."""
    side, middle = b - a, (a + b) / 2
    along = abs(side.real) >= abs(side.imag)
    return along, middle.imag if along else middle.real, abs(side.real) if along else abs(side.imag)


def _merged(walls: list[Wall]) -> list[Wall]:
    """Make one wall, at their mean place, of neighbours that lie the same way; the first follows the last."""
    groups: list[list[Wall]] = []
    for wall in walls:
        if groups and groups[-1][-1][0] == wall[0]:
            groups[-1].append(wall)
        else:
            groups.append([wall])
    if len(groups) > 1 and groups[0][0][0] == groups[-1][0][0]:
        groups[0] = groups.pop() + groups[0]
    merged = []
    for group in groups:
        length = sum(wall[2] for wall in group)
        place = sum(wall[1] * wall[2] for wall in group) / length if length else group[0][1]
        merged.append((group[0][0], place, length))
    return merged


def _meetings(walls: list[Wall]) -> list[Point]:
    """The corner at the beginning of each wall; walls lie along and across in turn."""
    before = [walls[-1], *walls[:-1]]
    return [(b[1], w[1]) if w[0] else (w[1], b[1]) for b, w in zip(before, walls, strict=True)]


def _lengths(walls: list[Wall]) -> list[float]:
    """How long each wall is between its neighbours."""
    after = [*walls[1:], walls[0]]
    before = [walls[-1], *walls[:-1]]
    return [abs(a[1] - b[1]) for b, a in zip(before, after, strict=True)]
