"""Training with an adversary: both players learn, the discriminator joins when told, and resume stays exact."""

import json
import os
from pathlib import Path

import pytest

from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map.training import export, loop  # noqa: E402
from sat2map.training.recipe import Recipe, load_recipe, override  # noqa: E402
from test_training import Stop, final_weights, log_of, small  # noqa: E402

ADVERSARY = [
    "discriminator={name: folded, parameters: {widths: [8, 16], depth: 1}}",
    "objective.adversarial=hinge",
    "objective.adversarial_weight=0.1",
    "objective.feature_matching=1.0",
]


def paper(*settings: str) -> Recipe:
    """The recipe of the paper, small enough for a test."""
    reduced = [
        "generator.parameters={levels: 4, width: 8, norm: instance}",
        "discriminator.parameters={layers: 1, width: 8, norm: instance}",
        "data.load=72",
        "data.crop=64",
        "data.development=0.25",
        "run.images=20",
        "run.checkpoint_every=10",
        "run.sample_every=20",
        "run.log_every=5",
        "run.threads=1",
    ]
    return override(load_recipe("pix2pix-paper"), [*reduced, *settings])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    return write_toy_set(tmp_path_factory.mktemp("toy") / "set")


def trained_terms(run: Path) -> list[dict]:
    return [json.loads(line) for line in log_of(run).splitlines() if '"train"' in line]


@pytest.mark.parametrize("recipe", [small(*ADVERSARY), paper()], ids=["carto", "paper"])
def test_stopped_and_resumed_equals_uninterrupted_with_an_adversary(toy, tmp_path, recipe):
    loop.train(recipe, toy, tmp_path / "whole")
    steps = 0

    def stop(done: int, total: int, note: str) -> None:
        nonlocal steps
        steps += note.startswith("loss")
        if steps == 7:
            raise Stop

    with pytest.raises(Stop):
        loop.train(recipe, toy, tmp_path / "run", on_progress=stop)
    loop.train(recipe, toy, tmp_path / "run", resume=True)
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "whole")
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")
    assert "discriminator_optimiser.safetensors" in final_weights(tmp_path / "run")


def test_the_adversary_joins_when_the_recipe_says(toy, tmp_path):
    loop.train(small(*ADVERSARY, "objective.adversarial_from=0.5", "run.log_every=2"), toy, tmp_path / "run")
    with_adversary = {entry["seen"]: "d" in entry for entry in trained_terms(tmp_path / "run")}
    assert [seen for seen, joined in with_adversary.items() if not joined] == [2, 4, 6, 8, 10, 12]


def test_both_players_of_the_paper_learn(toy, tmp_path):
    loop.train(
        paper("run.images=300", "run.checkpoint_every=300", "optimiser.rate=1e-3"), toy, tmp_path / "run"
    )
    terms = trained_terms(tmp_path / "run")
    first, last = terms[:5], terms[-10:]
    assert sum(t["l1"] for t in last) / 10 < 0.6 * sum(t["l1"] for t in first) / 5
    assert sum(t["d_real"] - t["d_fake"] for t in last) > sum(t["d_real"] - t["d_fake"] for t in first[:1])


@pytest.mark.parametrize("direction", ["sat2map", "map2sat"])
def test_classic_runs_export_in_both_directions(toy, tmp_path, direction):
    run = tmp_path / "run"
    loop.train(paper(f"data.direction={direction}", "run.images=10"), toy, run)
    written = export.export_run(run, tmp_path / "bundle", model_id=f"toy-{direction}")
    from sat2map import bundle

    card = bundle.open_bundle(written).card
    assert card.direction == direction and card.kind == "rgb" and card.windowing == "blend"
