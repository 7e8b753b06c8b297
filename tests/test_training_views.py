"""The recipe view-geo: trains on views, stops and goes on with the same bits, and becomes a bundle that draws."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map import images  # noqa: E402
from sat2map.bundle import open_bundle  # noqa: E402
from sat2map.cli.main import main  # noqa: E402
from sat2map.data.imagined import PairSettings, make_pairs  # noqa: E402
from sat2map.data.views import open_views, read_view  # noqa: E402
from sat2map.errors import BadDataset, BadRecipe  # noqa: E402
from sat2map.training import checkpoint, loop  # noqa: E402
from sat2map.training.export import export_run, load_run  # noqa: E402
from sat2map.training.recipe import load_recipe, override  # noqa: E402
from sat2map.training.views import crop_around, flat  # noqa: E402
from sat2map.views import open_viewer  # noqa: E402

SMALL = [
    "generator.parameters={widths: [8, 12], encoder: [1, 1], decoder: [1], head: 8, noise: 0}",
    "discriminator.parameters={widths: [8, 8], depth: 1, coarse: 0, spectral: false}",
    "view.height=64", "view.width=64", "view.heights=[0.0, 6.0]", "view.side=64",
    "data.crop=64", "data.batch=2", "data.development=0.25", "objective.adversarial_from=0.25",
    "run.images=16", "run.checkpoint_every=4", "run.sample_every=16", "run.log_every=4", "run.threads=1",
]  # fmt: skip


def small(*settings: str):
    return override(load_recipe("view-geo"), [*SMALL, *settings])


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    folder = tmp_path_factory.mktemp("views") / "set"
    settings = PairSettings(9, 5, tile=64, gsd=0.5, val=0.0, views=True)
    make_pairs(folder, settings, 1, lambda done, total, note: None)
    return folder


@pytest.fixture(scope="module")
def run(views: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    loop.train(small(), views, folder)
    return folder


def weights(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run)
    assert newest is not None
    return {path.name: path.read_bytes() for path in sorted(newest.glob("*.safetensors"))}


class Stop(BaseException):
    """What a signal handler would raise."""


def test_stopped_and_resumed_equals_uninterrupted(views, run, tmp_path) -> None:
    calls = 0

    def stop(done: int, total: int, note: str) -> None:
        nonlocal calls
        calls += note.startswith("loss")
        if calls == 5:
            raise Stop

    with pytest.raises(Stop):
        loop.train(small(), views, tmp_path / "run", on_progress=stop)
    loop.train(small(), views, tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(run)
    assert (tmp_path / "run" / "log.jsonl").read_text() == (run / "log.jsonl").read_text()
    assert (run / "report.html").is_file() and list((run / "samples").glob("step-*.png"))


def test_the_bundle_draws_what_the_network_paints(views, run, tmp_path) -> None:
    bundle = open_bundle(export_run(run, tmp_path / "mine", model_id="mine"))
    card = bundle.card
    assert card.ground is not None and card.ground.heights == (0.0, 6.0) and card.bands == 6
    assert card.training.licence == "CC0-1.0" and any("invented" in limit for limit in card.limits)
    viewer, trained = open_viewer(bundle.folder), load_run(run)
    pair = open_views(views)[0]
    sat, _ = read_view(pair)
    crop = crop_around(sat, pair.known, viewer.side, viewer.metres)
    shown = viewer.shown(crop, pair.known.heading or 0.0)
    with torch.no_grad():
        from sat2map.data.batches import to_tensor
        from sat2map.models import paint

        network = trained.network
        painted = paint(network, network(to_tensor(shown[None])))[0].permute(1, 2, 0).numpy()
    drawn = viewer(crop, pair.known.heading or 0.0)
    assert np.abs(drawn - (painted + 1) * 127.5).max() <= 2.5, "weights are rounded to half precision"
    assert flat(shown).shape == (64, 64, 3)


def test_views_of_another_camera_are_refused(views, tmp_path) -> None:
    with pytest.raises(BadDataset, match=r"view\.field=75"):
        loop.train(small("view.field=60"), views, tmp_path / "run")
    listed = (views / "views.jsonl").read_text()
    other = tmp_path / "other"
    other.mkdir()
    for half in ("train",):
        (other / half).symlink_to(views / half)
    (other / "views.jsonl").write_text("".join(_without_heading(line) for line in listed.splitlines()))
    with pytest.raises(BadDataset, match="which way it looks"):
        loop.train(small(), other, tmp_path / "run")


def test_a_model_of_panoramas_is_trained_and_draws_panoramas(tmp_path) -> None:
    """Photos four times as wide as high, squares of them in training, the whole circle from `sat2map view`."""
    for number in range(6):
        dice = np.random.default_rng(number)
        for half, shape in (("satellite", (64, 64, 3)), ("ground", (40, 160, 3))):
            picture = dice.integers(0, 256, shape, np.uint8)
            images.write_image(tmp_path / "set" / half / f"{number}.png", picture, overwrite=False)
    around = small("view.field=360", "view.height=32", "view.width=128", "view.horizon=0.5", "data.crop=32")
    loop.train(override(around, ["run.images=8"]), tmp_path / "set", tmp_path / "run")
    folder = export_run(tmp_path / "run", tmp_path / "mine", model_id="mine")
    words = [
        "view",
        str(tmp_path / "set" / "satellite" / "0.png"),
        str(tmp_path / "view.png"),
        "--gsd",
        "0.5",
    ]
    assert main([*words, "--heading", "90", "--model", str(folder), "-q"]) == 0
    drawn = images.read_image(tmp_path / "view.png")
    assert drawn.shape == (32, 128, 3)
    strip = [*words[:2], str(tmp_path / "strip.png"), *words[3:], "--strip"]
    assert main([*strip, "--model", str(folder), "-q"]) == 0
    assert images.read_image(tmp_path / "strip.png").shape == (256, 256 + 6 + 4 * 256, 3)
    with pytest.raises(BadDataset, match=r"view\.field=360"):
        loop.train(small(), tmp_path / "set", tmp_path / "other")


def _without_heading(line: str) -> str:
    import json

    fields = json.loads(line)
    del fields["heading"]
    return json.dumps(fields) + "\n"


@pytest.mark.parametrize(
    ("setting", "says"),
    [("view.heights=[0.0, 1.7]", "view.eye"), ("view=null", "view-geo"), ("data.direction=sat2map", "view-geo")],
)  # fmt: skip
def test_recipes_that_contradict_themselves_are_refused(setting, says) -> None:
    with pytest.raises(BadRecipe, match=says):
        small(setting)
