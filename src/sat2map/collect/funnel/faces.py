"""Faces, by a YuNet network (Wu, Peng, Yu 2023, doi:10.1007/s11633-023-1423-y) as exported by libfacedetection.

Input: BGR 0-255, letterboxed with black. For each stride s of 8, 16 and 32 there are outputs `cls_s` and `obj_s` `(A,
1)`, probabilities whose geometric mean is the score, and `bbox_s` `(A, 4)`: the middle of a box as an offset from the
cell and the logarithm of its size, both in strides. Its landmarks are not used.
"""

from pathlib import Path

import numpy as np

from sat2map.collect.funnel.boxes import Found, UInt8, cells, found, letterboxed
from sat2map.collect.funnel.networks import Network
from sat2map.collect.funnel.people import STRIDES, decoded

OVERLAP = 0.3
LEAST = 0.4


class Faces:
    """Finds faces in pictures."""

    overlap = OVERLAP

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Open the network. Raises FileMissing, BadNetwork."""
        self.network = Network(path, threads=threads, side=640)
        wanted = {f"{part}_{stride}" for part in ("cls", "obj", "bbox") for stride in STRIDES}
        missing = sorted(wanted - set(self.network.outputs))
        if missing:
            raise self.network.wrong(f"has no output {missing[0]}, so it is no YuNet")

    def __call__(self, pixels: UInt8) -> Found:
        """Find faces in RGB `uint8 (H, W, 3)`. Raises BadNetwork if the network gives something else."""
        canvas, factor = letterboxed(pixels, self.network.height, self.network.width, 0)
        outputs = self.network(canvas[:, :, ::-1].transpose(2, 0, 1))
        boxes, scores = [], []
        for stride in STRIDES:
            grid = cells(self.network.height, self.network.width, stride)
            probabilities = [outputs[f"{part}_{stride}"].reshape(-1) for part in ("cls", "obj")]
            raw = outputs[f"bbox_{stride}"].reshape(-1, 4)
            if any(len(part) != len(grid) for part in (*probabilities, raw)):
                raise self.network.wrong(f"gives {len(raw)} boxes at stride {stride}, not {len(grid)}")
            scores.append(np.sqrt(np.clip(probabilities[0], 0, 1) * np.clip(probabilities[1], 0, 1)))
            boxes.append(decoded(raw, grid, np.full((len(grid), 1), stride, np.float32)))
        return found(np.concatenate(boxes) / factor, np.concatenate(scores), pixels.shape, LEAST, OVERLAP)
