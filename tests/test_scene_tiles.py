"""Scenes on the web's tile grid: the same bytes by every way, also after kills, and pyramids."""

import contextlib
import io
import os
import pathlib
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fakes
import geotiffs
from sat2map import mercator
from sat2map.errors import NothingToResume, OutputExists
from sat2map.grid import Block
from sat2map.mercator import Tile
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.tiles import open_mercator
from sat2map.scenes.tiles.containers import CONTAINERS
from sat2map.scenes.tiles.job import translate_to_tiles
from sat2map.scenes.tiles.pyramid import halved
from sat2map.scenes.translate import PRODUCTS
from tiled import BLENDED, ZOOM, files, model, png, small_scene, tiles_of


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return small_scene(tmp_path_factory.mktemp("tiles"))


@pytest.mark.parametrize("changes", [{}, BLENDED], ids=["exact", "blended"])
def test_tile_by_tile_cell_by_cell_and_whole_job_are_the_same_bytes(scene, tmp_path, changes):
    options = SceneOptions(products=PRODUCTS, zoom=(ZOOM - 2, ZOOM + 1), window=512, jobs=2)
    made = translate_to_tiles(model(**changes), scene, tmp_path / "out", "xyz", options)
    assert [path.name for path in made] == ["out", "out_classes", "out_confidence"]
    with open_mercator(model(**changes), scene, PRODUCTS, kept=4) as opened:
        assert opened.zoom == ZOOM
        wanted = [
            (tile, name)
            for zoom in range(ZOOM - 2, ZOOM + 2)
            for tile in tiles_of(opened, zoom)
            for name in PRODUCTS
        ]
        random.Random(3).shuffle(wanted)
        some = 0
        for tile, name in wanted[:24]:
            one = opened.png(tile, name)
            assert one == png(made[PRODUCTS.index(name)], tile), (tile, name)
            some += one is not None
        assert some > 12
        for row, col in list(opened.cells())[::2]:
            cell = opened.cell(row, col)
            if cell is None:
                continue
            for tile in mercator.tiles(cell.window, ZOOM):
                shared = tile.window.shared(cell.window)
                data = png(made[0], tile)
                if data is not None:
                    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[
                        shared.slices(tile.window)
                    ]
                    inside = shared.slices(cell.window)
                    assert np.array_equal(
                        pixels[cell.valid[inside]], cell.products["colour"][inside][cell.valid[inside]]
                    )


def test_tiles_joined_are_the_scene_translated_in_one_piece(scene):
    translator = model()
    with open_mercator(translator, scene, ("classes",)) as opened:
        box = mercator.aligned(opened.data.grown(64), 256)
        source = opened.source(ZOOM)
        inside = box._replace(row=box.row - source.region.row, col=box.col - source.region.col)
        whole = translator(source.read(inside)[None], ["index"]).index[0]
        valid = source.valid(inside)
        expected = np.where(valid, translator.card.palette.to_classes(whole), 255)
        joined = np.full_like(expected, 255)
        for tile in mercator.tiles(box, ZOOM):
            found = opened.tile(tile, "classes")
            if found:
                joined[tile.window.slices(box)] = np.where(found.valid, found.pixels, 255)
    assert valid.mean() > 0.3 and len(np.unique(joined)) > 3
    assert np.array_equal(joined, expected)


def test_what_else_is_in_a_file_does_not_move_the_grid(tmp_path):
    """A cut-out of a scene gives the same tiles away from its edge: cells belong to the world."""
    pixels = geotiffs.texture(900, 900)
    whole = geotiffs.write(tmp_path / "whole.tif", pixels)
    moved = Affine(0.9, 0, 500_000 + 70 * 0.9, 0, -0.9, 5_000_000 - 41 * 0.9)
    part = geotiffs.write(tmp_path / "part.tif", pixels[41:880, 70:890], transform=moved)
    with open_mercator(model(), whole) as one, open_mercator(model(), part) as other:
        same = 0
        for tile in tiles_of(other):
            if other.data.grown(-40).covers(tile.window):
                assert one.png(tile) == other.png(tile)
                same += 1
        assert same >= 2


class Stopping(fakes.FakeTranslator):
    """Works for some cells and stops, as a killed process does as far as its files are concerned."""

    left = 5

    def __call__(self, batch, want):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().__call__(batch, want)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_stopped_and_resumed_is_uninterrupted(scene, tmp_path, kind):
    options = {"products": ("colour", "classes"), "zoom": (ZOOM - 1, ZOOM), "window": 256, "jobs": 1}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    whole, out = tmp_path / "one" / f"out.{kind}", tmp_path / "two" / f"out.{kind}"
    translate_to_tiles(model(), scene, whole, kind, SceneOptions(**options))
    with pytest.raises(KeyboardInterrupt):
        translate_to_tiles(Stopping(model().card), scene, out, kind, SceneOptions(**options))
    assert not [path for path in out.parent.iterdir() if not path.name.startswith(".")]
    with pytest.raises(OutputExists, match="unfinished job"):
        translate_to_tiles(model(), scene, out, kind, SceneOptions(**options))
    with pytest.raises(NothingToResume):
        translate_to_tiles(model(), scene, out, kind, SceneOptions(**{**options, "nodata": 3}, resume=True))
    rest = model()
    translate_to_tiles(rest, scene, out, kind, SceneOptions(**options, resume=True))
    assert files(out.parent) == files(whole.parent)
    again = model()
    translate_to_tiles(again, scene, out, kind, SceneOptions(**options, resume=True))
    assert rest.shapes and not again.shapes, "what is finished is not done again"
    assert not list(out.parent.glob(".*"))


# The job as a process of its own; each cell takes a while, so that kills fall everywhere.
JOB = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
import fakes
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.tiles.job import translate_to_tiles
class Slow(fakes.FakeTranslator):
    def __call__(self, batch, want):
        time.sleep(0.02)
        return super().__call__(batch, want)
print("started", flush=True)
options = SceneOptions(zoom=(15, 17), window=256, jobs=1, resume=True)
translate_to_tiles(Slow(fakes.card(halo=16)), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), "xyz", options)
"""


def test_killed_at_random_moments_a_folder_of_tiles_is_that_of_an_undisturbed_job(scene, tmp_path):
    tests = pathlib.Path(__file__).parent
    whole, out = tmp_path / "one" / "out", tmp_path / "two" / "out"
    whole.parent.mkdir()
    out.parent.mkdir()
    translate_to_tiles(model(), scene, whole, "xyz", SceneOptions(zoom=(15, 17), window=256, jobs=1))
    rng, kills = random.Random(8), 0
    for last in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 120):
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(tests), str(scene), str(out)],
            env={**os.environ, "PYTHONPATH": str(tests.parent / "src"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
        )
        assert job.stdout is not None and job.stdout.readline() == b"started\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            job.wait(rng.uniform(0, last) if last < 100 else last)
        job.send_signal(signal.SIGKILL)
        kills += job.wait() == -signal.SIGKILL
        job.stdout.close()
        if out.exists():
            assert files(out) == files(whole), "under its final name a folder is whole"
    assert kills >= 2 and files(out) == files(whole)
    assert [path.name for path in out.parent.iterdir()] == ["out"], "a finished job leaves nothing behind"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(PRODUCTS), st.floats(0, 1))
def test_overviews_are_means_and_modes_of_valid_pixels(seed, product, holes):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 4 if product == "classes" else 256, (6, 8), np.uint8)
    if product == "colour":
        pixels = random.integers(0, 256, (6, 8, 3), np.uint8)
    valid = random.random((6, 8)) >= holes
    made, known = halved(pixels, valid, product)
    for row in range(3):
        for col in range(4):
            four = [
                (2 * row + i, 2 * col + j) for i in (0, 1) for j in (0, 1) if valid[2 * row + i, 2 * col + j]
            ]
            assert known[row, col] == bool(four)
            if not four:
                continue
            values = [pixels[place] for place in four]
            if product == "classes":
                assert made[row, col] == max(values, key=values.count)
            else:
                exact = np.mean(np.array(values, float), 0)
                assert np.array_equal(made[row, col], np.floor(exact + 0.5))


def test_an_enlarged_tile_repeats_pixels(scene):
    with open_mercator(model(), scene, ("classes",)) as opened:
        tile = next(t for t in tiles_of(opened) if (found := opened.tile(t, "classes")) and found.valid.all())
        base = opened.tile(tile, "classes").pixels
        for factor, zoom in ((2, ZOOM + 1), (4, ZOOM + 2), (512, ZOOM + 9)):
            at = Tile(zoom, tile.x * factor + factor - 1, tile.y * factor)
            found = opened.tile(at, "classes").pixels
            if factor < 256:
                assert np.array_equal(found[::factor, ::factor], base[: 256 // factor, -256 // factor :])
            else:
                assert (found == base[0, -1]).all()


def test_the_grid_of_cells_is_the_worlds(scene):
    with open_mercator(model(), scene) as opened:
        assert opened.region.row % opened.side == 0 and opened.region.col % opened.side == 0
        assert opened.region.covers(opened.data.grown(opened.card.halo))
        assert opened.grid.pixels(Block(0, 0, 1, 1))[2:] == (opened.side, opened.side)
