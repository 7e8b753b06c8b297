"""What a network is shown beyond the edges of a scene: its mirror image, as on the scene's own grid.

Grey would be less work, but networks know no grey ground and mistake it, and what they make of it reaches as far into
the scene as they see. Which pixel mirrors which depends on the world's raster and the scene alone, never on who asks.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map import mercator
from sat2map.grid import Indices, Window
from sat2map.scenes import raster

Float = npt.NDArray[np.float64]


class Surroundings:
    """Tells for pixels of the world at one zoom, outside a scene, which pixel of the world has their mirror image.

    Within `reach` px of `data`, the window that the scene touches; what is farther away nobody is shown.
    """

    def __init__(self, place: raster.Place, zoom: int, data: Window, reach: int) -> None:
        self._place, self._zoom = place, zoom
        self._near = data.grown(reach)

    def mirrored(self, square: Window) -> tuple[Indices, Indices] | None:
        """Return rows and columns, (height, width) each, in the world, or None where nothing is to be seen.

        Inside one square the way to the scene's pixels is taken to be affine: exact enough for a mirror.
        """
        if not square.shared(self._near).area:
            return None
        fit = self._fit(square)
        if fit is None:
            return None
        corner, turn, back = fit
        rows, cols = np.arange(square.height) + 0.5, np.arange(square.width) + 0.5
        down = _folded(
            corner[0] + turn[0, 0] * rows[:, None] + turn[0, 1] * cols, self._place.height, turn[0]
        )
        across = _folded(
            corner[1] + turn[1, 0] * rows[:, None] + turn[1, 1] * cols, self._place.width, turn[1]
        )
        down, across = down - corner[0], across - corner[1]
        row = np.floor(back[0, 0] * down + back[0, 1] * across).astype(np.intp) + square.row
        col = np.floor(back[1, 0] * down + back[1, 1] * across).astype(np.intp) + square.col
        return row, col

    def _fit(self, square: Window) -> tuple[Float, Float, Float] | None:
        """Return the scene's row and column at the square's corner, per row and column of it, and the way back."""
        box = mercator.bounds(square, self._zoom)
        xs = [box.left, box.left, box.right]
        ys = [box.top, box.bottom, box.top]
        found = raster.pixels_at(self._place, xs, ys, mercator.CRS)
        if found is None or not np.isfinite(found).all():
            return None
        corner, below, right = np.asarray(found, np.float64).T[:, ::-1]  # (row, col) each
        turn = np.stack([(below - corner) / square.height, (right - corner) / square.width], 1)
        area = turn[0, 0] * turn[1, 1] - turn[0, 1] * turn[1, 0]
        if abs(area) < 1e-12:
            return None
        back = np.array([[turn[1, 1], -turn[0, 1]], [-turn[1, 0], turn[0, 0]]]) / area
        return corner, turn, back


def _folded(position: Float, size: int, steps: npt.NDArray[Any]) -> Float:
    """Mirror positions at both ends of an axis, as often as it takes, and keep half a pixel of the world from them."""
    folded = position % (2 * size)
    folded = np.minimum(folded, 2 * size - folded)
    margin = min(float(np.abs(steps).sum()) / 2, size / 2)
    return np.clip(folded, margin, size - margin)
