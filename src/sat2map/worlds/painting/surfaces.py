"""What the ground is made of, seen from above: one number per sample, and how each material looks."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.painting.fill import Canvas, covered
from sat2map.worlds.painting.pieces import in_pieces
from sat2map.worlds.painting.strokes import discs, outlines, stroked
from sat2map.worlds.plan import Plan
from sat2map.worlds.shapes import (
    ARTERIAL,
    CARPARK,
    COURT,
    GARDEN,
    HIGHWAY_LINE,
    LINES,
    PARK,
    PATH,
    PITCH,
    PLAZA,
    POND,
    RAMP,
    SCHOOL,
    SERVICE,
    TURNING,
    WIDTHS,
    WOOD,
    WORKS,
    Shapes,
    gathered,
)

UInt8 = npt.NDArray[np.uint8]


class Material(NamedTuple):
    """A surface: linear-light look does not matter at this level, so colours are as a camera gives them."""

    colour: tuple[int, int, int]  # in the sun
    grain: float  # strength of the fine texture, levels
    patches: float  # strength of patches of some metres


MATERIALS = {
    "yard": Material((98, 96, 78), 9, 26),
    "grass": Material((88, 100, 60), 5, 13),
    "meadow": Material((96, 98, 62), 6, 20),
    "forest floor": Material((62, 66, 42), 6, 10),
    "concrete": Material((142, 138, 130), 6, 12),
    "asphalt": Material((92, 92, 91), 4, 7),
    "worn asphalt": Material((104, 103, 100), 5, 11),
    "highway": Material((112, 111, 108), 4, 5),
    "paint": Material((178, 176, 166), 3, 0),
    "gravel": Material((134, 124, 106), 9, 15),
    "court": Material((118, 114, 106), 6, 14),
    "turf": Material((84, 112, 58), 4, 7),
    "clay": Material((146, 108, 82), 5, 7),
    "water": Material((44, 58, 58), 2, 6),
    "shallows": Material((62, 74, 66), 3, 9),
    "path": Material((150, 142, 124), 6, 10),
    "works yard": Material((112, 106, 98), 8, 22),
}
_NUMBER = {name: n for n, name in enumerate(MATERIALS)}
COLOURS = np.array([m.colour for m in MATERIALS.values()], np.float32)
GRAIN = np.array([m.grain for m in MATERIALS.values()], np.float32)
PATCHES = np.array([m.patches for m in MATERIALS.values()], np.float32)

_GROUND = {PARK: "meadow", WOOD: "forest floor", SCHOOL: "grass", PLAZA: "concrete", PITCH: "turf",
           CARPARK: "worn asphalt", POND: "water", COURT: "court", SERVICE: "asphalt", PATH: "path",
           GARDEN: "grass", WORKS: "works yard"}  # fmt: skip
PAVEMENT = 2.6  # metres of concrete beside a kerb


def materials(plan: Plan, canvas: Canvas) -> UInt8:
    """(height, width) material of the ground, without buildings, trees and cars."""
    return in_pieces(plan, canvas, _materials)


def _materials(plan: Plan, canvas: Canvas) -> UInt8:
    out = np.full((canvas.height, canvas.width), _NUMBER["yard"], np.uint8)
    kinds = plan.grounds.columns["kind"]

    def paint(shapes: Shapes, name: str) -> None:
        if len(shapes):
            out[covered(canvas, shapes)] = _NUMBER[name]

    for kind in (GARDEN, WORKS, PARK, WOOD, SCHOOL, PLAZA, COURT, PITCH, CARPARK, SERVICE, PATH):
        paint(plan.grounds.chosen(kinds == kind), _GROUND[kind])
    pitches = outlines(plan.grounds.chosen(kinds == PITCH))
    paint(stroked(pitches, np.full(len(pitches), 0.35)), "paint")
    for depth, name in ((0, "shallows"), (1, "water")):
        paint(plan.water.chosen(plan.water.columns["depth"] == depth), name)
    paint(plan.grounds.chosen(kinds == POND), "water")
    _paint_roads(plan.lines, paint)
    return out


def _paint_roads(lines: Shapes, paint) -> None:  # type: ignore[no-untyped-def]
    """Pavements, carriageways, and what is painted on them."""
    kinds = lines.columns["kind"].astype(np.int64)
    width = np.array(WIDTHS)[kinds]
    ends = lines.xy[lines.starts[1:] - 1][lines.columns["dead_end"].astype(bool)]
    local = (kinds != HIGHWAY_LINE) & (kinds != RAMP)
    paint(stroked(lines.chosen(local), width[local] + 2 * PAVEMENT), "concrete")
    paint(discs(ends, np.full(len(ends), TURNING + PAVEMENT)), "concrete")
    for kind in range(len(LINES) - 1, -1, -1):
        these = kinds == kind
        roads = lines.chosen(these)
        if kind == HIGHWAY_LINE:
            paint(stroked(roads, width[these] + 3.0), "gravel")
        paint(
            stroked(roads, width[these]),
            {HIGHWAY_LINE: "highway", ARTERIAL: "worn asphalt"}.get(kind, "asphalt"),
        )
        if kind == ARTERIAL:
            paint(stroked(roads, np.full(len(roads), 0.5), round_ends=False), "paint")
        if kind == HIGHWAY_LINE:
            paint(stroked(roads, np.full(len(roads), 1.4)), "gravel")
            for aside in (-4.6, -8.6, 4.6, 8.6):
                paint(stroked(beside(roads, aside), np.full(len(roads), 0.4), round_ends=False), "paint")
    paint(discs(ends, np.full(len(ends), TURNING)), "asphalt")


def beside(lines: Shapes, metres: float) -> Shapes:
    """Lines at a distance, to the left if it is positive."""
    moved = []
    for line in lines:
        tangent = np.gradient(line, axis=0)
        tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
        moved.append(line + metres * np.stack([-tangent[:, 1], tangent[:, 0]], -1))
    return gathered(moved, {})
