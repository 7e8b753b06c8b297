"""Landscapes and encoders: runs that go on exactly, bundles that draw what the networks draw, and the study of both."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

import onnxruntime  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from sat2map import bundle, images  # noqa: E402
from sat2map.cli.main import cli  # noqa: E402
from sat2map.collect.collection import Collection  # noqa: E402
from sat2map.collect.manifest import Photo  # noqa: E402
from sat2map.data.batches import Batch, to_tensor  # noqa: E402
from sat2map.data.views import open_views  # noqa: E402
from sat2map.errors import BadDataset, BadRecipe, NothingToResume, OutputExists, UnsuitableModel  # noqa: E402
from sat2map.runtime import OnnxTranslator  # noqa: E402
from sat2map.training import checkpoint, export, latent, loop, setup  # noqa: E402
from sat2map.training.latent_export import Drawn, network_of  # noqa: E402
from sat2map.training.optimise import Optimiser  # noqa: E402
from sat2map.training.parts import divided, take_step  # noqa: E402
from sat2map.training.recipe import Recipe, load_recipe, override  # noqa: E402
from sat2map.training.systems import CPU, build_system  # noqa: E402
from sat2map.training.team import Team  # noqa: E402
from sat2map.views.viewer import Viewer  # noqa: E402

TINY = {
    "landscape": [
        "generator.parameters={latent: 6, side: 32, widths: [12, 8], head: 8}",
        "discriminator.parameters={side: 32, widths: [4, 8]}",
    ],
    "landscape-dcgan": [
        "generator.parameters={latent: 4, side: 32, width: 4}",
        "discriminator.parameters={side: 32, width: 4}",
        "optimiser.drop_every=6",
    ],
    "view-encoder": ["generator.parameters={side: 32, width: 2, bound: 3.0}", "data.metres_per_pixel=1.0"],
}
RUN = [
    "data.crop=32", "data.batch=2", "data.development=0.3", "run.images=12", "run.checkpoint_every=4",
    "run.sample_every=12", "run.log_every=2", "run.threads=1", "run.average=4",
    "run.precision=fp32",
]  # fmt: skip


def tiny(name: str, *settings: str) -> Recipe:
    return override(load_recipe(name), [*TINY[name], *RUN, *settings])


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A satellite picture whose colour is that of its view."""
    dice = np.random.default_rng(number)
    colour = dice.integers(30, 226, 3)
    sat = np.clip(colour + dice.normal(0, 12, (48, 48, 3)), 0, 255).astype(np.uint8)
    view = np.full((40, 40, 3), 200, np.uint8)
    view[20:] = colour
    return sat, view


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "views"
    lines = ["name,heading,metres,place"]
    for number in range(10):
        sat, view = scene(number)
        images.write_image(folder / "satellite" / f"{number}.png", sat, overwrite=False)
        images.write_image(folder / "ground" / f"{number}.png", view, overwrite=False)
        lines.append(f"{number},{36 * number},1.0,place {number // 2}")
    (folder / "views.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Decoded pictures are kept for this module, not in the user's cache."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="module")
def made(views: Path, tmp_path_factory: pytest.TempPathFactory):
    """Run and bundle of a recipe, made once."""
    root, known = tmp_path_factory.mktemp("runs"), {}

    def make(name: str) -> tuple[Path, Path, Recipe]:
        if name not in known:
            through = make("landscape")[1] if name == "view-encoder" else None
            recipe = tiny(name, *([f"latent.through={json.dumps(str(through))}"] if through else []))
            loop.train(recipe, views, root / name)
            known[name] = (
                root / name,
                export.export_run(root / name, root / f"{name}-bundle", model_id=name),
                recipe,
            )
        return known[name]

    return make


def tensors(run: Path) -> dict[str, bytes]:
    newest = checkpoint.newest(run)
    assert newest is not None
    return {path.name: path.read_bytes() for path in sorted(newest.glob("*.safetensors"))}


class Stop(BaseException):
    """What a signal handler would raise."""


@pytest.mark.parametrize("name", TINY)
def test_a_run_stopped_at_random_ends_in_the_same_bits(name: str, made, views: Path, tmp_path: Path) -> None:
    run, _, recipe = made(name)
    after = random.Random(name).randrange(1, 6)  # of 6 steps

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("loss") and done == 2 * after:
            raise Stop

    with pytest.raises(Stop):
        loop.train(recipe, views, tmp_path / "run", on_progress=stop)
    loop.train(recipe, views, tmp_path / "run", resume=True)
    assert tensors(tmp_path / "run") == tensors(run)
    assert (tmp_path / "run" / "log.jsonl").read_text() == (run / "log.jsonl").read_text()
    for file in ("report.html", "samples.gif", "best.json"):
        assert (run / file).exists() or file == "samples.gif"
    assert len(list((run / "samples").glob("*.png"))) >= 2


def test_a_landscape_bundle_draws_what_the_network_draws_and_takes_no_pictures(made) -> None:
    run, folder, recipe = made("landscape")
    found = bundle.open_bundle(folder)
    assert (found.card.direction, found.card.latent, found.card.training.pairs) == ("latent2view", 6, 6)
    session = onnxruntime.InferenceSession(str(found.onnx))
    latents = torch.randn(5, 6, generator=torch.Generator().manual_seed(5))
    (drawn,) = session.run(["colour"], {"latent": latents.numpy()})
    step = json.loads((run / "best.json").read_text())["step"]
    network = network_of(checkpoint.folder_of(run, step), recipe)
    network.load_state_dict(
        {k: v.half().float() if v.numel() >= 1024 else v for k, v in network.state_dict().items()}
    )
    with torch.no_grad():
        expected = Drawn(network)(latents).numpy()
    assert drawn.shape == (5, 32, 32, 3) and np.abs(drawn.astype(int) - expected).max() <= 1
    assert "--through" in (folder / "README.md").read_text()
    with pytest.raises(UnsuitableModel, match="draws from numbers"):
        OnnxTranslator(found)(np.zeros((1, 32, 32, 3), np.uint8), {"colour"})


def test_an_encoder_bundle_holds_its_painter_unmoved_and_draws_views(made, views: Path) -> None:
    from safetensors.torch import load

    _, folder, _ = made("view-encoder")
    found, painter = bundle.open_bundle(folder), bundle.open_bundle(made("landscape")[1])
    own, given = load(found.weights.read_bytes()), load(painter.weights.read_bytes())
    assert all(torch.equal(own[f"painter.{name}"], value) for name, value in given.items())
    assert found.card.ground is not None and found.card.ground.route == "latent" and found.card.ground.turned
    assert found.card.parameters["painter"] == painter.card.parameters
    viewer = Viewer(OnnxTranslator(found))
    from sat2map.evaluation.losses import crop_for

    pair = open_views(views)[0]
    sat, _ = scene(0)
    assert viewer(crop_for(viewer, pair, sat), 0.0).shape == (32, 32, 3)


def test_the_study_runs_on_a_bundle_and_writes_what_it_says(made, tmp_path: Path, views: Path) -> None:
    folder = made("view-encoder")[1]
    words = ["evaluate", "--losses", "--model", str(folder), "--data", str(views), "--split", "all"]
    words += ["--report", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "layout (ours)" in result.output and "chance 10.0%" in result.output
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["n"] == 10 and found["places"] == 5 and set(found["matches"]) == {"mse", "ssim", "layout"}
    assert isinstance(CliRunner().invoke(cli, words).exception, OutputExists)
    assert CliRunner().invoke(cli, [*words, "--on-card"]).exit_code == 2


def test_an_encoder_learns_and_its_latent_stays_where_the_generator_knows(made, views: Path) -> None:
    run, _, recipe = made("view-encoder")
    resolved = override(latent.with_painter(recipe), ["optimiser.rate=0.01", "optimiser.decay_from=1"])
    data = setup.open_data(resolved, views, lambda *_: None)
    system, batch = build_system(resolved, data), data.batch(0)
    terms = [system.step(batch, 0, 10**6).terms for _ in range(40)]
    assert terms[-1]["layout"] < terms[0]["layout"]
    assert all(step["latent"] <= 3 for step in terms)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    look = next(line for line in log if line["kind"] == "development")
    assert {"mse", "ssim", "layout", "l1"} <= look.keys()


@pytest.mark.parametrize("crop", [32, 64])
def test_an_encoder_is_compared_with_whole_photos_whatever_its_generator_paints(
    crop: int, made, views: Path
) -> None:
    """The painter paints 32 px. Cut at the crop's size, its target would be a photo with its mirror images."""
    _, _, recipe = made("view-encoder")
    resized = override(
        recipe, [f"data.crop={crop}", f"generator.parameters.side={crop}", "data.mirror=false"]
    )
    data = setup.open_data(latent.with_painter(resized), views, lambda *_: None)
    system, batch = build_system(data.recipe, data), data.batch(0)
    target = system.step(batch, 0, 100).shown["generator"].target
    assert target.shape == (2, 3, 32, 32)
    for number, seen in zip(batch.names, target, strict=True):
        photo = to_tensor(images.resized(scene(number)[1], 32, 32)[None])[0]
        assert (seen - photo).abs().mean() < 0.02
    assert latent.figures(system, data)["n"] == len(data.development)
    assert all(part.shape == (32, 32, 3) for row in latent.panels(system, data, 2) for part in row)


def test_photos_come_from_a_folder_or_a_collection_too(tmp_path: Path, views: Path) -> None:
    with Collection.held(tmp_path / "collection", create=True) as collection:
        for number in range(6):
            file, _ = collection.keep_file(images.encode_png(scene(number)[1]), ".png")
            collection.append(Photo(key=f"folder:{number}", file=file))
    folders = [views / "ground", tmp_path / "collection"]
    for folder, count in zip(folders, (10, 6), strict=True):
        data = setup.open_data(tiny("landscape"), folder, lambda *_: None)
        assert len(data.training) + len(data.development) == count and len(data.development) >= 1
        assert data.source(0).shape == (32, 32, 3)
        assert not set(data.training) & set(data.development)
    with pytest.raises(BadDataset, match="0 photos"):
        (tmp_path / "empty").mkdir()
        setup.open_data(tiny("landscape"), tmp_path / "empty", lambda *_: None)


def test_places_are_kept_apart_and_panoramas_are_seen_straight_ahead(views: Path, tmp_path: Path) -> None:
    data = setup.open_data(tiny("landscape"), views, lambda *_: None)
    place = [number // 2 for number in range(10)]
    assert not {place[n] for n in data.training} & {place[n] for n in data.development}
    around = np.zeros((64, 256, 3), np.uint8)
    around[:, 96:160] = 250  # 90 degrees in the middle
    images.write_image(tmp_path / "p" / "satellite" / "x.png", scene(0)[0], overwrite=False)
    images.write_image(tmp_path / "p" / "ground" / "x.png", around, overwrite=False)
    images.write_image(tmp_path / "p" / "satellite" / "y.png", scene(1)[0], overwrite=False)
    images.write_image(tmp_path / "p" / "ground" / "y.png", around, overwrite=False)
    seen = setup.open_data(tiny("landscape", "data.development=0"), tmp_path / "p", lambda *_: None).source(0)
    assert seen.mean() > 245, "75 degrees lie within 90"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("landscape", ["latent=null"], "section latent"),
        ("landscape", ["data.direction=sat2view"], "latent2view"),
        (
            "landscape",
            ["objective.adversarial=none", "objective.r1=0", "objective.r2=0", "objective.augment=[]"],
            "adversarial",
        ),
        ("landscape", ["objective.reconstruction=l1"], "reconstruction"),
        ("view-encoder", ["objective.adversarial=bce"], "discriminator"),
        ("carto", ["data.direction=latent2view"], "latent2view"),
    ],
)  # fmt: skip
def test_recipes_that_contradict_themselves_are_refused(name: str, settings: list[str], said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        override(load_recipe(name), settings)


def test_what_an_encoder_learns_through_is_checked(made, views: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match="--through"):
        loop.train(tiny("view-encoder"), views, tmp_path / "run")
    with pytest.raises(UnsuitableModel, match="paints no latents"):
        loop.train(tiny("view-encoder", "latent.through=carto"), views, tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()
    _, _, recipe = made("view-encoder")
    resolved = latent.with_painter(recipe)
    other = override(resolved, ["latent.painter.parameters.latent=5"])
    with pytest.raises(BadRecipe, match="began"):
        latent.with_painter(other)
    with pytest.raises(BadRecipe, match=r"data\.crop is 64"):
        build_system(override(resolved, ["data.crop=64"]), None)  # type: ignore[arg-type]
    with pytest.raises(BadRecipe, match=r"data\.crop is 64"):
        build_system(tiny("landscape", "data.crop=64"), None)  # type: ignore[arg-type]
    with pytest.raises(NothingToResume):
        loop.train(tiny("landscape"), views, made("landscape-dcgan")[0], resume=True)


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny("landscape", "data.batch=4")
    taken: list[torch.Tensor] = []

    def descend(self: Optimiser, seen: int, total: int) -> float:
        taken.append(torch.cat([p.grad.flatten() for p in self.network.parameters()]))
        for weight in self.network.parameters():
            weight.data -= 0.01 * weight.grad
            weight.grad = None
        return float(taken[-1].norm())

    monkeypatch.setattr(Optimiser, "step", descend)
    photos = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    gradients = []
    for parts in (1, 2):
        system = build_system(recipe, None)  # type: ignore[arg-type]
        torch.manual_seed(7)
        take_step(system, divided(Batch(photos, photos, None, (0, 1, 2, 3)), parts), 0, 100, Team(), CPU)
        gradients.append(list(taken))
        taken.clear()
    for whole, other in zip(*gradients, strict=True):
        assert (whole - other).norm() < 2e-3 * whole.norm()


def test_slopes_are_measured_as_often_as_asked() -> None:
    recipe = tiny("landscape", "objective.r1=1", "objective.penalty_every=3")
    system = build_system(recipe, None)  # type: ignore[arg-type]
    photos = torch.rand(2, 3, 32, 32) * 2 - 1
    batch = Batch(photos, photos, None, (0, 1))
    measured = ["r1" in system.step(batch, seen, 100).terms for seen in range(0, 14, 2)]
    assert measured == [True, False, False, True, False, False, True]


def test_the_command_says_what_it_would_do(made, views: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(cli, ["train", *words, "--run", str(tmp_path / "new"), "--dry-run"])
        assert result.exit_code == 0, result.output
        return result.output

    assert "10 views of 5 places, 10 with a heading" in run(
        "view-encoder", "--data", str(views), "--through", str(made("landscape")[1])
    )
    assert "10 photos" in run("landscape", "--data", str(views / "ground"))
