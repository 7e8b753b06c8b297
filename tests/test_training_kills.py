"""Training that is killed at any moment ends in the bits of training that nobody disturbed.

Random moments: SAT2MAP_KILLS says how many for each system and number of loader workers (default 2). Every system call
of a save: strace kills a process, or makes a call fail, where it is to be called; a few of them, with SAT2MAP_KILLS of
100 or more all that can change a file, and of 1000 or more all.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forking import Forking
from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map import storage  # noqa: E402
from sat2map.training import checkpoint, loop  # noqa: E402
from sat2map.training.recipe import to_yaml  # noqa: E402
from test_training_recipes import Stop, tiny  # noqa: E402

KILLS = int(os.environ.get("SAT2MAP_KILLS", "2"))
THOROUGH = KILLS >= 100
SETTINGS = ("objective.pool=3", "run.keep=2", "run.images=20")
RECIPES = ("pix2pix-paper", "cyclegan")
EPOCH = 5  # training pairs of the toy set: checkpoints come every 6 images, so always in the middle of one


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork processes")
    found = Forking()
    yield found
    found.close()
    patch.undo()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_set(tmp_path_factory.mktemp("toy") / "set", train=7, val=1, side=64)


@pytest.fixture(scope="module")
def whole(forking: Forking, toy: Path, tmp_path_factory: pytest.TempPathFactory):
    """Undisturbed runs by recipe, without workers: a job for each, and the seconds that it takes."""
    runs: dict[str, tuple[dict[str, Any], float]] = {}

    def job_of(name: str) -> tuple[dict[str, Any], float]:
        if name not in runs:
            folder = tmp_path_factory.mktemp(name)
            recipe = tiny(name, *SETTINGS)
            (folder / "recipe.yaml").write_text(to_yaml(recipe))
            job = {"recipe": str(folder / "recipe.yaml"), "data": str(toy), "run": str(folder / "run")}
            assert forking.train({**job, "resume": False}) == 0  # decodes, too
            shutil.rmtree(job["run"])
            begin = time.monotonic()
            assert forking.train({**job, "resume": False}) == 0
            runs[name] = job, time.monotonic() - begin
        return runs[name]

    return job_of


def result(run: Path) -> dict[str, bytes]:
    """All that a run has to have in common with one that nobody disturbed; clock times are left out."""
    newest = checkpoint.newest(run)
    assert newest is not None
    found = {path.name: path.read_bytes() for path in sorted(newest.glob("*.safetensors"))}
    state = json.loads((newest / "state.json").read_bytes())
    del state["seconds"], state["recipe"]["run"]["workers"]
    found["state"] = json.dumps(state).encode()
    for name in ("log.jsonl", "best.json"):
        found[name] = (run / name).read_bytes()
    assert not list(run.rglob(".*.tmp-*")), "what kills leave is swept away"
    return found | {path.name: path.read_bytes() for path in sorted((run / "samples").iterdir())}


def tell(capsys: pytest.CaptureFixture[str], said: str) -> None:
    """Counts of the thorough study are for the log book."""
    with capsys.disabled():
        print(f"\n{said}")  # noqa: T201


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", RECIPES)
def test_killed_at_random_moments_and_resumed_equals_uninterrupted(
    name, workers, forking, whole, tmp_path, capsys
):
    job, seconds = whole(name)
    recipe = tiny(name, *SETTINGS, f"run.workers={workers}")
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    dice, run = random.Random(f"{name} {workers}"), tmp_path / "run"
    mine = {**job, "recipe": str(tmp_path / "recipe.yaml"), "run": str(run)}
    kills = finished = unfinished = 0
    steps = set()
    while kills < KILLS or run.exists():
        resume = (run / "recipe.yaml").exists()
        limit = dice.uniform(0, 1.2 * seconds) if kills < KILLS else None
        code = forking.train({**mine, "resume": resume}, limit)
        if code == -signal.SIGKILL:
            kills += 1
            unfinished += any((run / "checkpoints").glob(".*"))
            newest = checkpoint.newest(run)
            steps.add(newest.name if newest else "")
            continue
        assert code == 0
        assert result(run) == result(Path(job["run"]))
        finished += 1
        shutil.rmtree(run)
    assert kills == KILLS and finished
    if KILLS >= 20:
        assert len(steps) > 2, "all kills hit the same place"
        found = f"{kills} kills, {unfinished} of them in a save, {finished} runs ended equal"
        tell(capsys, f"{name}, {workers} workers: {found}")


def test_what_the_guard_says_at_a_look_is_not_lost_by_a_kill_after_the_save(whole, tmp_path, monkeypatch):
    job = whole("cyclegan")[0]
    assert '"past peak' in (Path(job["run"]) / "log.jsonl").read_text(), "this run is to be warned at its end"
    recipe, run, reports = tiny("cyclegan", *SETTINGS), tmp_path / "run", []

    def killed_at_the_end(*given: object) -> None:
        reports.append(given)
        if len(reports) == 4:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_report", killed_at_the_end)
        with pytest.raises(Stop):
            loop.train(recipe, Path(job["data"]), run)
    loop.train(recipe, Path(job["data"]), run, resume=True)
    assert result(run) == result(Path(job["run"]))


# -- every system call of a save --------------------------------------------------------------------------------

PAUSE, OLDER = (
    10,
    9,
)  # the fourth and last checkpoint, for which the first or second is removed, and the third
CHANGES = {"openat", "write", "fsync", "rename", "mkdir", "unlink", "unlinkat", "rmdir", "fdatasync"}


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(
        [found, "-o", os.devnull, "-e", "inject=fsync:signal=KILL", "true"], capture_output=True
    )
    if tried.returncode:
        pytest.skip(f"strace may not look into processes here: {tried.stderr.decode().strip()[-200:]}")
    return found


class Paused:
    """A run that is about to save a checkpoint; `save` does so in a copy of its folder, under strace."""

    def __init__(self, job: dict[str, Any], scratch: Path, strace: str) -> None:
        self.forking, self.strace, self.scratch, self.count = Forking(), strace, scratch, 0
        self.run = scratch / "paused"
        answer = self.forking.say(
            json.dumps({**job, "run": str(self.run), "resume": False, "pause_at": PAUSE})
        )
        assert answer == "paused"

    def save(self, *options: str) -> tuple[Path, int]:
        """The copy, and how the process ended; strace is given `options`."""
        self.count += 1
        copy = self.scratch / f"copy-{self.count}"
        shutil.copytree(self.run, copy)
        process = self.forking.say(str(copy))
        watch = subprocess.Popen([self.strace, "-p", process, *options], stderr=subprocess.PIPE, text=True)
        assert watch.stderr is not None and "attached" in watch.stderr.readline()
        code = int(self.forking.say("go"))
        watch.communicate()
        return copy, code


@pytest.fixture(scope="module")
def paused(whole, strace, tmp_path_factory):
    runs: dict[str, Paused] = {}

    def paused_of(name: str) -> Paused:
        if name not in runs:
            runs[name] = Paused(whole(name)[0], tmp_path_factory.mktemp(name), strace)
        return runs[name]

    yield paused_of
    for run in runs.values():
        run.forking.close()


def calls_of(paused: Paused) -> list[tuple[str, int]]:
    """System calls of an undisturbed save in their order, each with its number among those of its name."""
    log = paused.scratch / "calls"
    copy, code = paused.save("-o", str(log))
    assert code == 0 and checkpoint.newest(copy) == checkpoint.folder_of(copy, PAUSE)
    names = [match[1] for match in re.finditer(r"^(\w+)\(", log.read_text(), re.MULTILINE)]
    first = next(n for n, name in enumerate(names) if name == "openat" or name.startswith("mk"))
    counted = [(name, names[: n + 1].count(name)) for n, name in enumerate(names)]
    return [call for call in counted[first:] if not call[0].startswith(("rt_sig", "exit"))]


def some(calls: list[tuple[str, int]], name: str) -> list[tuple[str, int]]:
    """Calls that change files: a few, in the thorough study all. With 1000 or more, really all calls.

    A kill at a call that changes nothing leaves what a kill at the next one leaves.
    """
    changing = [call for call in calls if call[0] in CHANGES]
    if THOROUGH:
        return calls if KILLS >= 1000 else changing
    return random.Random(f"{name} {len(calls)}").sample(changing, 4)


def recovers(forking: Forking, job: dict[str, Any], run: Path, before: Path) -> None:
    """The older checkpoint is untouched or thinned out after a newer one, and the run ends as it should."""
    newest = checkpoint.newest(run)
    assert newest is not None
    older = checkpoint.folder_of(run, OLDER)
    if newest == older:
        for path in before.iterdir():
            assert (older / path.name).read_bytes() == path.read_bytes()
    else:
        assert newest == checkpoint.folder_of(run, PAUSE)
        storage.verify(newest)
    assert forking.train({**job, "run": str(run), "resume": True}) == 0
    assert result(run) == result(Path(job["run"]))
    assert not list((run / "checkpoints").glob(".*"))
    shutil.rmtree(run)


@pytest.mark.parametrize("name", RECIPES)
def test_a_save_killed_at_any_system_call_loses_nothing(name, paused, forking, whole, capsys):
    here, job = paused(name), whole(name)[0]
    calls = calls_of(here)
    assert {"openat", "write", "fsync", "rename"} <= {call for call, _ in calls}
    assert {"unlink", "unlinkat"} & {call for call, _ in calls}, "an old checkpoint was to be removed"
    hit = 0
    for call, number in some(calls, name):
        copy, code = here.save("-e", f"inject={call}:signal=KILL:when={number}", "-o", os.devnull)
        hit += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
        recovers(forking, job, copy, checkpoint.folder_of(here.run, OLDER))
    assert hit >= 0.9 * len(some(calls, name)), (
        "memory is asked for a little differently each time, files are not"
    )
    if THOROUGH:
        tell(capsys, f"{name}: a save has {len(calls)} system calls; killed at {hit} of them, all recovered")


@pytest.mark.parametrize("name", RECIPES)
def test_a_save_to_a_disk_that_fails_says_so_and_loses_nothing(name, paused, forking, whole, capsys):
    here, job = paused(name), whole(name)[0]
    calls = [call for call in calls_of(here) if call[0] in CHANGES]
    ends = []
    for call, number in some(calls, name):
        error = "ENOSPC" if call in {"write", "mkdir"} else "EIO"
        copy, code = here.save("-e", f"inject={call}:error={error}:when={number}", "-o", os.devnull)
        assert code in (0, 3), (
            f"{call} {number} failed with {error}, and the user would have seen a traceback"
        )
        ends.append(code)
        recovers(forking, job, copy, checkpoint.folder_of(here.run, OLDER))
    if THOROUGH:
        said = sum(code == 3 for code in ends)
        tell(
            capsys,
            f"{name}: {len(ends)} calls failed in turn; {said} saves said so, the others had no need to",
        )
