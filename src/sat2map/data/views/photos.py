"""The ground picture of a view as a square of one field of view, whatever it was taken with."""

import numpy as np

from sat2map import images
from sat2map.data.views.pairs import UInt8, ViewPair

FIELD = 75.0  # degrees, of a square photo


def middle_square(photo: UInt8, side: int) -> UInt8:
    """Return (side, side, 3): the largest square in the middle of (H, W, 3), reduced or enlarged."""
    height, width = photo.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return images.resized(np.ascontiguousarray(photo[top : top + short, left : left + short]), side, side)


def straight_ahead(panorama: UInt8, side: int, field: float = FIELD, horizon: float = 0.5) -> UInt8:
    """Return (side, side, 3): what a level camera sees of a panorama (H, W, 3) in the direction of its middle.

    The camera has its horizon at a share of the height from the top (its sensor is shifted). Of the panorama, columns
    are degrees around, rows as many degrees per pixel, and the horizon is in the middle (equirectangular). Some
    panoramas are cut at the top and at the bottom: beyond, their edge is repeated.
    """
    height, width = panorama.shape[:2]
    reach = np.tan(np.radians(field / 2))
    u = ((np.arange(side) + 0.5) / side * 2 - 1) * reach
    aside = np.arctan(u)[None]
    v = 2 * (horizon - 0.5) * reach - u
    up = np.arctan(v[:, None] * np.cos(aside))
    x = width / 2 + aside * width / (2 * np.pi) + 0 * up - 0.5
    y = height / 2 - up * width / (2 * np.pi) - 0.5
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = (y - top)[..., None], (x - left)[..., None]
    rows = [np.clip(top + n, 0, height - 1) for n in (0, 1)]
    cols = [(left + n) % width for n in (0, 1)]
    upper = panorama[rows[0], cols[0]] * (1 - right) + panorama[rows[0], cols[1]] * right
    lower = panorama[rows[1], cols[0]] * (1 - right) + panorama[rows[1], cols[1]] * right
    return np.asarray(np.rint(upper * (1 - down) + lower * down), np.uint8)


def square_photo(
    pair: ViewPair, photo: UInt8, side: int, field: float = FIELD, horizon: float = 0.5
) -> UInt8:
    """Return (side, side, 3), the ground picture of a view; of a panorama what lies straight ahead of a camera."""
    if not pair.panorama:
        return middle_square(photo, side)
    # taken at twice the size and reduced, so that fine texture does not alias
    return images.resized(straight_ahead(photo, 2 * side, field, horizon), side, side)
