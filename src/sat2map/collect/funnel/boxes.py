"""Boxes around what detectors find, and the square pictures that detectors take."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map import images

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
_QUARTER = 0.58  # of a side: neighbours share enough for a person to be whole in one of them


class Found(NamedTuple):
    """What a detector found: boxes as shares of the picture's width and height, the surest first."""

    boxes: Float32  # (N, 4) left, top, right, bottom; 0 to 1, what is beyond the edge cut off
    scores: Float32  # (N,), 0 to 1


def letterboxed(pixels: UInt8, height: int, width: int, fill: int) -> tuple[UInt8, float]:
    """Shrink or grow a picture into the top left of a canvas, keeping its aspect; return it and the factor."""
    factor = min(height / pixels.shape[0], width / pixels.shape[1])
    rows, cols = (max(1, round(side * factor)) for side in pixels.shape[:2])
    canvas = np.full((height, width, 3), fill, np.uint8)
    canvas[:rows, :cols] = images.resized(pixels, rows, cols)
    return canvas, factor


def found(boxes: Float32, scores: Float32, shape: tuple[int, ...], least: float, overlap: float) -> Found:
    """Return what thresholding and non-maximum suppression leave of boxes (N, 4) in px of a picture of `shape`."""
    is_sure = scores >= least
    boxes, scores = boxes[is_sure], scores[is_sure]
    kept = suppressed(boxes, scores, overlap)
    shares = boxes[kept] / np.array([shape[1], shape[0]] * 2, np.float32)
    return Found(np.clip(shares, 0, 1), scores[kept])


def closely(detect: Callable[[UInt8], Found], pixels: UInt8, side: int, overlap: float) -> Found:
    """Look at a picture as a whole, and at its overlapping quarters if `side` px, what a detector sees, hide details.

    What is small in a large picture is gone when that is shrunk; in a quarter it is nearly twice as large.
    """
    height, width = pixels.shape[:2]
    parts = [(0, 0, height, width)]
    if max(height, width) > side:
        rows, cols = (max(1, round(length * _QUARTER)) for length in (height, width))
        parts += [(row, col, rows, cols) for row in (0, height - rows) for col in (0, width - cols)]
    boxes, scores = [], []
    for row, col, rows, cols in parts:
        seen = detect(pixels[row : row + rows, col : col + cols])
        corner = np.array([col, row] * 2, np.float32)
        boxes.append(seen.boxes * np.array([cols, rows] * 2, np.float32) + corner)
        scores.append(seen.scores)
    return found(np.concatenate(boxes), np.concatenate(scores), pixels.shape, 0.0, overlap)


def suppressed(boxes: Float32, scores: Float32, overlap: float) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes to keep, the surest first.

    A box goes if its intersection over union with a surer one that stays is more than `overlap`.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou(boxes[best], boxes[order]) <= overlap]
    return np.array(kept, np.intp)


def iou(box: Float32, others: Float32) -> Float32:
    """Return the intersection over union of a box (4,) with others (N, 4); 0 for boxes without area."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(np.clip(others[:, 2:] - others[:, :2], 0, None), axis=1)
    union = areas + np.prod(np.clip(box[2:] - box[:2], 0, None)) - both
    return np.asarray(np.divide(both, union, out=np.zeros_like(both), where=union > 0), np.float32)


def cells(height: int, width: int, stride: int) -> Float32:
    """Return column and row (N, 2) of each cell of `stride` px, row by row."""
    rows, cols = np.mgrid[: height // stride, : width // stride]
    return np.stack([cols.ravel(), rows.ravel()], axis=1).astype(np.float32)
