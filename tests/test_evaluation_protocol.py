"""An evaluation: everything counted in one pass, never without baselines, the same whatever the number of jobs."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

import fakes
from pairs import toy_pair, write_toy_set
from sat2map import images
from sat2map.data.pairs import PairedSet, read
from sat2map.errors import BadDataset, FileMissing, NotComparable, TooFewImages
from sat2map.evaluation import comparison, figures, metrics, protocol, result, systems, uncertainty
from sat2map.evaluation.protocol import PROTOCOLS, evaluate
from sat2map.evaluation.result import Result, Subject
from sat2map.evaluation.systems import Blank, Copy, Folder, Model, Prediction
from sat2map.palette import MAPS

NATIVE = PROTOCOLS["native"]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> PairedSet:
    return PairedSet.open(write_toy_set(tmp_path_factory.mktemp("toys") / "set", train=4, val=5))


class Oracle:
    """Knows the truth."""

    subject = Subject("oracle", "model")

    def __init__(self, pairs: PairedSet, reverse: bool = False) -> None:
        self._truths = {pair.name: read(pair)[0 if reverse else 1] for pair in pairs}

    def __call__(self, name: str, source: np.ndarray) -> Prediction:
        return Prediction(self._truths[name])


def essence(found: Result) -> Result:
    return msgspec.structs.replace(found, seconds=0, created="", command="")


def test_the_truth_scores_one_and_every_baseline_less(toys: PairedSet) -> None:
    found = evaluate(Oracle(toys), toys, protocol=NATIVE)
    assert found.n == 5
    assert found.scores.figures["road_f1_3px"] == pytest.approx(1)
    assert [s.subject.label for s in found.baselines] == [
        "blank, land colour",
        "copy of the input",
        "mean map",
    ]
    for baseline in found.baselines:
        assert baseline.figures["miou6"] < found.scores.figures["miou6"]
        assert baseline.figures["psnr"] < found.scores.figures["psnr"]


def test_any_number_of_jobs_gives_the_same_result(toys: PairedSet) -> None:
    one = evaluate(Copy(), toys, protocol=NATIVE, jobs=1)
    four = evaluate(Copy(), toys, protocol=NATIVE, jobs=4)
    assert essence(one) == essence(four)


def test_the_mean_map_is_the_mean_of_the_training_targets_only(toys: PairedSet) -> None:
    targets = [read(pair)[1].astype(float) for pair in toys.of("train")]
    found, notes = protocol.baselines(toys, NATIVE)
    mean = found[-1]("any", np.zeros((96, 96, 3), np.uint8)).colour
    assert np.abs(mean - np.mean(targets, 0)).max() <= 0.5
    assert not notes


def test_a_missing_training_split_is_said(tmp_path: Path) -> None:
    pairs = PairedSet.open(write_toy_set(tmp_path / "set", train=0, val=2))
    found = evaluate(Copy(), pairs, protocol=NATIVE)
    assert [s.subject.label for s in found.baselines] == ["blank, land colour", "copy of the input"]
    assert "No mean map" in found.notes[0]


def test_limit_takes_the_first_pairs(toys: PairedSet) -> None:
    found = evaluate(Copy(), toys, protocol=NATIVE, limit=2)
    assert [image.name for image in found.scores.images] == ["val/1", "val/2"]


def test_images_sum_up_to_the_figures(toys: PairedSet) -> None:
    found = evaluate(Copy(), toys, protocol=NATIVE)
    assert metrics.sum_scores(found.scores.images).figures() == found.scores.figures


def test_maps_protocols_refuse_other_sizes(toys: PairedSet) -> None:
    with pytest.raises(BadDataset, match=r"96×96 px a half; protocol maps-600 is defined on 600×600"):
        evaluate(Copy(), toys, protocol=PROTOCOLS["maps-600"])


@pytest.mark.parametrize("name", ["maps-256", "reverse-256"])
def test_the_literature_size_is_a_bicubic_reduction_of_both_halves(tmp_path: Path, name: str) -> None:
    pairs = PairedSet.open(write_toy_set(tmp_path / "set", train=0, val=1, side=600))
    source, target = protocol.load(pairs[0], PROTOCOLS[name])
    halves = (
        np.asarray(Image.fromarray(h).resize((256, 256), Image.Resampling.BICUBIC)) for h in read(pairs[0])
    )
    sat, street = halves
    expected = (sat, street) if name == "maps-256" else (street, sat)
    assert np.array_equal(source, expected[0])
    assert np.array_equal(target, expected[1])


def test_saved_predictions_score_as_the_model_did(toys: PairedSet, tmp_path: Path) -> None:
    def save(name: str, prediction: Prediction) -> None:
        images.write_image(tmp_path / f"{name}.png", prediction.colour, overwrite=False)

    model = Model(fakes.FakeTranslator())
    direct = evaluate(model, toys, protocol=NATIVE, on_prediction=save)
    again = evaluate(Folder(tmp_path), toys, protocol=NATIVE)
    assert again.scores.figures == direct.scores.figures
    assert again.scores.subject.kind == "predictions"
    assert len(again.scores.subject.checksum) == 64


def test_a_palette_model_has_its_confidence_checked(toys: PairedSet) -> None:
    model = Model(fakes.FakeTranslator())
    found = evaluate(model, toys, protocol=NATIVE).calibration
    assert found is not None
    assert found.pixels == 5 * 96 * 96
    right = []
    for pair in toys.of("val"):
        sat, street = read(pair)
        painted = model(pair.name, sat).colour
        right.append(metrics.classes_of(painted) == metrics.classes_of(street))
    assert sum(b.count * b.accuracy for b in found.bins) == pytest.approx(np.sum(right))


def test_a_folder_without_a_prediction_is_refused_before_any_work(toys: PairedSet, tmp_path: Path) -> None:
    images.write_image(tmp_path / "1.png", np.zeros((96, 96, 3), np.uint8), overwrite=False)
    with pytest.raises(BadDataset, match=r"4 of 5 pairs have no prediction, e.g. 'val/2'"):
        evaluate(Folder(tmp_path), toys, protocol=NATIVE)
    with pytest.raises(FileMissing, match="no folder of predictions"):
        Folder(tmp_path / "absent")


def test_two_pairs_cannot_share_a_prediction(toys: PairedSet, tmp_path: Path) -> None:
    for i in range(1, 6):
        images.write_image(tmp_path / f"{i}.png", np.zeros((96, 96, 3), np.uint8), overwrite=False)
    with pytest.raises(BadDataset, match="share a prediction"):
        evaluate(Folder(tmp_path), toys, protocol=NATIVE, split="all")


def test_reverse_has_rgb_figures_and_cycle_agreement(toys: PairedSet) -> None:
    perfect = Oracle(toys, reverse=True)
    back = Oracle(toys)
    found = evaluate(perfect, toys, protocol=PROTOCOLS["reverse-native"], cycle=back)
    assert found.direction == "map2sat"
    assert set(found.scores.figures) == set(metrics.RGB_FIGURES)
    assert found.scores.figures["l1"] == 0
    assert found.cycle is not None
    assert found.cycle.figures["l1"] == 0
    assert found.baselines[0].subject.label == "one constant colour"
    assert found.calibration is None


class Averages:
    name = "averages"
    checksum = "0" * 64

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return pictures.reshape(len(pictures), -1, 3).astype(float).mean(1)


def test_realism_on_a_handful_is_refused_before_any_work(toys: PairedSet) -> None:
    with pytest.raises(TooFewImages, match="on 5 images"):
        evaluate(Copy(), toys, protocol=NATIVE, extractor=Averages())


def test_baselines_have_their_realism_beside(tmp_path: Path) -> None:
    pairs = PairedSet.open(write_toy_set(tmp_path / "set", train=1, val=50, side=16))
    found = evaluate(Oracle(pairs), pairs, protocol=NATIVE, extractor=Averages())
    assert found.realism is not None
    assert found.scores.figures["fd_averages"] == pytest.approx(0, abs=1e-6)
    assert all(baseline.figures["fd_averages"] > 1 for baseline in found.baselines)


def test_a_result_survives_the_disk(toys: PairedSet, tmp_path: Path) -> None:
    found = evaluate(Model(fakes.FakeTranslator()), toys, protocol=NATIVE, command="sat2map evaluate")
    (tmp_path / "r.json").write_bytes(result.to_json(found))
    assert result.read_result(tmp_path / "r.json") == found


def test_other_files_are_no_results(toys: PairedSet, tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="cannot be read"):
        result.read_result(tmp_path / "absent.json")
    (tmp_path / "junk.json").write_text('{"n": 3}')
    with pytest.raises(BadDataset, match="is no result of `evaluate`"):
        result.read_result(tmp_path / "junk.json")
    later = msgspec.structs.replace(evaluate(Copy(), toys, protocol=NATIVE, limit=1), format=99)
    (tmp_path / "later.json").write_bytes(result.to_json(later))
    with pytest.raises(BadDataset, match="result format 99"):
        result.read_result(tmp_path / "later.json")


# -- side by side -----------------------------------------------------------------------------------------------


def test_a_table_has_every_subject_and_the_baselines_once(toys: PairedSet) -> None:
    found = [evaluate(s, toys, protocol=NATIVE) for s in (Oracle(toys), Blank((0, 0, 0), "night"))]
    table = figures.table(found)
    assert [row.label for row in table.rows] == [
        "oracle", "night", "blank, land colour", "copy of the input", "mean map",
    ]  # fmt: skip
    assert table.keys[:3] == ("miou6", "road_f1_3px", "iou.building")
    assert table.best("l1") == 0
    assert table.best("ssim") == pytest.approx(1)


def test_other_pictures_protocols_or_numbers_are_not_compared(toys: PairedSet, tmp_path: Path) -> None:
    base = evaluate(Copy(), toys, protocol=NATIVE)
    others = {
        "n": evaluate(Copy(), toys, protocol=NATIVE, limit=3),
        "split": msgspec.structs.replace(base, split="dev"),
        "protocol": msgspec.structs.replace(base, protocol="maps-600"),
    }
    for field, other in others.items():
        with pytest.raises(NotComparable, match=f"has {field} "):
            comparison.require_comparable([base, other])
    renamed = tuple(msgspec.structs.replace(image, name="x" + image.name) for image in base.scores.images)
    elsewhere = msgspec.structs.replace(base, scores=msgspec.structs.replace(base.scores, images=renamed))
    with pytest.raises(NotComparable, match="different pictures"):
        comparison.require_comparable([base, elsewhere])
    comparison.require_comparable([base, base])


def scored(n: int, damage: float, seed: int = 0) -> list[metrics.PairScore]:
    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        truth = toy_pair(i, 48)[1]
        guess = truth.copy()
        patches = random.random((4, 4)) < damage  # whole patches, or the relaxed measure forgives all
        guess[np.kron(patches, np.ones((12, 12))).astype(bool)] = MAPS.colours[0]
        found.append(metrics.score_pair(str(i), truth, guess))
    return found


@pytest.mark.parametrize("key", ["miou6", "road_f1_3px", "psnr"])
def test_intervals_hold_the_figure_and_narrow_with_more_images(key: str) -> None:
    few, many = scored(8, 0.3), scored(64, 0.3)
    narrow, wide = uncertainty.interval(many, key), uncertainty.interval(few, key)
    assert narrow.low <= metrics.sum_scores(many).figures()[key] <= narrow.high
    assert narrow.high - narrow.low < wide.high - wide.low


def test_a_real_difference_is_told_from_chance() -> None:
    one, worse, same = scored(30, 0.3), scored(30, 0.5, seed=1), scored(30, 0.3, seed=2)
    assert uncertainty.difference(one, worse, "miou6").high < 0
    low, high = uncertainty.difference(one, same, "miou6")
    assert low < 0 < high
    assert uncertainty.difference(one, one, "miou6") == (0, 0)


def test_mean_image_of_nothing_or_of_mixed_sizes_is_none() -> None:
    assert systems.mean_image([]) is None
    assert systems.mean_image([np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)]) is None
