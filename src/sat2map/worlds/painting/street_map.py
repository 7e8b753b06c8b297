"""The painted street map, and its classes.

Both come from one raster of samples, `FINE`² to a pixel, each with an entry of the palette. A pixel's class is the
one that most of its samples have; its colour is the mean of their colours. Where a mean would be taken for a third
class (half street and half park looks like land), it is moved towards the colours of the pixel's own class until it
is not: so a smooth edge never tells a lie, and classes read from the map are those of the class raster.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sat2map.palette import MAPS
from sat2map.worlds.chance import Floats
from sat2map.worlds.painting.fill import Canvas, Mask, covered
from sat2map.worlds.painting.pieces import in_pieces
from sat2map.worlds.painting.strokes import discs, outlines, stroked
from sat2map.worlds.plan import Plan
from sat2map.worlds.shapes import (
    ARTERIAL,
    CARPARK,
    FRONTAGE,
    HIGHWAY_LINE,
    PARK,
    PATH,
    PITCH,
    PLAZA,
    POND,
    RAMP,
    SCHOOL,
    SERVICE,
    STREET,
    TURNING,
    WIDTHS,
    WOOD,
    Shapes,
)

UInt8 = npt.NDArray[np.uint8]

FINE = 4  # samples per pixel on each axis

# Entries of the palette MAPS by what they show.
LAND, PALE, BUILDING, ROAD, HIGHWAY, SLIP, GREEN, FOREST, FIELD, WATER, SHORE, EDGE, SHADE, CAMPUS = (
    0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14,
)  # fmt: skip
_GROUND = {PARK: GREEN, WOOD: FOREST, SCHOOL: CAMPUS, PLAZA: PALE, PITCH: FIELD, CARPARK: EDGE, POND: WATER,
           SERVICE: ROAD, PATH: EDGE}  # fmt: skip
CASING = 0.95  # metres of grey along both sides of a street
SHADOW = (0.75, -0.75)  # metres by which buildings' dark edge shows, to the south-east


def samples(plan: Plan, canvas: Canvas) -> UInt8:
    """(height, width) palette entry of each sample."""
    return in_pieces(plan, canvas, _samples)


def _samples(plan: Plan, canvas: Canvas) -> UInt8:
    out = np.full((canvas.height, canvas.width), LAND, np.uint8)
    kinds = plan.grounds.columns["kind"]
    for kind in (PARK, WOOD, SCHOOL, PLAZA, PITCH, CARPARK, PATH, SERVICE, POND):
        if kind in _GROUND and (kinds == kind).any():
            out[covered(canvas, plan.grounds.chosen(kinds == kind))] = _GROUND[kind]
    if len(plan.water):
        deep = plan.water.columns["depth"] == 1
        out[covered(canvas, plan.water.chosen(~deep))] = SHORE
        out[covered(canvas, plan.water.chosen(deep))] = WATER
    _paint_buildings(out, plan.buildings, canvas)
    _paint_streets(out, plan.lines, canvas)
    return out


def _paint_buildings(out: UInt8, buildings: Shapes, canvas: Canvas) -> None:
    """Pale roofs with a darker edge on two sides, and thin lines between neighbours."""
    if not len(buildings):
        return
    house = covered(canvas, buildings)
    out[covered(canvas, replace(buildings, xy=buildings.xy + SHADOW)) & ~house] = EDGE
    out[house] = BUILDING
    walls = outlines(buildings)
    out[covered(canvas, stroked(walls, np.full(len(walls), 0.32), round_ends=False)) & house] = EDGE


def _paint_streets(out: UInt8, lines: Shapes, canvas: Canvas) -> None:
    """Casings below, then carriageways from the least to the greatest; bridges and highways above all."""
    kinds = lines.columns["kind"].astype(np.int64)
    width = np.array(WIDTHS)[kinds]
    local = (kinds == STREET) | (kinds == FRONTAGE) | (kinds == ARTERIAL)
    bulbs = _turning_circles(lines)
    for grow, entry in ((2 * CASING, EDGE), (0.0, ROAD)):
        _stroke(out, lines.chosen(local), width[local] + grow, entry, canvas)
        out[covered(canvas, discs(bulbs, np.full(len(bulbs), TURNING + grow / 2)))] = entry
    for kind, entry in ((RAMP, SLIP), (HIGHWAY_LINE, HIGHWAY)):
        these = kinds == kind
        for grow, colour in ((2 * CASING * 0.7, SHADE), (0.0, entry)):
            _stroke(out, lines.chosen(these), width[these] + grow, colour, canvas)
    _stroke(
        out, lines.chosen(kinds == HIGHWAY_LINE), np.full((kinds == HIGHWAY_LINE).sum(), 0.9), SHADE, canvas
    )


def _turning_circles(lines: Shapes) -> Floats:
    """(N, 2) ends of cul-de-sacs."""
    return np.asarray(lines.xy[lines.starts[1:] - 1][lines.columns["dead_end"].astype(bool)])


def _stroke(out: UInt8, lines: Shapes, widths: Floats, entry: int, canvas: Canvas) -> None:
    if len(lines):
        out[covered(canvas, stroked(lines, widths))] = entry


def _pixels(fine: UInt8) -> UInt8:
    """(h * FINE, w * FINE) -> (h, w, FINE²)."""
    height, width = fine.shape[0] // FINE, fine.shape[1] // FINE
    blocks = fine.reshape(height, FINE, width, FINE).swapaxes(1, 2)
    return np.ascontiguousarray(blocks).reshape(height, width, FINE * FINE)


def mixed_pixels(parts: UInt8) -> Mask:
    """(h, w) whether a pixel's samples differ."""
    return np.asarray((parts != parts[..., :1]).any(-1))


def _majority(entries: UInt8) -> UInt8:
    """(P, S) palette entries -> (P,) class of most samples, the lower number where two are as many."""
    classes = MAPS.to_classes(entries)
    counts = np.stack([(classes == c).sum(-1) for c in range(len(MAPS.names))], -1)
    return np.asarray(counts.argmax(-1), np.uint8)


def class_raster(fine: UInt8) -> UInt8:
    """(h, w) class of each pixel from `samples`."""
    parts = _pixels(fine)
    out = MAPS.to_classes(parts[..., 0])
    mixed = mixed_pixels(parts)
    out[mixed] = _majority(parts[mixed])
    return out


def street_map(fine: UInt8) -> UInt8:
    """(h, w, 3) colours of each pixel from `samples`."""
    parts = _pixels(fine)
    out = MAPS.decode(parts[..., 0])
    mixed = mixed_pixels(parts)
    out[mixed] = _blended(parts[mixed])
    return out


def _blended(entries: UInt8) -> UInt8:
    """(P, S) palette entries -> (P, 3) mean colours that are nearest to a colour of the majority's class."""
    wanted = _majority(entries)
    colours = MAPS.decode(entries).astype(np.float32)  # (P, S, 3)
    mean = colours.mean(1)
    own = (MAPS.to_classes(entries) == wanted[:, None])[..., None]
    pure = (colours * own).sum(1) / own.sum(1)
    out: UInt8 = np.asarray(np.rint(mean), np.uint8)
    for share in (0.25, 0.5, 0.75):
        wrong = np.flatnonzero(MAPS.to_classes(MAPS.encode(out)) != wanted)
        if not len(wrong):
            return out
        out[wrong] = np.rint(mean[wrong] + share * (pure[wrong] - mean[wrong])).astype(np.uint8)
    wrong = np.flatnonzero(MAPS.to_classes(MAPS.encode(out)) != wanted)
    # even the mean of one class's colours may be nearer to another class: take one of the colours
    first = (MAPS.to_classes(entries[wrong]) == wanted[wrong, None]).argmax(-1)
    out[wrong] = MAPS.decode(entries[wrong, first])
    return out


__all__ = ["FINE", "class_raster", "samples", "street_map"]
