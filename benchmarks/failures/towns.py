"""Invented pairs in memory, or as a folder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2map import palette
from sat2map.images import write_image
from sat2map.palette import MAPS, Palette

UInt8 = NDArray[np.uint8]
PAIRS, SIDE = 160, 48


def invented_pair(seed: int, side: int = SIDE) -> tuple[UInt8, UInt8]:
    """(sat, street) uint8 (side, side, 3): water, green and buildings on land, cut by two roads; and a view of it."""
    random = np.random.default_rng(seed)
    index = np.zeros((side, side), np.uint8)
    for colour in (2, 7, 10):
        row, col = random.integers(0, side // 2, 2)
        index[row : row + side // 2, col : col + side // 3] = colour
    index[:, (at := int(random.integers(side - 5))) : at + 4] = 3
    index[(at := int(random.integers(side - 5))) : at + 4] = 3
    grey = np.array([90, 80, 130, 60, 0, 0, 0, 40, 0, 0, 25])[index][..., None]
    sat = grey + np.array([0, 6, -4]) + random.normal(0, 6, (side, side, 3))
    return sat.clip(0, 255).astype(np.uint8), MAPS.decode(index)


class Pairs:
    """Invented pairs in memory, as a `BatchMaker` wants them."""

    def __init__(self, count: int = PAIRS, first: int = 0, side: int = SIDE) -> None:
        self._pairs = [invented_pair(first + number, side) for number in range(count)]
        self._palette: Palette | None = None

    @property
    def palette(self) -> Palette:
        """Five colours, learned when first asked for."""
        if self._palette is None:
            self._palette = palette.learn((street for _, street in self._pairs[:40]), 5)
        return self._palette

    def __len__(self) -> int:
        return len(self._pairs)

    def sat(self, number: int) -> UInt8:
        """(H, W, 3)."""
        return self._pairs[number][0]

    def street(self, number: int) -> UInt8:
        """(H, W, 3)."""
        return self._pairs[number][1]

    def index(self, number: int) -> UInt8:
        """(H, W) palette index."""
        return self.palette.encode(self.street(number))


def write_pairs(folder: Path, count: int = PAIRS) -> None:
    """Invented pairs as a set in the `maps` layout, for runs with a folder."""
    (folder / "train").mkdir(parents=True)
    for number in range(count):
        write_image(
            folder / "train" / f"{number}.png", np.concatenate(invented_pair(number), 1), overwrite=False
        )
