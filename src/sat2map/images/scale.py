"""uint8 ⇄ [-1, 1]: the only change of range in the package."""

import numpy as np
from numpy.typing import NDArray


def to_unit(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map 0…255 to -1…1 linearly, any shape; `from_unit` gives back exactly the same bytes."""
    assert image.dtype == np.uint8, f"bytes have dtype uint8, not {image.dtype}"
    unit = image.astype(np.float32)
    unit /= np.float32(127.5)
    unit -= np.float32(1)
    return unit


def from_unit(unit: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Map -1…1 to the nearest of 0…255, any shape and float type; values outside are clipped.

    NaN or infinity is a mistake of ours upstream (an `AssertionError`): a cast would make it an arbitrary colour.
    """
    assert np.isfinite(unit).all(), "a network's output must be finite before it becomes an image"
    scaled = unit.astype(np.float32)
    scaled += np.float32(1)
    scaled *= np.float32(127.5)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)
