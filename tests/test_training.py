"""Training: steps learn, recipes are strict, and a run that was stopped anywhere ends in the same bits."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map import storage  # noqa: E402
from sat2map.errors import BadRecipe, NothingToResume, RunExists, UnknownModel  # noqa: E402
from sat2map.training import checkpoint, loop  # noqa: E402
from sat2map.training.recipe import Recipe, load_recipe, override, parse, recipe_names, to_yaml  # noqa: E402

SMALL = [
    "generator.parameters={widths: [16, 24], encoder: [1, 1], decoder: [1], head: 16}",
    "objective.palette=5",
    "data.crop=64",
    "data.batch=2",
    "data.development=0.25",
    "data.finish={start: 0.5, crop: 80, batch: 1}",
    "run.images=24",
    "run.checkpoint_every=6",
    "run.sample_every=24",
    "run.log_every=4",
    "run.threads=1",
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    return write_toy_set(tmp_path_factory.mktemp("toy") / "set")


def small(*settings: str) -> Recipe:
    return override(load_recipe("carto"), [*SMALL, *settings])


def final_weights(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run)
    assert newest is not None
    return {path.name: path.read_bytes() for path in sorted(newest.glob("*.safetensors"))}


def log_of(run: Path) -> str:
    return (run / "log.jsonl").read_text()


@pytest.fixture(scope="module")
def reference(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "reference"
    loop.train(small(), toy, run)
    return run


class Stop(BaseException):
    """What a signal handler would raise."""


@pytest.mark.parametrize("stop_after", [1, 3, 7, 11])
def test_stopped_and_resumed_equals_uninterrupted(toy, reference, tmp_path, stop_after):
    calls = 0

    def stop(done: int, total: int, note: str) -> None:
        nonlocal calls
        calls += note.startswith("loss")
        if calls == stop_after:
            raise Stop

    run = tmp_path / "run"
    with pytest.raises(Stop):
        loop.train(small(), toy, run, on_progress=stop)
    loop.train(small(), toy, run, resume=True)
    assert final_weights(run) == final_weights(reference)
    assert log_of(run) == log_of(reference)


def test_a_run_with_a_pretrained_backbone_is_resumed_exactly(toy, tmp_path):
    """Kernels that are never trained have no moments to remember; the others have."""
    parameters = "{backbone: true, widths: [8, 8, 8, 8], encoder: [0, 0, 1, 0], decoder: [1, 0, 0], head: 8}"
    recipe = small(f"generator.parameters={parameters}", "data.finish=null", "run.images=12")

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("loss") and done >= 8:
            raise Stop

    loop.train(recipe, toy, tmp_path / "whole")
    with pytest.raises(Stop):
        loop.train(recipe, toy, tmp_path / "stopped", on_progress=stop)
    loop.train(recipe, toy, tmp_path / "stopped", resume=True)
    assert final_weights(tmp_path / "stopped") == final_weights(tmp_path / "whole")
    assert log_of(tmp_path / "stopped") == log_of(tmp_path / "whole")


def test_killed_and_resumed_equals_uninterrupted(toy, reference, tmp_path):
    """A real process, killed with SIGKILL at random moments until it gets through; 30 kills in the slow job."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text(to_yaml(small()))
    run, kills = tmp_path / "run", int(os.environ.get("SAT2MAP_KILLS", "4"))
    command = [
        sys.executable,
        "-m",
        "sat2map",
        "train",
        str(recipe),
        "--data",
        str(toy),
        "--run",
        str(run),
        "-q",
    ]
    dice = random.Random(7)
    done = 0
    while done < kills:
        resume = ["--resume"] if (run / "recipe.yaml").exists() else []
        child = subprocess.Popen(command + resume, stderr=subprocess.PIPE)
        try:
            child.wait(dice.uniform(2.0, 6.0))
        except subprocess.TimeoutExpired:
            child.kill()
            done += 1
        assert child.wait() in (0, -signal.SIGKILL), child.stderr.read().decode()
        child.stderr.close()
        if child.returncode == 0 and done < kills:
            storage_free = tmp_path / f"run-{done}-{time.monotonic_ns()}"
            assert final_weights(run) == final_weights(reference)
            run.rename(storage_free)
    loop.train(small(), toy, run, resume=(run / "recipe.yaml").exists())
    assert final_weights(run) == final_weights(reference)
    assert log_of(run) == log_of(reference)


def test_a_damaged_checkpoint_is_passed_over(toy, reference, tmp_path):
    run = tmp_path / "run"
    loop.train(small("run.images=12"), toy, run)
    newest = checkpoint.newest(run)
    assert newest is not None
    damaged = newest / "generator.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x01")
    before = checkpoint.newest(run)
    assert before is not None and before != newest
    loop.train(small(), toy, run, resume=True)
    assert log_of(run).splitlines()[-1] == log_of(reference).splitlines()[-1]


def test_training_learns_the_toy_town(toy, tmp_path):
    run = tmp_path / "run"
    loop.train(
        small("run.images=600", "run.checkpoint_every=300", "optimiser.warmup=40", "run.average=40"), toy, run
    )
    losses = [json.loads(line)["cross_entropy"] for line in log_of(run).splitlines() if '"train"' in line]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    figures = checkpoint.read_state(checkpoint.newest(run)).figures
    assert figures["road_f1_3px"] > 0.8, figures


def test_the_run_folder_holds_what_the_readme_says(reference):
    assert parse((reference / "recipe.yaml").read_text(), "run") == small()
    assert list(reference.glob("events*")) and list((reference / "samples").glob("step-*.png"))
    assert {json.loads(line)["kind"] for line in log_of(reference).splitlines()} == {"train", "development"}
    storage.verify(checkpoint.newest(reference))


def test_a_second_run_in_the_same_folder_is_refused_and_leaves_it_untouched(toy, reference):
    before = {p: p.stat().st_mtime_ns for p in sorted(reference.rglob("*")) if p.is_file()}
    with pytest.raises(RunExists, match="--resume"):
        loop.train(small(), toy, reference)
    assert before == {p: p.stat().st_mtime_ns for p in sorted(reference.rglob("*")) if p.is_file()}


def test_resuming_nothing_is_refused(toy, tmp_path):
    with pytest.raises(NothingToResume):
        loop.train(small(), toy, tmp_path / "none", resume=True)


def test_resuming_with_another_network_is_refused(toy, reference):
    with pytest.raises(NothingToResume, match="trains carto"):
        loop.train(small("generator.parameters.head=24"), toy, reference, resume=True)
    folded = '{"name": "folded", "parameters": {"widths": [4, 4]}}'
    judged = small(
        "objective.adversarial=hinge", "objective.adversarial_weight=0.1", f"discriminator={folded}"
    )
    with pytest.raises(NothingToResume, match="no discriminator, the recipe asks for folded"):
        loop.train(judged, toy, reference, resume=True)


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_round_trip(name):
    recipe = load_recipe(name)
    assert (
        parse(to_yaml(recipe), name) == recipe
        and msgspec.convert(msgspec.to_builtins(recipe), Recipe) == recipe
    )


@pytest.mark.parametrize(
    "setting",
    ["data.batch=0", "data.batch=two", "data.nonsense=1", "nonsense.x=1", "run.seed=-1", "data.crop"],
)
def test_impossible_overrides_are_refused_by_name(setting):
    with pytest.raises(BadRecipe, match=setting.split("=")[0]):
        override(load_recipe("carto"), [setting])


def test_numbers_in_scientific_notation_are_numbers():
    assert override(load_recipe("carto"), ["optimiser.rate=1e-3"]).optimiser.rate == 1e-3


def test_unknown_recipe_names_the_known_ones():
    with pytest.raises(UnknownModel, match="carto"):
        load_recipe("cartoo")


def test_a_kill_between_checkpoint_and_best_loses_no_best(toy, reference, tmp_path):
    run = tmp_path / "run"
    loop.train(small(), toy, run)
    wanted = (run / "best.json").read_bytes()
    (run / "best.json").unlink()
    newest = checkpoint.newest(run)
    loop.train(small(), toy, run, resume=True)
    assert json.loads((run / "best.json").read_bytes())["figures"] == checkpoint.read_state(newest).figures
    assert (reference / "best.json").read_bytes() == wanted


def test_a_stop_between_two_looks_claims_no_figures(toy, tmp_path):
    steps = 0

    def stop(done: int, total: int, note: str) -> None:
        nonlocal steps
        steps += note.startswith("loss")
        if steps == 4:  # the first look was after 3 steps
            raise Stop

    with pytest.raises(Stop):
        loop.train(small(), toy, tmp_path / "run", on_progress=stop)
    state = checkpoint.read_state(checkpoint.newest(tmp_path / "run"))
    assert state.step == 4 and not state.figures
    assert json.loads((tmp_path / "run" / "best.json").read_bytes())["step"] == 3
