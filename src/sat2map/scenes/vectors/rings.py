"""Rings on the pixel lattice: tidied, made simple and put into one order, whatever the blocks they were found in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Outline(NamedTuple):
    """A polygon on the lattice: rings of (n, 2) row, col without the closing point; the shell runs anticlockwise."""

    shell: Ints
    holes: list[Ints]


def outline(rings: Sequence[Ints]) -> Outline:
    """Make a polygon of the outlines of one component, valid by OGC's rules: rings are simple and touch at points."""
    simple = sorted((part for ring in rings for part in tidy(ring)), key=lambda ring: tuple(ring[0]))
    shells = [ring for ring in simple if twice_area(ring) > 0]
    assert len(shells) == 1, f"a component has one shell, this one has {len(shells)}"
    return Outline(shells[0], [ring for ring in simple if twice_area(ring) < 0])


def twice_area(ring: Ints) -> int:
    """Twice the area in px, positive if the ring runs anticlockwise with rows going down."""
    row, col = ring[:, 0], ring[:, 1]
    return int((row * np.roll(col, -1) - np.roll(row, -1) * col).sum())


def tidy(ring: Ints) -> list[Ints]:
    """Drop corners that are none, split where the ring meets itself, begin each part at its least corner.

    The outline of a component may pass twice through a corner where a hole touches the outside, or two holes touch.
    Such a ring is split there: what lies between the two passages is a ring of its own.
    """
    step = np.sign(np.roll(ring, -1, 0) - ring)
    ring = ring[(step != np.roll(step, 1, 0)).any(1)]
    corners = ring[:, 0] << 32 | ring[:, 1]
    if len(np.unique(corners)) == len(corners):
        return [_from_least(ring, corners)]
    parts: list[Ints] = []
    path: list[int] = []  # positions in the ring
    at: dict[int, int] = {}  # corner -> its place in the path
    keys = corners.tolist()
    for position, corner in enumerate(keys):
        if corner in at:
            loop = path[at[corner] :]
            del path[at[corner] :]
            for passed in loop:
                at.pop(keys[passed])
            parts.append(ring[loop])
        at[corner] = len(path)
        path.append(position)
    parts.append(ring[path])
    return [_from_least(part, part[:, 0] << 32 | part[:, 1]) for part in parts]


def _from_least(ring: Ints, corners: Ints) -> Ints:
    return np.roll(ring, -int(corners.argmin()), 0)
