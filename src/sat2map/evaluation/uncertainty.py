"""How much of a figure is the choice of images? Bootstrap intervals over the images of a split.

Images are drawn with replacement and the figure is computed anew each time (Efron 1979); two subjects scored on the
same images are compared on the same draws, which removes most of the noise from their difference.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.evaluation.metrics import SCORED_CLASSES, PairScore
from sat2map.palette import CLASS_NAMES

Float64 = npt.NDArray[np.float64]
_DRAWS = 1000


class Interval(NamedTuple):
    """Central 95 % of the bootstrap distribution."""

    low: float
    high: float


def _miou6(images: Sequence[PairScore], weights: Float64) -> Float64:
    """(draws, n) weights -> (draws,) mIoU6 of the weighted sum of confusion matrices."""
    count = len(CLASS_NAMES)
    matrices = np.array([image.confusion for image in images], np.float64).reshape(len(images), count * count)
    summed = (weights @ matrices).reshape(-1, count, count)
    hit = np.diagonal(summed, axis1=1, axis2=2)
    union = summed.sum(1) + summed.sum(2) - hit
    iou = (hit / np.maximum(union, 1))[:, :SCORED_CLASSES]
    out: Float64 = iou.mean(1)
    return out


def _road_f1(images: Sequence[PairScore], weights: Float64) -> Float64:
    """(draws, n) weights -> (draws,) relaxed F1 of roads."""
    predicted, right, true, found = (weights @ np.array([image.road for image in images], np.float64)).T
    precision, recall = right / np.maximum(predicted, 1), found / np.maximum(true, 1)
    out: Float64 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return out


def _mean(key: str) -> Callable[[Sequence[PairScore], Float64], Float64]:
    def mean(images: Sequence[PairScore], weights: Float64) -> Float64:
        out: Float64 = weights @ np.array([image.figures[key] for image in images]) / len(images)
        return out

    return mean


def _statistic(key: str) -> Callable[[Sequence[PairScore], Float64], Float64]:
    return {"miou6": _miou6, "road_f1_3px": _road_f1}.get(key) or _mean(key)


def _weights(n: int) -> Float64:
    """(draws, n): how often each image was drawn; always the same draws for the same n."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=_DRAWS).astype(np.float64)


def interval(images: Sequence[PairScore], key: str) -> Interval:
    """95 % interval of the figure `key` over the choice of images."""
    values = _statistic(key)(images, _weights(len(images)))
    low, high = np.quantile(values, (0.025, 0.975))
    return Interval(float(low), float(high))


def difference(one: Sequence[PairScore], other: Sequence[PairScore], key: str) -> Interval:
    """95 % interval of `other` minus `one`, scored on the same images in the same order."""
    assert [image.name for image in one] == [image.name for image in other], (
        "both were scored on the same images"
    )
    statistic, weights = _statistic(key), _weights(len(one))
    low, high = np.quantile(statistic(other, weights) - statistic(one, weights), (0.025, 0.975))
    return Interval(float(low), float(high))
