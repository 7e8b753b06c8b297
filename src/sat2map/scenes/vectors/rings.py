"""Rings on the pixel lattice: tidied, made simple and put into one order, whatever the blocks they were found in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Rings(NamedTuple):
    """Rings one after another, without closing points; those of one owner follow one another, its shell first.

    The shell runs anticlockwise seen with north up, the holes clockwise, each from its least corner (row, col), and
    holes come in the order of these.
    """

    corners: Ints  # (n, 2) row, col
    bounds: Ints  # (rings + 1,) where each ring begins in `corners`, and the end of the last
    owner: Ints  # (rings,) whose ring it is, not falling


def arrange(rings: Sequence[Ints], owner: Sequence[int]) -> Rings:
    """Make rings of the outlines of components, such that polygons of them are valid by OGC's rules.

    `rings` are (n, 2) closed outlines of at least 4 corners, the closing point left out; `owner` has the component of
    each. Rings are simple and meet at single corners at most.
    """
    whole = _without_straight_corners(_concatenated(rings, np.asarray(owner, np.int64)))
    return _ordered(_split(whole))


def twice_areas(rings: Rings) -> Ints:
    """Twice the area of each ring in px, positive if it runs anticlockwise with rows going down."""
    row, col = rings.corners[:, 0], rings.corners[:, 1]
    after = _neighbours(rings)[1]
    return np.add.reduceat(row * col[after] - row[after] * col, rings.bounds[:-1])


def _concatenated(rings: Sequence[Ints], owner: Ints) -> Rings:
    bounds = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])]).astype(np.int64)
    return Rings(np.concatenate(rings).astype(np.int64), bounds, owner)


def _neighbours(rings: Rings) -> tuple[Ints, Ints]:
    """The positions of the corners before and after each corner of its ring."""
    before = np.arange(-1, len(rings.corners) - 1)
    before[rings.bounds[:-1]] = rings.bounds[1:] - 1
    after = np.arange(1, len(rings.corners) + 1)
    after[rings.bounds[1:] - 1] = rings.bounds[:-1]
    return before, after


def _without_straight_corners(rings: Rings) -> Rings:
    """Drop corners at which the outline goes straight on: where blocks met."""
    before, after = _neighbours(rings)
    step = np.sign(rings.corners[after] - rings.corners)
    turns = (step != step[before]).any(1)
    return Rings(rings.corners[turns], np.concatenate([[0], np.cumsum(turns)])[rings.bounds], rings.owner)


def _keys(corners: Ints) -> Ints:
    return corners[:, 0] << 32 | corners[:, 1]


def _split(rings: Rings) -> Rings:
    """Split rings that meet themselves; few do."""
    number = np.repeat(np.arange(len(rings.owner)), np.diff(rings.bounds))
    keys = _keys(rings.corners)
    order = np.lexsort((keys, number))
    twice = (keys[order][1:] == keys[order][:-1]) & (number[order][1:] == number[order][:-1])
    meeting = set(number[order][1:][twice].tolist())
    if not meeting:
        return rings
    parts: list[Ints] = []
    owner: list[int] = []
    bounds = rings.bounds.tolist()
    for ring, whose in enumerate(rings.owner.tolist()):
        corners = rings.corners[bounds[ring] : bounds[ring + 1]]
        loops = _loops(corners) if ring in meeting else [corners]
        parts += loops
        owner += [whose] * len(loops)
    return _concatenated(parts, np.array(owner))


def _loops(ring: Ints) -> list[Ints]:
    """Cut a ring wherever it passes a corner for the second time.

    The outline of a component does so where a hole touches the outside or two holes touch: what lies between the two
    passages is a ring of its own. Loops never interleave, for then the component would not hang together.
    """
    loops: list[Ints] = []
    path: list[int] = []  # positions in the ring
    place: dict[int, int] = {}  # corner -> its place in the path
    keys = _keys(ring).tolist()
    for position, corner in enumerate(keys):
        if corner in place:
            cut = place[corner]
            for passed in path[cut:]:
                del place[keys[passed]]
            loops.append(ring[path[cut:]])
            del path[cut:]
        place[corner] = len(path)
        path.append(position)
    return [*loops, ring[path]]


def _ordered(rings: Rings) -> Rings:
    """Begin each ring at its least corner; sort rings by owner, shell before holes, then by that corner."""
    starts, lengths = rings.bounds[:-1], np.diff(rings.bounds)
    keys = _keys(rings.corners)
    least = np.minimum.reduceat(keys, starts)
    first = np.flatnonzero(keys == np.repeat(least, lengths)) - starts  # one per ring, for rings are simple
    order = np.lexsort((least, twice_areas(rings) < 0, rings.owner))
    lengths, starts, first = lengths[order], starts[order], first[order]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
    source = np.repeat(starts, lengths) + (within + np.repeat(first, lengths)) % np.repeat(lengths, lengths)
    return Rings(rings.corners[source], bounds, rings.owner[order])
