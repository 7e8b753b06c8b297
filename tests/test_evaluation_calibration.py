"""Confidences: measured against definitions, and repaired by the temperature that made them wrong."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from sat2map.errors import TooFewImages
from sat2map.evaluation import calibration


def classifier(pixels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (P, 5) and targets drawn from their softmax: calibrated by construction."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (pixels, 5))
    gumbel = random.gumbel(size=logits.shape)
    return logits, (logits + gumbel).argmax(1)


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def test_targets_drawn_from_the_probabilities_are_calibrated() -> None:
    logits, targets = classifier(100_000)
    shares = softmax(logits)
    error = calibration.expected_calibration_error(shares.max(1), shares.argmax(1) == targets)
    assert error < 0.01


def test_boasting_is_measured() -> None:
    right = np.arange(1000) % 2 == 0
    assert calibration.expected_calibration_error(np.full(1000, 0.9), right) == pytest.approx(0.4)
    assert calibration.expected_calibration_error(np.full(1000, 90, np.uint8), right) == pytest.approx(0.4)


def test_the_error_is_that_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, targets = classifier(5000)
    shares = softmax(logits * 1.7)
    # 10 bins: their edges are whole percents, to which ours are kept
    theirs = multiclass_calibration_error(torch.tensor(shares), torch.tensor(targets), 5, n_bins=10)
    ours = calibration.expected_calibration_error(shares.max(1), shares.argmax(1) == targets, bins=10)
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_counting_in_parts_is_counting_at_once(sizes: list[int]) -> None:
    random = np.random.default_rng(sum(sizes))
    confidence = random.integers(0, 101, sum(sizes)).astype(np.uint8)
    right = random.random(sum(sizes)) < 0.5
    parts, whole = calibration.Reliability(), calibration.Reliability()
    whole.add(confidence, right)
    for chunk in np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]):
        parts.add(confidence[chunk], right[chunk])
    assert parts.pixels == whole.pixels == sum(sizes)
    for part, of_whole in zip(parts.table(), whole.table(), strict=True):
        assert (part.count, part.accuracy) == (of_whole.count, of_whole.accuracy)
        assert part.confidence == pytest.approx(of_whole.confidence)


def test_the_table_covers_every_pixel_in_its_bin() -> None:
    reliability = calibration.Reliability()
    reliability.add(np.arange(101, dtype=np.uint8), np.ones(101, bool))
    table = reliability.table()
    assert sum(row.count for row in table) == 101
    assert table[0].low == 0
    assert table[-1].high == 1
    for row, after in itertools.pairwise(table):
        assert row.high == after.low
    for row in table:
        assert row.low <= row.confidence <= row.high


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_spoiled_the_logits_is_found(temperature: float) -> None:
    logits, targets = classifier(60_000)
    assert calibration.fit_temperature([logits * temperature], [targets]) == pytest.approx(
        temperature, rel=0.03
    )


def test_the_temperature_is_the_minimum_that_scipy_finds() -> None:
    logits, targets = classifier(4000, seed=3)
    found = scipy.optimize.minimize_scalar(
        lambda t: calibration.cross_entropy(logits * 3, targets, t), bounds=(0.1, 10), method="bounded"
    )
    assert calibration.fit_temperature([logits * 3], [targets]) == pytest.approx(found.x, rel=1e-3)


def test_pictures_and_pixels_give_the_same_temperature() -> None:
    logits, targets = classifier(2 * 30 * 40)
    pictures = logits.reshape(2, 30, 40, 5).transpose(0, 3, 1, 2)  # (N, K, H, W)
    one = calibration.fit_temperature([logits], [targets])
    assert calibration.fit_temperature(pictures[:, None], targets.reshape(2, 1, 30, 40)) == pytest.approx(one)


def test_a_long_stream_is_sampled_not_kept() -> None:
    seen = 0

    def batches() -> Iterator[np.ndarray]:
        nonlocal seen
        for seed in range(8):
            seen += 1
            yield classifier(50_000, seed)[0] * 2

    targets = (classifier(50_000, seed)[1] for seed in range(8))
    assert calibration.fit_temperature(batches(), targets) == pytest.approx(2, rel=0.02)
    assert seen == 8


def test_pixels_without_a_target_do_not_count() -> None:
    logits, targets = classifier(20_000)
    spoiled = np.concatenate([logits, np.full((5000, 5), [9.0, 0, 0, 0, 0])])
    unknown = np.concatenate([targets, np.full(5000, -1)])
    assert calibration.fit_temperature([spoiled], [unknown]) == pytest.approx(
        calibration.fit_temperature([logits], [targets]), rel=1e-3
    )


def test_nothing_to_fit_on_is_an_error_with_a_remedy() -> None:
    with pytest.raises(TooFewImages, match="no pixel to fit a temperature on"):
        calibration.fit_temperature([np.zeros((4, 5))], [np.full(4, -1)])
