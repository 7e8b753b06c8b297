"""Every program in examples/ runs as its head says, on small data, and does what it says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import geotiffs
from sat2map.grid import Window
from sat2map.images import read_image, write_image
from sat2map.worlds import Town, World, paint

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """A picture of an invented town."""
    path = tmp_path_factory.mktemp("town") / "town.png"
    write_image(path, paint(World(Town(seed=3)), Window(-150, -150, 300, 300)).sat, overwrite=False)
    return path


def test_all_examples_are_tested_and_described():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names and all(f'run("{name}"' in Path(__file__).read_text() for name in names)
    assert all(f"]({name})" in (EXAMPLES / "README.md").read_text() for name in names)


def test_an_array_becomes_a_map_and_its_shares(town, tmp_path):
    said = run("array_to_map.py", town, tmp_path / "map.png")
    assert read_image(tmp_path / "map.png").shape == read_image(town).shape
    shares = [float(word[:-1]) for word in said.split() if word.endswith("%") and word != "%"]
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_a_scene_becomes_layers_on_its_ground(town, tmp_path):
    pytest.importorskip("pyogrio", reason="vector files need the [vector] extra")
    import pyogrio
    import rasterio

    scene = geotiffs.write(tmp_path / "ortho.tif", read_image(town))
    run("scene_to_layers.py", scene, tmp_path / "out")
    with rasterio.open(scene) as given, rasterio.open(tmp_path / "out" / "map.tif") as made:
        assert (given.crs, given.transform, given.shape) == (made.crs, made.transform, made.shape)
    assert pyogrio.list_layers(tmp_path / "out" / "map.gpkg").size


def test_a_network_of_ones_own_joins_without_seams(town, tmp_path):
    assert "without seams: True" in run("own_network.py", town, tmp_path / "green.png")
    colours = np.unique(read_image(tmp_path / "green.png").reshape(-1, 3), axis=0)
    assert len(colours) == 2


def test_a_model_of_ones_own_in_one_go(tmp_path):
    pytest.importorskip("torch", reason="training needs the [train] extra")
    tiny = [
        "generator.parameters={widths: [8, 12], encoder: [1, 1], decoder: [1], head: 8}",
        "data.crop=64", "data.batch=2", "data.development=0.4",
        "run.threads=1", "run.checkpoint_every=8", "run.sample_every=8",
    ]  # fmt: skip
    said = run("learn_from_towns.py", tmp_path, *tiny, "--pairs", 6, "--images", 8)
    assert (tmp_path / "bundle" / "model.onnx").is_file() and (tmp_path / "run" / "report.html").is_file()
    assert "towns" in said and "blank" in said and "n = " in said


def test_a_walk_has_a_picture_for_each_step(tmp_path):
    run("walk.py", tmp_path / "walk.gif", "--steps", 3)
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.n_frames == 3
