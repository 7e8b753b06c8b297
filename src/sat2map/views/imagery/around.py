"""A panorama put together from pinhole pictures, for painters that know no other camera."""

from collections.abc import Callable

import numpy as np

from sat2map import images
from sat2map.views.camera import Camera, Floats
from sat2map.views.crop import UInt8

FACES = 4  # pinhole pictures of 90 degrees each, which meet at their edges
FINE = 2  # the panorama is sampled at so many times its size and reduced, so that fine texture does not alias
STEEPEST = float(np.tan(np.radians(72)))  # beyond, the last row is repeated: faces would become very tall

Painter = Callable[
    [float, int, int], UInt8
]  # degrees right of the middle, height, width -> (height, width, 3)


def around(paint: Painter, camera: Camera, shift: float) -> UInt8:
    """Return what a camera sees that looks all around, (H, W, 3).

    `paint` gives level pictures with a field of 90 degrees and square pixels, whose horizon lies `shift` of half their
    width below the middle.
    """
    fine = camera._replace(height=FINE * camera.height, width=FINE * camera.width)
    rays = fine.rays()
    rise = np.clip(rays.rise, -STEEPEST, STEEPEST)
    # of a ray at the edge of a face, the rise over the way ahead is greatest
    reach = float(np.abs(rise).max()) * np.sqrt(2) + shift
    width = round(fine.width * 2 / np.pi) + 1
    height = 2 * round(reach * width / 2) + 2
    away = 2 * np.pi * ((np.arange(fine.width) + 0.5) / fine.width - 0.5)  # right of the middle
    nearest = np.rint(away / (np.pi / 2)).astype(int)
    out = np.empty((fine.height, fine.width, 3), np.uint8)
    for face in range(FACES):  # the one behind lies at both ends
        picture = paint(face * 360 / FACES, height, width)
        cols = np.flatnonzero(nearest % FACES == face)
        aside = away[cols] - nearest[cols] * np.pi / 2
        across = np.broadcast_to((np.tan(aside) + 1) * width / 2, (fine.height, len(cols)))
        down = height / 2 - (rise[:, None] / np.cos(aside) - shift) * width / 2
        out[:, cols] = _sampled(picture, down - 0.5, across - 0.5)
    return images.resized(out, camera.height, camera.width)


def _sampled(picture: UInt8, row: Floats, col: Floats) -> UInt8:
    """Bilinear, the edge repeated; positions of pixel centres, the first one's is 0."""
    row, col = np.clip(row, 0, picture.shape[0] - 1), np.clip(col, 0, picture.shape[1] - 1)
    top, left = row.astype(int), col.astype(int)
    below, right = np.minimum(top + 1, picture.shape[0] - 1), np.minimum(left + 1, picture.shape[1] - 1)
    down, over = (row - top)[..., None], (col - left)[..., None]
    upper = picture[top, left] * (1 - over) + picture[top, right] * over
    lower = picture[below, left] * (1 - over) + picture[below, right] * over
    return np.asarray(np.rint(upper * (1 - down) + lower * down), np.uint8)
