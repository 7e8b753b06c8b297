"""People, by a YOLOX network (Ge et al. 2021, arXiv:2107.08430) trained on COCO, exported without decoding.

Input: BGR 0-255, letterboxed with grey 114. Output `(A, 5 + C)`: for each cell of strides 8, 16 and 32 the middle of
a box as an offset from the cell and the logarithm of its size, both in strides, then the probabilities that there is
something and of its class.
"""

from pathlib import Path

import numpy as np

from sat2map.collect.funnel.boxes import Float32, Found, UInt8, cells, found, letterboxed
from sat2map.collect.funnel.networks import Network

STRIDES = (8, 16, 32)
PERSON = 0  # class of COCO
GREY = 114
OVERLAP = 0.45
LEAST = 0.25  # boxes below are not worth noting
_LARGEST = 8.0  # logarithm of a size in strides, so that nonsense does not overflow


class People:
    """Finds people in pictures."""

    overlap = OVERLAP

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Open the network. Raises FileMissing, BadNetwork."""
        self.network = Network(path, threads=threads, side=416)
        height, width = self.network.height, self.network.width
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise self.network.wrong(f"takes pictures of {width} x {height} px, no multiples of 32")
        self._cells = np.concatenate([cells(height, width, stride) for stride in STRIDES])
        self._strides = np.concatenate(
            [np.full(len(cells(height, width, stride)), stride, np.float32) for stride in STRIDES]
        )[:, None]

    def __call__(self, pixels: UInt8) -> Found:
        """Find people in RGB `uint8 (H, W, 3)`. Raises BadNetwork if the network gives something else."""
        canvas, factor = letterboxed(pixels, self.network.height, self.network.width, GREY)
        rows = next(iter(self.network(canvas[:, :, ::-1].transpose(2, 0, 1)).values()))
        if rows.ndim != 2 or rows.shape[0] != len(self._cells) or rows.shape[1] < 6:
            raise self.network.wrong(
                f"gives {rows.shape} for a picture, not ({len(self._cells)}, 5 + classes)"
            )
        boxes = decoded(rows, self._cells, self._strides) / factor
        return found(boxes, rows[:, 4] * rows[:, 5 + PERSON], pixels.shape, LEAST, OVERLAP)


def decoded(rows: Float32, grid: Float32, strides: Float32) -> Float32:
    """Return boxes (A, 4) left, top, right, bottom in px of the network's input."""
    middle = (rows[:, :2] + grid) * strides
    half = np.exp(np.minimum(rows[:, 2:4], _LARGEST)) * strides / 2
    return np.concatenate([middle - half, middle + half], axis=1)
