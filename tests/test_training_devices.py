"""Batches in parts, over processes, made ahead: none of it changes what is learned, and a lost process is an error."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map.data.batches import Batch  # noqa: E402
from sat2map.errors import BadRecipe, NoDevice  # noqa: E402
from sat2map.training import checkpoint, loop, setup  # noqa: E402
from sat2map.training.cyclegan import CycleGan  # noqa: E402
from sat2map.training.draws import rows_of  # noqa: E402
from sat2map.training.feed import Feed  # noqa: E402
from sat2map.training.optimise import Optimiser  # noqa: E402
from sat2map.training.parts import divided, take_step  # noqa: E402
from sat2map.training.pix2pix import Objective, Pix2Pix  # noqa: E402
from sat2map.training.player import System  # noqa: E402
from sat2map.training.recipe import Recipe, load_recipe, override, to_yaml  # noqa: E402
from sat2map.training.systems import build_cycle, build_players  # noqa: E402
from sat2map.training.team import Team  # noqa: E402
from test_training_recipes import MAPS, Stop, tiny  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield write_toy_set(tmp_path_factory.mktemp("toy") / "set", train=7, val=1, side=64)
    patch.undo()


# -- one process ------------------------------------------------------------------------------------------------


def per_sample(name: str, *settings: str) -> Recipe:
    """A small recipe whose norms look at one sample at a time, as all generators' but one do."""
    recipe = tiny(name, "data.batch=4", *settings)
    norms = [("generator", recipe.generator), ("discriminator", recipe.discriminator)]
    return override(
        recipe,
        [f"{who}.parameters.norm=instance" for who, part in norms if part and "norm" in part.parameters],
    )


def fresh(recipe: Recipe, *, thrifty: bool = False) -> System:
    if recipe.system == "cyclegan":
        return CycleGan(build_cycle(recipe), recipe.objective, torch.float32)
    count = recipe.objective.palette
    shares = torch.full((count,), 1 / count) if count else None
    colours = torch.linspace(-1, 1, 3 * count).reshape(count, 3) if count else None
    weights = torch.linspace(0.5, 2, count) if count else None
    objective = Objective(recipe.objective, colours, weights)
    return Pix2Pix(build_players(recipe, shares), objective, torch.float32, thrifty=thrifty)


def batch_for(recipe: Recipe, count: int = 4) -> Batch:
    dice, side = torch.Generator().manual_seed(3), recipe.data.crop
    source, target = (torch.rand(count, 3, side, side, generator=dice) * 2 - 1 for _ in range(2))
    index = None
    if colours := recipe.objective.palette:
        index = torch.randint(colours, (count, side, side), generator=dice)
        index[0] = 0  # weights of colours are far from evenly spread over the samples
    return Batch(source, target, index, tuple(range(count)))


@pytest.mark.parametrize("name", MAPS)
def test_a_batch_in_parts_gives_the_gradients_and_figures_of_the_whole(name, monkeypatch):
    recipe = per_sample(name, *(["objective.pool=3"] if name == "cyclegan" else []))
    taken: list[torch.Tensor] = []

    def descend(self: Optimiser, seen: int, total: int) -> float:
        """Plain descent: the first step of Adam is one of signs, and the sign of nearly nothing is chance."""
        taken.append(torch.cat([p.grad.flatten() for p in self.network.parameters()]))
        for weight in self.network.parameters():
            weight.data -= 0.01 * weight.grad
            weight.grad = None
        return float(taken[-1].norm())

    monkeypatch.setattr(Optimiser, "step", descend)
    gradients, figures, states = [], [], []
    for parts in (1, 2):
        system = fresh(recipe, thrifty=parts > 1)
        torch.manual_seed(7)
        outcome = take_step(system, divided(batch_for(recipe), parts), 0, 100, Team(), CPU)
        gradients.append(list(taken))
        figures.append(outcome.terms)
        states.append(torch.get_rng_state())
        assert [len(shown.output) for shown in outcome.shown.values()] == [4] * len(outcome.shown)
        taken.clear()
    for found, terms, state in zip(gradients[1:], figures[1:], states[1:], strict=True):
        for one, whole in zip(found, gradients[0], strict=True):
            assert (one - whole).norm() < 2e-3 * whole.norm()
        assert terms == pytest.approx(figures[0], rel=1e-3, abs=1e-5)
        assert torch.equal(state, states[0])


def test_without_rows_of_their_own_parts_would_differ():
    """The test above can fail: parts that draw as if they were alone meet other noise."""
    recipe = per_sample("pix2pix-stable")
    whole, part = batch_for(recipe), divided(batch_for(recipe), 2)[1]
    shown = []
    for given, rows in ((whole, (0, 4, 4)), (part, (2, 2, 4)), (part, (0, 2, 2))):
        torch.manual_seed(7)
        with rows_of(*rows):
            shown.append(fresh_output(recipe, given)[-2:])
    assert torch.allclose(shown[0], shown[1], atol=1e-5)
    assert not torch.allclose(shown[0], shown[2], atol=1e-2)


def fresh_output(recipe: Recipe, batch: Batch) -> torch.Tensor:
    state = torch.get_rng_state()
    network = fresh(recipe).players["generator"].network  # dropout is on
    torch.set_rng_state(state)
    output: torch.Tensor = network(batch.source)
    return output.detach()


def test_a_thrifty_generator_moves_the_means_of_its_batch_norms_once():
    recipe = tiny("unet-maxpool-512", "data.batch=4")
    means = []
    for thrifty in (False, True):
        system = fresh(recipe, thrifty=thrifty)
        torch.manual_seed(7)
        take_step(system, [batch_for(recipe)], 0, 100, Team(), CPU)
        state = system.players["generator"].network.state_dict()
        means.append({key: value for key, value in state.items() if "running" in key or "tracked" in key})
    assert means[0] and all(torch.equal(means[0][key], means[1][key]) for key in means[0])


def weights(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run)
    assert newest is not None
    return {path.name: path.read_bytes() for path in sorted(newest.glob("*.safetensors"))}


def test_batches_made_ahead_change_nothing_stopped_or_not(toy, tmp_path):
    recipe = tiny(
        "carto", "data.finish={start: 0.5, crop: 48, batch: 3}"
    )  # batches change their size on the way
    ahead = override(recipe, ["run.workers=2"])
    loop.train(recipe, toy, tmp_path / "none")
    loop.train(ahead, toy, tmp_path / "two")

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("loss") and done >= 8:
            raise Stop

    with pytest.raises(Stop):
        loop.train(ahead, toy, tmp_path / "stopped", on_progress=stop)
    loop.train(ahead, toy, tmp_path / "stopped", resume=True)
    assert weights(tmp_path / "none") == weights(tmp_path / "two") == weights(tmp_path / "stopped")
    logs = {(tmp_path / run / "log.jsonl").read_text() for run in ("none", "two", "stopped")}
    assert len(logs) == 1


def test_a_feed_goes_back_when_the_run_does_and_hands_on_errors():
    made = []

    def make(seen: int) -> Batch:
        made.append(seen)
        if seen == 12:
            raise BadRecipe("broken", "mend it")
        return Batch(torch.zeros(1), torch.zeros(1), None, (seen,))

    with Feed(make, lambda seen: 2 if seen < 6 else 3, 14, 2) as feed:
        assert [feed(seen).names for seen in (0, 2, 4, 6, 2, 4, 6, 9)] == [
            (n,) for n in (0, 2, 4, 6, 2, 4, 6, 9)
        ]
        with pytest.raises(BadRecipe, match="broken"):
            feed(12)
    assert set(made) == {0, 2, 4, 6, 9, 12}  # nothing beyond the end


def test_parts_of_ranks_are_the_batch(toy):
    for name in ("carto", "cyclegan"):
        data = setup.open_data(tiny(name, "data.batch=4"), toy, lambda *_: None)
        whole, parts = data.batch(5), [data.batch(5, rank, 2) for rank in range(2)]
        assert all(part.parts == 2 for part in parts)
        for layer in ("source", "target", "palette_index"):
            if getattr(whole, layer) is not None:
                assert torch.equal(torch.cat([getattr(part, layer) for part in parts]), getattr(whole, layer))


def test_batches_that_cannot_be_divided_are_refused(toy, tmp_path):
    with pytest.raises(BadRecipe, match=r"data.batch=2 cannot .* run.accumulate=4.* Set data.batch=4"):
        loop.train(tiny("carto", "run.accumulate=4"), toy, tmp_path / "run")
    finish = "data.finish={start: 0.5, crop: 48, batch: 3}"
    with pytest.raises(BadRecipe, match=r"data.finish.batch=3 cannot"):
        loop.train(tiny("carto", "run.accumulate=2", finish), toy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_an_accelerator_that_is_not_there_is_named(toy, tmp_path):
    with pytest.raises(NoDevice, match="sees no CUDA device"):
        loop.train(tiny("carto", "run.device=cuda"), toy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# -- several processes ------------------------------------------------------------------------------------------

IMAGES = ["data.batch=4", "run.images=32", "run.checkpoint_every=8", "run.sample_every=32"]
IMAGES += ["run.precision=fp32", "run.timeout=60"]
COMMAND = [sys.executable, str(Path(__file__).with_name("ranks.py"))]


def written(recipe: Recipe, folder: Path) -> Path:
    (folder / "recipe.yaml").write_text(to_yaml(recipe))
    return folder / "recipe.yaml"


def two_ranks(words: list[str | Path], environment: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and errors of two processes that train one run together over the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = []
    for rank in ("0", "1"):
        where = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        command = [*COMMAND, *map(str, words)]
        children.append(subprocess.Popen(command, env=environment | where, stderr=subprocess.PIPE, text=True))
    said = [child.communicate(timeout=240)[1] for child in children]
    return [(child.returncode, text) for child, text in zip(children, said, strict=True)]


def entries(run: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key != "kind"} for line in lines]


def assert_alike(run: Path, other: Path) -> None:
    """All figures of all steps agree, and the weights differ by far less than they have moved."""
    for one, same in zip(entries(run), entries(other), strict=True):
        assert one == pytest.approx(same, rel=1e-2, abs=1e-4)
    first, second = (checkpoint.read_tensors(checkpoint.newest(path), "generator") for path in (run, other))
    begin = build_players(load_recipe(other / "recipe.yaml"))["generator"].network.state_dict()
    apart = sum(float((first[name] - second[name]).square().sum()) for name in begin)
    moved = sum(float((first[name] - begin[name]).square().sum()) for name in begin)
    assert apart < 0.05**2 * moved


def test_two_processes_learn_what_one_does_and_survive_a_kill(toy, tmp_path):
    recipe = tiny("carto", *IMAGES)
    loop.train(recipe, toy, tmp_path / "one")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = ["train", written(recipe, tmp_path), "--data", toy, "-q", "--run"]

    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
    ]
    whole = subprocess.run(
        [*torchrun, "-m", "--", "sat2map", *map(str, words), str(tmp_path / "two")],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    assert_alike(tmp_path / "two", tmp_path / "one")
    assert {p.name for p in (tmp_path / "two").iterdir()} - {".lock"} == {
        p.name if "events" not in p.name else events(tmp_path / "two") for p in (tmp_path / "one").iterdir()
    } - {".lock"}

    first, second = two_ranks(["--die-at", "5", *words, tmp_path / "killed"], environment)
    assert second[0] == -signal.SIGKILL
    assert first[0] == 1 and re.search(r"rank 0 of 2 lost the others.*--resume", first[1], re.DOTALL), first[
        1
    ]
    assert "Traceback" not in first[1]

    ended = two_ranks([*words, tmp_path / "killed", "--resume"], environment)
    assert [code for code, _ in ended] == [0, 0], ended
    assert weights(tmp_path / "killed") == weights(tmp_path / "two")
    assert (tmp_path / "killed" / "log.jsonl").read_text() == (tmp_path / "two" / "log.jsonl").read_text()


def events(run: Path) -> str:
    """Name of the one event file of a run that one process wrote."""
    (found,) = run.glob("events*")
    return found.name
