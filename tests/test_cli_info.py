"""`info` tells images, models and runs apart and says about each what people ask."""

import json

import numpy as np
import pytest

import tiny
from sat2map.bundle import Metrics
from sat2map.cli.main import main
from sat2map.images import write_image

FIGURES = Metrics(
    protocol="maps-600",
    split="val",
    n=9,
    figures={"miou6": 0.51},
    command="",
    baselines={"blank": {"miou6": 0.08}},
)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints" / "step-000400").mkdir(parents=True)
    (folder / "recipe.yaml").write_text("name: carto\ndata:\n  name: not-this\n")
    entries = [
        {"kind": "train", "step": 100, "seen": 400, "loss": 2.5},
        {"kind": "development", "step": 100, "seen": 400, "miou6": 0.2},
        {"kind": "train", "step": 400, "seen": 1600, "loss": 1.25},
    ]
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "log.jsonl").write_text(text + '{"kind": "train", "step": 999, "los')  # torn by a kill
    return folder


def shown(capsys, *arguments):
    assert main(["info", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_an_image(tmp_path, capsys):
    write_image(tmp_path / "a.png", np.zeros((30, 40, 3), np.uint8), overwrite=False)
    facts = json.loads(shown(capsys, tmp_path / "a.png", "--json"))
    assert (facts["is"], facts["format"], facts["width"], facts["height"]) == ("image", "PNG", 40, 30)
    assert "40" in shown(capsys, tmp_path / "a.png")


def test_a_model_with_its_figures_baselines_and_limits(tmp_path, capsys):
    folder = tiny.bundle(tmp_path / "b", metrics=(FIGURES,), limits=("It knows nothing.",)).folder
    text = shown(capsys, folder)
    for words in (
        "tiny",
        "halo 8 px",
        "miou6: model 0.51, blank 0.08",
        "n = 9",
        "It knows nothing.",
        "water",
    ):
        assert words in text
    assert json.loads(shown(capsys, folder, "--json"))["metrics"][0]["n"] == 9


def test_a_model_that_paints_colours(tmp_path, capsys):
    changes = {"kind": "rgb", "palette": None, "windowing": "blend", "receptive_radius": -1}
    text = shown(capsys, tiny.bundle(tmp_path / "b", cell=64, **changes).folder)
    assert "their whole window" in text and "limits" in text


def test_a_run_that_was_killed(run, capsys):
    facts = json.loads(shown(capsys, run, "--json"))
    assert (facts["recipe"], facts["step"], facts["checkpoints"]) == ("carto", 400, ["step-000400"])
    assert facts["latest"]["train"]["loss"] == 1.25 and facts["latest"]["development"]["miou6"] == 0.2
    text = shown(capsys, run)
    assert "recipe carto" in text and "loss 1.25" in text


def test_a_run_that_has_just_begun(run, capsys):
    (run / "log.jsonl").unlink()
    assert json.loads(shown(capsys, run, "--json"))["step"] == 0


def test_a_damaged_model_is_not_described(tmp_path, capsys):
    folder = tiny.bundle(tmp_path / "b").folder
    (folder / "model.onnx").write_bytes(b"other")
    assert main(["info", str(folder)]) == 1
    assert "model.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["nothing", "nothing.png", "no/such/folder"])
def test_what_is_not_there_is_said_so(wrong, capsys):
    assert main(["info", wrong]) == 2
    assert wrong in capsys.readouterr().err


def test_every_shipped_model_can_be_asked_for_by_id(capsys):
    from sat2map.bundle import shipped

    for name in shipped():
        assert f"model {name}" in shown(capsys, name)
