"""Puts houses on lots: which plan, how far from the street, how high, under what roof."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sat2map.worlds.chance import Dice, Floats
from sat2map.worlds.footprints import PLANS, drawn, sound, straightened
from sat2map.worlds.lots import Frame, Lots, strips
from sat2map.worlds.shapes import (
    BRIGHT,
    DARK,
    FLAT,
    GABLE,
    HALL,
    HOUSE,
    PERIMETER,
    PUBLIC,
    ROW,
    SHED,
    SLAB,
    TOWER,
)


class House(NamedTuple):
    """One building."""

    ring: Floats  # (k, 2)
    quad: Floats  # (4, 2) the rectangle that its plan was cut from: front left, front right, back right, back left
    kind: int
    roof: int
    height: float  # metres to the eaves or the flat roof
    tint: float  # [0, 1): which of the colours that are usual for its kind


def _placed(
    quads: Floats,
    plans: Sequence[str],
    kind: int,
    roofs: Sequence[int],
    heights: Floats,
    dice: Dice,
    least: float = 5,
) -> list[House]:
    """Buildings with plans out of `plans`, whatever of the rectangles is large enough."""
    fine = sound(quads, least)
    choice, roof, tint = (dice.rolls(len(quads)) for _ in range(3))
    return [
        House(
            drawn(PLANS[plans[int(choice[n] * len(plans))]], quads[n]),
            quads[n],
            kind,
            roofs[int(roof[n] * len(roofs))],
            float(heights[n]),
            float(tint[n]),
        )
        for n in np.flatnonzero(fine)
    ]


def _parts(lots: Lots, width: Floats, setback: Floats, depth: Floats, shift: Floats) -> Floats:
    """(N, 4, 2) parts of lots of so many metres, `shift` in [-1, 1] from one side of the lot to the other."""
    wide, deep = lots.sizes()
    width, depth = np.minimum(width, wide - 1.2), np.minimum(depth, deep - setback - 1.0)
    x0 = ((wide - width) / 2 + shift * (wide - width - 1.2) / 2) / wide
    y0 = setback / deep
    return lots.quads(x0, x0 + width / wide, y0, y0 + np.maximum(depth, 0) / deep)


def houses(lots: Lots, dice: Dice) -> list[House]:
    """Detached houses behind front gardens; some lots have a garage or a shed at the back."""
    count = len(lots)
    if not count:
        return []
    wide, deep = lots.sizes()
    line = dice.between(4.0, 7.0)  # neighbours keep a common building line
    quads = straightened(
        _parts(
            lots,
            np.clip(wide * dice.spread(0.55, 0.78, count), 7, 15),
            line + dice.spread(0, 1.5, count),
            np.clip(deep * dice.spread(0.32, 0.5, count), 8, 17),
            dice.spread(-0.7, 0.7, count),
        )
    )
    built = dice.rolls(count) < 0.94
    plans = ("block", "block", "porch", "ell", "ell, mirrored", "tee")
    roofs = (GABLE,) * 9 + (FLAT,)
    found = _placed(quads[built], plans, HOUSE, roofs, dice.spread(3.2, 6.6, int(built.sum())), dice)
    sheds = lots.chosen((dice.rolls(count) < 0.3) & (deep > 30) & (wide > 11))
    if len(sheds):
        wide, deep = sheds.sizes()
        n = len(sheds)
        size = dice.spread(3.6, 6.2, n)
        back = straightened(
            _parts(sheds, size, deep - size - 1.5, size, np.where(dice.rolls(n) < 0.5, -1.0, 1.0))
        )
        found += _placed(back, ("block",), SHED, (FLAT, GABLE), dice.spread(2.4, 3.0, n), dice, 3)
    return found


def _joint(lots: Lots) -> Floats:
    """(N,) share of a lot's width that is left free beside attached houses: 4 cm, for walls between lots may bend."""
    return 0.04 / lots.sizes()[0]


def rows(lots: Lots, dice: Dice) -> list[House]:
    """Attached houses, wall to wall; now and then a gap."""
    count = len(lots)
    if not count:
        return []
    _, deep = lots.sizes()
    front = dice.between(1.5, 5.0)
    depth = dice.between(12, 16) + np.where(dice.rolls(count) < 0.3, dice.spread(1, 4, count), 0)
    y0 = np.full(count, front) / deep
    joint = _joint(lots)
    quads = lots.quads(joint, 1 - joint, y0, np.minimum(y0 + depth / deep, 0.96))
    built = dice.rolls(count) < 0.93
    height = dice.between(7, 12) + np.where(dice.rolls(count) < 0.2, 3.0, 0.0)
    plans = ("block", "block", "ell", "ell, mirrored") if dice.roll() < 0.6 else ("block",)
    roofs = (FLAT, FLAT, BRIGHT, DARK) if dice.roll() < 0.75 else (GABLE,)
    return _placed(quads[built], plans, ROW, roofs, height[built], dice, 4)


def perimeter(lots: Lots, dice: Dice) -> list[House]:
    """Tenements that line the street without gaps, with light wells and yards behind."""
    count = len(lots)
    if not count:
        return []
    _, deep = lots.sizes()
    share = np.clip(dice.spread(0.55, 0.97, count), 0, 1 - 2.0 / deep)
    zero = np.full(count, dice.between(0.2, 1.0)) / deep
    joint = _joint(lots)
    quads = lots.quads(joint, 1 - joint, zero, np.maximum(share, zero + 0.1))
    built = dice.rolls(count) < 0.95
    plans = ("block", "waisted", "waisted", "ell", "ell, mirrored", "notched", "you", "aitch")
    return _placed(
        quads[built], plans, PERIMETER, (FLAT, BRIGHT, BRIGHT, DARK), dice.spread(12, 26, count)[built], dice
    )


def _spaced(frame: Frame, spacing: float, width: Floats | float, depth: float, dice: Dice) -> Floats:
    """Rectangles in the middle of strips through a frame."""
    lots = strips(frame, spacing, dice)
    _, deep = lots.sizes()
    width = np.broadcast_to(width, len(lots))
    depth_each = np.minimum(depth, deep - 12)
    return straightened(_parts(lots, width, (deep - depth_each) / 2, depth_each, np.zeros(len(lots))))


def slabs(frame: Frame, dice: Dice) -> list[House]:
    """Parallel blocks of flats on common ground."""
    height = dice.between(12, 32)
    quads = _spaced(frame, dice.between(32, 46), dice.between(11, 14), dice.between(45, 80), dice)
    plans = ("block",) if dice.roll() < 0.5 else ("block", "notched", "ell")
    return _placed(quads, plans, SLAB, (FLAT, BRIGHT), np.full(len(quads), height), dice, 9)


def towers(frame: Frame, dice: Dice) -> list[House]:
    """Single high buildings on common ground."""
    side = dice.between(22, 31)
    quads = _spaced(frame, dice.between(48, 64), side, side, dice)
    plan = ("cross", "block", "notched", "waisted", "aitch")[int(dice.roll() * 5)]
    return _placed(quads, (plan,), TOWER, (FLAT, BRIGHT), dice.spread(35, 78, len(quads)), dice, 12)


def offices(lots: Lots, dice: Dice) -> list[House]:
    """Large buildings that fill most of their lots, some of them high."""
    count = len(lots)
    if not count:
        return []
    wide, deep = lots.sizes()
    quads = straightened(
        _parts(lots, wide * dice.spread(0.86, 0.97, count), np.full(count, 2.0), deep * dice.spread(0.6, 0.92, count),
               np.zeros(count))
    )  # fmt: skip
    heights = np.where(dice.rolls(count) < 0.3, dice.spread(40, 95, count), dice.spread(14, 36, count))
    plans = ("block", "block", "notched", "you", "waisted", "ell")
    return _placed(quads, plans, TOWER, (FLAT, BRIGHT, DARK), heights, dice, 9)


def halls(lots: Lots, dice: Dice) -> list[House]:
    """Sheds of industry and shops, low and wide."""
    count = len(lots)
    if not count:
        return []
    wide, deep = lots.sizes()
    quads = straightened(
        _parts(lots, wide * dice.spread(0.6, 0.88, count), deep * 0.06 + dice.spread(2, 6, count),
               deep * dice.spread(0.5, 0.8, count), dice.spread(-0.6, 0.6, count))
    )  # fmt: skip
    built = dice.rolls(count) < 0.9
    plans = ("block", "block", "block", "ell", "notched")
    return _placed(
        quads[built],
        plans,
        HALL,
        (BRIGHT, FLAT, BRIGHT, GABLE, DARK),
        dice.spread(5, 11, count)[built],
        dice,
        9,
    )


def public(frame: Frame, dice: Dice) -> list[House]:
    """One large building with wings: a school, a town hall."""
    across, along = frame.size
    wide, deep = min(across * 0.6, dice.between(46, 75)), min(along * 0.55, dice.between(30, 48))
    p, q = 0.5 - wide / across / 2, dice.between(0.08, 0.9 - deep / along)
    x, y = np.array([p, 1 - p, 1 - p, p]), np.array([q, q, q + deep / along, q + deep / along])
    quads = straightened(frame.at(x, y)[None])
    plans = ("comb", "you", "aitch", "ell", "tee")
    return _placed(quads, plans, PUBLIC, (BRIGHT, FLAT), dice.spread(8, 14, 1), dice, 14)
