"""Images of another size."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return RGB or grey `uint8 (H, W[, 3])` at another size: bilinear, averaged over what a pixel covers."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def within(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Return the image shrunk so that its longer side is at most `longest` px; a smaller one as it is."""
    height, width = pixels.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return pixels
    return resized(pixels, max(1, round(height * share)), max(1, round(width * share)))
