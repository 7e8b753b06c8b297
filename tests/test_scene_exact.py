"""Real scenes through the shipped model: however a scene is cut, its map is the same; and blending hides seams.

The functions of `benchmarks/exactness.py` and `benchmarks/seams.py` on small pieces; docs/scenes.md has the large ones.
"""

import msgspec
import numpy as np
import pytest

import fakes
import geotiffs
from sat2map.bundle import find
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.georeferenced import SceneOptions, opened
from sat2map.scenes.pictures import Picture
from sat2map.scenes.translate import PRODUCTS

CELL, SIDE = 128, 250  # px: two cells a side, the second of them beyond the scene


class SmallCells:
    """The shipped model with small cells and its own halo, so that a small scene has many of them."""

    def __init__(self):
        self._translator = OnnxTranslator(find(), threads=1)
        self.card = msgspec.structs.replace(self._translator.card, cell=CELL)

    def __call__(self, batch, want):
        return self._translator(batch, want)


@pytest.fixture(scope="module")
def model():
    return SmallCells()


@pytest.fixture(scope="module")
def austin(shared, tmp_path_factory):
    """A piece of a suburb at 0.3 m, as a scene of its own."""
    import rasterio

    row, col = 350, 200
    with rasterio.open(shared / "data" / "aerial" / "inria-austin-0.3m" / "image.tif") as file:
        pixels = file.read(window=((row, row + SIDE), (col, col + SIDE)))
        a, _, left, _, e, top = file.transform[:6]
        crs = file.crs.to_string()
    transform = geotiffs.Affine(a, 0, left + col * a, 0, e, top + row * e)
    path = tmp_path_factory.mktemp("exact") / "austin.tif"
    return geotiffs.write(path, np.moveaxis(pixels, 0, -1), crs=crs, transform=transform)


def test_windows_workers_and_order_change_no_byte_of_a_real_map(austin, model, tmp_path, load):
    exactness = load("exactness")
    files = exactness.jobs_of_all_kinds(model, austin, tmp_path, 0.3, [128, 2048], [1])
    files = {name: sums | more for (name, sums), more in zip(
        files.items(), exactness.jobs_of_all_kinds(model, austin, tmp_path, 0.3, [256], [2]).values(), strict=True
    )}  # fmt: skip
    assert {name: len(sums) for name, sums in files.items()} == dict.fromkeys(PRODUCTS, 1)
    with opened(model.card, austin, SceneOptions(gsd=0.3)) as ready:
        straight = exactness.in_order(model, ready.shown, 2048)
        mixed = exactness.shuffled(model, ready.shown, CELL, seed=3)
    assert all(np.array_equal(straight[name], mixed[name]) for name in PRODUCTS)
    assert len(np.unique(straight["classes"])) >= 3


def test_cells_of_a_real_scene_agree_with_it_in_one_piece(austin, model, load):
    exactness = load("exactness")
    with opened(model.card, austin, SceneOptions(gsd=0.3)) as ready:
        classes = exactness.in_order(model, ready.shown, 2048)["classes"]
        found = exactness.beside_one_piece(model, ready.shown, classes)
    assert found.cells == 4
    assert found.largest <= exactness.CLOSE and found.classes >= exactness.SHARE
    assert found.control > 100 * exactness.CLOSE  # a halo that is too small would be noticed


# -- networks that look at their whole window ---------------------------------------------------------------------


def lit_from_one_side(side=400):
    """A picture whose left is dark and whose right is light, with some texture."""
    light = np.linspace(-70, 70, side)[None, :, None] + np.linspace(-30, 30, side)[:, None, None]
    return (geotiffs.texture(side, side) * 0.15 + 110 + light).clip(0, 255).astype(np.uint8)


def test_blending_lowers_the_seam_score_of_instance_norm(load):
    from torch import nn

    seams = load("seams")
    card = fakes.card(kind="rgb", palette=None, windowing="blend", receptive_radius=-1, cell=64, halo=32)
    network = nn.Sequential(nn.InstanceNorm2d(3), nn.Tanh())
    found = seams.measure(seams.InTorch(network, card), Picture(lit_from_one_side()), 64, 24)
    tiles, cropped, blended = (found[name] for name in ("tiles", "cropped", "blended"))
    assert tiles.border > 2 and cropped.border > 1.5 and tiles.border == tiles.worst
    assert blended.border < 1 + (cropped.border - 1) / 4
    assert blended.worst < 1 + (cropped.worst - 1) / 4  # nor did the seam move elsewhere


def test_a_network_without_statistics_has_no_seams_to_score(load):
    seams = load("seams")
    exact = fakes.FakeTranslator(fakes.card(kind="rgb", palette=None, cell=64, halo=8))
    score = seams.measure(exact, Picture(lit_from_one_side()), 64, 32)["cropped"]
    assert 0.8 < score.border < 1.2
