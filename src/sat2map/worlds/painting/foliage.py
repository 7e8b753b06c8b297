"""Crowns of trees as a height field."""

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats, noise
from sat2map.worlds.painting.fill import Canvas

Float32 = npt.NDArray[np.float32]
CHUNK = 4_000_000  # samples of crowns looked at together


def canopy(trees: Floats, canvas: Canvas, seed: int) -> tuple[Float32, Float32]:
    """(h, w) heights of crowns in metres, 0 where there is none, and (h, w) a number in [0, 1) for their tint.

    `trees` are (N, 4): x, y, radius, height. Crowns are domes with an outline ragged by noise.
    """
    tops = np.zeros(canvas.height * canvas.width, np.float32)
    tints = np.zeros_like(tops)
    if not len(trees):
        return tops.reshape(canvas.height, -1), tints.reshape(canvas.height, -1)
    reach = int(np.ceil(1.2 * trees[:, 2].max() / canvas.step)) + 1
    offset = np.arange(-reach, reach + 1)
    for some in np.array_split(trees, max(len(trees) * (2 * reach + 1) ** 2 // CHUNK, 1)):
        col = np.floor(some[:, 0] / canvas.step).astype(np.int64)[:, None, None] + offset[None, None]
        row = np.floor(-some[:, 1] / canvas.step).astype(np.int64)[:, None, None] + offset[None, :, None]
        x, y = (col + 0.5) * canvas.step, -(row + 0.5) * canvas.step
        dx, dy = x - some[:, 0, None, None], y - some[:, 1, None, None]
        radius = some[:, 2, None, None]
        away = (dx * dx + dy * dy) / (radius * radius)
        inside = (row >= canvas.row) & (row < canvas.row + canvas.height) & (away < 1.44)
        inside &= (col >= canvas.col) & (col < canvas.col + canvas.width)
        tree, i, j = np.nonzero(inside)
        px, py = x[tree, 0, j], y[tree, i, 0]
        ragged = 1 + 0.5 * noise(seed, 231, px, py, 1.7) + 0.25 * noise(seed, 232, px, py, 0.8)
        dome = 1 - away[tree, i, j] * ragged
        height = np.where(dome > 0, np.sqrt(np.maximum(dome, 0)), 0) * some[tree, 3]
        place = (row[tree, i, 0] - canvas.row) * canvas.width + col[tree, 0, j] - canvas.col
        height = (height * (0.86 + 0.14 * noise(seed, 233, px, py, 1.2))).astype(np.float32)
        np.maximum.at(tops, place, height)
        mine = (height > 0) & (tops[place] == height)
        tints[place[mine]] = (some[tree[mine], 0] * 0.731) % 1.0
    return tops.reshape(canvas.height, -1), tints.reshape(canvas.height, -1)
