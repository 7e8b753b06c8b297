"""Reports lead with pictures, hide no baseline, and are one file that opens anywhere; the commands write them."""

import hashlib
import html.parser
import json
from pathlib import Path

import numpy as np
import pytest

import fakes
import tiny
from pairs import toy_pair, write_toy_set
from sat2map import images
from sat2map.cli.main import main
from sat2map.data.pairs import PairedSet
from sat2map.errors import OutputExists
from sat2map.evaluation import comparison, metrics, pictures, report
from sat2map.evaluation.protocol import PROTOCOLS, evaluate
from sat2map.evaluation.result import Result
from sat2map.evaluation.systems import Blank, Copy, Model
from sat2map.palette import CLASS_NAMES, MAPS

NATIVE = PROTOCOLS["native"]


class Outline(html.parser.HTMLParser):
    """Checks that tags are balanced, and collects what the tests ask about."""

    VOID = frozenset({"meta", "img", "br", "link", "rect", "line", "circle", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.order: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.order.append(tag)
        self.sources += [value or "" for key, value in attributes if key in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> PairedSet:
    return PairedSet.open(write_toy_set(tmp_path_factory.mktemp("toys") / "set", train=3, val=4))


@pytest.fixture(scope="module")
def evaluated(toys: PairedSet) -> Result:
    return evaluate(
        Model(fakes.FakeTranslator()), toys, protocol=NATIVE, command="sat2map evaluate --data toys"
    )


def test_a_report_is_one_sound_file_without_scripts_or_links(toys: PairedSet, evaluated: Result) -> None:
    text = report.render(evaluated, Model(fakes.FakeTranslator()), toys)
    outline = Outline(text)
    assert "script" not in outline.order
    assert outline.sources and all(source.startswith("data:image/") for source in outline.sources)
    assert "http" not in text.replace("http-equiv", "")
    assert len(text.encode()) < 8 << 20


def test_pictures_come_before_numbers(toys: PairedSet, evaluated: Result) -> None:
    order = Outline(report.render(evaluated, Model(fakes.FakeTranslator()), toys)).order
    assert order.index("img") < order.index("table")
    assert (
        order[: order.index("table")].count("img") == 3 * 4
    )  # best, median, worst; input, output, truth, error


def test_a_report_says_how_it_was_measured_and_beside_what(toys: PairedSet, evaluated: Result) -> None:
    text = Outline(report.render(evaluated, Model(fakes.FakeTranslator()), toys)).text
    wanted = ["n = 4", "split val", "native", "blank, land colour", "copy of the input", "mean map", "numpy"]
    for words in [*wanted, "sat2map evaluate --data toys", "calibration error", *CLASS_NAMES]:
        assert words in text, words


def test_best_median_and_worst_are_in_order(evaluated: Result) -> None:
    chosen = report.chosen(evaluated)
    assert [title for title, _ in chosen] == ["Best", "Median", "Worst"]
    ranks = [report.rank(score) for _, score in chosen]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[0] == max(map(report.rank, evaluated.scores.images))
    assert ranks[-1] == min(map(report.rank, evaluated.scores.images))


def test_one_image_is_shown_once(toys: PairedSet) -> None:
    assert [title for title, _ in report.chosen(evaluate(Copy(), toys, protocol=NATIVE, limit=1))] == ["Best"]


def test_names_cannot_break_the_page(toys: PairedSet) -> None:
    system = Blank((1, 2, 3), "<script>alert(1)</script>&")
    found = evaluate(system, toys, protocol=NATIVE, command="sat2map evaluate '<b>'")
    for text in (report.render(found, system, toys), comparison.render([found, found])):
        outline = Outline(text)
        assert "script" not in outline.order
        assert "b" not in outline.order[outline.order.index("dl") :]
        assert "<script>alert(1)</script>&" in outline.text


def test_satellite_reports_need_no_classes(toys: PairedSet) -> None:
    system = Blank((69, 70, 60))
    found = evaluate(system, toys, protocol=PROTOCOLS["reverse-native"])
    text = Outline(report.render(found, system, toys)).text
    assert "error in levels" in text
    assert "Classes" not in text


def test_a_report_is_not_replaced_unasked(toys: PairedSet, evaluated: Result, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(OutputExists):
        report.write_report(tmp_path / "r.html", evaluated, Model(fakes.FakeTranslator()), toys)
    assert (tmp_path / "r.html").read_text() == "mine"


def test_error_maps_show_exactly_the_wrong_pixels() -> None:
    truth = toy_pair(1)[1]
    guess = truth.copy()
    guess[10:20, 30:50] = MAPS.colours[4]
    classes = [MAPS.to_classes(MAPS.encode(image)) for image in (truth, guess)]
    shown = pictures.class_errors(truth, guess)
    right = (shown == np.array(pictures._RIGHT)).all(-1)
    assert np.array_equal(right, classes[0] == classes[1])
    assert pictures.level_errors(truth, truth).max() == 0
    assert pictures.level_errors(truth, 255 - truth).max() > 0


def test_every_class_has_a_colour_of_its_own() -> None:
    assert tuple(pictures.CLASS_COLOURS) == CLASS_NAMES
    assert len(set(pictures.CLASS_COLOURS.values())) == len(CLASS_NAMES)


def test_comparisons_show_all_subjects_and_their_differences(toys: PairedSet) -> None:
    found = [evaluate(s, toys, protocol=NATIVE) for s in (Copy(), Blank((254, 254, 254), "all road"))]
    outline = Outline(comparison.render(found))
    assert "all road - copy of the input" in outline.text
    assert {"copy of the input", "all road", "mean map"} <= {
        row["label"] for row in json.loads(comparison.to_json(found))["rows"]
    }


# -- commands ---------------------------------------------------------------------------------------------------


@pytest.fixture
def predictions(toys: PairedSet, tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for pair in toys.of("val"):
        seed = 1000 + int(pair.name.split("/")[1])
        images.write_image(folder / f"{pair.name}.png", toy_pair(seed)[1], overwrite=False)
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_evaluate_prints_and_writes_what_it_found(
    toys: PairedSet, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = run(
        "evaluate", "--predictions", predictions, "--data", toys.folder, "--protocol", "native",
        "--json", out / "r.json", "--report", out / "r.html", "--save", out / "kept",
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "mIoU6" in printed and "blank, land colour" in printed and "n = 4" in printed
    assert json.loads((out / "r.json").read_bytes())["n"] == 4
    assert Outline((out / "r.html").read_text("utf-8")).order.count("img") >= 12
    assert len(list((out / "kept" / "val").iterdir())) == 4


def test_evaluate_refuses_to_overwrite_before_any_work(
    toys: PairedSet, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_text("mine")
    arguments = [
        "evaluate",
        "--predictions",
        predictions,
        "--data",
        toys.folder,
        "--json",
        tmp_path / "r.json",
    ]
    assert run(*arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "r.json").read_text() == "mine"
    assert run(*arguments, "--protocol", "native", "--overwrite", "-q") == 0
    assert json.loads((tmp_path / "r.json").read_bytes())["n"] == 4


def test_compare_takes_results_and_folders(
    toys: PairedSet, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--data", toys.folder, "--protocol", "native"]
    assert run("evaluate", "--predictions", predictions, *shared, "--json", tmp_path / "a.json", "-q") == 0
    code = run("compare", tmp_path / "a.json", predictions, "--data", toys.folder, "--report", tmp_path / "c.html",
               "--json", tmp_path / "c.json")  # fmt: skip
    assert code == 0
    assert "mine - mine" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "c.json").read_bytes())["rows"]) == 2 + 3
    Outline((tmp_path / "c.html").read_text("utf-8"))


def test_a_result_of_other_pictures_is_not_put_beside(
    toys: PairedSet, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ["evaluate", "--predictions", predictions, "--data", toys.folder, "--protocol", "native"]
    assert run(*whole, "--json", tmp_path / "a.json", "-q") == 0
    assert run(*whole, "--beside", tmp_path / "a.json", "--report", tmp_path / "r.html") == 0
    assert capsys.readouterr().out.count("mine") == 2  # itself, and beside it
    assert run(*whole, "--limit", 2, "--beside", tmp_path / "a.json", "-q") == 2
    assert "mine has n 2, mine has 4" in capsys.readouterr().err


def test_compare_needs_data_for_what_is_not_scored_yet(
    predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", predictions) == 2
    assert "--data DIR is needed" in capsys.readouterr().err


def test_one_thing_is_scored_at_a_time(
    toys: PairedSet, predictions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", "--model", "x", "--predictions", predictions, "--data", toys.folder) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_bundle_is_scored_with_its_confidence_and_checksum(toys: PairedSet, tmp_path: Path) -> None:
    made = tiny.bundle(tmp_path / "model")
    shared = ["--data", toys.folder, "--protocol", "native", "-q"]
    assert run("evaluate", "--model", made.folder, *shared, "--json", tmp_path / "r.json") == 0
    found = json.loads((tmp_path / "r.json").read_bytes())
    assert found["scores"]["subject"] == {
        "label": "tiny",
        "kind": "model",
        "checksum": hashlib.sha256(made.onnx.read_bytes()).hexdigest(),
    }
    assert 0 < found["calibration"]["expected_error"] < 1


def test_a_model_of_the_other_direction_is_refused(
    toys: PairedSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reverse = tiny.bundle(tmp_path / "model", direction="map2sat", kind="rgb", palette=None)
    assert run("evaluate", "--model", reverse.folder, "--data", toys.folder, "--protocol", "native") == 2
    assert "model tiny is map2sat, protocol native is sat2map" in capsys.readouterr().err
    assert (
        run(
            "evaluate", "--model", reverse.folder, "--data", toys.folder, "--protocol", "reverse-native", "-q"
        )
        == 0
    )


def test_scores_keep_their_meaning_when_images_have_no_mistakes(toys: PairedSet) -> None:
    truth = toy_pair(5)[1]
    score = metrics.score_pair("x", truth, truth)
    assert all(score.wrong(index) == 0 for index in range(len(CLASS_NAMES)))
