"""Class rasters, and vectorising them block by block, for the tests of vectors."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.palette import MAPS, ROAD
from sat2map.scenes.vectors.paths import Networks, Path, trace
from sat2map.scenes.vectors.polygons import Region, Stitcher
from sat2map.scenes.vectors.sources import ClassArray, read_mirrored, read_padded
from sat2map.scenes.vectors.thinning import MARGIN, centres

UInt8 = npt.NDArray[np.uint8]


def blocks(shape: tuple[int, int], side: int) -> Iterable[tuple[Window, bool]]:
    """The windows of a scene row by row, and whether each ends its row."""
    height, width = shape
    for row in range(0, height, side):
        for col in range(0, width, side):
            yield Window(row, col, side, side).clipped(height, width), col + side >= width


def regions(classes: UInt8, side: int, confidence: UInt8 | None = None) -> list[Region]:
    """All components of classes 0 to 6, found in blocks of `side` px."""
    source, stitcher = ClassArray(classes), Stitcher(classes.shape[1], range(7))
    found = []
    for window, ends_row in blocks(classes.shape, side):
        percent = None if confidence is None else confidence[window.slices()]
        found += stitcher.add(window, read_padded(source, window, 1), percent, len(classes))
        if ends_row:
            found += stitcher.finish_row()
    return [*found, *stitcher.finish()]


def networks(is_road: npt.NDArray[np.bool_], side: int) -> list[list[Path]]:
    """All road networks, found in blocks of `side` px."""
    source, joined = ClassArray(is_road.astype(np.uint8)), Networks()
    found = []
    for window, ends_row in blocks(is_road.shape, side):
        around = read_mirrored(source, window.grown(MARGIN)) > 0
        points = centres(around, window, is_road.shape)
        values = np.stack(
            [points.row + window.row, points.col + window.col, points.square, 0 * points.row + ROAD], 1
        )
        values = np.concatenate([values, np.full((len(values), 1), 255)], 1).astype(np.int32)
        joined.add(trace(points, values, window, is_road.shape[1]))
        if ends_row:
            found += joined.finish_row()
    assert joined.held == 0
    return found


def blobs(seed: int, shape: tuple[int, int], values: int, grain: int = 1) -> UInt8:
    """Random classes 0 ... values-1 in squares of `grain` px."""
    height, width = shape
    coarse = np.random.default_rng(seed).integers(0, values, (height // grain + 1, width // grain + 1))
    return np.kron(coarse, np.ones((grain, grain)))[:height, :width].astype(np.uint8)


def true_classes(picture: UInt8) -> UInt8:
    """The classes of the street half of a picture of the `maps` set."""
    return MAPS.to_classes(MAPS.encode(np.ascontiguousarray(picture[:, picture.shape[1] // 2 :])))
