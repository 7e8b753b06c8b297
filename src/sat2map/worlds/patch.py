"""A district's shape: a curvilinear quadrilateral, and the coordinates inside it along which streets run.

Places inside are (a, b): whole numbers are where streets may run, a from the left side to the right, b from the
bottom to the top. Between the four sides lies a Coons patch (Coons, MIT 1967), sampled `SUB` times per step; between
samples positions are bilinear. Streets, lots and houses all ask the same patch, so what is apart in (a, b) is apart
on the ground.
"""

from typing import NamedTuple

import numpy as np

from sat2map.worlds.chance import Floats, noise
from sat2map.worlds.lattice import Lattice
from sat2map.worlds.layouts import EdgeKey

SUB = 3
CORRIDOR = 36.0  # metres from a highway's axis to that of the street beside it


class Side(NamedTuple):
    """One side of a district."""

    curve: Floats  # (n, 2)
    edges: list[EdgeKey]
    exists: list[bool]  # for each edge; in order, each an equal share of the curve
    frontage: bool  # a highway lies beyond, and a street of the district's own runs along here


class Patch(NamedTuple):
    """The grid of positions of one district."""

    points: Floats  # (SUB·na + 1, SUB·nb + 1, 2)
    sides: tuple[Side, Side, Side, Side]  # bottom, right, top, left

    @property
    def steps(self) -> tuple[int, int]:
        """(na, nb) steps from side to side."""
        return (self.points.shape[0] - 1) // SUB, (self.points.shape[1] - 1) // SUB

    def at(self, a: Floats, b: Floats) -> Floats:
        """(..., 2) position of places (a, b)."""
        na, nb = self.steps
        u, v = a * SUB, b * SUB
        i = np.clip(np.floor(u).astype(np.int64), 0, na * SUB - 1)
        j = np.clip(np.floor(v).astype(np.int64), 0, nb * SUB - 1)
        u, v = (u - i)[..., None], (v - j)[..., None]
        points = self.points
        return np.asarray(
            (1 - v) * ((1 - u) * points[i, j] + u * points[i + 1, j])
            + v * ((1 - u) * points[i, j + 1] + u * points[i + 1, j + 1])
        )


def _along(curve: Floats, places: Floats) -> Floats:
    """Points at shares `places` of a curve's own parameter."""
    t = np.linspace(0, 1, len(curve))
    return np.stack([np.interp(places, t, curve[:, 0]), np.interp(places, t, curve[:, 1])], -1)


def _share_at(curve: Floats, metres: float) -> float:
    """Parameter at a distance from the curve's start."""
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    return float(np.interp(metres, way, np.linspace(0, 1, len(curve))))


def _trimmed(curve: Floats, start: float, end: float) -> Floats:
    """Part of a curve, with all its own points in between, so that it lies on the curve exactly."""
    t = np.linspace(0, 1, len(curve))
    inside = t[(t > start + 1e-9) & (t < end - 1e-9)]
    return _along(curve, np.concatenate([[start], inside, [end]]))


def _offset(curve: Floats, metres: float, first: Floats, last: Floats) -> Floats:
    """Run beside a curve at a distance (positive to its left), from a given point to a given point."""
    tangent = np.gradient(curve, axis=0)
    tangent /= np.hypot(tangent[:, 0], tangent[:, 1])[:, None]
    moved = curve + metres * np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    t = np.linspace(0, 1, len(curve))[:, None]
    at_first, at_last = (np.clip(1 - x * 4, 0, 1) for x in (t, 1 - t))
    ease = [x * x * (3 - 2 * x) for x in (at_first, at_last)]
    return np.asarray(moved + ease[0] * (first - moved[0]) + ease[1] * (last - moved[-1]))


class _Resampled(NamedTuple):
    """A side by its own share, from 0 to 1, of the part that the district has of it."""

    curve: Floats
    start: float
    end: float

    def at(self, places: Floats) -> Floats:
        return _along(self.curve, self.start + (self.end - self.start) * places)


def make_patch(lattice: Lattice, i: int, j: int) -> Patch:
    """The patch of cell (i, j)."""
    bottom, right, top, left = ([lattice.edge(key) for key in keys] for keys in lattice.layout.sides(i, j))
    curves = [np.concatenate([e[0].curve, *(x.curve[1:] for x in e[1:])]) for e in (bottom, right, top, left)]
    low, high = bottom[0].highway, top[0].highway
    parts = []
    for curve in (curves[1], curves[3]):
        start = _share_at(curve, CORRIDOR) if low else 0.0
        end = 1 - _share_at(curve[::-1], CORRIDOR) if high else 1.0
        parts.append(_Resampled(curve, start, end))
    zero, one = np.zeros(1), np.ones(1)
    spin = 1.0 if _turns_left(curves) else -1.0
    if low:
        curves[0] = _offset(curves[0], spin * CORRIDOR, parts[1].at(zero)[0], parts[0].at(zero)[0])
    if high:
        curves[2] = _offset(curves[2], -spin * CORRIDOR, parts[1].at(one)[0], parts[0].at(one)[0])
    sides = (
        Side(curves[0], [e.key for e in bottom], [e.exists for e in bottom], low),
        Side(_trimmed(*parts[0]), [e.key for e in right], [e.exists for e in right], False),
        Side(curves[2], [e.key for e in top], [e.exists for e in top], high),
        Side(_trimmed(*parts[1]), [e.key for e in left], [e.exists for e in left], False),
    )
    across, along = lattice.layout.cuts(i, j)
    points = _coons(
        _refined(across), _refined(along), _Resampled(curves[0], 0, 1), parts[0], _Resampled(curves[2], 0, 1), parts[1]
    )  # fmt: skip
    return Patch(_wrinkled(lattice, points), sides)


def _turns_left(curves: list[Floats]) -> bool:
    """Tell whether bottom, right, top, left go round counter-clockwise."""
    along, up = curves[0][-1] - curves[0][0], curves[3][-1] - curves[3][0]
    return bool(along[0] * up[1] - along[1] * up[0] > 0)


def _refined(cuts: Floats) -> Floats:
    """Sides and cuts, and SUB steps between each."""
    knots = np.concatenate([[0.0], cuts, [1.0]])
    places = np.arange(SUB * (len(knots) - 1) + 1) / SUB
    return np.asarray(np.interp(places, np.arange(len(knots)), knots), np.float64)


def _coons(
    s: Floats, t: Floats, bottom: _Resampled, right: _Resampled, top: _Resampled, left: _Resampled
) -> Floats:
    """(len(s), len(t), 2) positions between four sides."""
    low, high = bottom.at(s)[:, None], top.at(s)[:, None]
    west, east = left.at(t)[None], right.at(t)[None]
    s, t = s[:, None, None], t[None, :, None]
    corners = (1 - t) * ((1 - s) * low[:1] + s * low[-1:]) + t * ((1 - s) * high[:1] + s * high[-1:])
    return np.asarray((1 - t) * low + t * high + (1 - s) * west + s * east - corners)


def _wrinkled(lattice: Lattice, points: Floats) -> Floats:
    """Give the inside the small irregularity of its style; the sides stay."""
    town = lattice.terrain.town
    strength = {"grid": 0.0, "organic": 26.0, "radial": 5.0, "coastal": 8.0}[town.style]
    if not strength:
        return points
    x, y = points[..., 0], points[..., 1]
    s = np.linspace(0, 1, points.shape[0])[:, None]
    t = np.linspace(0, 1, points.shape[1])[None]
    fade = np.minimum(1, 6 * np.minimum(s, 1 - s)) * np.minimum(1, 6 * np.minimum(t, 1 - t))
    moved = [
        noise(town.seed, 71, x, y, 190.0) + 0.4 * noise(town.seed, 73, x, y, 90.0),
        noise(town.seed, 72, x, y, 190.0) + 0.4 * noise(town.seed, 74, x, y, 90.0),
    ]
    return np.asarray(points + strength * fade[..., None] * np.stack(moved, -1))
