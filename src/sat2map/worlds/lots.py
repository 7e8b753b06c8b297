"""Blocks become lots: frames inside the streets' kerbs, and rows of lots along their sides.

A frame is a rectangle in a patch's (a, b), kept clear of streets and pavements. A lot is a parallelogram in (a, b)
with its own axes, x along the street and y away from it, both from 0 to 1; lots of one block have no common inside,
and what is placed by x and y within [0, 1] stays within its lot.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Dice, Floats
from sat2map.worlds.district import Block
from sat2map.worlds.patch import SUB, Patch
from sat2map.worlds.shapes import ARTERIAL, STREET, WIDTHS

PAVEMENT = 3.0  # metres


class Frame(NamedTuple):
    """A rectangle of a patch, with its size on the ground."""

    patch: Patch
    a0: float
    a1: float
    b0: float
    b1: float

    def at(self, p: Floats, q: Floats) -> Floats:
        """(..., 2) position of shares p, q of the rectangle."""
        return self.patch.at(self.a0 + p * (self.a1 - self.a0), self.b0 + q * (self.b1 - self.b0))

    @property
    def size(self) -> tuple[float, float]:
        """Metres from side to side, along a and along b, through the middle."""
        half, ends = np.array([0.5, 0.5]), np.array([0.0, 1.0])
        (left, right), (low, high) = self.at(ends, half), self.at(half, ends)
        return float(np.hypot(*(right - left))), float(np.hypot(*(high - low)))

    def sub(self, p0: float, p1: float, q0: float, q1: float) -> "Frame":
        """Part of the frame, by shares."""
        a, b = self.a1 - self.a0, self.b1 - self.b0
        return Frame(self.patch, self.a0 + p0 * a, self.a0 + p1 * a, self.b0 + q0 * b, self.b0 + q1 * b)

    def shrunk(self, bottom: float, right: float, top: float, left: float) -> "Frame | None":
        """Return the frame less some metres on each side; None if little is left."""
        across, along = self.size
        middle = self.at(np.array([0.5, 0.5, 0.49, 0.51]), np.array([0.49, 0.51, 0.5, 0.5]))
        up, side = middle[1] - middle[0], middle[3] - middle[2]
        slant = abs(side[0] * up[1] - side[1] * up[0]) / max(np.hypot(*up) * np.hypot(*side), 1e-9)
        if slant < 0.4:
            return None  # too acute a corner to build in
        p0, p1 = left / slant / across, 1 - right / slant / across
        q0, q1 = bottom / slant / along, 1 - top / slant / along
        if (p1 - p0) * across < 9 or (q1 - q0) * along < 9:
            return None
        return self.sub(p0, p1, q0, q1)

    def sides(self) -> list[Floats]:
        """Bottom, right, top and left side as lines, anticlockwise, with the patch's bends."""
        a = np.concatenate([[self.a0], _between(self.a0, self.a1), [self.a1]])
        b = np.concatenate([[self.b0], _between(self.b0, self.b1), [self.b1]])
        return [
            self.patch.at(a, np.full(len(a), self.b0)),
            self.patch.at(np.full(len(b), self.a1), b),
            self.patch.at(a[::-1], np.full(len(a), self.b1)),
            self.patch.at(np.full(len(b), self.a0), b[::-1]),
        ]

    def outline(self) -> Floats:
        """(n, 2) ring along the sides."""
        return np.concatenate([side[:-1] for side in self.sides()])


def _between(low: float, high: float) -> Floats:
    """Samples of the patch strictly between two places."""
    return np.arange(np.floor(low * SUB + 1e-9) + 1, np.ceil(high * SUB - 1e-9)) / SUB


class Lots(NamedTuple):
    """Lots of one patch by the place of their front left corner and their axes, all (N, 2) in (a, b)."""

    patch: Patch
    origin: Floats
    x_axis: Floats
    y_axis: Floats

    def __len__(self) -> int:
        return len(self.origin)

    def at(self, x: Floats, y: Floats) -> Floats:
        """(N, ..., 2) positions; `x` and `y` are (N, ...)."""
        extra = (slice(None),) + (None,) * (x.ndim - 1)
        place = self.origin[extra] + x[..., None] * self.x_axis[extra] + y[..., None] * self.y_axis[extra]
        return self.patch.at(place[..., 0], place[..., 1])

    def sizes(self) -> tuple[Floats, Floats]:
        """(N,) metres along the street and away from it: the lesser of opposite sides."""
        corner = self.quads(np.zeros(len(self)), np.ones(len(self)), np.zeros(len(self)), np.ones(len(self)))
        sides = np.hypot(*np.moveaxis(np.roll(corner, -1, 1) - corner, -1, 0))
        return np.minimum(sides[:, 0], sides[:, 2]), np.minimum(sides[:, 1], sides[:, 3])

    def quads(self, x0: Floats, x1: Floats, y0: Floats, y1: Floats) -> Floats:
        """(N, 4, 2) corners of parts of lots: front left, front right, back right, back left."""
        return self.at(np.stack([x0, x1, x1, x0], 1), np.stack([y0, y0, y1, y1], 1))

    def chosen(self, mask: npt.NDArray[np.bool_]) -> "Lots":
        """Return the lots where `mask` is true."""
        return Lots(self.patch, self.origin[mask], self.x_axis[mask], self.y_axis[mask])


def no_lots(patch: Patch) -> Lots:
    """Return an empty collection."""
    return Lots(patch, *np.empty((3, 0, 2)))


def joined_lots(parts: list[Lots]) -> Lots:
    """All lots of several collections on one patch."""
    return Lots(parts[0].patch, *(np.concatenate([part[n] for part in parts]) for n in (1, 2, 3)))


def frame_of(patch: Patch, block: Block) -> Frame | None:
    """The part of a block that may be built on: behind kerb and pavement."""
    a0, a1, b0, b1 = block.rect
    return Frame(patch, a0, a1, b0, b1).shrunk(*(half + PAVEMENT for half in half_widths(block)))


def half_widths(block: Block) -> list[float]:
    """Half the width of the street on each of a block's four sides."""
    return [WIDTHS[ARTERIAL if wide else STREET] / 2 for wide in block.wide]


def _row(frame: Frame, side: int, p: tuple[float, float], depth: float, width: float, dice: Dice) -> Lots:
    """Lots of about `width` metres along a part `p` of one side (0 bottom, 1 right, 2 top, 3 left).

    `depth` is a share of the frame.
    """
    across, along = frame.size
    length = (p[1] - p[0]) * (across if side in (0, 2) else along)
    count = max(round(length / width), 1)
    marks = np.arange(1, count) + dice.spread(-0.1, 0.1, count - 1)
    marks = p[0] + np.concatenate([[0], marks, [count]]) / count * (p[1] - p[0])
    low, wide = marks[:-1], np.diff(marks)
    zero, full = np.zeros(count), np.full(count, depth)
    a, b = frame.a1 - frame.a0, frame.b1 - frame.b0
    start, x_axis, y_axis = (
        ((low, zero), (wide, zero), (zero, full)),
        ((zero + 1, low), (zero, wide), (-full, zero)),
        ((low + wide, zero + 1), (-wide, zero), (zero, -full)),
        ((zero, low + wide), (zero, -wide), (full, zero)),
    )[side]
    scale = np.array([a, b])
    origin = np.stack(start, 1) * scale + (frame.a0, frame.b0)
    return Lots(frame.patch, origin, np.stack(x_axis, 1) * scale, np.stack(y_axis, 1) * scale)


def rows_of_lots(
    frame: Frame, fronts: tuple[bool, bool, bool, bool], width: float, depth: float, dice: Dice
) -> tuple[Lots, Frame | None]:
    """Lots along the streets around a frame, at most `depth` metres deep, and the middle if some is left."""
    across, along = frame.size
    lengthwise = across >= along
    # lots face the long sides; what remains of the short sides between them is built up only if it is long
    long_sides, short_sides = ((0, 2), (3, 1)) if lengthwise else ((3, 1), (0, 2))
    near, far = (fronts[side] for side in long_sides)
    thickness, length = (along, across) if lengthwise else (across, along)
    share = min(depth / thickness, 0.5 if near and far else 1.0)
    parts = [_row(frame, side, (0, 1), share, width, dice) for side in long_sides if fronts[side]]
    low, high = (share if near else 0.0), 1 - (share if far else 0.0)
    middle = None
    if (high - low) * thickness > 14:
        ends = min(depth / length, 0.35)
        if (high - low) * thickness > max(1.4 * width, 18):
            parts += [
                _row(frame, side, (low, high), ends, width, dice) for side in short_sides if fronts[side]
            ]
        first, last = (ends if fronts[side] else 0.0 for side in short_sides)
        middle = (
            frame.sub(first, 1 - last, low, high) if lengthwise else frame.sub(low, high, first, 1 - last)
        )
    return (joined_lots(parts) if parts else no_lots(frame.patch)), middle


def strips(frame: Frame, width: float, dice: Dice) -> Lots:
    """Lots side by side right through the frame, facing its long side's first street."""
    across, along = frame.size
    return _row(frame, 0 if across >= along else 3, (0, 1), 1.0, width, dice)
