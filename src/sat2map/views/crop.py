"""A square of satellite imagery around a standing point."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]


class Crop(NamedTuple):
    """Imagery and where in it somebody stands; coordinates count from the upper left corner, not from a pixel's middle.

    `up` is the heading that is up in the picture: 0 for imagery with north up.
    """

    pixels: UInt8  # (H, W, 3)
    metres: float  # per pixel on the ground
    row: float  # px from the top to the standing point
    col: float  # px from the left
    up: float = 0.0  # degrees clockwise from north

    @classmethod
    def centred(cls, pixels: UInt8, metres: float, up: float = 0.0) -> "Crop":
        """Return a crop in whose middle one stands."""
        return cls(pixels, metres, pixels.shape[0] / 2, pixels.shape[1] / 2, up)
