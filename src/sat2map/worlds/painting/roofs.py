"""Roofs from above: colours by kind, two slopes under a ridge, rims and machinery on flat ones."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats, noise
from sat2map.worlds.painting.fill import Canvas
from sat2map.worlds.shapes import BRIGHT, DARK, FLAT, GABLE, Ints, Shapes

if TYPE_CHECKING:
    from sat2map.worlds.painting.satellite import Light

Float32 = npt.NDArray[np.float32]

COLOURS = {
    GABLE: [
        (112, 96, 84),
        (92, 90, 92),
        (126, 108, 92),
        (84, 78, 74),
        (120, 116, 112),
        (134, 98, 82),
        (98, 88, 78),
    ],
    FLAT: [(152, 148, 140), (132, 128, 122), (170, 166, 158), (118, 114, 110)],
    BRIGHT: [(232, 230, 224), (214, 212, 208), (240, 239, 236), (198, 198, 198)],
    DARK: [(74, 73, 73), (88, 85, 82), (66, 67, 70)],
}


class RoofTable(NamedTuple):
    """What is the same all over a roof, one row per building, and one at the front for no building."""

    colour: Float32  # (N + 1, 3)
    gable: npt.NDArray[np.bool_]  # (N + 1,)
    height: Float32  # (N + 1,) metres, of the eaves
    middle: Floats  # (N + 1, 2)
    across: Floats  # (N + 1, 2) unit vector square to the ridge
    half: Floats  # (N + 1,) metres from ridge to eaves


def roof_table(buildings: Shapes) -> RoofTable:
    """Work out the roofs of all buildings."""
    roof, tint = buildings.columns["roof"], buildings.columns["tint"]
    colour = np.zeros((len(buildings) + 1, 3), np.float32)
    for kind, choices in COLOURS.items():
        these = np.flatnonzero(roof == kind)
        entry = (tint[these] * len(choices)).astype(np.int64)
        shade = 0.9 + 0.2 * ((tint[these] * 977) % 1.0)
        colour[these + 1] = np.array(choices, np.float32)[entry] * shade[:, None]
    quad = buildings.columns["quad"]
    sides = quad[:, 1] - quad[:, 0], quad[:, 3] - quad[:, 0]
    lengths = [np.hypot(side[:, 0], side[:, 1]) for side in sides]
    wide = lengths[0] > lengths[1]
    across = np.where(wide[:, None], sides[1], sides[0])
    span = np.where(wide, lengths[1], lengths[0])
    return RoofTable(
        colour,
        _led(roof == GABLE),
        _led(buildings.columns["height"]).astype(np.float32),
        np.concatenate([np.zeros((1, 2)), quad.mean(1)]),
        np.concatenate([np.zeros((1, 2)), across / np.maximum(span, 1e-9)[:, None]]),
        np.concatenate([[1.0], np.maximum(span / 2, 1.0)]),
    )


def _led(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A row of zeros in front."""
    return np.concatenate([np.zeros(1, column.dtype), column])


def roof_samples(
    number: npt.NDArray[np.int32],
    canvas: Canvas,
    buildings: Shapes,
    table: RoofTable,
    light: "Light",
    seed: int,
) -> tuple[Float32, Float32]:
    """(h, w, 3) roof colours and (h, w) heights of samples; both 0 where `number` says that there is no building."""
    colour, height = np.zeros((*number.shape, 3), np.float32), np.zeros(number.shape, np.float32)
    rows, cols = np.nonzero(number)
    which = number[rows, cols]
    x, y = canvas.centres()
    x, y = x[0, cols], y[rows, 0]
    tone = table.colour[which]
    top = table.height[which]
    gable = table.gable[which]
    # sloping roofs: one side turned to the sun
    aside = (x - table.middle[which, 0]) * table.across[which, 0] + (
        y - table.middle[which, 1]
    ) * table.across[which, 1]
    facing = table.across[which, 0] * light.towards[0] + table.across[which, 1] * light.towards[1]
    slope = np.where(aside > 0, facing, -facing)
    rise = 0.55 * np.maximum(table.half[which] - np.abs(aside), 0)
    lit = (
        np.where(gable, 1 + 0.3 * slope, 1.0)
        + 0.07 * noise(seed, 241, x, y, 2.2)
        + 0.05 * noise(seed, 242, x, y, 11.0)
    )
    # flat roofs: stains, and boxes of lifts and fans on large ones
    boxes = (noise(seed, 243, x, y, 3.4) > 0.72) & ~gable & (table.half[which] > 6)
    lit = np.where(boxes, lit * 0.82, lit) * np.where(gable, 1.0, _rim(number, rows, cols))
    colour[rows, cols] = tone * lit[:, None].astype(np.float32)
    height[rows, cols] = top + np.where(gable, rise, 0) + np.where(boxes, 2.2, 0)
    return colour, height


def _rim(number: npt.NDArray[np.int32], rows: Ints, cols: Ints) -> Float32:
    """Parapets: a little darker where the neighbouring sample belongs to another roof or to none."""
    padded = np.pad(number, 1)
    own = padded[rows + 1, cols + 1]
    edge = np.zeros(len(rows), bool)
    for d_row, d_col in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edge |= padded[rows + d_row, cols + d_col] != own
    return np.where(edge, np.float32(0.8), np.float32(1.0))
