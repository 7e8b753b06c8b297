"""What grows and what stands around: parks with paths, trees, cars. Points are (N, ...) arrays of world metres."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Dice, Floats
from sat2map.worlds.footprints import straightened
from sat2map.worlds.lots import Frame
from sat2map.worlds.shapes import CARPARK, PATH, PITCH, POND, SERVICE, Ints, Shapes

Area = tuple[int, Floats]  # ground, ring


def ribbon(line: Floats, width: float) -> Floats:
    """(2n, 2) ring around a line (n, 2) of some width in metres."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1) * width / 2
    return np.concatenate([line + normal, (line - normal)[::-1]])


def blob(centre: Floats, radius: float, dice: Dice) -> Floats:
    """(24, 2) ring of a pond or a lawn."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    phase = dice.rolls(3) * 2 * np.pi
    wave = (
        1
        + 0.16 * np.sin(2 * turn + phase[0])
        + 0.1 * np.sin(3 * turn + phase[1])
        + 0.05 * np.sin(5 * turn + phase[2])
    )
    squeeze = dice.between(0.55, 1.0)
    ring = np.stack([np.cos(turn), squeeze * np.sin(turn)], -1) * (radius * wave)[:, None]
    cos, sin = np.cos(phase[0]), np.sin(phase[0])
    return np.asarray(centre + ring @ np.array([[cos, sin], [-sin, cos]]))


def winding(
    frame: Frame, start: tuple[float, float], end: tuple[float, float], sway: float, dice: Dice
) -> Floats:
    """(33, 2) a path between two places of a frame that sways by a share of it."""
    t = np.linspace(0, 1, 33)
    p = start[0] + (end[0] - start[0]) * t
    q = start[1] + (end[1] - start[1]) * t
    bend = sway * (
        np.sin(np.pi * t) * dice.between(-1, 1) + 0.5 * np.sin(2 * np.pi * t) * dice.between(-1, 1)
    )
    dp, dq = end[1] - start[1], start[0] - end[0]
    return frame.at(np.clip(p + bend * dp, 0, 1), np.clip(q + bend * dq, 0, 1))


def pitch(frame: Frame, dice: Dice, wide: float, deep: float) -> Floats | None:
    """(4, 2) a playing field somewhere in a frame, or None where there is no room."""
    across, along = frame.size
    if across < wide + 16 or along < deep + 16:
        wide, deep = deep, wide
        if across < wide + 16 or along < deep + 16:
            return None
    p, q = dice.between(0.05, 0.95 - wide / across), dice.between(0.05, 0.95 - deep / along)
    corner = frame.at(
        np.array([p, p + wide / across, p + wide / across, p]),
        np.array([q, q, q + deep / along, q + deep / along]),
    )
    return np.asarray(straightened(corner[None])[0])


def park_areas(frame: Frame, dice: Dice) -> list[Area]:
    """Paths, playing fields and a pond."""
    across, along = frame.size
    found: list[Area] = []
    large = min(across, along) > 110
    if large and dice.roll() < 0.6:
        centre = frame.at(np.array([dice.between(0.3, 0.7)]), np.array([dice.between(0.3, 0.7)]))[0]
        found.append((POND, blob(centre, dice.between(0.08, 0.17) * min(across, along), dice)))
    for _ in range(int(dice.between(0, 4 if large else 1.6))):
        ring = pitch(frame, dice, *((92.0, 56.0) if large and dice.roll() < 0.6 else (36.0, 20.0)))
        if ring is not None:
            found.append((PITCH, ring))
    ends = [(0.0, dice.roll()), (1.0, dice.roll()), (dice.roll(), 0.0), (dice.roll(), 1.0)]
    sway = 0.3 if large else 0.12
    for n, m in ((0, 1), (2, 3), (0, 3), (1, 2))[: 2 + 2 * large]:
        found.append((PATH, ribbon(winding(frame, ends[n], ends[m], sway, dice), 2.6)))
    return found


def car_park(frame: Frame, dice: Dice) -> tuple[list[Area], Floats]:
    """A car park: its ground, its lanes, and (N, 4) cars x, y, heading, tint."""
    across, along = frame.size
    swap = along > across
    deep = across if swap else along
    aisles = max(int(deep // 16.5), 1)
    areas: list[Area] = [(CARPARK, frame.outline())]
    cars = []
    for n in range(aisles):
        q = (n + 0.5) / aisles
        t = np.linspace(0.02, 0.98, 12)
        line = frame.at(np.full(12, q), t) if swap else frame.at(t, np.full(12, q))
        areas.append((SERVICE, ribbon(line, 3.0)))
        length = across if not swap else along
        bays = int(length * 0.92 // 2.6)
        place = 0.04 + 0.92 * (np.arange(bays) + 0.5) / max(bays, 1)
        for side in (-1, 1):
            at = np.full(bays, q + side * 5.3 / deep)
            xy = frame.at(at, place) if swap else frame.at(place, at)
            ahead = line[-1] - line[0]
            heading = np.full(bays, np.arctan2(ahead[1], ahead[0]) + np.pi / 2)
            taken = dice.rolls(bays) < 0.62
            cars.append(np.column_stack([xy, heading, dice.rolls(bays)])[taken])
    return areas, np.concatenate(cars)


class _Spots(NamedTuple):
    """Places along lines."""

    xy: Floats  # (N, 2)
    ahead: Floats  # (N, 2) unit vectors
    line: Ints  # (N,)


def _spots(lines: Shapes, spacing: float, margin: float, share: Floats, jitter: Floats, dice: Dice) -> _Spots:
    """A share (one number per line) of the places `spacing` metres apart on lines, `margin` metres from their ends.

    Each is moved along by a part of the spacing between the two numbers in `jitter`.
    """
    inner = np.ones(len(lines.xy), bool)
    inner[lines.starts[1:] - 1] = False
    begin = np.flatnonzero(inner)
    owner = lines.owners()[begin]
    step = lines.xy[begin + 1] - lines.xy[begin]
    length = np.hypot(step[:, 0], step[:, 1])
    total = np.bincount(owner, length, len(lines))
    counts = np.maximum((total - 2 * margin) // spacing, 0).astype(np.int64)
    line = np.repeat(np.arange(len(lines)), counts)
    number = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    at = margin + spacing * (number + dice.spread(jitter[0], jitter[1], len(line)))
    chosen = dice.rolls(len(line)) < share[line]
    line, at = line[chosen], at[chosen]
    # all lines end to end: a place on one of them is a distance from the very first point
    before = np.concatenate([[0.0], np.cumsum(total)])[line]
    way = np.concatenate([[0.0], np.cumsum(length)])
    segment = np.clip(np.searchsorted(way, before + at, side="right") - 1, 0, len(length) - 1)
    ahead = step[segment] / np.maximum(length[segment], 1e-9)[:, None]
    return _Spots(lines.xy[begin[segment]] + (before + at - way[segment])[:, None] * ahead, ahead, line)


def cars_along(streets: Shapes, widths: Floats, parked: Floats, driving: Floats, dice: Dice) -> Floats:
    """(N, 4) cars on lines: parked at both kerbs and driving on both sides, by shares of the places that there are."""
    found = [np.empty((0, 4))]
    if not len(streets):
        return found[0]
    for share, aside, spacing in (
        (parked, widths / 2 - 1.15, 6.4),
        (parked, 1.15 - widths / 2, 6.4),
        (driving, widths / 4 - 0.3, 19.0),
        (driving, 0.3 - widths / 4, 19.0),
    ):
        spots = _spots(streets, spacing, 13.0, share, np.array([0.3, 0.7]), dice)
        xy = spots.xy + aside[spots.line, None] * np.stack([-spots.ahead[:, 1], spots.ahead[:, 0]], -1)
        heading = np.arctan2(spots.ahead[:, 1], spots.ahead[:, 0])
        found.append(np.column_stack([xy, heading, dice.rolls(len(xy))]))
    return np.concatenate(found)


def trees_along(streets: Shapes, widths: Floats, share: float, dice: Dice) -> Floats:
    """(N, 2) places of street trees behind both kerbs."""
    found = [np.empty((0, 2))]
    if not len(streets):
        return found[0]
    for side in (-1.0, 1.0):
        spots = _spots(streets, 9.0, 12.0, np.full(len(streets), share), np.array([0.2, 0.8]), dice)
        aside = side * (widths / 2 + 1.9)[spots.line, None]
        found.append(spots.xy + aside * np.stack([-spots.ahead[:, 1], spots.ahead[:, 0]], -1))
    return np.concatenate(found)


def outside(points: Floats, quads: Floats, margin: float) -> npt.NDArray[np.bool_]:
    """(T,) whether points (T, 2) are at least `margin` metres outside all rectangles (B, 4, 2)."""
    if not len(quads) or not len(points):
        return np.ones(len(points), bool)
    middle = quads.mean(1)
    axes = [quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0]]
    inside = np.ones((len(points), len(quads)), bool)
    for axis in axes:
        length = np.maximum(np.hypot(axis[:, 0], axis[:, 1]), 1e-9)
        along = ((points[:, None] - middle) * (axis / length[:, None])).sum(-1)
        inside &= np.abs(along) < length / 2 + margin
    return np.asarray(~inside.any(1))
