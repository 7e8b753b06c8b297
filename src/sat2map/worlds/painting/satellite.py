"""A satellite picture of a plan: materials with texture, roofs, trees, cars, shadows, and a camera's blur and noise.

A believable stand-in, not a photograph: it is made of the same plan as the map and agrees with it in every shape.
Each pixel is arithmetic on world coordinates and on the pixels around it, so it does not depend on the window that
is painted.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Dice, Floats, key_of, noise
from sat2map.worlds.painting.fill import Canvas, Mask, numbered, tallied
from sat2map.worlds.painting.foliage import canopy
from sat2map.worlds.painting.roofs import roof_samples, roof_table
from sat2map.worlds.painting.surfaces import COLOURS, GRAIN, PATCHES, materials
from sat2map.worlds.plan import Plan
from sat2map.worlds.shapes import Shapes

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

FINE = 2  # samples per pixel on each axis for edges
REACH = 90.0  # metres that the longest shadow may have
CAR = (4.5, 1.9, 1.5)  # metres
CAR_COLOURS = np.array(
    [
        (196, 196, 194),
        (158, 160, 162),
        (54, 55, 58),
        (92, 94, 98),
        (120, 44, 40),
        (50, 66, 98),
        (206, 202, 190),
    ],
    np.float32,
)
LEAVES = np.array([(60, 80, 42), (50, 70, 40), (74, 90, 48), (66, 78, 52)], np.float32)


class Light(NamedTuple):
    """The sun and the camera of a picture; everything in one world is taken on one morning."""

    towards: tuple[float, float]  # unit vector on the ground that points to the sun
    slope: float  # tangent of the sun's elevation
    gain: float
    tint: tuple[float, float, float]
    noise: float  # levels


def light_of(seed: int) -> Light:
    """Return the light of a world: sun in the southern half of the sky, 38 to 60 degrees high."""
    dice = Dice(seed, 200)
    azimuth = np.radians(dice.between(115, 235))
    return Light(
        (float(np.sin(azimuth)), float(np.cos(azimuth))),
        float(np.tan(np.radians(dice.between(38, 60)))),
        dice.between(0.68, 0.96),
        (1.0 + dice.between(-0.03, 0.03), 1.0, 1.0 + dice.between(-0.05, 0.03)),
        dice.between(1.5, 3.0),
    )


def halo(step: float) -> int:
    """Pixels around a window that its pixels depend on."""
    return int(np.ceil(REACH / step)) + 4


def satellite(plan: Plan, canvas: Canvas, seed: int) -> UInt8:
    """(height, width, 3) picture of a window; `plan` must cover it and `halo(canvas.step)` px around it."""
    light = light_of(seed)
    wide = canvas.grown(halo(canvas.step))
    colour, height = _surface(plan, wide, seed, light)
    trees, tint = canopy(plan.trees, wide, seed)
    under = trees > np.maximum(height, 0.6)
    leaves = LEAVES[(tint * len(LEAVES)).astype(np.int64)] * _leaf_light(trees, light, canvas.step)[..., None]
    colour = np.where(under[..., None], leaves, colour)
    height = np.maximum(height, trees)
    lit = 1 - 0.62 * _soft(cast_shadow(height, light, canvas.step).astype(np.float32))
    colour *= lit[..., None] * np.array([0.97, 1.0, 1.03], np.float32) ** (1 - lit[..., None])
    inner = slice(halo(canvas.step) - 2, -halo(canvas.step) + 2)
    return _exposed(colour[inner, inner], canvas.grown(2), seed, light)[2:-2, 2:-2]


def _surface(plan: Plan, canvas: Canvas, seed: int, light: Light) -> tuple[Float32, Float32]:
    """(h, w, 3) colours in the sun and (h, w) heights of ground, cars and buildings."""
    fine = canvas.finer(FINE)
    ground = materials(plan, fine)
    colour = _mean(COLOURS[ground])
    grain, patches = _mean(GRAIN[ground][..., None])[..., 0], _mean(PATCHES[ground][..., None])[..., 0]
    colour += _texture(canvas, seed, grain, patches)
    height = np.zeros((canvas.height, canvas.width), np.float32)
    if len(plan.cars):
        share, paint = _cars(plan.cars, fine)
        colour = colour * (1 - share) + paint
        height = np.where(share[..., 0] > 0.5, np.float32(CAR[2]), height)
    if len(plan.buildings):
        number = numbered(fine, plan.buildings)
        share = _mean((number > 0)[..., None].astype(np.float32))
        roofs, tops = roof_samples(number, fine, plan.buildings, roof_table(plan.buildings), light, seed)
        colour = colour * (1 - share) + _mean(roofs)
        height = np.maximum(height, _mean(tops[..., None])[..., 0])
    return colour.astype(np.float32), height.astype(np.float32)


def _mean(fine: Float32) -> Float32:
    """(FINE·h, FINE·w, C) -> (h, w, C) means."""
    return np.asarray(
        (fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) * np.float32(0.25), np.float32
    )


def _cars(cars: Floats, fine: Canvas) -> tuple[Float32, Float32]:
    """(h, w, 1) share of each pixel that cars cover, and (h, w, 3) their colours by that share."""
    ahead = np.stack([np.cos(cars[:, 2]), np.sin(cars[:, 2])], -1) * CAR[0] / 2
    aside = np.stack([-ahead[:, 1], ahead[:, 0]], -1) * CAR[1] / CAR[0]
    xy = cars[:, :2]
    rings = np.stack([xy - ahead - aside, xy + ahead - aside, xy + ahead + aside, xy - ahead + aside], 1)
    shapes = Shapes(rings.reshape(-1, 2), 4 * np.arange(len(cars) + 1), {})
    tally = tallied(fine, shapes, (cars[:, 3] * len(CAR_COLOURS)).astype(np.int64))
    rows, cols = np.nonzero(tally)
    counts = (tally[rows, cols, None] >> (4 * np.arange(len(CAR_COLOURS)))) & 15
    paint = np.zeros((*tally.shape, 4), np.float32)
    # cars that meet in a crossing are painted in their mean colour: no order decides, so no window can
    paint[rows, cols, :3] = counts @ CAR_COLOURS / counts.sum(1, keepdims=True)
    paint[rows, cols, 3] = 1
    mean = _mean(paint)
    return mean[..., 3:], mean[..., :3]


def _texture(canvas: Canvas, seed: int, grain: Float32, patches: Float32) -> Float32:
    """(h, w, 3) deviations from a material's colour: grain of a pixel, patches of metres, weather of a street."""
    x, y = canvas.centres()
    x, y = np.broadcast_arrays(x, y)
    fine = pixel_noise(canvas, seed, 1)
    some = noise(seed, 211, x, y, 3.1) + noise(seed, 212, x, y, 9.0)
    broad = noise(seed, 213, x, y, 34.0)
    level = grain * fine + patches * (0.45 * some + 0.4 * broad)
    # patches of yards and meadows go from brown to green, not only from dark to light
    dry = 0.35 * patches * noise(seed, 214, x, y, 14.0)
    hue = np.maximum(-dry, 0)[..., None] * (-0.5, 0.45, -0.5) + np.maximum(dry, 0)[..., None] * (
        0.4,
        0.05,
        -0.45,
    )
    return np.asarray(level[..., None] + hue, np.float32)


def pixel_noise(canvas: Canvas, seed: int, salt: int) -> Floats:
    """(h, w) independent numbers of mean 0 and deviation 1 for each pixel of the endless raster."""
    rows = key_of(seed, 220 + salt, np.arange(canvas.row, canvas.row + canvas.height)[:, None])
    keys = key_of(rows, np.arange(canvas.col, canvas.col + canvas.width)[None])
    parts = [((keys >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64) for shift in (0, 16, 32, 48)]
    # the sum of four uniform numbers is near enough to a normal one (Irwin and Hall)
    return np.asarray((sum(parts) / 65535 - 2) * 1.7320508)


def _leaf_light(trees: Float32, light: Light, step: float) -> Float32:
    """(h, w) crowns are bright on the side of the sun."""
    behind = shifted(trees, light.towards, max(1.6 / step, 1.0))
    return np.asarray(np.clip(1.0 + 0.16 * (trees - behind), 0.5, 1.45), np.float32)


def shifted(field: Float32, towards: tuple[float, float], pixels: float) -> Float32:
    """Values found so many pixels away in a direction (x east, y north), 0 beyond the array."""
    d_col, d_row = round(towards[0] * pixels), -round(towards[1] * pixels)
    out = np.zeros_like(field)
    height, width = field.shape
    if abs(d_row) >= height or abs(d_col) >= width:
        return out
    to = (slice(max(-d_row, 0), height - max(d_row, 0)), slice(max(-d_col, 0), width - max(d_col, 0)))
    source = (slice(max(d_row, 0), height - max(-d_row, 0)), slice(max(d_col, 0), width - max(-d_col, 0)))
    out[to] = field[source]
    return out


def cast_shadow(height: Float32, light: Light, step: float) -> Mask:
    """(h, w) whether something nearer to the sun stands in its way."""
    out = np.zeros(height.shape, bool)
    steps = min(int(float(height.max()) / (light.slope * step)) + 1, int(REACH / step))
    for n in range(1, steps + 1):
        # a step that lands on the same pixel as the one before tells nothing new
        out |= shifted(height, light.towards, n) > height + np.float32(n * step * light.slope + 0.25)
    return out


def _soft(field: Float32) -> Float32:
    """Blur over three pixels on both axes, as optics and air do; the outermost pixels stay."""
    for axis in (0, 1):
        moved = np.moveaxis(field, axis, 0)
        out = moved.copy()
        out[1:-1] = np.float32(0.6) * moved[1:-1] + np.float32(0.2) * (moved[:-2] + moved[2:])
        field = np.moveaxis(out, 0, axis)
    return field


def _exposed(colour: Float32, canvas: Canvas, seed: int, light: Light) -> UInt8:
    """What the camera makes of it: blur, gain, a veil of haze, noise."""
    blurred = _soft(colour)
    out = blurred * np.float32(light.gain) * np.array(light.tint, np.float32) * np.float32(0.93) + np.float32(
        4.0
    )
    out += (light.noise * pixel_noise(canvas, seed, 2))[..., None].astype(np.float32)
    return np.asarray(np.clip(np.rint(out), 0, 255), np.uint8)
