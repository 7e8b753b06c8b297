"""How near a picture is to the true one: the paired figures of docs/EVALUATION.md, with numpy alone.

`score_pair` looks at one pair; what it returns can be summed (`Tally`), so a set of any size is scored in one pass
and in the memory of one image. Images are uint8 (H, W, 3) RGB; levels are 0-255.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.errors import BadDataset
from sat2map.palette import CLASS_NAMES, HIGHWAY, MAPS, ROAD

UInt8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

RGB_FIGURES = ("l1", "rmse", "psnr", "acc5", "acc10", "ssim")
MAP_FIGURES = ("miou6", "road_f1_3px")
SCORED_CLASSES = 6  # the first six of CLASS_NAMES; "other" is counted, and left out of the mean
ROAD_RADIUS = 3  # px
_WINDOW, _SIGMA = 11, 1.5  # px: the Gaussian window of SSIM (Wang et al. 2004)
_STRIP = 48  # rows of SSIM at a time, so that the working set stays in the cache


class PairScore(msgspec.Struct, frozen=True):
    """What one pair contributes: figures of its own, and counts that are summed over images."""

    name: str
    figures: dict[str, float]  # RGB_FIGURES of this image
    confusion: tuple[tuple[int, ...], ...] = ()  # pixels, [true class][predicted class]; empty for satellite
    road: tuple[int, int, int, int] = (
        0,
        0,
        0,
        0,
    )  # predicted, of those near true, true, of those near predicted

    def iou(self) -> tuple[float | None, ...]:
        """IoU of each class in this image; None for a class that is in neither picture."""
        return class_iou(np.array(self.confusion, np.int64).reshape(-1, len(CLASS_NAMES)))

    def miou(self) -> float:
        """Mean IoU of the scored classes in either picture: a rank for single images, not the headline figure."""
        present = [value for value in self.iou()[:SCORED_CLASSES] if value is not None]
        return float(np.mean(present)) if present else 0.0

    def wrong(self, index: int) -> int:
        """Pixels that have class `index` in one of the two pictures only."""
        return (
            sum(self.confusion[index])
            + sum(row[index] for row in self.confusion)
            - 2 * self.confusion[index][index]
        )


def classes_of(street: UInt8) -> UInt8:
    """(H, W, 3) map -> (H, W) class of the nearest colour of the frozen table."""
    return MAPS.to_classes(MAPS.encode(street))


def score_pair(name: str, truth: UInt8, guess: UInt8, *, maps: bool = True) -> PairScore:
    """Score `guess` against `truth`, both uint8 (H, W, 3); class figures only where both are `maps`.

    Raises BadDataset when the sizes differ: a silent resize would be a different measurement.
    """
    if truth.shape != guess.shape:
        raise BadDataset(
            f"{name}: the prediction is {_size(guess)} and the truth {_size(truth)} pixels",
            "Predict at the size of the protocol; nothing is resized before scoring",
        )
    figures = rgb_figures(truth, guess)
    if not maps:
        return PairScore(name, figures)
    true_class, guess_class = classes_of(truth), classes_of(guess)
    matrix = confusion(true_class, guess_class)
    return PairScore(name, figures, tuple(map(tuple, matrix.tolist())), road_counts(true_class, guess_class))


def _size(image: UInt8) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"


# -- RGB figures ------------------------------------------------------------------------------------------------


def rgb_figures(truth: UInt8, guess: UInt8) -> dict[str, float]:
    """The RGB figures of one pair of uint8 (H, W, 3) images: `l1`, `rmse`, `psnr`, `acc5`, `acc10`, `ssim`."""
    gap = np.maximum(truth, guess) - np.minimum(truth, guess)  # |difference| without leaving uint8
    worst = gap.max(-1)
    levels = np.bincount(
        gap.ravel(), minlength=256
    )  # pixels x channels at each error: exact sums from 256 counts
    mse = float(levels @ np.arange(256.0) ** 2) / gap.size
    return {
        "l1": float(levels @ np.arange(256.0)) / gap.size,
        "rmse": mse**0.5,
        "psnr": float(10 * np.log10(255**2 / max(mse, 1e-9))),
        "acc5": float((worst < 5).mean()),
        "acc10": float((worst < 10).mean()),
        "ssim": ssim(truth, guess),
    }


def ssim(truth: UInt8, guess: UInt8) -> float:
    """Structural similarity of two uint8 (H, W, C) images: Gaussian 11×11, σ 1.5, valid region, mean of channels.

    K1 = 0.01, K2 = 0.03, L = 255 (Wang et al. 2004, equation 13). An image smaller than the window has no valid
    region: BadDataset.
    """
    height, width, channels = truth.shape
    if min(height, width) < _WINDOW:
        raise BadDataset(
            f"SSIM of a {_size(truth)} image", f"Use images of at least {_WINDOW}×{_WINDOW} pixels"
        )
    rows = height - _WINDOW + 1
    total = 0.0
    for start in range(0, rows, _STRIP):
        part = slice(start, min(start + _STRIP, rows) + _WINDOW - 1)
        total += float(_ssim_map(truth[part], guess[part]).sum(dtype=np.float64))
    return total / int(rows * (width - _WINDOW + 1) * channels)


def _ssim_map(truth: UInt8, guess: UInt8) -> Float32:
    """(h, W, C) uint8 -> (h - 10, W - 10, C). The two variances only ever occur as a sum, so four blurs do."""
    # Variance does not see an offset: around zero, single precision loses far less in E[x²] - E[x]².
    a, b = truth.astype(np.float32) - np.float32(128), guess.astype(np.float32) - np.float32(128)
    mean_a, mean_b = _blur(a), _blur(b)
    mean_product = mean_a * mean_b
    mean_squares = mean_a * mean_a + mean_b * mean_b
    covariance = _blur(a * b) - mean_product
    variances = _blur(a * a + b * b) - mean_squares
    c1, c2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)
    # Undo the offset for the luminance term: (m + 128)(n + 128) and (m + 128)² + (n + 128)².
    shift = np.float32(128) * (mean_a + mean_b) + np.float32(128**2)
    luminance = (2 * (mean_product + shift) + c1) / (mean_squares + 2 * shift + c1)
    out: Float32 = luminance * (2 * covariance + c2) / (variances + c2)
    return out


def _blur(image: Float32) -> Float32:
    """Separable Gaussian over the valid region: (h, W, C) -> (h - 10, W - 10, C). The kernel is symmetric: fold it."""
    kernel = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    weights = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        taps = np.moveaxis(image, axis, 0)  # a view: the shifts below run along `axis`
        length = taps.shape[0] - _WINDOW + 1
        half = _WINDOW // 2
        out = weights[half] * taps[half : half + length]
        for k in range(half):
            pair = taps[k : k + length] + taps[_WINDOW - 1 - k : _WINDOW - 1 - k + length]
            pair *= weights[k]
            out += pair
        image = np.moveaxis(out, 0, axis)
    return image


# -- class figures ----------------------------------------------------------------------------------------------


def confusion(true_class: UInt8, guess_class: UInt8, count: int = len(CLASS_NAMES)) -> Counts:
    """(H, W) classes, twice -> (count, count) pixels; rows are the truth, columns the prediction."""
    pairs = true_class.astype(np.int32) * count + guess_class
    return np.bincount(pairs.ravel(), minlength=count * count).reshape(count, count)


def class_iou(matrix: Counts) -> tuple[float | None, ...]:
    """Intersection over union of each class; None for one that occurs neither in truth nor in prediction."""
    hit = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hit
    return tuple(float(h / u) if u else None for h, u in zip(hit, union, strict=True))


def near(mask: Bools, radius: int = ROAD_RADIUS) -> Bools:
    """(H, W) -> (H, W): pixels at most `radius` rows and columns from a set pixel (a square neighbourhood)."""
    for axis in (0, 1):
        lines = np.moveaxis(mask, axis, 0)
        out = lines.copy()
        for step in range(1, min(radius, len(lines) - 1) + 1):
            out[step:] |= lines[:-step]
            out[:-step] |= lines[step:]
        mask = np.moveaxis(out, 0, axis)
    return mask


def road_counts(true_class: UInt8, guess_class: UInt8) -> tuple[int, int, int, int]:
    """Pixels: predicted road, of those near true road, true road, of those near predicted road."""
    true_road = (true_class == ROAD) | (true_class == HIGHWAY)
    guess_road = (guess_class == ROAD) | (guess_class == HIGHWAY)
    counts = (guess_road, guess_road & near(true_road), true_road, true_road & near(guess_road))
    predicted, right, true, found = (int(np.count_nonzero(mask)) for mask in counts)
    return predicted, right, true, found


def relaxed_f1(road: tuple[int, int, int, int]) -> float:
    """F1 of relaxed precision and recall (Mnih and Hinton 2010) from `road_counts`; 0 where nothing was found."""
    predicted, right, true, found = road
    precision, recall = right / max(predicted, 1), found / max(true, 1)
    return 2 * precision * recall / max(precision + recall, 1e-9)


# -- over images ------------------------------------------------------------------------------------------------


class Tally:
    """Sums of pair scores: add them one at a time, ask for the figures of all at any moment."""

    def __init__(self) -> None:
        self.n = 0
        self.confusion: Counts = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
        self.road = (0, 0, 0, 0)
        self._sums = dict.fromkeys(RGB_FIGURES, 0.0)
        self._maps = False

    def add(self, score: PairScore) -> None:
        """Count one more image."""
        self.n += 1
        for figure in RGB_FIGURES:
            self._sums[figure] += score.figures[figure]
        if score.confusion:
            self._maps = True
            self.confusion += np.array(score.confusion, np.int64)
            a, b, c, d = self.road
            e, f, g, h = score.road
            self.road = (a + e, b + f, c + g, d + h)

    def iou(self) -> dict[str, float]:
        """IoU per class name from the one matrix over all images; 0 for a class that never occurs (as score.py)."""
        values = class_iou(self.confusion)
        return (
            {name: value or 0.0 for name, value in zip(CLASS_NAMES, values, strict=True)}
            if self._maps
            else {}
        )

    def figures(self) -> dict[str, float]:
        """All figures: class figures first (maps only), then the means over images of the RGB figures."""
        means = {figure: self._sums[figure] / max(self.n, 1) for figure in RGB_FIGURES}
        if not self._maps:
            return means
        iou = list(self.iou().values())[:SCORED_CLASSES]
        return {"miou6": float(np.mean(iou)), "road_f1_3px": relaxed_f1(self.road), **means}


def sum_scores(scores: Iterable[PairScore]) -> Tally:
    """Sum some scores."""
    out = Tally()
    for score in scores:
        out.add(score)
    return out
