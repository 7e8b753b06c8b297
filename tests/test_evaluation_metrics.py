"""Paired figures agree with tools/score.py and torchmetrics, and sums of parts are the whole."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pairs import toy_pair
from sat2map import images
from sat2map.data.pairs import PairedSet, read
from sat2map.errors import BadDataset
from sat2map.evaluation import metrics
from sat2map.palette import BUILDING, CLASS_NAMES, LAND, MAPS, ROAD, WATER

small_images = arrays.arrays(np.uint8, (13, 12, 3))


def street(seed: int, side: int = 96) -> np.ndarray:
    return toy_pair(seed, side)[1]


def damaged(image: np.ndarray, seed: int) -> np.ndarray:
    """A prediction of `image`: shifted by 2 px, some pixels replaced, a little noise."""
    random = np.random.default_rng(seed)
    out = np.roll(image, 2, 1)
    out[random.random(image.shape[:2]) < 0.05] = MAPS.colours[4]
    return (out + random.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def score_py(shared: Path, folder: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, object]:
    """The independent scorer's figures for (truth, prediction) pairs."""
    for i, pair in enumerate(pairs):
        for name, image in zip(("truth", "guess"), pair, strict=True):
            (folder / name).mkdir(exist_ok=True)
            images.write_image(folder / name / f"{i}.png", image, overwrite=False)
    script = shared / "tools" / "score.py"
    command = [sys.executable, str(script), str(folder / "guess"), str(folder / "truth")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def assert_agrees(shared: Path, folder: Path, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    theirs = score_py(shared, folder, pairs)
    ours = metrics.sum_scores(metrics.score_pair(str(i), *pair) for i, pair in enumerate(pairs))
    assert theirs["n"] == ours.n
    for key, value in ours.figures().items():
        assert value == pytest.approx(theirs[key], abs=1e-3), key
    assert ours.iou() == pytest.approx(theirs["iou"], abs=1e-3)


def test_synthetic_maps_score_as_in_score_py(shared: Path, tmp_path: Path) -> None:
    assert_agrees(shared, tmp_path, [(street(i), damaged(street(i), i)) for i in range(4)])


def test_real_maps_score_as_in_score_py(shared: Path, tmp_path: Path) -> None:
    pairs = [read(pair) for pair in PairedSet.open(shared / "data" / "maps").of("val")[:3]]
    assert_agrees(
        shared,
        tmp_path,
        [(pairs[0][1], damaged(pairs[0][1], 0)), (pairs[1][1], pairs[1][0]), (pairs[2][1], pairs[0][1])],
    )


@given(small_images, small_images)
def test_rgb_figures_are_their_definitions(a: np.ndarray, b: np.ndarray) -> None:
    gap = np.abs(a.astype(float) - b.astype(float))
    found = metrics.rgb_figures(a, b)
    assert found["l1"] == pytest.approx(gap.mean())
    assert found["rmse"] == pytest.approx(np.sqrt((gap**2).mean()))
    assert found["acc5"] == pytest.approx((gap.max(-1) < 5).mean())
    assert found["acc10"] == pytest.approx((gap.max(-1) < 10).mean())


@given(small_images, small_images)
def test_ssim_is_symmetric_and_one_for_equal_images_only(a: np.ndarray, b: np.ndarray) -> None:
    assert metrics.ssim(a, b) == pytest.approx(metrics.ssim(b, a), abs=1e-6)
    assert metrics.ssim(a, a) == pytest.approx(1, abs=1e-6)
    assert -1.001 <= metrics.ssim(a, b) <= 1.001


@pytest.mark.parametrize("side", [11, 12, 59, 130])
def test_ssim_agrees_with_torchmetrics(side: int) -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.image import structural_similarity_index_measure

    a = street(1, 130)[:side, : side + 3]
    b = damaged(a, 1)
    theirs, field = structural_similarity_index_measure(
        *(torch.tensor(x).permute(2, 0, 1)[None].double() for x in (b, a)),
        gaussian_kernel=True,
        sigma=1.5,
        kernel_size=11,
        data_range=255.0,
        return_full_image=True,
    )
    del theirs  # torchmetrics pads; the protocol is the mean over the valid region, which it also gives
    valid = field[0, :, 5:-5, 5:-5]
    assert metrics.ssim(a, b) == pytest.approx(float(valid.mean()), abs=1e-4)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))), st.integers(0, 4))
def test_near_is_a_square_dilation(mask: np.ndarray, radius: int) -> None:
    square = np.ones((2 * radius + 1, 2 * radius + 1), bool)
    assert np.array_equal(metrics.near(mask, radius), scipy.ndimage.binary_dilation(mask, square))


def test_the_whole_is_the_sum_of_its_parts() -> None:
    scores = [metrics.score_pair(str(i), street(i), damaged(street(i), i)) for i in range(5)]
    whole = metrics.sum_scores(scores)
    tall_truth = np.concatenate([street(i) for i in range(5)])
    tall_guess = np.concatenate([damaged(street(i), i) for i in range(5)])
    together = metrics.score_pair("all", tall_truth, tall_guess)
    assert np.array_equal(whole.confusion, np.array(together.confusion))
    assert whole.figures()["l1"] == pytest.approx(together.figures["l1"])


def test_a_perfect_map_scores_one_and_a_blank_finds_no_road() -> None:
    truth = street(3)
    perfect = metrics.sum_scores([metrics.score_pair("x", truth, truth)]).figures()
    assert perfect["road_f1_3px"] == pytest.approx(1)
    assert perfect["ssim"] == pytest.approx(1)
    blank = np.broadcast_to(np.array(MAPS.colours[0], np.uint8), truth.shape)
    assert metrics.sum_scores([metrics.score_pair("x", truth, blank)]).figures()["road_f1_3px"] == 0


def test_a_road_three_pixels_off_is_found_and_four_is_not() -> None:
    def road_at(column: int) -> np.ndarray:
        classes = np.full((20, 40), LAND, np.uint8)
        classes[:, column] = ROAD
        return classes

    assert metrics.relaxed_f1(metrics.road_counts(road_at(10), road_at(13))) == pytest.approx(1)
    assert metrics.relaxed_f1(metrics.road_counts(road_at(10), road_at(14))) == 0


def test_single_images_tell_absent_classes_from_missed_ones() -> None:
    truth = np.full((16, 16), LAND, np.uint8)
    truth[:8] = WATER
    guess = np.full((16, 16), LAND, np.uint8)
    colour = {LAND: 0, WATER: 10}
    paint = np.vectorize(colour.get)
    score = metrics.score_pair(
        "x", MAPS.decode(paint(truth).astype(np.uint8)), MAPS.decode(paint(guess).astype(np.uint8))
    )
    iou = dict(zip(CLASS_NAMES, score.iou(), strict=True))
    assert iou["water"] == 0
    assert iou["building"] is None
    assert iou["land"] == pytest.approx(0.5)
    assert score.miou() == pytest.approx(0.25)
    assert score.wrong(WATER) == 128
    assert score.wrong(BUILDING) == 0


def test_pictures_of_another_size_are_refused_not_resized() -> None:
    with pytest.raises(BadDataset, match=r"val/7: the prediction is 20×16 and the truth 16×16"):
        metrics.score_pair("val/7", np.zeros((16, 16, 3), np.uint8), np.zeros((16, 20, 3), np.uint8))


def test_an_image_smaller_than_the_window_has_no_ssim() -> None:
    with pytest.raises(BadDataset, match="at least 11×11"):
        metrics.ssim(np.zeros((10, 30, 3), np.uint8), np.zeros((10, 30, 3), np.uint8))


def test_satellite_pictures_have_no_class_figures() -> None:
    score = metrics.score_pair("x", street(1), street(2), maps=False)
    assert tuple(metrics.sum_scores([score]).figures()) == metrics.RGB_FIGURES


def test_a_600_pixel_pair_takes_less_than_300_ms_of_one_core() -> None:
    truth, guess = street(0, 600), street(1, 600)
    metrics.score_pair("warm", truth, guess)
    times = []
    for _ in range(3):
        start = time.thread_time()
        metrics.score_pair("x", truth, guess)
        times.append(time.thread_time() - start)
    assert min(times) < 0.3
