"""Pictures without pairs: how they are found, divided and drawn, and what a run on them leaves."""

import json
from pathlib import Path

import numpy as np
import pytest

from pairs import toy_pair
from sat2map import images
from sat2map.data.unpaired import PictureCache, UnpairedSet, is_unpaired
from sat2map.errors import BadDataset, BadRecipe, FileMissing

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map.training import checkpoint, export, loop, setup  # noqa: E402
from sat2map.training.recipe import override  # noqa: E402
from test_training_recipes import Stop, files_of, tiny  # noqa: E402


@pytest.fixture(scope="module")
def heaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine satellite pictures and seven maps of other towns, all sizes."""
    folder = tmp_path_factory.mktemp("heaps")
    for name in ("trainA", "trainB"):
        (folder / name).mkdir()
    for i in range(9):
        images.write_image(folder / "trainA" / f"{i}.png", toy_pair(i, 64 + 8 * i)[0], overwrite=False)
    for i in range(7):
        images.write_image(folder / "trainB" / f"map{i}.png", toy_pair(50 + i, 80)[1], overwrite=False)
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield folder
    patch.undo()


def opened(folder, *settings: str) -> setup.Data:
    return setup.open_data(tiny("cyclegan", *settings), folder, lambda done, total, note: None)


def test_a_folder_with_two_heaps_is_told_from_pairs(heaps, tmp_path):
    assert is_unpaired(heaps) and not is_unpaired(heaps / "trainA") and not is_unpaired(tmp_path / "none")
    found = UnpairedSet.open(heaps)
    assert [p.name for p in found.sat] == [f"{i}.png" for i in range(9)] and len(found.street) == 7
    assert UnpairedSet.of(heaps / "trainA", heaps / "trainB") == found


def test_missing_and_empty_heaps_are_named(heaps, tmp_path):
    with pytest.raises(FileMissing, match="nowhere"):
        UnpairedSet.of(heaps / "trainA", tmp_path / "nowhere")
    with pytest.raises(BadDataset, match="0 pictures"):
        UnpairedSet.of(heaps / "trainA", tmp_path)


def test_the_cache_holds_the_pictures(heaps):
    files = UnpairedSet.open(heaps).sat
    cache = PictureCache.build(files)
    assert len(cache) == 9 and PictureCache.build(files).content == cache.content
    for number, path in enumerate(files):
        assert np.array_equal(cache(number), images.read_image(path))


def test_each_side_is_divided_and_drawn_by_itself(heaps):
    data = opened(heaps, "data.load=null", "data.batch=1", "data.mirror=false")
    assert len(data.training) + len(data.development) == 9 and len(data.street_training) == 5
    assert not set(data.training) & set(data.development) and data.epoch == len(data.training)
    sat, street = [], []
    for seen in range(2 * data.epoch):
        one, other = data.batch(seen).names
        sat.append(one)
        street.append(other - 9)
        assert data.store.names[other].startswith("map")
    assert sorted(sat[: data.epoch]) == sorted(data.training)
    assert sorted(street[:5]) == sorted(data.street_training)


def test_crops_come_from_the_pictures_that_are_named(heaps):
    data = opened(heaps, "data.load=null", "data.batch=1", "data.mirror=false")
    for seen in range(4):
        batch = data.batch(seen)
        for side, number, picture in (
            (batch.source, batch.names[0], data.store.sat),
            (batch.target, batch.names[1] - 9, data.store.street),
        ):
            crop = ((side[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            windows = np.lib.stride_tricks.sliding_window_view(picture(number), crop.shape)
            assert (windows == crop).all((-1, -2, -3)).any()


def test_the_reverse_direction_swaps_the_halves(heaps):
    forth, back = opened(heaps), opened(heaps, "data.direction=map2sat")
    assert torch.equal(forth.batch(6).source, back.batch(6).target)
    assert torch.equal(forth.batch(6).target, back.batch(6).source)


def test_pairs_are_drawn_apart_for_training_without_pairs(tmp_path, monkeypatch):
    from pairs import write_toy_set

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = opened(write_toy_set(tmp_path / "set", train=12, val=1), "data.batch=1")
    names = [data.batch(seen).names for seen in range(40)]
    assert data.is_paired and sum(one == other for one, other in names) < 15
    assert {one for one, _ in names} == {other for _, other in names} == set(data.training)


@pytest.mark.parametrize("named", ["one folder", "two folders"])
def test_a_run_on_heaps_resumes_exactly_and_exports_both_ways(heaps, tmp_path, named):
    folder = heaps if named == "one folder" else (heaps / "trainA", heaps / "trainB")
    recipe = override(tiny("cyclegan"), ["data.load=null", "objective.pool=4", "objective.noise=0.1"])
    loop.train(recipe, folder, tmp_path / "whole")

    def stop(done: int, total: int, note: str) -> None:
        if note.startswith("loss") and done == 10:
            raise Stop

    with pytest.raises(Stop):
        loop.train(recipe, folder, tmp_path / "run", on_progress=stop)
    assert "memory.safetensors" in files_of(tmp_path / "run")
    loop.train(recipe, folder, tmp_path / "run", resume=True)
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole")
    figures = checkpoint.read_state(checkpoint.newest(tmp_path / "run")).figures
    assert set(figures) == {"cycle_l1", "back.cycle_l1"}
    for direction in ("sat2map", "map2sat"):
        export.export_run(tmp_path / "run", tmp_path / direction, model_id="toy", direction=direction)
    assert json.loads((tmp_path / "run" / "best.json").read_bytes())["step"] > 0


def test_a_recipe_that_needs_pairs_refuses_heaps(heaps, tmp_path):
    with pytest.raises(BadDataset, match="cyclegan"):
        loop.train(tiny("pix2pix-paper"), heaps, tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("objective.reconstruction=l1", "no pairs"),
        ("objective.adversarial=relativistic", "lsgan, bce or hinge"),
        ("discriminator=null", "needs a discriminator"),
        ("data.finish={start: 0.5, crop: 64, batch: 1}", "one size"),
    ],
)
def test_what_cannot_be_trained_without_pairs_is_refused(setting, said):
    with pytest.raises(BadRecipe, match=said):
        tiny("cyclegan", setting)
