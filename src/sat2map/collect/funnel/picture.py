"""What the pixels of a photo say without any network: a perceptual hash, sharpness, light."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map import images

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

BITS = 256
_SIDE, _LOW = 64, 16  # px of the picture that is hashed; frequencies kept in each direction
_LOOK = (
    512  # px of the longer side at which sharpness is judged: what matters is the picture as it will be used
)
_TILES = 6
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class Look(NamedTuple):
    """The measures of a picture."""

    hash: str  # 64 hexadecimal digits
    sharpness: float  # grey levels: deviation of the Laplacian in the sharper parts of the picture
    light: float  # mean grey level, 0-255
    contrast: float  # deviation of grey levels


def look(pixels: UInt8) -> Look:
    """Measure RGB `uint8 (H, W, 3)`."""
    small = images.within(pixels, _LOOK)
    grey = small.astype(np.float32) @ _LUMA
    return Look(perceptual_hash(small), sharpness(grey), float(grey.mean()), float(grey.std()))


def perceptual_hash(pixels: UInt8) -> str:
    """Return 256 bits that resized, recompressed and slightly toned copies share.

    The signs of the low frequencies of a cosine transform, about their median (Zauner, "Implementation and
    benchmarking of perceptual image hash functions", 2010); 16 x 16 of them, since landscapes have the lowest few in
    common.
    """
    small = images.resized(pixels, _SIDE, _SIDE).astype(np.float32) @ _LUMA
    basis = np.cos(np.pi / _SIDE * np.outer(np.arange(_LOW), np.arange(_SIDE) + 0.5)).astype(np.float32)
    low = (basis @ small @ basis.T).ravel()
    low[0] = np.median(low[1:])  # the mean grey level is no structure
    return np.packbits(low > np.median(low)).tobytes().hex()


def sharpness(grey: Float32) -> float:
    """Return the deviation of the Laplacian in grey levels, in the upper tenth of 6 x 6 parts of the picture.

    A sharp picture may be smooth nearly everywhere (sky, water, fog); a blurred one is so everywhere. (Variance of the
    Laplacian: Pech-Pacheco et al. 2000.)
    """
    if min(grey.shape) < 3 * _TILES:
        return 0.0
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    parts = [part.std() for rows in np.array_split(edges, _TILES) for part in np.array_split(rows, _TILES, 1)]
    return float(np.quantile(parts, 0.9))
