"""How upright things look from the ground: plaster and brick with windows, roofs, paintwork of cars, leaves."""

import numpy as np

from sat2map.worlds.chance import Floats, key_of, noise, unit
from sat2map.worlds.painting.satellite import CAR_COLOURS, LEAVES, Light
from sat2map.worlds.painting.standing import CAR_THING, CROWN, RIDGE, WALL, Things
from sat2map.worlds.shapes import HALL, HOUSE, SHED, Ints

WALLS = np.array(
    [(176, 152, 128), (196, 184, 164), (150, 96, 78), (132, 108, 96), (208, 204, 196), (168, 120, 92), (158, 158, 160),
     (184, 168, 140)], float
)  # fmt: skip
STOREY, BAY = 3.1, 2.9  # metres between windows


def facade(
    things: Things, which: Ints, along: Floats, z: Floats, xy: Floats, light: Light, seed: int
) -> Floats:
    """(P, 3) colours of pixels that show thing `which` at a share `along` of its width and at height `z`."""
    out = np.empty((len(which), 3))
    kind = things.kind[which]
    for these, paint in ((WALL, _wall), (RIDGE, _roof), (CAR_THING, _car), (CROWN, _tree)):
        chosen = np.flatnonzero(kind == these)
        if len(chosen):
            out[chosen] = paint(things, which[chosen], along[chosen], z[chosen], xy[chosen], light, seed)
    return out


def _facing(things: Things, which: Ints, light: Light) -> Floats:
    """How far a wall is turned to the sun, in [0, 1]; rings do not tell inside from outside, so both sides count."""
    span = things.end[which] - things.start[which]
    length = np.maximum(np.hypot(span[:, 0], span[:, 1]), 1e-9)
    return np.asarray(np.abs(span[:, 1] * light.towards[0] - span[:, 0] * light.towards[1]) / length)


def _wall(
    things: Things, which: Ints, along: Floats, z: Floats, xy: Floats, light: Light, seed: int
) -> Floats:
    span = things.end[which] - things.start[which]
    length = np.hypot(span[:, 0], span[:, 1])
    tint, use, top = things.tint[which], things.use[which], things.top[which]
    base = WALLS[(tint * len(WALLS)).astype(np.int64)] * (0.92 + 0.16 * ((tint * 531) % 1.0))[:, None]
    metres = along * length
    base = base * (1 + 0.05 * noise(seed, 330, metres * 3 + tint * 999, z * 9, 2.0))[:, None]
    bays = np.maximum(np.floor(length / BAY), 1)
    bay, floor = along * bays, z / STOREY
    in_bay, in_floor = bay % 1, floor % 1
    wide = np.where(use == HALL, 0.0, np.where(use == HOUSE, 0.2, 0.27))
    window = (np.abs(in_bay - 0.5) < wide) & (np.abs(in_floor - 0.55) < 0.25) & (length > 2.2) & (use != SHED)
    window &= (z < top - 0.4) & ~((use == HOUSE) & (np.floor(bay) % 2 == 1) & (bays > 3))
    pane = unit(
        key_of(key_of(seed, 331, which), np.floor(bay).astype(np.int64), np.floor(floor).astype(np.int64))
    )
    glass = np.array([52, 62, 74.0]) + 70 * (pane > 0.75)[:, None] * np.array([0.8, 0.95, 1.1])
    frame = window & ((np.abs(in_bay - 0.5) > wide - 0.035) | (np.abs(in_floor - 0.55) > 0.22))
    out = np.where(window[:, None], glass, base)
    out = np.where(frame[:, None], base * 0.5 + 100, out)
    gate = (use == HALL) & (z < 3.6) & (np.abs((metres / 11) % 1 - 0.5) < 0.17)
    out = np.where(gate[:, None], np.array([122, 126, 130.0]) - 14 * ((z * 4) % 1)[:, None], out)
    eaves = (z > top - 0.35) & (z < top)
    out = np.where(eaves[:, None], out * 0.72 + 40, out)
    lit = (0.66 + 0.42 * _facing(things, which, light)) * np.clip(0.85 + z / 12, 0.85, 1.0)
    return np.asarray(out * lit[:, None])


def _roof(
    things: Things, which: Ints, along: Floats, z: Floats, xy: Floats, light: Light, seed: int
) -> Floats:
    course = 1 + 0.07 * np.sign((z * 3.2) % 1 - 0.2) + 0.06 * noise(seed, 332, xy[:, 0], xy[:, 1] + z, 0.8)
    return np.asarray(things.roof[which] * (1.05 * course)[:, None])


def _car(
    things: Things, which: Ints, along: Floats, z: Floats, xy: Floats, light: Light, seed: int
) -> Floats:
    paint = CAR_COLOURS[(things.tint[which] * len(CAR_COLOURS)).astype(np.int64)].astype(float)
    pane = (z > 0.88) & (z < 1.34) & (np.abs(along - 0.5) < 0.4)
    wheel = (z < 0.55) & (np.abs(np.abs(along - 0.5) - 0.3) < 0.09)
    out = np.where(pane[:, None], np.array([44, 52, 60.0]), paint * (0.75 + 0.25 * z)[:, None])
    return np.where(wheel[:, None] | (z < 0.22)[:, None], np.array([32, 32, 34.0]), out)


def _tree(
    things: Things, which: Ints, along: Floats, z: Floats, xy: Floats, light: Light, seed: int
) -> Floats:
    tint, top = things.tint[which], things.top[which]
    leaves = LEAVES[(tint * len(LEAVES)).astype(np.int64)] * 1.5
    # a sun behind the viewer's back would light all of a crown alike; from the side it is brighter above
    clumps = noise(seed, 333, along * 40 + tint * 4096, z * 3, 2.0) + 0.6 * noise(
        seed, 334, along * 40 + tint * 4096, z * 3, 0.8
    )
    lit = 0.62 + 0.55 * np.clip(z / top, 0, 1) + 0.3 * clumps
    radius = np.hypot(*(things.end[which] - things.start[which]).T) / 2
    high = 0.62 * top
    trunk = (
        ((2 * along - 1) ** 2 + ((z - high) / (0.42 * top)) ** 2 > 0.95)
        & (np.abs(2 * along - 1) * radius < 0.05 * top)
        & (z < high)
    )
    return np.where(trunk[:, None], np.array([84, 70, 56.0]), leaves * np.clip(lit, 0.35, 1.6)[:, None])
