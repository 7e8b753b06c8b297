"""Small paired sets made on the spot: toy satellite pictures of toy street maps."""

from pathlib import Path

import numpy as np

from sat2map import images
from sat2map.palette import MAPS


def toy_pair(seed: int, side: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """(sat, street) uint8 (side, side, 3): blocks of land, green and water cut by two straight roads."""
    random = np.random.default_rng(seed)
    index = np.zeros((side, side), np.uint8)
    for colour in (2, 7, 10):
        row, col = random.integers(0, side // 2, 2)
        index[row : row + side // 2, col : col + side // 3] = colour
    index[:, (at := int(random.integers(side - 8))) : at + 6] = 3
    index[(at := int(random.integers(side - 8))) : at + 6] = 3
    street = MAPS.decode(index)
    grey = np.array([90, 80, 130, 60, 0, 0, 0, 40, 0, 0, 25] + [0] * 6)[index][..., None]
    tinted = grey + np.array([0, 6, -4]) + random.normal(0, 6, (side, side, 3))
    return tinted.clip(0, 255).astype(np.uint8), street


def write_toy_set(folder: Path, train: int = 12, val: int = 3, side: int = 96) -> Path:
    """A paired set in the `maps` layout."""
    for split, count, offset in (("train", train, 0), ("val", val, 1000)):
        (folder / split).mkdir(parents=True)
        for i in range(count):
            both = np.concatenate(toy_pair(offset + i, side), 1)
            images.write_image(folder / split / f"{i + 1}.png", both, overwrite=False)
    return folder
