"""Is a confidence of 80 % right four times in five? The measure of it, and the one number that repairs most of it.

Temperature scaling and the expected calibration error follow Guo et al. 2017, "On Calibration of Modern Neural
Networks" (sections 2 and 4.2). A temperature must be fitted on a development split, never on the images it is
reported on.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.errors import TooFewImages

Float64 = npt.NDArray[np.float64]
BINS = 15  # of equal width, the usual number
_RANGE = (0.05, 20.0)  # temperatures that are considered
_SAMPLE = 200_000  # pixels kept for the search; the likelihood's minimum is then known to about 0.1 %


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Pixels whose confidence lies in [low, high): how many, how sure they were, how often they were right."""

    low: float
    high: float
    count: int
    confidence: float  # mean, 0-1
    accuracy: float  # share, 0-1


class Reliability:
    """Counts of (confidence, right or wrong), one per percent: exact for the uint8 percent that bundles give."""

    def __init__(self) -> None:
        self._counts = np.zeros(101, np.int64)
        self._right = np.zeros(101, np.int64)
        self._sums = np.zeros(101, np.float64)

    def add(self, confidence: npt.NDArray[np.generic], correct: npt.NDArray[np.bool_]) -> None:
        """Count some pixels: uint8 percent (0-100) or float shares (0-1), and whether the prediction was right."""
        share = np.asarray(confidence, np.float64).ravel()
        if np.issubdtype(confidence.dtype, np.integer):
            share = share / 100
        percent = np.clip(np.floor(share * 100 + 1e-9), 0, 100).astype(np.int64)
        self._counts += np.bincount(percent, minlength=101)
        self._right += np.bincount(percent, correct.ravel(), minlength=101).astype(np.int64)
        self._sums += np.bincount(percent, share, minlength=101)

    @property
    def pixels(self) -> int:
        """How many pixels were counted."""
        return int(self._counts.sum())

    def table(self, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
        """Reliability in `bins` bins of equal width, to the resolution of one percent; empty bins are left out."""
        belongs = np.minimum(np.arange(101) * bins // 100, bins - 1)
        rows = []
        for index in range(bins):
            inside = belongs == index
            count = int(self._counts[inside].sum())
            if count:
                low, high = (float(np.ceil(100 * edge / bins)) / 100 for edge in (index, index + 1))
                mean, accuracy = self._sums[inside].sum() / count, self._right[inside].sum() / count
                rows.append(ReliabilityBin(low, high, count, float(mean), float(accuracy)))
        return tuple(rows)

    def error(self, bins: int = BINS) -> float:
        """Expected calibration error, 0-1: mean |accuracy - confidence| over bins, weighted by pixels."""
        total = max(self.pixels, 1)
        return sum(row.count * abs(row.accuracy - row.confidence) for row in self.table(bins)) / total


def expected_calibration_error(
    confidence: npt.NDArray[np.generic], correct: npt.NDArray[np.bool_], bins: int = BINS
) -> float:
    """Expected calibration error, 0-1, of confidences (float 0-1 or uint8 percent) of any shape; 0 is calibrated."""
    reliability = Reliability()
    reliability.add(confidence, correct)
    return reliability.error(bins)


def fit_temperature(
    logit_batches: Iterable[npt.NDArray[np.floating]], target_batches: Iterable[npt.NDArray[np.integer]]
) -> float:
    """Temperature T > 0 that minimises the cross-entropy of softmax(logits / T) on a development split.

    Batches are logits (N, K, H, W) or (P, K) — log-probabilities serve as well — and targets (N, H, W) or (P);
    targets below 0 are ignored. The stream is read once and a uniform sample of its pixels is kept, so memory does
    not grow with it. Raises TooFewImages when no pixel has a target.
    """
    sample = _Reservoir(_SAMPLE)
    for logits, targets in zip(logit_batches, target_batches, strict=True):
        rows = np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1])  # (P, K)
        flat = np.asarray(targets).reshape(-1)
        known = np.flatnonzero(flat >= 0)
        sample.add(rows, flat, known)
    if not sample.filled:
        raise TooFewImages(
            "no pixel to fit a temperature on", "Give a development split with at least one pair"
        )
    logits, targets = sample.take()
    return float(
        np.exp(_golden_section(lambda log_t: cross_entropy(logits, targets, np.exp(log_t)), *np.log(_RANGE)))
    )


def cross_entropy(logits: Float64, targets: npt.NDArray[np.integer], temperature: float = 1.0) -> float:
    """Mean -log softmax(logits / temperature)[target] in nats; logits (P, K), targets (P)."""
    scaled = logits / temperature
    top = scaled.max(1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(scaled - top).sum(1))
    return float((log_sum - scaled[np.arange(len(targets)), targets]).mean())


class _Reservoir:
    """A uniform sample of a stream of rows: every row draws a random key, the smallest keys stay."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._random = np.random.default_rng(0)  # the same stream gives the same temperature
        self._keys = np.empty(0)
        self._rows: Float64 | None = None
        self._targets: npt.NDArray[np.int64] = np.empty(0, np.int64)

    @property
    def filled(self) -> int:
        return len(self._keys)

    def add(
        self, rows: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], known: npt.NDArray[np.intp]
    ) -> None:
        keys = self._random.random(len(known))
        if self.filled == self._size:
            keep = keys < self._keys.max()  # most of a long stream is turned away here, uncopied
            keys, known = keys[keep], known[keep]
        merged = np.concatenate([self._keys, keys])
        new = rows[known].astype(np.float64)
        all_rows = new if self._rows is None else np.concatenate([self._rows, new])
        all_targets = np.concatenate([self._targets, targets[known].astype(np.int64)])
        if len(merged) > self._size:
            kept = np.argpartition(merged, self._size)[: self._size]
            merged, all_rows, all_targets = merged[kept], all_rows[kept], all_targets[kept]
        self._keys, self._rows, self._targets = merged, all_rows, all_targets

    def take(self) -> tuple[Float64, npt.NDArray[np.int64]]:
        assert self._rows is not None, "take() before add()"
        return self._rows, self._targets


def _golden_section(
    cost: Callable[[float], float], low: float, high: float, tolerance: float = 1e-4
) -> float:
    """Minimum of a function with one valley; the cross-entropy is convex in 1/T, so it has one in log T."""
    ratio = (5**0.5 - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    cost_a, cost_b = cost(a), cost(b)
    while high - low > tolerance:
        if cost_a < cost_b:
            high, b, cost_b = b, a, cost_a
            a = high - ratio * (high - low)
            cost_a = cost(a)
        else:
            low, a, cost_a = a, b, cost_b
            b = low + ratio * (high - low)
            cost_b = cost(b)
    return (low + high) / 2
