"""A run that begins with a bundle: its maps may have other colours, and it may be killed before it has kept a thing."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from pairs import write_toy_set

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from torch.nn import functional as F  # noqa: E402

from sat2map.errors import BadBundle  # noqa: E402
from sat2map.models import build_generator  # noqa: E402
from sat2map.palette import Palette  # noqa: E402
from sat2map.training import checkpoint, export, loop  # noqa: E402
from sat2map.training.adapt import recoloured  # noqa: E402
from test_training_recipes import TINY, Stop, files_of, tiny  # noqa: E402

OLD = Palette(((230, 230, 220), (250, 250, 250), (170, 200, 250), (190, 210, 170)), (0, 2, 5, 4))
SETTINGS = ("optimiser.warmup=0", "run.images=10", "run.checkpoint_every=6")


def painter(name: str, colours: int, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_generator(name, colours, TINY[name] | ({"dropout": 0.0} if name == "unet" else {}))
    for weight in network.parameters():
        weight.data.normal_(0, 0.3)
    return network.eval()


def shares(network: torch.nn.Module) -> torch.Tensor:
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.no_grad():
        return F.softmax(network(image), 1)


def begun(name: str, new: Palette) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares of the old colours from a bundle's network, and of the new ones from a network that begins with it."""
    old, other = painter(name, len(OLD), 0), painter(name, len(new), 1)
    other.load_state_dict(recoloured(other, old.state_dict(), OLD, new))
    return shares(old), shares(other)


@pytest.mark.parametrize("name", ["carto", "unet", "resnet", "unet-maxpool"])
def test_colours_in_another_order_are_painted_as_before(name):
    order = [2, 0, 3, 1]
    new = Palette(tuple(OLD.colours[n] for n in order), tuple(OLD.classes[n] for n in order))
    before, after = begun(name, new)
    assert before.std() > 0.02, "even shares would agree with anything"
    torch.testing.assert_close(after, before[:, order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["carto", "resnet"])
def test_shades_of_an_old_colour_share_its_probability(name):
    """Two blues for one: together they are as likely as it was, and everything else stays."""
    new = Palette((*OLD.colours, (160, 190, 240)), (*OLD.classes, 5))
    before, after = begun(name, new)
    torch.testing.assert_close(after[:, 2] + after[:, 4], before[:, 2], rtol=0, atol=1e-5)
    torch.testing.assert_close(after[:, [0, 1, 3]], before[:, [0, 1, 3]], rtol=0, atol=1e-5)


def test_equal_palettes_leave_every_bit():
    network = painter("carto", len(OLD), 0)
    found = recoloured(network, network.state_dict(), OLD, OLD)
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


# -- whole runs -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A toy city, and a bundle that was trained there."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    folder = tmp_path_factory.mktemp("city")
    data = write_toy_set(folder / "set", train=7, val=1, side=64)
    loop.train(tiny("carto", *SETTINGS), data, folder / "run")
    return data, export.export_run(folder / "run", folder / "bundle", model_id="toy")


@pytest.fixture(scope="module")
def other_city(city, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same town as another office draws it: all colours darker, and one more of them."""
    from sat2map import images

    folder = tmp_path_factory.mktemp("other") / "set"
    for path in sorted(city[0].rglob("*.png")):
        both = images.read_image(path)
        side = both.shape[1] // 2
        both[:, side:] -= np.minimum(both[:, side:], 20)
        both[:6, side:] = (120, 60, 60)
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        images.write_image(folder / path.parent.name / path.name, both, overwrite=False)
    return folder


def test_a_run_goes_on_from_a_bundle_in_the_colours_of_another_city(city, other_city, tmp_path):
    recipe = tiny("carto", *SETTINGS, "objective.palette=6")
    loop.train(recipe, other_city, tmp_path / "run", start_from=city[1])
    state = checkpoint.read_state(checkpoint.newest(tmp_path / "run"))
    assert state.palette is not None and len(state.palette["colours"]) == 6
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    loop.train(recipe, other_city, tmp_path / "fresh")
    fresh = json.loads((tmp_path / "fresh" / "log.jsonl").read_text().splitlines()[0])
    assert first["g"] != fresh["g"]


def test_killed_before_its_first_checkpoint_it_still_begins_with_the_bundle(city, tmp_path, monkeypatch):
    recipe = tiny("carto", *SETTINGS)
    loop.train(recipe, city[0], tmp_path / "whole", start_from=city[1])

    def killed(work: loop.Run) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(loop.Run, "advance", killed)
        with pytest.raises(Stop):
            loop.train(recipe, city[0], tmp_path / "run", start_from=city[1])
    loop.train(recipe, city[0], tmp_path / "run", resume=True)
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole")
    assert (tmp_path / "run" / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()
    assert not checkpoint.read_state(checkpoint.newest(tmp_path / "run")).guard.fresh


def test_what_was_begun_with_a_bundle_and_has_no_recipe_yet_is_forgotten(city, tmp_path, monkeypatch):
    recipe = tiny("carto", *SETTINGS)

    def killed(*given: object) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(loop, "describe", killed)
        patch.setattr(loop, "to_yaml", killed)
        with pytest.raises(Stop):
            loop.train(recipe, city[0], tmp_path / "run", start_from=city[1])
    assert checkpoint.folder_of(tmp_path / "run", 0).is_dir()
    loop.train(recipe, city[0], tmp_path / "run")
    assert not checkpoint.folder_of(tmp_path / "run", 0).exists()


def test_a_bundle_of_another_network_is_refused(city, tmp_path):
    with pytest.raises(BadBundle, match="does not fit"):
        loop.train(tiny("pix2pix-paper"), city[0], tmp_path / "run", start_from=city[1])
    assert not (tmp_path / "run" / "recipe.yaml").exists()
