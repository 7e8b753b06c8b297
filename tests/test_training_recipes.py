"""Every shipped recipe, small: it trains, goes on exactly where it was stopped, and its bundle can be trained on."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from safetensors.torch import load  # noqa: E402

from sat2map import bundle  # noqa: E402
from sat2map.errors import BadRecipe, NothingToResume, UnsuitableModel  # noqa: E402
from sat2map.evaluation.sliced import sliced_distance  # noqa: E402
from sat2map.runtime import OnnxTranslator  # noqa: E402
from sat2map.training import checkpoint, development, export, graph, loop, setup  # noqa: E402
from sat2map.training.adapt import start_from_bundle  # noqa: E402
from sat2map.training.length import with_epochs  # noqa: E402
from sat2map.training.pix2pix import Objective, Pix2Pix  # noqa: E402
from sat2map.training.recipe import Recipe, load_recipe, override, recipe_names  # noqa: E402
from sat2map.training.systems import build_players, build_system  # noqa: E402

# those that learn from maps; what learns from views is tested with views
MAPS = [
    name for name in recipe_names() if load_recipe(name).latent is None and load_recipe(name).view is None
]
TINY: dict[str, dict[str, Any]] = {
    "carto": {"widths": [8, 8], "encoder": [1, 1], "decoder": [1], "head": 8, "backbone": False},
    "unet": {"levels": 3, "width": 4},
    "resnet": {"blocks": 1, "width": 4},
    "unet-maxpool": {"levels": 2, "width": 4},
    "patch": {"layers": 1, "width": 4},
    "folded": {"widths": [4, 4], "depth": 1, "coarse": 4},
    "maxpool": {"levels": 2, "width": 4},
}


def tiny(name: str, *settings: str) -> Recipe:
    """A shipped recipe with its own objective, stabilisers and schedules, but small networks and pictures."""
    recipe = load_recipe(name)
    parts = [("generator", recipe.generator)]
    parts += [("discriminator", recipe.discriminator)] if recipe.discriminator else []
    shrunk = [f"{what}.parameters={json.dumps(part.parameters | TINY[part.name])}" for what, part in parts]
    crop = 128 if recipe.generator.parameters.get("noise") else 48  # noise repeats every 128 px
    data = [f"data.crop={crop}", "data.batch=2", "data.development=0.3", "data.finish=null"]
    data += ["data.load=56"] if recipe.data.load else []
    run = [
        "run.images=14",
        "run.checkpoint_every=6",
        "run.sample_every=14",
        "run.log_every=2",
        "run.threads=1",
    ]
    return override(recipe, [*shrunk, *data, *run, *settings])


class Stop(BaseException):
    """What a signal handler would raise."""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield write_toy_set(tmp_path_factory.mktemp("toy") / "set", train=7, val=1, side=132)
    patch.undo()


@pytest.fixture(scope="module")
def whole(toy: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs that nobody disturbed, by recipe; each is trained once."""
    runs: dict[str, Path] = {}

    def run_of(name: str) -> Path:
        if name not in runs:
            runs[name] = tmp_path_factory.mktemp("whole") / name
            loop.train(tiny(name), toy, runs[name])
        return runs[name]

    return run_of


def files_of(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run)
    assert newest is not None
    return {path.name: path.read_bytes() for path in sorted(newest.glob("*.safetensors"))}


@pytest.mark.parametrize("name", MAPS)
def test_a_run_stopped_at_random_ends_in_the_same_bits(name, toy, whole, tmp_path):
    stop_after = random.Random(name).randrange(1, 7)  # of 7 steps

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("loss") and done == 2 * stop_after:
            raise Stop

    with pytest.raises(Stop):
        loop.train(tiny(name), toy, tmp_path / "run", on_progress=stop)
    loop.train(tiny(name), toy, tmp_path / "run", resume=True)
    assert files_of(tmp_path / "run") == files_of(whole(name))
    assert (tmp_path / "run" / "log.jsonl").read_text() == (whole(name) / "log.jsonl").read_text()
    sizes = {path.stat().st_size for path in (tmp_path / "run" / "samples").iterdir()}
    assert sizes == {path.stat().st_size for path in (whole(name) / "samples").iterdir()}


@pytest.mark.parametrize("name", MAPS)
def test_a_bundle_of_every_recipe_can_be_trained_on(name, toy, whole, tmp_path):
    written = export.export_run(whole(name), tmp_path / "bundle", model_id="toy")
    card = bundle.open_bundle(written).card
    assert card.direction == load_recipe(name).data.direction
    data = setup.open_data(tiny(name, "run.seed=7"), toy, lambda done, total, note: None)
    system = build_system(data.recipe, data)
    start_from_bundle(system, written, card.direction)
    trained = graph.rounded(export.load_run(whole(name)).network.state_dict())
    for label, value in system.players["generator"].network.state_dict().items():
        assert torch.equal(value, trained[label].to(value.dtype)), label


@pytest.mark.parametrize("name", [n for n in MAPS if load_recipe(n).objective.palette == 0])
def test_the_other_direction_is_a_setting(name, toy, tmp_path):
    other = {"sat2map": "map2sat", "map2sat": "sat2map"}[load_recipe(name).data.direction]
    loop.train(tiny(name, f"data.direction={other}", "run.images=4"), toy, tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    figures = next(entry for entry in log if entry["kind"] == "development")
    assert ("miou6" in figures) == (other == "sat2map")


def test_painters_of_imagery_are_chosen_by_the_crowd_not_by_l1(toy, whole):
    """A blurred picture has the smaller l1, a checkpoint is chosen by how far the crowds of patches are apart."""
    log = [json.loads(line) for line in (whole("carto-reverse") / "log.jsonl").read_text().splitlines()]
    looks = [entry for entry in log if entry["kind"] == "development"]
    best = json.loads((whole("carto-reverse") / "best.json").read_text())
    assert best["figures"]["swd"] == pytest.approx(min(look["swd"] for look in looks), rel=1e-4)
    data = setup.open_data(tiny("carto-reverse"), toy, lambda done, total, note: None)
    truth = np.stack([data.target(number) for number in data.training])[:, :128, :128]
    blurred = np.stack([gaussian_filter(picture, (4, 4, 0)) for picture in truth])
    shuffled = np.roll(truth, 1, 0)  # sharp, of other places
    assert np.abs(blurred.astype(int) - truth).mean() < np.abs(shuffled.astype(int) - truth).mean()
    assert sliced_distance(truth, shuffled) < sliced_distance(truth, blurred)
    assert development.score({"l1": 20.0, "swd": 50.0}) < development.score({"l1": 30.0, "swd": 40.0})


def test_a_model_with_noise_has_variants_and_one_without_has_none(whole, tmp_path):
    painter = bundle.open_bundle(
        export.export_run(whole("carto-reverse"), tmp_path / "noisy", model_id="noisy")
    )
    street = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), np.uint8)

    def painted(variant: int) -> np.ndarray:
        return OnnxTranslator(painter, variant=variant)(street, ("colour",)).colour

    assert np.array_equal(painted(0), OnnxTranslator(painter)(street, ("colour",)).colour)
    assert np.array_equal(painted(3), painted(3)), "the same number, the same picture"
    assert len({painted(variant).tobytes() for variant in range(4)}) == 4
    silent = bundle.open_bundle(export.export_run(whole("carto"), tmp_path / "silent", model_id="silent"))
    with pytest.raises(UnsuitableModel, match="has no noise"):
        OnnxTranslator(silent, variant=1)


def test_a_palette_painter_is_told_how_to_go_the_other_way():
    with pytest.raises(BadRecipe, match="carto-reverse"):
        override(load_recipe("carto"), ["data.direction=map2sat"])


# -- both ways --------------------------------------------------------------------------------------------------


def test_either_generator_of_a_cycle_is_exported_and_trained_on(toy, whole, tmp_path):
    run = whole("cyclegan")
    for direction, name in (("sat2map", "generator"), ("map2sat", "generator_back")):
        written = export.export_run(run, tmp_path / direction, model_id="toy", direction=direction)
        assert bundle.open_bundle(written).card.direction == direction
        data = setup.open_data(tiny("cyclegan", "run.seed=7"), toy, lambda done, total, note: None)
        system = build_system(data.recipe, data)
        start_from_bundle(system, written, "sat2map")
        stored = checkpoint.read_tensors(export._choose(run, None), name)
        wanted = graph.rounded(stored)
        for label, value in system.players[name].network.state_dict().items():
            assert torch.equal(value, wanted[label].to(value.dtype)), label


def test_a_one_way_run_has_no_other_generator(whole, tmp_path):
    with pytest.raises(UnsuitableModel, match="sat2map only"):
        export.export_run(whole("pix2pix-paper"), tmp_path / "b", model_id="toy", direction="map2sat")
    assert not (tmp_path / "b").exists()


# -- lengths ----------------------------------------------------------------------------------------------------


def state_of(run: Path) -> checkpoint.State:
    newest = checkpoint.newest(run)
    assert newest is not None
    return checkpoint.read_state(newest)


def test_a_length_in_epochs_follows_the_training_pairs(toy, tmp_path):
    recipe = with_epochs(tiny("pix2pix-paper"), "1.6")
    loop.train(recipe, toy, tmp_path / "run")
    state = state_of(tmp_path / "run")
    assert state.pairs == 5 and state.recipe["run"]["images"] == 8 and state.seen == 8


def test_epochs_are_added_once_however_often_the_command_is_given(toy, tmp_path):
    run = tmp_path / "run"
    loop.train(tiny("pix2pix-paper"), toy, run)  # 14 images
    longer = with_epochs(tiny("pix2pix-paper"), "+2", run)
    assert longer.run.images == 14 + 2 * 5

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("loss") and done >= 18:
            raise Stop

    with pytest.raises(Stop):
        loop.train(longer, toy, run, resume=True, on_progress=stop)
    again = with_epochs(tiny("pix2pix-paper"), "+2", run)
    assert again.run.images == 24
    loop.train(again, toy, run, resume=True)
    assert state_of(run).seen == 24
    assert with_epochs(tiny("pix2pix-paper"), "+2", run).run.images == 34


@pytest.mark.parametrize("text", ["0", "-3", "many", "+0", "inf", "nan"])
def test_lengths_that_are_none_are_refused(text, tmp_path):
    with pytest.raises(BadRecipe, match="no length"):
        with_epochs(tiny("pix2pix-paper"), text, tmp_path)


def test_nothing_can_be_added_to_no_run(tmp_path):
    with pytest.raises(NothingToResume, match="holds no run"):
        with_epochs(tiny("pix2pix-paper"), "+1", tmp_path)
    with pytest.raises(NothingToResume, match="--resume"):
        with_epochs(tiny("pix2pix-paper"), "+1")


def test_images_take_the_place_of_epochs_and_the_other_way_round():
    recipe = load_recipe("pix2pix-keras")
    assert recipe.run.epochs == 100
    assert override(recipe, ["run.images=50"]).run.epochs is None
    assert with_epochs(override(recipe, ["run.images=50"]), "3").run.epochs == 3


def test_the_shipped_model_can_be_trained_on_by_its_id():
    recipe = load_recipe("carto")
    system = Pix2Pix(build_players(recipe), Objective(recipe.objective), torch.float32)
    start_from_bundle(system, "carto", "sat2map")
    found = system.players["generator"]
    weights = load(bundle.find("carto").weights.read_bytes())
    for label, value in found.network.state_dict().items():
        assert torch.equal(value, weights[label].to(value.dtype)), label
        assert torch.equal(found.average.weights[label], value), label


def test_of_many_settings_the_wrong_one_is_named():
    with pytest.raises(BadRecipe) as found:
        override(load_recipe("carto"), ["run.images=4", "data.crpo=3", "run.threads=1"])
    assert "'data.crpo=3'" in str(found.value) and "run.images" not in str(found.value)
