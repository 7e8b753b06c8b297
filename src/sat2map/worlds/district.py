"""One district: its streets, as edges between whole places (a, b) of its patch, and the blocks between them."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Dice, Floats
from sat2map.worlds.lattice import Lattice
from sat2map.worlds.patch import SUB, Patch, make_patch
from sat2map.worlds.ramps import slip_roads
from sat2map.worlds.shapes import FRONTAGE, RAMP, STREET, Shapes, gathered
from sat2map.worlds.terrain import DRY

Mask = npt.NDArray[np.bool_]
Rect = tuple[int, int, int, int]  # a0, a1, b0, b1 in steps of the patch


class Block(NamedTuple):
    """The ground between streets: a rectangle in (a, b)."""

    rect: Rect
    fronts: tuple[bool, bool, bool, bool]  # there is a street at the bottom, right, top, left
    # whether that street is a wide one
    wide: tuple[bool, bool, bool, bool]


class Spur(NamedTuple):
    """A cul-de-sac: from a place on a street to its turning circle."""

    start: tuple[float, float]
    end: tuple[float, float]


class District(NamedTuple):
    """What stands on a patch before anything is built."""

    key: tuple[int, int]
    kind: str
    patch: Patch
    blocks: list[Block]
    spurs: list[tuple[int, Spur]]  # with the number of the block that it opens up
    streets: Shapes  # lines, column `kind`


# Blocks in steps of about 70 m: (short side, long side), and how regular.
FABRICS = {
    "core": (1, 2, 0.95),
    "rows": (1, 3, 0.95),
    "suburb": (1, 3, 0.75),
    "loops": (2, 3, 0.4),
    "estate": (2, 3, 0.6),
    "works": (2, 4, 0.8),
}


def kind_of(lattice: Lattice, patch: Patch, dice: Dice) -> str:
    """What a district is mostly used for, by the density of its place."""
    town = lattice.terrain.town
    density = float(lattice.terrain.density(patch.points.reshape(-1, 2).mean(0)))
    return dice.pick(
        {
            "core": max(density - 0.55, 0) * 5,
            "rows": max(0.9 - 3.2 * abs(density - 0.62), 0.03),
            "suburb": max(0.95 - density * 1.3, 0.02),
            "loops": max(0.6 - density * 1.2, 0.0),
            "estate": 0.16,
            "works": 0.15,
            "park": 0.14 * town.green,
        }
    )


def make_district(lattice: Lattice, i: int, j: int) -> District:
    """The district of cell (i, j)."""
    patch = make_patch(lattice, i, j)
    dice = Dice(lattice.terrain.town.seed, 80, i, j)
    kind = kind_of(lattice, patch, dice)
    organic = {"grid": 0.0, "coastal": 0.25, "radial": 0.2, "organic": 0.85}[lattice.terrain.town.style]
    na, nb = patch.steps
    rects: list[Rect] = [(0, na, 0, nb)]
    if kind != "park":
        short, long, regular = FABRICS[kind]
        upright = dice.roll() < 0.5
        want = (short, long) if upright else (long, short)
        if dice.roll() < regular - organic * 0.8:
            rects = _rows(na, nb, want, dice)
        else:
            rects = _halved((0, na, 0, nb), want, dice)
    across, along = _units(rects, na, nb)
    across, along = _passable(lattice, patch, across, along)
    blocks = [_block(rect, patch, across, along) for rect in rects]
    spurs = _spurs(lattice, patch, blocks, dice) if kind in ("loops", "suburb", "estate") else []
    return District((i, j), kind, patch, blocks, spurs, _streets(lattice, patch, across, along, spurs))


def _rows(na: int, nb: int, want: tuple[int, int], dice: Dice) -> list[Rect]:
    """Cut into rows right across, and each row into blocks; now and then two blocks stay one."""
    rows = _marks(nb, want[1])
    columns = _marks(na, want[0])
    found = []
    for b0, b1 in pairwise(rows):
        keep = np.concatenate([[True], dice.rolls(len(columns) - 2) < 0.93, [True]])
        cuts = [mark for mark, kept in zip(columns, keep, strict=True) if kept]
        found += [(a0, a1, b0, b1) for a0, a1 in pairwise(cuts)]
    return found


def _marks(count: int, want: int) -> list[int]:
    """0, ..., count in near-equal whole steps of about `want`."""
    pieces = max(round(count / want), 1)
    return [round(count * n / pieces) for n in range(pieces + 1)]


def _halved(rect: Rect, want: tuple[int, int], dice: Dice) -> list[Rect]:
    """Cut in two, near the middle and across the longer side, until the pieces are small enough."""
    a0, a1, b0, b1 = rect
    ratios = (a1 - a0) / want[0], (b1 - b0) / want[1]
    axis = int(ratios[1] > ratios[0])
    length = (a1 - a0, b1 - b0)[axis]
    if ratios[axis] <= 1 or length < 2 or (max(ratios) < 1.7 and dice.roll() < 0.3):
        return [rect]
    cut = int(np.clip(round(length * dice.between(0.33, 0.67)), 1, length - 1))
    if axis == 0:
        return _halved((a0, a0 + cut, b0, b1), want, dice) + _halved((a0 + cut, a1, b0, b1), want, dice)
    return _halved((a0, a1, b0, b0 + cut), want, dice) + _halved((a0, a1, b0 + cut, b1), want, dice)


def _units(rects: list[Rect], na: int, nb: int) -> tuple[Mask, Mask]:
    """Steps along blocks' sides: (na, nb + 1) from (a, b) to (a + 1, b), and (na + 1, nb) from (a, b) to (a, b + 1)."""
    across, along = np.zeros((na, nb + 1), bool), np.zeros((na + 1, nb), bool)
    for a0, a1, b0, b1 in rects:
        across[a0:a1, [b0, b1]] = True
        along[[a0, a1], b0:b1] = True
    return across, along


def _passable(lattice: Lattice, patch: Patch, across: Mask, along: Mask) -> tuple[Mask, Mask]:
    """Take away steps in water, along missing arterials, then all that leads nowhere or hangs on to nothing."""
    dry = lattice.terrain.shore(patch.points) > DRY
    for n in range(SUB + 1):
        across &= dry[n : n + SUB * (across.shape[0] - 1) + 1 : SUB, ::SUB]
        along &= dry[::SUB, n : n + SUB * (along.shape[1] - 1) + 1 : SUB]
    anchored = np.zeros((along.shape[0], across.shape[1]), bool)
    bottom, right, top, left = patch.sides
    for side, row in ((bottom, 0), (top, -1)):
        if not side.frontage:
            share = np.array(side.exists)[_shares(len(side.exists), across.shape[0])]
            anchored[:-1, row] |= share
            anchored[1:, row] |= share
            across[:, row] = False  # the arterial itself is no street of the district
    for side, column in ((left, 0), (right, -1)):
        anchored[column] |= side.exists[0]
        along[column] = False
    # a junction on a bridge is none
    anchored &= dry[::SUB, ::SUB]
    return _pruned(across, along, anchored)


def _shares(edges: int, steps: int) -> npt.NDArray[np.int64]:
    """Which of a side's edges each step along it belongs to."""
    return np.arange(steps) * edges // steps


def _ends(across: Mask, along: Mask, values: Mask) -> tuple[Mask, Mask]:
    """For each step, whether `values` holds at either end."""
    return values[:-1] | values[1:], values[:, :-1] | values[:, 1:]


def _degrees(across: Mask, along: Mask) -> npt.NDArray[np.int64]:
    degree = np.zeros((along.shape[0], across.shape[1]), np.int64)
    degree[:-1] += across
    degree[1:] += across
    degree[:, :-1] += along
    degree[:, 1:] += along
    return degree


def _pruned(across: Mask, along: Mask, anchored: Mask) -> tuple[Mask, Mask]:
    """Keep steps that are linked to an anchor (a place on an arterial) and lead on at both ends."""
    reached = anchored.copy()
    while True:
        before = reached.sum()
        sides = _ends(across, along, reached)
        lit = across & sides[0], along & sides[1]
        reached[:-1] |= lit[0]
        reached[1:] |= lit[0]
        reached[:, :-1] |= lit[1]
        reached[:, 1:] |= lit[1]
        if reached.sum() == before:
            break
    across, along = across & reached[1:], along & reached[:, 1:]
    while True:
        lonely = (_degrees(across, along) == 1) & ~anchored
        loose = _ends(across, along, lonely)
        if not ((across & loose[0]).any() or (along & loose[1]).any()):
            return across, along
        across, along = across & ~loose[0], along & ~loose[1]


def _block(rect: Rect, patch: Patch, across: Mask, along: Mask) -> Block:
    """A rectangle with what is known of its four sides."""
    a0, a1, b0, b1 = rect
    na, nb = patch.steps
    bottom, right, top, left = patch.sides
    fronts, wide = [], []
    for at_side, side, steps in (
        (b0 == 0, bottom, across[a0:a1, b0]),
        (a1 == na, right, along[a1, b0:b1]),
        (b1 == nb, top, across[a0:a1, b1]),
        (a0 == 0, left, along[a0, b0:b1]),
    ):
        arterial = at_side and not side.frontage
        fronts.append(bool(all(side.exists)) if arterial else bool(steps.all()))
        wide.append(arterial)
    return Block(rect, (*fronts,), (*wide,))  # type: ignore[arg-type]


def _spurs(lattice: Lattice, patch: Patch, blocks: list[Block], dice: Dice) -> list[tuple[int, Spur]]:
    """Open up the middle of wide blocks by a cul-de-sac from one of their sides."""
    found = []
    for number, block in enumerate(blocks):
        a0, a1, b0, b1 = block.rect
        from_bottom = dice.roll() < 0.5
        if min(a1 - a0, b1 - b0) < 2 or dice.roll() < 0.25 or not (block.fronts[0] and block.fronts[2]):
            continue
        # on a place where other streets may meet that street, too: junctions are then one or far apart
        middle = float((a0 + a1) // 2)
        deep = 0.62 * (b1 - b0)
        spur = (
            Spur((middle, b0), (middle, b0 + deep))
            if from_bottom
            else Spur((middle, b1), (middle, b1 - deep))
        )
        if lattice.terrain.shore(spur_line(patch, spur)).min() > DRY + 10:
            found.append((number, spur))
    return found


def spur_line(patch: Patch, spur: Spur) -> Floats:
    """(n, 2) axis of a cul-de-sac, with all bends of the patch."""
    b0, b1 = spur.start[1], spur.end[1]
    low, high = min(b0, b1), max(b0, b1)
    inner = np.arange(np.floor(low * SUB) + 1, np.ceil(high * SUB)) / SUB
    places = np.concatenate([[low], inner, [high]])
    if b1 < b0:
        places = places[::-1]
    return patch.at(np.full(len(places), spur.start[0]), places)


def _streets(
    lattice: Lattice, patch: Patch, across: Mask, along: Mask, spurs: list[tuple[int, Spur]]
) -> Shapes:
    """All streets of a district as lines from junction to junction; arterials around it are not among them."""
    lines, kinds = [], []
    last = across.shape[1] - 1
    for a, b in np.argwhere(across):
        lines.append(patch.points[a * SUB : (a + 1) * SUB + 1, b * SUB])
        beside = (b == 0 and patch.sides[0].frontage) or (b == last and patch.sides[2].frontage)
        kinds.append(FRONTAGE if beside else STREET)
    for a, b in np.argwhere(along):
        lines.append(patch.points[a * SUB, b * SUB : (b + 1) * SUB + 1])
        kinds.append(STREET)
    for _, spur in spurs:
        lines.append(spur_line(patch, spur))
        kinds.append(STREET)
    dead = np.arange(len(lines)) >= len(lines) - len(spurs)
    ramps = slip_roads(lattice, patch, across)
    lines, kinds = lines + ramps, kinds + [RAMP] * len(ramps)
    dead = np.concatenate([dead, np.zeros(len(ramps), bool)])
    return gathered(lines, {"kind": np.array(kinds, np.int64), "dead_end": dead})
