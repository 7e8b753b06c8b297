"""Where somebody stands in a world, and where they look."""

import numpy as np

from sat2map.palette import GREEN, LAND, ROAD
from sat2map.worlds.chance import Dice, Floats
from sat2map.worlds.layouts import Bounds
from sat2map.worlds.painting import street_map
from sat2map.worlds.painting.fill import Canvas
from sat2map.worlds.painting.ground import Eye
from sat2map.worlds.plan import Plan
from sat2map.worlds.shapes import ARTERIAL, FRONTAGE, STREET, WIDTHS
from sat2map.worlds.world import World

AROUND = 250.0  # metres in which a street is looked for
ROOM = (
    3.0  # metres that somebody who stands in the open has to walls and water, and a trunk has to the viewer
)
STEP = 0.75  # metres between places where one may stand


def standpoint(world: World, x: float, y: float) -> Eye:
    """Somebody on the pavement of the street nearest to a point, looking along it; on the point if there is none."""
    found = _on_street(world.plan(Bounds(x - AROUND, y - AROUND, x + AROUND, y + AROUND)), x, y)
    return Eye(x, y, 0.0) if found is None else found


def stand_within(world: World, x: float, y: float, reach: float) -> Eye:
    """Somebody at most `reach` metres (each way) from a point: on a pavement if there is one, else in the open.

    In the open that is the place nearest to the point with 3 m of free ground around it, and the heading is drawn;
    where all is water or houses, it is the point.
    """
    plan = world.plan(Bounds(x - AROUND, y - AROUND, x + AROUND, y + AROUND))
    found = _on_street(plan, x, y)
    if found is not None and max(abs(found.x - x), abs(found.y - y)) <= reach:
        return found
    heading = float(np.floor(Dice(world.town.seed, 305, round(x * 16), round(y * 16)).between(0, 360)))
    return Eye(*_open_ground(plan, x, y, reach), heading)


def _on_street(plan: Plan, x: float, y: float) -> Eye | None:
    kinds = plan.lines.columns["kind"]
    streets = plan.lines.chosen((kinds == STREET) | (kinds == ARTERIAL) | (kinds == FRONTAGE))
    if not len(streets):
        return None
    inner = np.ones(len(streets.xy), bool)
    inner[streets.starts[1:] - 1] = False
    begin = np.flatnonzero(inner)
    start, span = streets.xy[begin], streets.xy[begin + 1] - streets.xy[begin]
    length = np.maximum(np.hypot(*span.T), 1e-9)
    along = np.clip(((np.array([x, y]) - start) * span).sum(1) / length**2, 0, 1)
    # not upon junctions: some metres before the end of a piece
    margin = np.minimum(8.0 / length, 0.5)
    foot = start + np.clip(along, margin, 1 - margin)[:, None] * span
    away = np.hypot(*(foot - (x, y)).T)
    # rounding settles ties between pieces of one street that arise from the order of arithmetic alone
    best = int(np.lexsort((foot[:, 1], foot[:, 0], np.round(away, 3)))[0])
    ahead = span[best] / length[best]
    half = WIDTHS[int(streets.columns["kind"][streets.owners()[begin[best]]])] / 2
    spot = foot[best] + (half + 1.2) * np.array([ahead[1], -ahead[0]])  # on the pavement to the right
    spot = _beside_trunks(plan, spot, ahead)
    return Eye(float(spot[0]), float(spot[1]), float(np.degrees(np.arctan2(ahead[0], ahead[1]))) % 360)


def _beside_trunks(plan: Plan, spot: Floats, ahead: Floats) -> Floats:
    """`spot`, moved along the pavement up to 12 m to where no trunk stands right before one's eyes."""
    if not len(plan.trees):
        return spot
    for step in (0.0, 3.0, -3.0, 6.0, -6.0, 9.0, -9.0, 12.0, -12.0):
        here = spot + step * ahead
        to = plan.trees[:, :2] - here
        deep, aside = to @ ahead, to @ np.array([ahead[1], -ahead[0]])
        if not ((deep > 0) & (deep < 3 * ROOM) & (np.abs(aside) < ROOM)).any():
            return np.asarray(here)
    return spot


def _open_ground(plan: Plan, x: float, y: float, reach: float) -> tuple[float, float]:
    count = 2 * int(np.ceil(reach / STEP)) + 1
    canvas = Canvas(round(-y / STEP) - count // 2, round(x / STEP) - count // 2, count, count, STEP)
    fine = street_map.samples(plan.within(canvas.bounds.grown(3.0)), canvas.finer(street_map.FINE))
    free = np.isin(street_map.class_raster(fine), (LAND, GREEN, ROAD))
    room = int(np.ceil(ROOM / STEP))
    clear = free.copy()
    for shift in range(-room, room + 1):  # a square of free ground; the edge counts as what lies beside it
        for axis in (0, 1):
            index = np.clip(np.arange(count) + shift, 0, count - 1)
            clear &= np.take(free, index, axis)
    if not clear.any():
        return x, y
    row, col = np.nonzero(clear)
    east, north = (canvas.col + col + 0.5) * STEP, -(canvas.row + row + 0.5) * STEP
    away = np.round(np.hypot(east - x, north - y), 3)
    best = int(np.lexsort((north, east, away))[0])
    return float(east[best]), float(north[best])
