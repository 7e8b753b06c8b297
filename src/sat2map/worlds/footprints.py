"""Outlines of buildings: true rectangles inside crooked lots, and the plans that are cut out of them."""

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats

# Plans in the unit square, front at y = 0, counter-clockwise.
PLANS: dict[str, Floats] = {
    "block": np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float),
    "ell": np.array([(0, 0), (1, 0), (1, 0.58), (0.55, 0.58), (0.55, 1), (0, 1)], float),
    "ell, mirrored": np.array([(0, 0), (1, 0), (1, 1), (0.45, 1), (0.45, 0.58), (0, 0.58)], float),
    "tee": np.array([(0, 0), (1, 0), (1, 0.6), (0.72, 0.6), (0.72, 1), (0.25, 1), (0.25, 0.6), (0, 0.6)], float),
    "porch": np.array([(0.3, 0), (0.7, 0), (0.7, 0.12), (1, 0.12), (1, 1), (0, 1), (0, 0.12), (0.3, 0.12)], float),
    "you": np.array([(0, 0), (1, 0), (1, 1), (0.7, 1), (0.7, 0.4), (0.3, 0.4), (0.3, 1), (0, 1)], float),
    "waisted": np.array(
        [(0, 0), (1, 0), (1, 0.36), (0.82, 0.36), (0.82, 0.68), (1, 0.68), (1, 1), (0, 1), (0, 0.68),
         (0.18, 0.68), (0.18, 0.36), (0, 0.36)], float
    ),
    "notched": np.array([(0, 0), (1, 0), (1, 0.4), (0.78, 0.4), (0.78, 0.7), (1, 0.7), (1, 1), (0, 1)], float),
    "cross": np.array(
        [(0.3, 0), (0.7, 0), (0.7, 0.3), (1, 0.3), (1, 0.7), (0.7, 0.7), (0.7, 1), (0.3, 1), (0.3, 0.7),
         (0, 0.7), (0, 0.3), (0.3, 0.3)], float
    ),
    "comb": np.array(
        [(0, 0), (1, 0), (1, 1), (0.84, 1), (0.84, 0.34), (0.58, 0.34), (0.58, 1), (0.42, 1), (0.42, 0.34),
         (0.16, 0.34), (0.16, 1), (0, 1)], float
    ),
    "aitch": np.array(
        [(0, 0), (0.3, 0), (0.3, 0.36), (0.7, 0.36), (0.7, 0), (1, 0), (1, 1), (0.7, 1), (0.7, 0.64),
         (0.3, 0.64), (0.3, 1), (0, 1)], float
    ),
}  # fmt: skip


def straightened(quads: Floats) -> Floats:
    """(N, 4, 2) rectangles inside crooked quadrilaterals, along their front sides, about as large as they allow.

    Both are given as front left, front right, back right, back left.
    """
    front = quads[:, 1] - quads[:, 0]
    front /= np.maximum(np.hypot(front[:, 0], front[:, 1]), 1e-9)[:, None]
    normal = np.stack([-front[:, 1], front[:, 0]], -1)
    depth = quads[:, 2] + quads[:, 3] - quads[:, 0] - quads[:, 1]
    normal *= np.where((normal * depth).sum(-1) < 0, -1.0, 1.0)[:, None]
    middle = quads.mean(1)
    u = ((quads - middle[:, None]) * front[:, None]).sum(-1)  # (N, 4)
    v = ((quads - middle[:, None]) * normal[:, None]).sum(-1)
    left, right = np.maximum(u[:, 0], u[:, 3]), np.minimum(u[:, 1], u[:, 2])
    low, high = np.maximum(v[:, 0], v[:, 1]), np.minimum(v[:, 2], v[:, 3])
    u = np.stack([left, right, right, left], 1)[..., None]
    v = np.stack([low, low, high, high], 1)[..., None]
    return np.asarray(middle[:, None] + u * front[:, None] + v * normal[:, None])


def sound(quads: Floats, least: float) -> npt.NDArray[np.bool_]:
    """(N,) whether both sides of a rectangle are at least so many metres, and it is not turned inside out."""
    across, deep = quads[:, 1] - quads[:, 0], quads[:, 3] - quads[:, 0]
    opposite = quads[:, 2] - quads[:, 3]
    straight = (across * opposite).sum(-1) > 0
    return np.asarray(straight & (np.hypot(*across.T) >= least) & (np.hypot(*deep.T) >= least))


def drawn(plan: Floats, quad: Floats) -> Floats:
    """Lay a plan (k, 2) into a quadrilateral (4, 2), bilinearly."""
    x, y = plan[:, :1], plan[:, 1:]
    return np.asarray((1 - y) * ((1 - x) * quad[0] + x * quad[1]) + y * ((1 - x) * quad[3] + x * quad[2]))


def rims(quads: Floats) -> Floats:
    """(N, 20, 2) points all along the sides of quadrilaterals (N, 4, 2)."""
    t = np.linspace(0, 1, 6)[:-1, None]
    after = np.roll(quads, -1, axis=1)
    return np.asarray((quads[:, :, None] + t * (after - quads)[:, :, None]).reshape(len(quads), 20, 2))


def distances(points: Floats, line: Floats) -> Floats:
    """(...) metres from points (..., 2) to a line (n, 2)."""
    start, span = line[:-1], np.diff(line, axis=0)
    away = points[..., None, :] - start
    share = (away * span).sum(-1) / np.maximum((span * span).sum(-1), 1e-12)
    rest = away - np.clip(share, 0, 1)[..., None] * span
    return np.asarray(np.sqrt((rest * rest).sum(-1).min(-1)))


def apart(quads: Floats, tolerance: float) -> npt.NDArray[np.bool_]:
    """(N,) which of some convex quadrilaterals (N, 4, 2) to keep so that none overlap: the first of any two.

    Two that share less than `tolerance` metres in every direction count as neighbours. Separating axes
    (Gottschalk, Lin and Manocha, SIGGRAPH 1996).
    """
    low, high = quads.min(1), quads.max(1)
    boxes = (low[:, None] < high[None]).all(-1)
    one, two = np.nonzero(np.triu(boxes & boxes.T, 1))
    keep = np.ones(len(quads), bool)
    if not len(one):
        return keep
    clash = np.ones(len(one), bool)
    for owner in (one, two):
        sides = np.roll(quads, -1, 1)[owner] - quads[owner]  # (P, 4, 2)
        normals = np.stack([-sides[..., 1], sides[..., 0]], -1)
        normals /= np.maximum(np.hypot(normals[..., 0], normals[..., 1]), 1e-9)[..., None]
        first, second = (np.einsum("pkc,pnc->pnk", quads[which], normals) for which in (one, two))
        gap = np.maximum(first.min(-1) - second.max(-1), second.min(-1) - first.max(-1))  # (P, 4)
        clash &= (gap < -tolerance).all(1)
    for a, b in zip(one[clash], two[clash], strict=True):
        if keep[a]:
            keep[b] = False
    return keep
