"""Where classes come from: the protocols that vectorising reads, and rasters in memory."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sat2map.errors import WrongBands
from sat2map.grid import Window, reading

UInt8 = npt.NDArray[np.uint8]
NOTHING = 255  # in class rasters: nothing is known here; in confidence rasters likewise


class Affine(NamedTuple):
    """x = a · col + b · row + c and y = d · col + e · row + f; col and row count pixel corners from the top left."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float


class Raster(Protocol):
    """A raster of one band that is read by windows."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside the raster."""


class ClassSource(Raster, Protocol):
    """A raster of class numbers (255 = nothing known) that says where on Earth it lies, if it knows."""

    @property
    def transform(self) -> Affine | None:
        """From pixel corners to the coordinate system, or None for a plain picture."""

    @property
    def crs(self) -> str | None:
        """The coordinate system as WKT."""

    @property
    def metres(self) -> tuple[float, float] | None:
        """Ground size of a pixel along a row and down a column at the scene's centre, if known."""

    @property
    def detail(self) -> float | None:
        """Metres per pixel at which the classes were drawn before they were put on this grid, if known."""


class RasterArray:
    """A raster in memory."""

    def __init__(self, values: UInt8) -> None:
        """`values` is (H, W) uint8."""
        if values.ndim != 2:
            raise WrongBands(
                f"a raster of classes has one value per pixel, this one has the shape {values.shape}",
                "Give the class raster, not the map in colours",
            )
        self._values = values

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        height, width = self._values.shape
        return height, width

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside the raster."""
        return self._values[window.slices()]


class ClassArray(RasterArray):
    """Classes in memory, with a place on Earth or without."""

    def __init__(
        self,
        values: UInt8,
        transform: Affine | None = None,
        crs: str | None = None,
        metres: tuple[float, float] | None = None,
        detail: float | None = None,
    ) -> None:
        """`values` (H, W) uint8 class numbers, 255 where nothing is known. Raises WrongBands for another shape."""
        super().__init__(values)
        self.transform, self.crs, self.metres, self.detail = transform, crs, metres, detail


def read_padded(raster: Raster, window: Window, margin: int) -> UInt8:
    """Read a window of the raster with `margin` px around it; what lies beyond the raster is `NOTHING`."""
    around = window.grown(margin)
    inside = around.clipped(*raster.shape)
    out = np.full((around.height, around.width), NOTHING, np.uint8)
    out[inside.slices(around)] = raster.read(inside)
    return out


def read_mirrored(raster: Raster, window: Window) -> UInt8:
    """Read a window that may reach beyond the raster, whose surroundings are its mirror image."""
    inside, rows, cols = reading(window, *raster.shape)
    return raster.read(inside)[rows[:, None], cols]
