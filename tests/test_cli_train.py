"""The command line of `train` and `export`: lengths, directions, two folders of data, and what is said of them."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pairs import toy_pair, write_toy_set
from sat2map import images
from sat2map.cli.main import cli
from sat2map.errors import NothingToResume
from sat2map.training.recipe import parse, recipe_names


def sat2map(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def heaps(tmp_path: Path) -> Path:
    for name, half in (("trainA", 0), ("trainB", 1)):
        (tmp_path / "heaps" / name).mkdir(parents=True)
        for i in range(3 + half):
            images.write_image(tmp_path / "heaps" / name / f"{i}.png", toy_pair(i)[half], overwrite=False)
    return tmp_path / "heaps"


def test_help_names_every_recipe():
    text = sat2map("train", "--help").output
    assert all(f"  {name} " in text for name in recipe_names())


@pytest.mark.parametrize("direction", ["sat2map", "map2sat"])
def test_every_recipe_takes_a_direction(direction):
    for name in ("pix2pix-paper", "pix2pix-keras", "unet-maxpool-512", "cyclegan", "carto-reverse"):
        found = sat2map("train", name, f"data.direction={direction}", "--print-config")
        assert parse(found.output, name).data.direction == direction


def test_a_length_in_epochs_is_a_setting():
    found = sat2map("train", "pix2pix-keras", "--epochs", "7", "--print-config")
    assert parse(found.output, "x").run.epochs == 7


@pytest.mark.parametrize(("words", "said"), [([], "adds to a run"), (["--resume"], "holds no run")])
def test_more_epochs_need_a_run_to_add_them_to(tmp_path, words, said):
    pytest.importorskip("torch", reason="training needs the [train] extra")
    run = ["--data", tmp_path, "--run", tmp_path / "r", "--epochs", "+7", *words]
    found = sat2map("train", "pix2pix-keras", *run)
    assert isinstance(found.exception, NothingToResume) and said in str(found.exception)
    assert not (tmp_path / "r").exists()


def test_a_dry_run_counts_heaps_and_pairs(heaps, tmp_path):
    one = sat2map("train", "cyclegan", "--data", heaps, "--run", tmp_path / "r", "--dry-run")
    assert "3 pictures and 4 maps, no pairs" in one.output and "would start cyclegan" in one.output
    two = sat2map(
        "train",
        "cyclegan",
        "--data",
        heaps / "trainA",
        "--data",
        heaps / "trainB",
        "--run",
        tmp_path / "r",
        "--dry-run",
    )
    assert "3 pictures and 4 maps" in two.output
    pairs = write_toy_set(tmp_path / "pairs", train=2, val=1)
    assert (
        "3 pairs" in sat2map("train", "carto", "--data", pairs, "--run", tmp_path / "r", "--dry-run").output
    )
    assert not (tmp_path / "r").exists()


def test_three_folders_of_data_are_one_too_many(tmp_path):
    found = sat2map("train", "cyclegan", *["--data", tmp_path] * 3, "--run", tmp_path / "r")
    assert found.exit_code == 2 and "two: imagery and maps" in found.output
