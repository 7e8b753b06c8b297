"""Pictures side by side: the satellite crop with where one looks, the view, and true photos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sat2map import images
from sat2map.data.views import heading_up, open_views
from sat2map.views.camera import Camera
from sat2map.views.crop import Crop, UInt8

HEIGHT = 256  # px
GAP = 6
LAYOUT = 16  # px of the thumbnails by which photos are compared
SHOWN = 0.5  # of the crop's side: how far around one is shown
LINE = (255, 210, 0)


def strip(parts: Sequence[UInt8]) -> UInt8:
    """Return pictures at one height, white gaps between them."""
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    sized = [images.resized(p, HEIGHT, max(1, round(p.shape[1] * HEIGHT / p.shape[0]))) for p in parts]
    return np.concatenate([piece for part in sized for piece in (gap, part)][1:], 1)


def seen_from_above(crop: Crop, camera: Camera, heading: float) -> UInt8:
    """Return the crop with the heading up, the standing point and the edges of the view drawn into it."""
    reach = SHOWN * crop.pixels.shape[0] / 2
    shown = heading_up(
        crop.pixels, heading - crop.up, side=HEIGHT, row=crop.row, col=crop.col, reach=reach
    ).copy()
    middle = HEIGHT / 2
    at = np.arange(HEIGHT) + 0.5 - middle
    right, ahead = at[None], -at[:, None]
    if not camera.is_panorama:
        half = np.radians(camera.field / 2)
        for side in (-1, 1):  # distance from each edge of the field
            away = np.abs(right * np.cos(half) - side * ahead * np.sin(half))
            along = ahead * np.cos(half) + side * right * np.sin(half)
            shown[(away < 0.8) & (along > 6)] = LINE
    shown[np.hypot(right, ahead) < 4] = LINE
    return shown


def nearest_photos(view: UInt8, folder: Path, count: int = 3) -> list[UInt8]:
    """Return the true photos of a set that are most like a view: least squared difference of small copies.

    Raises what `open_views` and reading raise.
    """
    wanted = _layout(view)
    found = []
    for pair in open_views(folder):
        photo = images.read_image(pair.ground)
        small = images.within(photo, 2 * HEIGHT)
        found.append((float(np.square(_layout(small) - wanted).mean()), pair.name, small))
    found.sort(key=lambda entry: entry[:2])
    return [photo for _, _, photo in found[:count]]


def _layout(picture: UInt8) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return images.resized(picture, LAYOUT, LAYOUT).astype(np.float32)
