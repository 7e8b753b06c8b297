"""Slip roads between highways and the streets beside them."""

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats
from sat2map.worlds.footprints import distances
from sat2map.worlds.lattice import Lattice
from sat2map.worlds.patch import CORRIDOR, SUB, Patch
from sat2map.worlds.terrain import DRY

Mask = npt.NDArray[np.bool_]


def slip_roads(lattice: Lattice, patch: Patch, across: Mask) -> list[Floats]:
    """Slip roads between a highway and the street beside it, one near either end of the district's side."""
    found = []
    for side, row in ((patch.sides[0], 0), (patch.sides[2], -1)):
        if not side.frontage:
            continue
        highway = np.concatenate(
            [lattice.edge(side.edges[0]).curve, *(lattice.edge(key).curve[1:] for key in side.edges[1:])]
        )
        steps = across.shape[0]
        street = patch.points[:, 0 if row == 0 else -1]
        for first, on_highway in ((True, 0.36), (False, 0.64)):
            step = 0 if first else steps - 1
            if not across[step, row]:
                continue
            leave = round(on_highway * (len(highway) - 1))
            along = highway[leave + 1] - highway[leave - 1]
            place = SUB * step + (2 if first else SUB - 2)  # between two junctions
            end, ahead = street[place], street[place + 1] - street[place - 1]
            turn = 1.0 if first else -1.0
            ramp = _slip(highway[leave], end, turn * along, turn * ahead)
            off = distances(ramp, highway)
            # a bend of either road may bring the two too near to one another for a slip road
            parts = (off[1:] > off[:-1]).all() and np.hypot(*(ramp[0] - ramp[-1])) < 6 * CORRIDOR
            if parts and lattice.terrain.shore(ramp).min() > DRY:
                found.append(ramp)
    return found


def _slip(start: Floats, end: Floats, before: Floats, ahead: Floats) -> Floats:
    """(17, 2) a cubic that leaves one road and joins another, nearly along both."""
    reach = 0.45 * float(np.hypot(*(start - end)))
    leaving, joining = (way / np.hypot(*way) * reach for way in (before, ahead))
    t = np.linspace(0, 1, 17)[:, None]
    return np.asarray(
        (1 - t) ** 3 * start
        + 3 * (1 - t) ** 2 * t * (start - leaving)
        + 3 * (1 - t) * t**2 * (end + joining)
        + t**3 * end
    )
