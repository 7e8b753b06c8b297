"""What somebody standing in a world sees: sky, ground, facades, roofs, trees and cars in perspective.

For every column of the picture one ray is sent over the plan, and the nearest `LAYERS` things that it meets are kept in
order. Everything stands upright on level ground, so a pixel shows the first of them that is high enough there, else
the ground or the sky: a z-buffer with one depth per thing and column. Directions: heading 0 is north, 90 east.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Dice, Floats, noise
from sat2map.worlds.layouts import Bounds
from sat2map.worlds.painting.facades import facade
from sat2map.worlds.painting.fill import Canvas, numbered
from sat2map.worlds.painting.foliage import canopy
from sat2map.worlds.painting.satellite import Light, UInt8, cast_shadow, light_of
from sat2map.worlds.painting.standing import CROWN, Things, standing
from sat2map.worlds.painting.surfaces import COLOURS, GRAIN, PATCHES, materials
from sat2map.worlds.plan import Plan

FAR = 230.0  # metres that one sees
LAYERS = 26
HAZE = np.array([196, 206, 216], np.float64)
MID = 120.0  # metres of ground that are painted in detail
CLOSE = 18.0  # metres of it that are close
COARSE, FINE, FINEST = 0.8, 0.4, 0.08  # metres per sample of shadows, of the ground, of the close ground


class Eye(NamedTuple):
    """Where one stands and looks."""

    x: float  # metres
    y: float
    heading: float  # degrees clockwise from north
    height: float = 1.7  # metres
    field: float = 75.0  # degrees from the left to the right of the picture

    @property
    def bounds(self) -> Bounds:
        """What a plan must cover."""
        return Bounds(self.x - FAR, self.y - FAR, self.x + FAR, self.y + FAR)


class _Rays(NamedTuple):
    """One ray per column: depth t along `ahead` is at eye + t·(ahead + u·right); row v rises by t·v."""

    ahead: Floats  # (2,)
    right: Floats  # (2,)
    u: Floats  # (W,)
    v: Floats  # (H,)


def ground_view(plan: Plan, eye: Eye, height: int, width: int, seed: int) -> UInt8:
    """(height, width, 3) view from a point; `plan` must cover `eye.bounds`."""
    rays = _rays(eye, height, width)
    light = light_of(seed)
    things = standing(plan, eye.x, eye.y, FAR)
    nearest, share, depth = _hits(things, eye, rays)
    which, along, far = _first(things, nearest, share, depth, eye, rays, seed)
    colour = _sky(rays, eye, seed, height, width)
    down = np.broadcast_to(rays.v[:, None] < -1e-6, (height, width)) & (which < 0)
    colour[down] = _ground(plan, eye, rays, down, light, seed)
    hit = which >= 0
    rows, cols = np.nonzero(hit)
    z = eye.height + far[hit] * rays.v[rows]
    ray = rays.ahead + rays.u[cols, None] * rays.right
    xy = np.array([eye.x, eye.y]) + far[hit][:, None] * ray
    seen = facade(things, which[hit], along[hit], z, xy, light, seed)
    veil = 1 - 1 / (1 + (far[hit] / 420.0) ** 2)
    colour[hit] = seen * (1 - veil[:, None]) + HAZE * veil[:, None]
    grain = Dice(seed, 301, int(eye.heading)).rolls(height * width).reshape(height, width, 1) - 0.5
    return np.clip(np.rint(colour * 1.04 + 7 * grain), 0, 255).astype(np.uint8)


def _rays(eye: Eye, height: int, width: int) -> _Rays:
    turn = np.radians(eye.heading)
    ahead = np.array([np.sin(turn), np.cos(turn)])
    reach = np.tan(np.radians(eye.field / 2))
    u = ((np.arange(width) + 0.5) / width * 2 - 1) * reach
    v = (height / 2 - (np.arange(height) + 0.5)) / (width / 2) * reach
    # the horizon a little below the middle: more of the houses, less of the road
    return _Rays(ahead, np.array([ahead[1], -ahead[0]]), u, v + 0.12 * reach)


def _hits(things: Things, eye: Eye, rays: _Rays) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """(K, W) things that each ray meets first, the share along them at which, and the depth; -1 and inf for none."""
    start = things.start - (eye.x, eye.y)
    span = things.end - things.start
    flat = things.kind == CROWN  # trees face the viewer
    radius = np.hypot(span[:, 0], span[:, 1]) / 2
    middle = start + span / 2
    start = np.where(flat[:, None], middle - radius[:, None] * rays.right, start)
    span = np.where(flat[:, None], 2 * radius[:, None] * rays.right, span)
    # in the viewer's frame: depth a and aside b; the ray of column u is b = u·a
    a0, b0 = start @ rays.ahead, start @ rays.right
    da, db = span @ rays.ahead, span @ rays.right
    # single precision: this is most of the work
    u = rays.u[None].astype(np.float32)
    deep, aside, d_deep, d_aside = (value[:, None].astype(np.float32) for value in (a0, b0, da, db))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (u * deep - aside) / (d_aside - u * d_deep)
    depth = deep + share * d_deep
    depth[~((share >= 0) & (share <= 1) & (depth > 0.4))] = np.inf
    count = min(LAYERS, len(depth))
    if not count:
        nothing = np.empty((0, len(rays.u)))
        return nothing.astype(np.int64), nothing, nothing
    order = np.argpartition(depth, count - 1, axis=0)[:count]
    near = np.take_along_axis(depth, order, 0)
    rank = np.argsort(near, axis=0, kind="stable")
    order, near = np.take_along_axis(order, rank, 0), np.take_along_axis(near, rank, 0)
    return (
        np.where(np.isinf(near), -1, order),
        np.take_along_axis(share, order, 0).astype(float),
        near.astype(float),
    )


def _first(
    things: Things,
    nearest: npt.NDArray[np.int64],
    share: Floats,
    depth: Floats,
    eye: Eye,
    rays: _Rays,
    seed: int,
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """(H, W) thing that a pixel shows (-1 for ground and sky), the share along it, and its depth."""
    shape = len(rays.v), len(rays.u)
    which, along, far = np.full(shape, -1, np.int64), np.zeros(shape), np.zeros(shape)
    for thing, at, t in zip(nearest, share, depth, strict=True):
        met = thing >= 0
        if not met.any():
            break
        t = np.where(met, t, 1.0)
        z = eye.height + t[None] * rays.v[:, None]
        shown = (which < 0) & met[None] & (z > 0) & _solid(things, np.maximum(thing, 0), at, t, z, seed)
        which = np.where(shown, thing[None], which)
        along = np.where(shown, at[None], along)
        far = np.where(shown, t[None], far)
    return which, along, far


def _solid(
    things: Things, thing: npt.NDArray[np.int64], at: Floats, t: Floats, z: Floats, seed: int
) -> npt.NDArray[np.bool_]:
    """(H, W) whether a thing (one per column) is there at height z."""
    top = things.top[thing]
    span = things.end[thing] - things.start[thing]
    point = things.start[thing] + at[:, None] * span
    aside = np.abs(((point - things.middle[thing]) * things.across[thing]).sum(-1))
    sloping = np.where(things.gable[thing], 0.55 * np.maximum(things.half[thing] - aside, 0), 0.0)
    wall = z < (top + sloping)[None]
    tree = things.kind[thing] == CROWN
    if not tree.any():
        return np.asarray(wall)
    radius = np.maximum(np.hypot(span[:, 0], span[:, 1]) / 2, 0.1)
    aside = (2 * at - 1) * radius
    high = 0.62 * top
    ragged = 1 + 0.5 * noise(
        seed, 302, np.broadcast_to(aside + things.start[thing, 0], z.shape), z + things.start[thing, 1], 0.9
    )
    crown = ((aside / radius) ** 2 + ((z - high) / (0.42 * top)) ** 2) * ragged < 1
    trunk = (np.abs(aside) < 0.04 * top) & (z < high)
    return np.where(tree[None], crown | trunk, wall)


def _sky(rays: _Rays, eye: Eye, seed: int, height: int, width: int) -> Floats:
    """(H, W, 3) blue above, pale at the horizon, clouds in between."""
    up = np.clip(rays.v, 0, None)[:, None]
    blue = np.array([104, 150, 206.0])
    mix = (up / (up + 0.35))[..., None]
    out = HAZE * (1 - mix) + blue * mix
    turn = np.radians(eye.heading) + np.arctan(rays.u)
    x = np.sin(turn)[None] / (up + 0.16)
    y = np.cos(turn)[None] / (up + 0.16)
    cloud = (
        noise(seed, 310, x, y, 1.3) + 0.5 * noise(seed, 311, x, y, 0.6) + 0.3 * noise(seed, 312, x, y, 0.27)
    )
    cover = np.clip(cloud * 1.1 - 0.1, 0, 0.85)[..., None]
    return np.broadcast_to(out * (1 - cover) + np.array([238, 240, 243.0]) * cover, (height, width, 3)).copy()


def _ground(
    plan: Plan, eye: Eye, rays: _Rays, pixels: npt.NDArray[np.bool_], light: Light, seed: int
) -> Floats:
    """(P, 3) colours of the ground at pixels below the horizon."""
    rows, cols = np.nonzero(pixels)
    t = eye.height / -rays.v[rows]
    ray = rays.ahead + rays.u[cols, None] * rays.right
    xy = np.array([eye.x, eye.y]) + t[:, None] * ray
    near = np.abs(xy - (eye.x, eye.y)).max(1) < MID - 1
    x, y = xy[near, 0], xy[near, 1]
    material = np.zeros(len(x), np.uint8)
    for reach, step in ((MID, FINE), (CLOSE, FINEST)):  # kerbs at one's feet are seen sharper
        fine = _canvas_around(eye, step, reach)
        these = np.maximum(np.abs(x - eye.x), np.abs(y - eye.y)) < reach - 1
        material[these] = _looked_up(materials(plan, fine), fine, x[these], y[these])
    colour = np.empty((len(rows), 3))
    texture = PATCHES[material] * (0.5 * noise(seed, 320, x, y, 4.0) + 0.4 * noise(seed, 321, x, y, 1.1))
    texture += GRAIN[material] * noise(seed, 322, x, y, 0.13)
    shade = np.where(
        _looked_up(_shadows(plan, eye, light, seed), _canvas_around(eye, COARSE), x, y), 0.55, 1.0
    )
    colour[near] = 1.22 * (COLOURS[material] + texture[:, None]) * shade[:, None]
    colour[~near] = (118, 122, 104)
    veil = (1 - 1 / (1 + (t / 420.0) ** 2))[:, None]
    return np.asarray(colour * (1 - veil) + HAZE * veil)


def _canvas_around(eye: Eye, step: float, reach: float = MID) -> Canvas:
    side = int(2 * reach / step)
    return Canvas(
        int(np.floor(-(eye.y + reach) / step)), int(np.floor((eye.x - reach) / step)), side, side, step
    )


def _looked_up(
    field: npt.NDArray[np.generic], canvas: Canvas, x: Floats, y: Floats
) -> npt.NDArray[np.generic]:
    col = np.clip(np.floor(x / canvas.step).astype(np.int64) - canvas.col, 0, canvas.width - 1)
    row = np.clip(np.floor(-y / canvas.step).astype(np.int64) - canvas.row, 0, canvas.height - 1)
    return field[row, col]


def _shadows(plan: Plan, eye: Eye, light: Light, seed: int) -> npt.NDArray[np.bool_]:
    canvas = _canvas_around(eye, COARSE)
    number = numbered(canvas, plan.buildings)
    tops = np.concatenate([[0.0], plan.buildings.columns["height"]]).astype(np.float32)[number]
    crowns, _ = canopy(plan.trees, canvas, seed)
    return np.asarray(cast_shadow(np.maximum(tops, crowns), light, canvas.step) & (number == 0))
