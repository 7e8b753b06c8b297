"""Figures on the card: those of this very graph, replaced when measured again, and nothing else is touched."""

import json
from pathlib import Path

import msgspec
import pytest

import tiny
from pairs import write_toy_set
from sat2map.bundle import open_bundle
from sat2map.cli.main import main
from sat2map.errors import BadBundle
from sat2map.evaluation.oncard import put_on_card
from sat2map.evaluation.result import read_result


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle and the result of its evaluation, made by the command with --on-card."""
    data = write_toy_set(tmp_path / "toy", train=2, val=2, side=64)
    folder = tiny.bundle(tmp_path / "model").folder
    result = tmp_path / "result.json"
    arguments = ["evaluate", "--model", str(folder), "--data", str(data), "--protocol", "native"]
    assert main([*arguments, "--json", str(result), "--on-card", "-q"]) == 0
    return folder, result


def test_the_card_has_the_figures_of_the_result_beside_the_baselines(scored):
    folder, path = scored
    result, card = read_result(path), open_bundle(folder).card
    (metrics,) = card.metrics
    assert metrics.n == 2 and metrics.protocol == "native"
    assert metrics.figures["miou6"] == pytest.approx(result.scores.figures["miou6"], abs=1e-4)
    assert {"blank", "copy"} <= {name.split()[0].strip(",").lower() for name in metrics.baselines}
    assert "miou6" in (folder / "README.md").read_text()


def test_measuring_again_replaces_the_figures_and_leaves_the_weights(scored):
    folder, path = scored
    before = {name: (folder / name).read_bytes() for name in ("model.onnx", "model.safetensors", "card.json")}
    put_on_card(folder, read_result(path))
    assert before == {name: (folder / name).read_bytes() for name in before}
    assert len(json.loads(before["card.json"])["properties"]["sat2map:metrics"]) == 1


def test_figures_of_another_graph_are_refused_and_the_card_is_untouched(scored):
    folder, path = scored
    result = read_result(path)
    stranger = msgspec.structs.replace(result.scores.subject, checksum="0" * 64)
    forged = msgspec.structs.replace(result, scores=msgspec.structs.replace(result.scores, subject=stranger))
    before = (folder / "card.json").read_bytes()
    with pytest.raises(BadBundle, match="not of the graph"):
        put_on_card(folder, forged)
    assert (folder / "card.json").read_bytes() == before


def test_the_way_back_of_a_painter_of_imagery_is_on_its_card(tmp_path):
    data = write_toy_set(tmp_path / "toy", train=2, val=2, side=64)
    back = tiny.bundle(tmp_path / "back").folder
    there = tiny.bundle(tmp_path / "there", direction="map2sat", kind="rgb", palette=None).folder
    result = tmp_path / "result.json"
    arguments = ["evaluate", "--model", str(there), "--data", str(data), "--cycle-model", str(back), "-q"]
    assert main([*arguments, "--protocol", "reverse-native", "--json", str(result), "--on-card"]) == 0
    (metrics,) = open_bundle(there).card.metrics
    found = read_result(result).cycle
    assert found is not None
    assert metrics.figures["cycle.miou6"] == pytest.approx(found.figures["miou6"], abs=1e-4)


def test_finished_pictures_have_no_card(tmp_path, capsys):
    assert main(["evaluate", "--predictions", str(tmp_path), "--data", str(tmp_path), "--on-card"]) == 2
    assert "no card" in capsys.readouterr().err
