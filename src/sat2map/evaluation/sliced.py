"""Sliced Wasserstein distance between crowds of pictures (Rabin et al. 2011; Karras et al. 2018, appendix of ProGAN).

Pictures become Laplacian pyramids. On each level patches of 7×7 px are taken from both crowds, every channel is
brought to mean 0 and deviation 1 over all patches of its own crowd, and both are projected onto random directions: the
mean distance of their sorted projections is how far the two crowds of patches are apart. Fine levels speak of texture,
the coarsest, of 16 px a side, of what lies where. Needs no network. Mean colours, which this normalisation hides, are
added as one more level of 8×8 px that is compared as it is.
"""

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

PATCH = 7  # px
PATCHES = 64  # of each picture on each level
DIRECTIONS = 128
COARSEST = 16  # px a side
LAYOUT = 8  # px a side of the level of colours


def sliced_distance(true: UInt8, made: UInt8, seed: int = 0) -> float:
    """Mean over the levels of 1000 times the distance, (N, S, S, 3) against as many. S: 16 times a power of two.

    The smaller the number of pictures, the larger the distance of two crowds of the same kind: compare equal N.
    """
    assert true.shape == made.shape, "crowds of the same size"
    random = np.random.default_rng(seed)
    found = []
    for one, two in zip(pyramid(true), pyramid(made), strict=True):
        places = _places(random, *one.shape[:2])
        found.append(_distance(_patches(one, places), _patches(two, places), random))
    found.append(_distance(_layout(true), _layout(made), random))
    return float(1000 * np.mean(found))


def pyramid(pictures: UInt8) -> list[Float32]:
    """Laplacian pyramid: differences from what half the size keeps, and what is left at 16 px. Values about ±1."""
    levels, here = [], pictures.astype(np.float32) / 127.5 - 1
    while here.shape[1] > COARSEST:
        below = _halved(here)
        levels.append(here - below.repeat(2, 1).repeat(2, 2))
        here = below
    return [*levels, here]


def _halved(pictures: Float32) -> Float32:
    count, height, width, channels = pictures.shape
    blocks = pictures.reshape(count, height // 2, 2, width // 2, 2, channels)
    return np.asarray(blocks.mean((2, 4)), np.float32)


def _places(random: np.random.Generator, count: int, side: int) -> npt.NDArray[np.int64]:
    """(count, PATCHES, 2) upper left corners."""
    return random.integers(side - PATCH + 1, size=(count, PATCHES, 2))


def _patches(level: Float32, places: npt.NDArray[np.int64]) -> Float32:
    """(N · PATCHES, 3 · PATCH²) patches, each channel with mean 0 and deviation 1 over all."""
    number = np.arange(len(level))[:, None, None, None]
    steps = np.arange(PATCH)
    row, col = places[..., 0, None, None] + steps[:, None], places[..., 1, None, None] + steps
    taken = level[number, row, col].reshape(-1, PATCH * PATCH, 3)
    taken = (taken - taken.mean((0, 1))) / np.maximum(taken.std((0, 1)), 1e-6)
    return np.asarray(taken.reshape(len(taken), -1), np.float32)


def _layout(pictures: UInt8) -> Float32:
    """(N, 3 · LAYOUT²) mean colours of fields, in [-1, 1], times 2 so that they weigh about as the patches do."""
    level = pictures.astype(np.float32) / 127.5 - 1
    while level.shape[1] > LAYOUT:
        level = _halved(level)
    return 2 * level.reshape(len(level), -1)


def _distance(one: Float32, two: Float32, random: np.random.Generator) -> float:
    directions = random.normal(size=(one.shape[1], DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.abs(np.sort(one @ directions, 0) - np.sort(two @ directions, 0)).mean())
