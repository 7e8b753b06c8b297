"""Lines with a width become rings: a quadrilateral for each segment, and a disc where segments meet."""

import numpy as np

from sat2map.worlds.chance import Floats
from sat2map.worlds.shapes import Shapes, gathered

_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], -1)


def discs(centres: Floats, radii: Floats) -> Shapes:
    """Rings of 16 corners around (N, 2) centres."""
    rings = centres[:, None] + radii[:, None, None] * _CIRCLE
    return Shapes(rings.reshape(-1, 2), 16 * np.arange(len(centres) + 1), {})


def stroked(lines: Shapes, widths: Floats, *, round_ends: bool = True) -> Shapes:
    """Rings that cover lines of the given widths (N,) in metres; they overlap. Ends are round, or cut off."""
    if not len(lines):
        return gathered([], {})
    inner = np.ones(len(lines.xy), bool)
    inner[lines.starts[1:] - 1] = False  # the last point of a line begins no segment
    begin = np.flatnonzero(inner)
    start, end = lines.xy[begin], lines.xy[begin + 1]
    half = np.repeat(widths, lines.counts)[begin, None] / 2
    ahead = end - start
    length = np.hypot(ahead[:, 0], ahead[:, 1])
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], -1) / np.maximum(length, 1e-9)[:, None] * half
    quads = np.stack([start + aside, start - aside, end - aside, end + aside], 1).reshape(-1, 2)
    joints = np.ones(len(lines.xy), bool)
    if not round_ends:
        joints[lines.starts[:-1]] = False
        joints[lines.starts[1:] - 1] = False
    round_ones = discs(lines.xy[joints], np.repeat(widths / 2, lines.counts)[joints])
    return Shapes(
        np.concatenate([quads, round_ones.xy]),
        np.concatenate([4 * np.arange(len(begin) + 1), len(quads) + round_ones.starts[1:]]),
        {},
    )


def outlines(shapes: Shapes) -> Shapes:
    """Return the rings as closed lines."""
    order = np.arange(len(shapes.xy) + len(shapes))
    starts = shapes.starts + np.arange(len(shapes) + 1)
    source = order - np.repeat(np.arange(len(shapes)), shapes.counts + 1)
    source[starts[1:] - 1] = shapes.starts[:-1]
    return Shapes(shapes.xy[source], starts, {})
