"""The satellite picture as the viewer has it: where one stands in the middle, ahead at the top."""

import numpy as np
import numpy.typing as npt

from sat2map.data.views.pairs import UInt8, ViewPair
from sat2map.grid import reflect

FINEST = 8  # samples across an output pixel, at most


def heading_up(
    sat: UInt8,
    heading: float = 0.0,
    *,
    side: int,
    row: float | None = None,
    col: float | None = None,
    reach: float | None = None,
) -> UInt8:
    """Return (side, side, 3): `sat` (H, W, 3), north up, turned about (row, col) so that `heading` points up.

    `row` and `col` are in pixels from the upper left corner (None: the middle) and come to lie in the middle of the
    result, which shows `reach` px of `sat` from there to each side (None: half its shorter side). Bilinear; where
    several pixels of `sat` fall into one of the result, means of up to 8 × 8 samples. What lies beyond the edge is the
    mirror image of what lies before it, without repeating the edge, as everywhere in this package.
    """
    height, width = sat.shape[:2]
    row, col = height / 2 if row is None else row, width / 2 if col is None else col
    reach = min(height, width) / 2 if reach is None else reach
    fine = int(min(max(np.ceil(2 * reach / side), 1), FINEST))
    at = ((np.arange(side * fine) + 0.5) / (side * fine) * 2 - 1) * reach
    right, down = np.meshgrid(at, at)
    turn = np.radians(heading)
    # positions of pixel centres: the first one's is 0
    y = row - 0.5 + right * np.sin(turn) + down * np.cos(turn)
    x = col - 0.5 + right * np.cos(turn) - down * np.sin(turn)
    seen = _bilinear(sat, y, x)
    means = seen.reshape(side, fine, side, fine, 3).mean((1, 3))
    return np.asarray(np.rint(means), np.uint8)


def _bilinear(sat: UInt8, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # thousandths of a pixel, so that a turn by a right angle meets pixel centres exactly
    y, x = np.round(y, 3), np.round(x, 3)
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    down, right = (y - top)[..., None], (x - left)[..., None]
    rows = [reflect(top + n, sat.shape[0]) for n in (0, 1)]
    cols = [reflect(left + n, sat.shape[1]) for n in (0, 1)]
    upper = sat[rows[0], cols[0]] * (1 - right) + sat[rows[0], cols[1]] * right
    lower = sat[rows[1], cols[0]] * (1 - right) + sat[rows[1], cols[1]] * right
    return np.asarray(upper * (1 - down) + lower * down)


def crop_of(pair: ViewPair, sat: UInt8, side: int, metres: float | None = None) -> UInt8:
    """Return (side, side, 3), the crop of a view: turned if its heading is known, else north up; see `heading_up`.

    `metres`: what the crop covers from its middle to each side, where the view says how large its pixels are.
    """
    known = pair.known
    reach = metres / known.metres if metres is not None and known.metres else None
    return heading_up(sat, known.heading or 0.0, side=side, row=known.row, col=known.col, reach=reach)
