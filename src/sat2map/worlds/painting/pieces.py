"""Large rasters of samples are painted piece by piece: what fits the processor's cache is several times as fast."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.worlds.painting.fill import Canvas
from sat2map.worlds.plan import Plan

UInt8 = npt.NDArray[np.uint8]

SIDE = 768  # samples
MARGIN = 3.0  # metres that shadows on the map and the like reach beyond what casts them


def in_pieces(plan: Plan, canvas: Canvas, paint: Callable[[Plan, Canvas], UInt8]) -> UInt8:
    """(height, width) what `paint` gives; it must not matter to a sample which window it is painted in."""
    window = Window(canvas.row, canvas.col, canvas.height, canvas.width)
    out = np.empty((canvas.height, canvas.width), np.uint8)
    for part in window.parts(SIDE):
        piece = Canvas(*part, canvas.step)
        out[part.slices(window)] = paint(plan.within(piece.bounds.grown(MARGIN)), piece)
    return out
