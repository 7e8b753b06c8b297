"""Several scenes as one raster: where they overlap, the first one that has a pixel is shown."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.scenes.resolution import MISSING

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


class Layer(Protocol):
    """A scene on a region of the grid, with what networks may see around it."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands); 128 where there is nothing to be seen."""

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the scene has a pixel."""


class Mosaic:
    """A source for `scenes.translate`. Windows are relative to the region that all layers share in shape.

    Where no layer has a pixel, the surroundings of the first one that has any there are shown (a scene's mirror
    image), else grey. A pixel depends on its place and on the order of the layers alone.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        """`layers`: at least one; the first wins."""
        self._layers = layers

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return self._layers[0].shape

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands)."""
        pixels = np.full((window.height, window.width, self.shape[2]), MISSING, np.uint8)
        taken = np.zeros(pixels.shape[:2], np.bool_)
        seen = [(layer.read(window), layer.valid(window)) for layer in self._layers]
        for own, valid in seen:
            free = valid & ~taken
            pixels[free] = own[free]
            taken |= valid
        for own, _ in seen:
            free = ~taken & (own != MISSING).any(-1)
            pixels[free] = own[free]
            taken |= free
        return pixels

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where any layer has a pixel."""
        valid: Bool = np.logical_or.reduce([layer.valid(window) for layer in self._layers])
        return valid
