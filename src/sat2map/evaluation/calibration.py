"""Is a confidence of 80 % right four times in five? The measure of it, and the few numbers that repair most of it.

Temperature scaling and the expected calibration error follow Guo et al. 2017, "On Calibration of Modern Neural
Networks" (sections 2 and 4.2). A scaling must be fitted on a development split, never on the images it is
reported on.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.errors import TooFewImages

Float64 = npt.NDArray[np.float64]
BINS = 15  # of equal width, the usual number
_RANGE = (0.05, 20.0)  # temperatures that are considered
_SAMPLE = 200_000  # pixels kept for the search; the likelihood's minimum is then known to about 0.1 %
_STEPS = 50  # of Newton's method at most
_ENOUGH = 1e-10  # nats that a step must gain for another one
_RIDGE = 1e-6  # keeps the offset of a class that never occurs from running away


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


class Scaling(NamedTuple):
    """What turns scores into honest probabilities: softmax(scores / temperature + offset of the colour's class)."""

    temperature: float
    offsets: tuple[float, ...]  # one for each class; that of class 0 is 0


def fit_scaling(
    logit_batches: Iterable[npt.NDArray[np.floating]],
    target_batches: Iterable[npt.NDArray[np.integer]],
    owners: Sequence[int] = (),
) -> Scaling:
    """Temperature and class offsets that minimise the cross-entropy on a development split.

    Bias-corrected temperature scaling (Alexandari et al. 2020, section 3.2), with one bias for all columns of a class:
    `owners` names the class of each of the K columns. Training with class weights promises too much for rare classes,
    which no temperature can take back. Without `owners` there is one class, and only the temperature is fitted.

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
    return _newton(logits, targets, np.array(owners or [0] * logits.shape[1]))


def _newton(logits: Float64, targets: npt.NDArray[np.int64], owners: npt.NDArray[np.int64]) -> Scaling:
    """Minimise over slope = 1/temperature and offsets, in which the cross-entropy is convex, by damped Newton steps."""
    member = np.eye(owners.max() + 1)[owners][:, 1:]  # (K, C - 1)
    place, rows = np.zeros(member.shape[1] + 1), np.arange(len(targets))
    place[0] = 1.0
    wanted = np.concatenate([logits[rows, targets, None], member[targets]], 1)  # (P, C)

    def cost(at: Float64) -> float:
        return cross_entropy(logits * at[0] + member @ at[1:], targets) + _RIDGE * float((at[1:] ** 2).sum())

    now = cost(place)
    for _ in range(_STEPS):
        shares = _softmax(logits * place[0] + member @ place[1:])  # (P, K)
        owned = shares @ member  # (P, C - 1)
        mean = np.concatenate([(shares * logits).sum(1, keepdims=True), owned], 1)  # (P, C)
        slope = (mean - wanted).mean(0)
        bend = np.empty((len(place), len(place)))
        bend[0, 0] = (shares * logits**2).sum(1).mean()
        bend[0, 1:] = bend[1:, 0] = ((shares * logits) @ member).mean(0)
        bend[1:, 1:] = np.diag(owned.mean(0))
        bend -= mean.T @ mean / len(rows)
        slope[1:] += 2 * _RIDGE * place[1:]
        bend[np.diag_indices(len(place))] += np.r_[1e-12, np.full(len(place) - 1, 2 * _RIDGE)]
        step = np.linalg.solve(bend, slope)
        length = 1.0
        while True:  # halved until it leads down, and stays within the temperatures that are considered
            there = place - length * step
            if 1 / _RANGE[1] <= there[0] <= 1 / _RANGE[0] and (value := cost(there)) <= now:
                break
            length /= 2
            if length < 1e-6:
                return Scaling(float(1 / place[0]), (0.0, *(float(v) for v in place[1:])))
        place, gained, now = there, now - value, value
        if gained < _ENOUGH:
            break
    return Scaling(float(1 / place[0]), (0.0, *(float(v) for v in place[1:])))


def _softmax(scores: Float64) -> Float64:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float64)


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
