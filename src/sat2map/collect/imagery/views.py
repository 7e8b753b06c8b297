"""What a source of imagery gives, and how the crop beside a photo is cut from it."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sat2map import images, mercator
from sat2map.grid import Window

UInt8 = npt.NDArray[np.uint8]


class View(NamedTuple):
    """A square of imagery, north up, with a place in its middle."""

    pixels: UInt8  # (side, side, 3)
    metres: float  # per pixel on the ground


class ImagerySource(Protocol):
    """Where imagery comes from."""

    name: str  # without secrets; the same name means the same pictures
    attribution: str

    def view(self, longitude: float, latitude: float) -> View:
        """Return the view around a place. Raises Gone where there is none, DownloadFailed if there may be later."""


@dataclass(frozen=True)
class Cut:
    """Sides in pixels. The defaults are those of the seed: at 56 degrees north 128 px are about 430 m."""

    zoom: int = 15  # of Web Mercator
    view: int = 450  # of what is asked for
    resize: int = 360  # of that, made smaller
    crop: int = 128  # of its middle, which is kept

    def __str__(self) -> str:
        return f"z{self.zoom} {self.view}/{self.resize}/{self.crop}"

    def apply(self, view: View) -> View:
        """Return the crop of a view."""
        small = images.resized(view.pixels, self.resize, self.resize)
        start = (self.resize - self.crop) // 2
        middle = np.ascontiguousarray(small[start : start + self.crop, start : start + self.crop])
        return View(middle, view.metres * view.pixels.shape[0] / self.resize)


def around(longitude: float, latitude: float, zoom: int, side: int) -> Window:
    """Return the window of `side` px of the world's raster whose middle is nearest to a place."""
    x, y = mercator.to_metres(longitude, latitude)
    size = mercator.pixel_size(zoom)
    row, col = (mercator.EDGE - y) / size - side / 2, (x + mercator.EDGE) / size - side / 2
    return Window(round(row), round(col), side, side)
