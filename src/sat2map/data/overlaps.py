"""Which pictures of a set show the same ground, found from their content alone.

Scraped sets have no coordinates, but tiles cut from one mosaic at the same zoom agree pixel by pixel, up to
compression, under a shift. So: small distinctive spots of every picture are described by the low frequencies of
their surroundings; equal descriptions in two pictures vote for a shift; shifts with two votes or more are checked by
correlating everything that the two pictures would share.

Spots are extrema of a difference of Gaussians (Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94, section 3, at one
scale and without rotation, since tiles of a set have one scale and one north).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

# All lengths below are in px of the halved picture.
SPOTS = 150  # at most this many for each picture, half of them bright and half dark
CONTRAST = 2.0  # grey levels that a spot must differ from its surroundings
REACH = 8  # a description covers 2 * REACH px
FREQUENCIES = 24  # lowest frequencies of the 8 × 8 samples around a spot, without the mean
ALIKE = 0.96  # cosine of two descriptions that vote
TOLERANCE = 4  # votes within such a square agree
VOTES = 2
SAME = 0.95  # correlation of the shared ground; on the maps set 0.8 to 0.95 is all but empty (docs/LOG.md)
BLOCK = 4096  # descriptions compared at a time


class Overlap(NamedTuple):
    """Two pictures that share ground: the point (y, x) of `first` is the point (y + rows, x + cols) of `second`."""

    first: int
    second: int
    rows: int  # px at full size, even
    cols: int
    share: float  # of the first picture's area
    correlation: float


class Spots(NamedTuple):
    """Distinctive spots of all pictures of a set, one entry for each spot."""

    picture: Int
    row: Int
    col: Int
    bright: npt.NDArray[np.bool_]
    description: Float  # (S, FREQUENCIES), unit length


def halve(rgb: UInt8) -> Float:
    """(H, W, 3) -> (H // 2, W // 2) green channel, averaged over 2 × 2 px."""
    height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
    green = rgb[: 2 * height, : 2 * width, 1].astype(np.float32)
    halved: Float = green.reshape(height, 2, width, 2).mean((1, 3))
    return halved


def blur(image: Float, sigma: float) -> Float:
    """Gaussian blur (H, W) with the border repeated."""
    reach = int(3 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    for _ in range(2):
        padded = np.pad(image, ((reach, reach), (0, 0)), mode="edge")
        rows = len(image)
        image = np.zeros_like(image)
        for k, weight in enumerate(weights):
            image += weight * padded[k : k + rows]
        image = image.T
    return image


def _frequency_basis() -> Float:
    """(64, FREQUENCIES) lowest 2-D cosines on 8 × 8 samples (DCT-II), ordered by frequency, the mean left out."""
    k, n = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    cosines = np.cos(np.pi * k * (2 * n + 1) / 16) * np.where(k == 0, np.sqrt(1 / 8), np.sqrt(2 / 8))
    order = sorted(((u, v) for u in range(8) for v in range(8)), key=lambda f: (f[0] ** 2 + f[1] ** 2, f))
    planes = [np.outer(cosines[u], cosines[v]).ravel() for u, v in order[1 : FREQUENCIES + 1]]
    return np.stack(planes, 1).astype(np.float32)


def _extrema(detail: Float) -> tuple[Int, Int]:
    """Rows and columns of the strongest local maxima (5 × 5) of (H, W), clear of the border, strongest first."""
    peak = detail
    for axis in (0, 1):
        shifted = [np.roll(peak, step, axis) for step in (-2, -1, 1, 2)]
        peak = np.maximum.reduce([peak, *shifted])
    found = (detail == peak) & (detail > CONTRAST)
    found[:REACH] = found[-REACH:] = False
    found[:, :REACH] = found[:, -REACH:] = False
    row, col = np.nonzero(found)
    strongest = np.argsort(-detail[row, col], kind="stable")[: SPOTS // 2]
    return row[strongest], col[strongest]


def describe(smooth: Float, detail: Float, basis: Float) -> tuple[Int, Int, npt.NDArray[np.bool_], Float]:
    """Find and describe the spots of one picture: (rows, cols, bright, descriptions)."""
    found = [_extrema(detail), _extrema(-detail)]
    row = np.concatenate([r for r, _ in found])
    col = np.concatenate([c for _, c in found])
    bright = np.arange(len(row)) < len(found[0][0])
    samples = np.arange(-REACH + 1, REACH, 2)
    patch = smooth[(row[:, None] + samples)[:, :, None], (col[:, None] + samples)[:, None, :]]
    description = patch.reshape(len(row), 64) @ basis
    length = np.linalg.norm(description, axis=1, keepdims=True)
    return row, col, bright, description / np.maximum(length, 1e-6)


def _collect(pictures: Sequence[UInt8], progress: Progress | None) -> tuple[Spots, list[UInt8]]:
    """Spots of all pictures, and the pictures halved and smoothed, rounded to uint8 to save memory."""
    basis = _frequency_basis()
    parts, smooths = [], []
    for number in range(len(pictures)):
        smooth = blur(halve(pictures[number]), 1.2)
        smooths.append(np.rint(smooth).astype(np.uint8))
        row, col, bright, description = describe(smooth, smooth - blur(smooth, 2.0), basis)
        parts.append(Spots(np.full(len(row), number), row, col, bright, description))
        if progress:
            progress(number + 1, 2 * len(pictures))
    return Spots(*(np.concatenate(column) for column in zip(*parts, strict=True))), smooths


def _alike(description: Float) -> Iterator[tuple[Int, Int]]:
    """Yield (first, second) positions of descriptions that are alike, block by block, each couple once."""
    for top in range(0, len(description), BLOCK):
        for left in range(top, len(description), BLOCK):
            cosine = (description[top : top + BLOCK] @ description[left : left + BLOCK].T).ravel()
            hits = np.flatnonzero(cosine > ALIKE)
            if len(hits) > 16 * BLOCK:  # endless repetition, as of a printed pattern: the most alike must do
                hits = hits[np.argsort(-cosine[hits], kind="stable")[: 16 * BLOCK]]
            rows, cols = np.divmod(hits, min(BLOCK, len(description) - left))
            yield top + rows, left + cols


def _votes(spots: Spots, progress: Progress | None) -> tuple[Int, Int, Int, Int]:
    """(first, second, rows, cols) of each couple of like spots in two pictures, first < second."""
    pictures = int(spots.picture[-1]) + 1 if len(spots.picture) else 0
    firsts, seconds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for kind, bright in enumerate((True, False)):
        of_kind = np.flatnonzero(spots.bright == bright)
        blocks = -(-len(of_kind) // BLOCK)
        steps = blocks * (blocks + 1) // 2
        for done, (one, two) in enumerate(_alike(np.ascontiguousarray(spots.description[of_kind])), 1):
            firsts.append(of_kind[one])
            seconds.append(of_kind[two])
            if progress:
                progress(round(pictures * (1 + (kind + done / steps) / 2)), 2 * pictures)
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    forward = spots.picture[first] < spots.picture[second]
    first, second = first[forward], second[forward]
    rows, cols = spots.row[second] - spots.row[first], spots.col[second] - spots.col[first]
    return spots.picture[first], spots.picture[second], rows, cols


def _shifts(spots: Spots, progress: Progress | None) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first, second, rows, cols) for every shift that has enough votes, strongest first for each couple."""
    first, second, rows, cols = _votes(spots, progress)
    span = 1 << 16
    found: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
    for down in (0, TOLERANCE // 2):  # two grids each way, so that no cluster is cut by every grid
        for right in (0, TOLERANCE // 2):
            cell = (rows + down) // TOLERANCE * span + (cols + right) // TOLERANCE + (span << 15)
            keys = np.stack([first, second, cell])
            unique, member, count = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
            mean_row = np.bincount(member.ravel(), rows) / count
            mean_col = np.bincount(member.ravel(), cols) / count
            for k in np.flatnonzero(count >= VOTES):
                shifts = found.setdefault((int(unique[0, k]), int(unique[1, k])), {})
                shift = (round(mean_row[k]), round(mean_col[k]))
                shifts[shift] = max(shifts.get(shift, 0), int(count[k]))
    for couple in sorted(found):
        for shift, _ in sorted(found[couple].items(), key=lambda item: (-item[1], item[0]))[:3]:
            yield *couple, *shift


def _correlation(one: UInt8, two: UInt8, rows: int, cols: int) -> tuple[float, float]:
    """Pearson correlation of the ground that two halved pictures share under a shift, and its share of the first."""
    top, bottom = max(0, -rows), min(one.shape[0], two.shape[0] - rows)
    left, right = max(0, -cols), min(one.shape[1], two.shape[1] - cols)
    if bottom - top < REACH or right - left < REACH:
        return 0.0, 0.0
    a = one[top:bottom, left:right].astype(np.float32)
    b = two[top + rows : bottom + rows, left + cols : right + cols].astype(np.float32)
    a -= a.mean()
    b -= b.mean()
    norm = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return (float(np.vdot(a, b)) / norm if norm > 0 else 0.0), a.size / one.size


def find_overlaps(
    pictures: Sequence[UInt8], progress: Progress | None = None, same: float = SAME
) -> list[Overlap]:
    """Find the couples of pictures (H, W, 3) that share ground, each couple once, in order of their numbers.

    Takes time with the square of the number of pictures: 20 s for 1,100, half an hour for 10,000, on one core.
    """
    spots, smooths = _collect(pictures, progress)
    overlaps: dict[tuple[int, int], Overlap] = {}
    for first, second, rows, cols in _shifts(spots, progress):
        one, two = smooths[first], smooths[second]
        correlation, share = _correlation(one, two, rows, cols)
        if 0.3 * same < correlation:  # near enough to be worth the exact place
            around = [(rows + dy, cols + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            (correlation, share), rows, cols = max((_correlation(one, two, *s), *s) for s in around)
        known = overlaps.get((first, second))
        if correlation >= same and (known is None or correlation > known.correlation):
            overlaps[first, second] = Overlap(
                first, second, 2 * rows, 2 * cols, round(share, 4), round(correlation, 4)
            )
    return list(overlaps.values())
