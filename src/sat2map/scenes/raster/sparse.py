"""A scene of which only some pixels are there: in memory, on the grid of the whole.

What GDAL makes of the pixels that are there does not depend on the others, nor on where in the file they begin, because
the grid is the same to the last bit.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from sat2map.scenes.raster.gate import ENVIRONMENT, without_warnings
from sat2map.scenes.raster.place import Place
from sat2map.scenes.raster.writing import Layer, Piece, describe, profile_of, write_piece


@contextmanager
def in_part(place: Place, layer: Layer, pieces: Iterable[Piece]) -> Iterator[Any]:
    """Yield a dataset of `place` that has the pixels of `pieces`; all others are missing."""
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.windows import Window as Rectangle

    with rasterio.Env(**ENVIRONMENT), MemoryFile() as memory:
        with without_warnings():
            file = memory.open(**profile_of(layer, place))
        with file:
            describe(file, layer, place)
            file.write_mask(
                np.zeros((1, 1), np.bool_), window=Rectangle(0, 0, 1, 1)
            )  # there is one in any case
            for window, products, valid in pieces:
                write_piece(file, window, products[layer.product], valid)
        with without_warnings():
            dataset = memory.open(driver="GTiff", sharing=False)
        with dataset:
            yield dataset
