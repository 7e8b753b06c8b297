"""The guard in a run: it warns, stops with a verdict or goes back, and a run killed while going back ends alike."""

import json
import os
from pathlib import Path

import pytest

from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map.data.quarantine import QUARANTINE, Entry, read_quarantine, write_quarantine  # noqa: E402
from sat2map.errors import BadRecipe, TrainingDiverged, TrainingFailed  # noqa: E402
from sat2map.training import checkpoint, loop  # noqa: E402
from sat2map.training.guard import answer  # noqa: E402
from sat2map.training.journal import read_log, remarks  # noqa: E402
from sat2map.training.recipe import override  # noqa: E402
from test_training import Stop, final_weights, log_of, small  # noqa: E402

WATCHFUL = ["guard.memory=4", "guard.grace=24", "guard.patience=4"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    return write_toy_set(tmp_path_factory.mktemp("toy") / "set")


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch):
    """From 14 images on, kernels are spoilt as long as learning rates are what the recipe says."""
    straight = loop.Run.advance

    def advance(self):
        generator = self.system.players["generator"]
        if self.seen >= 14 and generator.optimiser.scale == 1.0:
            with torch.no_grad():
                for kernel in generator.network.parameters():
                    kernel.mul_(self.spoilt)
        return straight(self)

    def spoil(factor: float) -> None:
        monkeypatch.setattr(loop.Run, "spoilt", factor, raising=False)
        monkeypatch.setattr(loop.Run, "advance", advance)

    return spoil


def guard_lines(run: Path) -> list[dict]:
    return [entry for entry in read_log(run) if entry["kind"] == "guard"]


def test_numbers_that_are_not_finite_lead_back_to_the_newest_checkpoint(toy, tmp_path, spoilt):
    spoilt(float("nan"))
    loop.train(small(*WATCHFUL), toy, tmp_path / "run")
    (line,) = guard_lines(tmp_path / "run")
    assert line["step"] == 6 and "back to step 6, rates times 0.5" in line["answer"]
    assert "not finite" in line["alarm"] and "on the pairs train/" in line["alarm"]
    state = checkpoint.read_state(checkpoint.newest(tmp_path / "run"))
    assert state.seen == 24 and state.guard.retries == 1 and state.guard.rate_factor == 0.5
    assert all(bool(torch.isfinite(w).all()) for w in read_weights(tmp_path / "run"))
    assert remarks(tmp_path / "run") == [f"{line['alarm']}: {line['answer']}"]


def read_weights(run: Path):
    return checkpoint.read_tensors(checkpoint.newest(run), "generator").values()


class Killed(BaseException):
    """What SIGKILL would be."""


@pytest.mark.parametrize("moment", ["take_up", "save", "rewind", "tell"])
def test_killed_while_going_back_equals_uninterrupted(toy, tmp_path, spoilt, monkeypatch, moment):
    spoilt(float("nan"))
    loop.train(small(*WATCHFUL), toy, tmp_path / "whole")
    owner = loop.Run if moment in ("take_up", "save") else loop.journal.Journal
    straight, armed = getattr(owner, moment), [False]

    def kill_once(self, *arguments):
        if armed[0] and (tmp_path / "run" / answer.INTENTION).exists():
            armed[0] = False
            raise Killed
        return straight(self, *arguments)

    monkeypatch.setattr(owner, moment, kill_once)
    armed[0] = True
    with pytest.raises(Killed):
        loop.train(small(*WATCHFUL), toy, tmp_path / "run")
    loop.train(small(*WATCHFUL), toy, tmp_path / "run", resume=True)
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "whole")
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")
    assert not (tmp_path / "run" / answer.INTENTION).exists()


def test_stopped_after_going_back_and_resumed_equals_uninterrupted(toy, tmp_path, spoilt):
    spoilt(float("nan"))
    loop.train(small(*WATCHFUL), toy, tmp_path / "whole")

    def stop(done: int, total: int, note: str) -> None:
        if guard_lines(tmp_path / "run") and note.startswith("loss"):
            raise Stop

    with pytest.raises(Stop):
        loop.train(small(*WATCHFUL), toy, tmp_path / "run", on_progress=stop)
    loop.train(small(*WATCHFUL), toy, tmp_path / "run", resume=True)
    assert final_weights(tmp_path / "run") == final_weights(tmp_path / "whole")
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")


def test_retries_are_bounded_and_the_verdict_says_what_was_tried(toy, tmp_path, spoilt):
    spoilt(float("nan"))
    recipe = small(*WATCHFUL, "guard.retries=0")
    with pytest.raises(TrainingDiverged, match=r"not finite after 15 images .*Checkpoint step 6 is sound"):
        loop.train(recipe, toy, tmp_path / "run")
    assert guard_lines(tmp_path / "run")[-1]["answer"] == "stopped"
    loop.train(override(recipe, ["guard.retries=1"]), toy, tmp_path / "run", resume=True)
    assert [line["answer"][:11] for line in guard_lines(tmp_path / "run")] == ["back to ste"]


def test_without_a_checkpoint_there_is_no_way_back(toy, tmp_path, spoilt):
    spoilt(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"optimiser\.rate"):
        loop.train(small(*WATCHFUL, "run.checkpoint_every=24"), toy, tmp_path / "run")


@pytest.mark.parametrize("action", ["warn", "stop", "ignore"])
def test_a_generator_that_does_not_learn_is_answered_as_the_recipe_says(toy, tmp_path, action):
    early = [
        "guard.memory=4",
        "guard.grace=8",
        "guard.patience=4",
        "optimiser.rate=1e-12",
        "optimiser.matrix_rate=1e-12",
    ]
    recipe, run = small(*early, f"guard.stalled={action}"), tmp_path / "run"
    if action == "stop":
        with pytest.raises(TrainingFailed, match=r"stalled after 12 images .*it began at") as caught:
            loop.train(recipe, toy, run)
        assert "initialisation" in caught.value.remedy
        assert checkpoint.read_state(checkpoint.newest(run)).seen == 12
        assert "stalled after 12 images" in (run / "report.html").read_text()
        loop.train(recipe, toy, run, resume=True)  # the user insists
    else:
        loop.train(recipe, toy, run)
    assert checkpoint.read_state(checkpoint.newest(run)).seen == 24
    answers = [line["answer"] for line in guard_lines(run)]
    assert answers == {"warn": ["warned"], "stop": ["stopped"], "ignore": []}[action]


def test_a_pair_of_broken_pixels_is_named_and_not_tried_again(toy, tmp_path, monkeypatch):
    straight = loop.setup.Data.batch

    def batch(self, seen, *part):
        found = straight(self, seen, *part)
        if 3 in found.names and seen >= 8:
            found.source[found.names.index(3), 0, 5, 5] = float("inf")
        return found

    monkeypatch.setattr(loop.setup.Data, "batch", batch)
    with pytest.raises(TrainingDiverged, match=r"the pixels of train/\d+ are not finite") as caught:
        loop.train(small(*WATCHFUL), toy, tmp_path / "run")
    assert "data check" in str(caught.value) or "remove" in str(caught.value)


def test_quarantined_pairs_are_not_trained_on_and_the_run_keeps_its_list(toy, tmp_path):
    names = ["train/2", "train/5"]
    write_quarantine(tmp_path / "list.jsonl", [Entry(name, ("empty map: 0",)) for name in names])
    run = tmp_path / "run"
    loop.train(small("run.images=8"), toy, run, quarantine=tmp_path / "list.jsonl")
    assert checkpoint.read_state(checkpoint.newest(run)).pairs < 12
    assert [entry.pair for entry in read_quarantine(run / QUARANTINE)] == names
    assert remarks(run) == ["2 pairs in quarantine were left out"]
    (tmp_path / "list.jsonl").unlink()
    loop.train(small("run.images=12"), toy, run, resume=True)  # with its own list, hence the same data
    assert checkpoint.read_state(checkpoint.newest(run)).seen == 12


@pytest.mark.parametrize(
    "setting", ["guard.collapse=sulk", "guard.not_finite=ignore", "guard.rate_factor=1.5"]
)
def test_impossible_policies_are_refused(setting):
    with pytest.raises(BadRecipe, match="guard"):
        small(setting)


def test_the_log_holds_the_figures_that_the_guard_reads(toy, tmp_path):
    loop.train(small("run.images=8"), toy, tmp_path / "run")
    lines = [json.loads(line) for line in log_of(tmp_path / "run").splitlines()]
    figures = next(line for line in lines if line["kind"] == "train")
    assert {"guard.variety", "guard.contrast", "guard.brightness", "guard.follow", "guard.error"} <= set(
        figures
    )
