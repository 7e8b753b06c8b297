"""Centre lines of roads as pixels, the same whatever the blocks.

Thinning by Z. Guo and R. W. Hall, "Parallel thinning with two-subiteration algorithms", CACM 32 (1989), algorithm A1.
Each of its subiterations looks at the eight neighbours of a pixel, and at most `ROUNDS` rounds of two subiterations are
run: so what becomes of a pixel depends on the pixels within 2 · `ROUNDS` of it and on nothing else, and a block that is
read with such a margin gives exactly what the whole scene gives. Roads of up to about 2 · `ROUNDS` px become lines of
one pixel; of wider areas a patch is left in the middle, where the graph has one junction.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.scenes.vectors.components import components

Bools = npt.NDArray[np.bool_]
UInt8 = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

ROUNDS = 64  # of thinning; half the width in px of the widest road
SPECK = 16  # px; holes and islands of at most so many pixels are noise
MARGIN = 2 * ROUNDS + 2 * SPECK + 2  # px around a block on which its centre lines depend

# North, then clockwise; bit k of a code stands for neighbour k.
NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


class Centres(NamedTuple):
    """Centre line pixels of a block, row by row."""

    row: Ints  # (n,) in the block
    col: Ints
    links: Ints  # (n,) bit k: neighbour k is the next pixel of a line; that may lie outside the block
    square: Ints  # (n,) squared distance in px to the nearest pixel that is no road, at most ROUNDS²


def centres(roads: Bools, window: Window, shape: tuple[int, int]) -> Centres:
    """Return the centre lines of the block at `window`, given road pixels of it and `MARGIN` around it, (H, W).

    Around a scene of `shape` (height, width) lies its mirror image, so that roads go on; lines do not.
    """
    roads = without_specks(roads)
    line = thinned(roads)
    around = window.grown(1)
    ring = np.zeros((around.height, around.width), bool)
    inside = around.clipped(*shape).slices(around)
    ring[inside] = line[MARGIN - 1 : MARGIN + 1 + window.height, MARGIN - 1 : MARGIN + 1 + window.width][
        inside
    ]
    row, col = np.nonzero(ring[1:-1, 1:-1])
    codes = _codes(ring.ravel(), np.ravel_multi_index((row + 1, col + 1), ring.shape), ring.shape[1])
    return Centres(row, col, _links()[codes], squared_distance(roads, row + MARGIN, col + MARGIN))


def without_specks(roads: Bools) -> Bools:
    """Fill the holes and then drop the islands of at most `SPECK` px."""
    for value in (False, True):
        labels, count = components(roads)
        small = np.bincount(labels.ravel(), minlength=count) <= SPECK
        flip = small[labels]
        roads = np.where(flip & (roads == value), not value, roads)
    return roads


def thinned(roads: Bools, rounds: int = ROUNDS) -> Bools:
    """Thin (H, W) to lines. Only the pixels still there are looked at, and it ends as soon as nothing changes."""
    image = np.pad(roads, 1)
    width = image.shape[1]
    flat = image.ravel()
    left = np.flatnonzero(flat)
    for _ in range(rounds):
        before = len(left)
        for table in _deletions():
            gone = table[_codes(flat, left, width)]
            flat[left[gone]] = False
            left = left[~gone]
        if len(left) == before:
            break
    return image[1:-1, 1:-1]


def squared_distance(roads: Bools, row: Ints, col: Ints) -> Ints:
    """Squared distance in px of some pixels to the nearest that is no road, at most `ROUNDS`²."""
    height, width = roads.shape
    place = np.broadcast_to(np.arange(width, dtype=np.int32), roads.shape)
    last = np.maximum.accumulate(np.where(roads, np.int32(-ROUNDS), place), 1)
    following = np.minimum.accumulate(np.where(roads, np.int32(width + ROUNDS), place)[:, ::-1], 1)[:, ::-1]
    along = np.minimum(place - last, following - place)
    square = np.full(len(row), ROUNDS * ROUNDS, np.int64)
    for step in range(ROUNDS):
        if not len(square) or step * step >= square.max():
            break
        for beside in (row - step, row + step):
            inside = (beside >= 0) & (beside < height)
            here = along[np.clip(beside, 0, height - 1), col].astype(np.int64)
            square = np.where(inside, np.minimum(square, here * here + step * step), square)
    return square


def _codes(flat: Bools, places: Ints, width: int) -> Ints:
    """The neighbours of pixels of a flattened picture as 8 bits each."""
    codes = np.zeros(len(places), np.int64)
    for bit, (down, right) in enumerate(NEIGHBOURS):
        codes |= flat[places + (down * width + right)].astype(np.int64) << bit
    return codes


def _bits() -> Bools:
    """(8, 256): whether neighbour k is there in each code."""
    return (np.arange(256) >> np.arange(8)[:, None] & 1).astype(bool)


@cache
def _deletions() -> tuple[Bools, Bools]:
    """For each subiteration, which codes of a road pixel mean that it goes (conditions a to c of A1)."""
    p2, p3, p4, p5, p6, p7, p8, p9 = _bits()
    crossings = sum(
        (~side & (corner | following)).astype(int)
        for side, corner, following in ((p2, p3, p4), (p4, p5, p6), (p6, p7, p8), (p8, p9, p2))
    )
    one = sum((a | b).astype(int) for a, b in ((p9, p2), (p3, p4), (p5, p6), (p7, p8)))
    other = sum((a | b).astype(int) for a, b in ((p2, p3), (p4, p5), (p6, p7), (p8, p9)))
    fewer = np.minimum(one, other)
    common = (crossings == 1) & (fewer >= 2) & (fewer <= 3)
    return common & ~((p2 | p3 | ~p5) & p4), common & ~((p6 | p7 | ~p9) & p8)


@cache
def _links() -> Ints:
    """Code -> neighbours linked to: all beside, and a diagonal one if no way leads round the corner to it."""
    near = _bits()
    linked = near.copy()
    for corner in (1, 3, 5, 7):
        linked[corner] &= ~near[corner - 1] & ~near[(corner + 1) % 8]
    codes: Ints = (linked << np.arange(8)[:, None]).sum(0)
    return codes
