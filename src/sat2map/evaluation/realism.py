"""Do the generated pictures look like real ones, as a crowd? Fréchet and kernel distance between feature sets.

The names of the figures say which network the features came from: `fd_squeezenet`, `kd_squeezenet`; `fid` and `kid`
only with the standard Inception weights. Neither means anything on a few images: fewer than 50 are refused, fewer
than 2,048 flagged.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.errors import TooFewImages
from sat2map.evaluation.features import Extractor

Float64 = npt.NDArray[np.float64]

REFUSED_BELOW = 50  # images
FLAGGED_BELOW = 2048  # images
_SUBSETS, _SUBSET = 100, 1000  # of the kernel distance (Bińkowski et al. 2018)


class Realism(msgspec.Struct, frozen=True):
    """Distances between the features of generated and true images."""

    n: int
    features: str  # the network
    checksum: str  # SHA-256 of its weights
    figures: dict[str, float]  # {"fd_squeezenet": …, "kd_squeezenet": …} or {"fid": …, "kid": …}
    kernel_spread: float  # standard deviation of the kernel distance over subsets
    few: bool  # below 2,048 images: compare only with figures of the same n


class FeatureSet:
    """Features of images as they come; 512 or 2,048 numbers each, so thousands of images fit in memory."""

    def __init__(self) -> None:
        self._rows: list[Float64] = []

    def add(self, features: Float64) -> None:
        """Add the features (D,) of one image."""
        self._rows.append(features)

    def matrix(self) -> Float64:
        """(N, D) float64."""
        return np.stack(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def require_enough(n: int) -> None:
    """Refuse a distance on fewer than 50 images, before any work is done; raises TooFewImages."""
    if n < REFUSED_BELOW:
        raise TooFewImages(
            f"realism was asked for on {n} images; below {REFUSED_BELOW} it is noise",
            "Evaluate more images, or leave --features and --inception out",
        )


def measure(extractor: Extractor, true: FeatureSet, made: FeatureSet) -> Realism:
    """Fréchet and kernel distance of two sets of features that `extractor` gave; raises TooFewImages below 50."""
    n = min(len(true), len(made))
    require_enough(n)
    name = extractor.name
    real, fake = true.matrix(), made.matrix()
    mean, spread = kernel_distance(real, fake)
    keys = ("fid", "kid") if name == "inception" else (f"fd_{name}", f"kd_{name}")
    figures = {keys[0]: frechet_distance(real, fake), keys[1]: mean}
    return Realism(n, name, extractor.checksum, figures, spread, n < FLAGGED_BELOW)


def frechet_distance(a: Float64, b: Float64) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½) of features (N, D) and (M, D) (Heusel et al. 2017, equation 6).

    The trace of the root is taken from the singular values of Xa Xbᵀ, the centred features: its squares are the
    eigenvalues of Σa Σb. No matrix root is needed, and a covariance of fewer images than features is no trouble.
    """
    mean_a, mean_b = a.mean(0), b.mean(0)
    root_a = (a - mean_a) / np.sqrt(len(a) - 1)  # Σ = rootᵀ root
    root_b = (b - mean_b) / np.sqrt(len(b) - 1)
    if len(a) > a.shape[1]:  # the smaller of the two equivalent problems
        root_a = np.linalg.qr(root_a, mode="r")
    if len(b) > b.shape[1]:
        root_b = np.linalg.qr(root_b, mode="r")
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * cross)


def kernel_distance(
    a: Float64, b: Float64, *, subsets: int = _SUBSETS, size: int = _SUBSET
) -> tuple[float, float]:
    """Mean and standard deviation over subsets of the squared MMD with the kernel (x·y / D + 1)³.

    Unbiased estimate (Bińkowski et al. 2018, section 4). Features are (N, D) and (M, D). With no more than `size`
    images there is one subset, all of them, and no spread.
    """
    smallest = min(len(a), len(b))
    if smallest <= size:
        return squared_mmd(a, b), 0.0
    random = np.random.default_rng(0)
    draws = [
        squared_mmd(
            a[random.choice(len(a), size, replace=False)], b[random.choice(len(b), size, replace=False)]
        )
        for _ in range(subsets)
    ]
    return float(np.mean(draws)), float(np.std(draws))


def squared_mmd(a: Float64, b: Float64) -> float:
    """Unbiased squared maximum mean discrepancy of (N, D) and (M, D) with the kernel (x·y / D + 1)³."""

    def kernel(x: Float64, y: Float64) -> Float64:
        out: Float64 = (x @ y.T / x.shape[1] + 1) ** 3
        return out

    def within(x: Float64) -> float:
        gram = kernel(x, x)
        return float((gram.sum() - np.trace(gram)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())
