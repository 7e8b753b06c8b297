"""A satellite crop as a camera on the ground would see it, if all of it lay on a level plane of some height.

For a plane at height h the pixel of a ray shows the imagery above which the ray meets that plane (`camera.py`). With
h = 0 that is the ground, right wherever nothing stands. A roof of height h appears where its edge really is in the
plane of that height, so a stack of planes tells a network what could be at which height, and leaves it to choose. This
is the explicit geometry that strong systems put between satellite and view, in its cheapest form: planes instead
of an estimated height (Shi et al. 2022, arXiv 2103.01623, weigh such planes by a learned height distribution; Lu et al.
2020 and Sat2Density, Qian et al. 2023, estimate height or density).

Pixels far away cover many metres: they are read from a copy of the crop that is as coarse as the pixel's own footprint
(Williams 1983, mip maps), so they do not flicker.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sat2map.views.camera import Camera, Floats, turned
from sat2map.views.crop import Crop

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

UNSEEN = 128  # level of pixels whose ray does not meet the plane within the crop
COARSEST = 4  # halvings of the crop at most


def project(crop: Crop, camera: Camera, heading: float, planes: Sequence[float]) -> UInt8:
    """Return the crop on each plane as uint8 (H, W, 3 · planes): three channels per plane, UNSEEN where it is not seen.

    `heading` in degrees clockwise from north; `planes` in metres above the ground, none at the height of the eye.
    """
    levels = _coarser(crop.pixels)
    rays = camera.rays()
    out = np.full((camera.height, camera.width, 3 * len(planes)), UNSEEN, np.uint8)
    for number, plane in enumerate(planes):
        depth = camera.depths(plane)
        rows = np.flatnonzero(np.isfinite(depth))
        if not len(rows):
            continue
        east, north = turned(rays.ahead, rays.right, heading - crop.up)
        col = crop.col + depth[rows, None] * east / crop.metres
        row = crop.row - depth[rows, None] * north / crop.metres
        inside = (row >= 0) & (row < crop.pixels.shape[0]) & (col >= 0) & (col < crop.pixels.shape[1])
        level = _level_of(camera, depth, crop.metres)[rows]
        seen = out[rows, :, 3 * number : 3 * number + 3]
        for coarse in np.unique(level):
            these = inside & (level == coarse)[:, None]
            scale = 0.5**coarse
            seen[these] = _sampled(levels[coarse], row[these] * scale, col[these] * scale)
        out[rows, :, 3 * number : 3 * number + 3] = seen
    return out


def _coarser(pixels: UInt8) -> list[Float32]:
    """Return the crop and its halvings by means of 2 x 2, float32; an odd last row or column is repeated."""
    levels = [pixels.astype(np.float32)]
    for _ in range(COARSEST):
        finer = levels[-1]
        odd = [(0, side % 2) for side in finer.shape[:2]]
        even = np.pad(finer, [*odd, (0, 0)], "edge")
        levels.append(even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean((1, 3)))
    return levels


def _level_of(camera: Camera, depth: Floats, metres: float) -> npt.NDArray[np.int64]:
    """(H,) halvings at which a pixel of the crop is about as large as what a pixel of the picture covers on a plane.

    The footprint is long and narrow: the mean of both sides' logarithms decides.
    """
    finite = np.where(np.isfinite(depth), depth, 0.0)
    along = np.abs(np.gradient(finite)) if len(depth) > 1 else finite
    width = np.radians(camera.field) if camera.is_panorama else 2 * np.tan(np.radians(camera.field / 2))
    size = np.sqrt(along * finite * width / camera.width) / metres
    return np.asarray(np.clip(np.rint(np.log2(np.maximum(size, 1.0))), 0, COARSEST), np.int64)


def _sampled(picture: Float32, row: Floats, col: Floats) -> UInt8:
    """(P, 3) picture at points that count from its corner, bilinear between pixel centres, the edge repeated."""
    height, width = picture.shape[:2]
    row, col = np.clip(row - 0.5, 0, height - 1), np.clip(col - 0.5, 0, width - 1)
    top, left = np.floor(row).astype(np.int64), np.floor(col).astype(np.int64)
    below, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down = (row - top).astype(np.float32)[:, None]
    over = (col - left).astype(np.float32)[:, None]
    upper = picture[top, left] * (1 - over) + picture[top, right] * over
    lower = picture[below, left] * (1 - over) + picture[below, right] * over
    return np.asarray(upper * (1 - down) + lower * down + 0.5).astype(np.uint8)
