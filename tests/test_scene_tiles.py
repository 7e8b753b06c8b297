"""Scenes on the web's tile grid: right places, the same bytes by every way, and files that other programs read."""

import contextlib
import io
import itertools
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fakes
import geotiffs
from sat2map import mercator
from sat2map.errors import NothingToResume, OutputExists, UnsupportedFormat, UnusableCrs, WrongResolution
from sat2map.grid import Block
from sat2map.mercator import Tile
from sat2map.runtime import Translation
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.tiles import open_mercator
from sat2map.scenes.tiles.containers import CONTAINERS
from sat2map.scenes.tiles.job import translate_to_tiles
from sat2map.scenes.tiles.pyramid import halved
from sat2map.scenes.translate import PRODUCTS

ZOOM = 17  # nearest to 0.9 m at 45 degrees
BLENDED = {"windowing": "blend", "halo": 16, "receptive_radius": -1, "stride": 4, "cell": 256}


def model(**changes) -> fakes.FakeTranslator:
    return fakes.FakeTranslator(fakes.card(**{"halo": 16, **changes}), statistics="windowing" in changes)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> pathlib.Path:
    """650 x 500 px of texture with a hole; about 700 x 540 px at zoom 17, so some tiles are whole."""
    mask = np.ones((500, 650), np.bool_)
    mask[300:400, 100:180] = False
    folder = tmp_path_factory.mktemp("tiles")
    return geotiffs.write(folder / "in.tif", geotiffs.texture(500, 650), mask=mask)


def tiles_of(opened, zoom=None) -> list[Tile]:
    zoom = opened.zoom if zoom is None else zoom
    return list(mercator.tiles(mercator.at_zoom(opened.data, opened.zoom, zoom), zoom))


def png(folder: pathlib.Path, tile: Tile) -> bytes | None:
    path = folder / f"{tile.z}/{tile.x}/{tile.y}.png"
    return path.read_bytes() if path.exists() else None


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# -- the same bytes -----------------------------------------------------------------------------------------------


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
    for last in (0.3, 0.8, 1.5, 3.0, 120):
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


# -- right places -------------------------------------------------------------------------------------------------


class Same:
    """A translator that gives back what it is shown."""

    def __init__(self) -> None:
        self.card = fakes.card(kind="rgb", palette=None)

    def __call__(self, batch, want) -> Translation:
        return Translation(colour=batch)


HERE = Affine(1, 0, 500_000, 0, -1, 5_000_000)
PLACES = {
    "UTM": ("EPSG:32632", HERE),
    "coarse": ("EPSG:32632", Affine(2.4, 0, 500_000, 0, -2.4, 5_000_000)),
    "fine": ("EPSG:32632", Affine(0.3, 0, 500_000, 0, -0.3, 5_000_000)),
    "turned": ("EPSG:32632", Affine(0.8, 0.6, 500_000, 0.6, -0.8, 5_000_000)),
    "south-up": ("EPSG:32632", Affine(1, 0, 500_000, 0, 1, 5_000_000)),
    "degrees": ("EPSG:4326", Affine(1e-5, 0, 9, 0, -1e-5, 45)),
    "Swiss": ("EPSG:2056", Affine(1, 0, 2_600_000, 0, -1, 1_200_000)),
    "tiles": ("EPSG:3857", Affine(1.03, 0, 1e6, 0, -1.03, 5e6)),
    "180 degrees": ("EPSG:32660", Affine(1, 0, 708_570, 0, -1, 5_698_700)),
    "degrees, 180": ("EPSG:4326", Affine(1e-5, 0, 179.999, 0, -1e-5, 45)),
    "0 to 360": ("EPSG:4326", Affine(1e-5, 0, 250, 0, -1e-5, 45)),
}


@pytest.mark.parametrize("name", PLACES)
def test_pixels_are_where_their_coordinates_say(tmp_path, name):
    """The scene's red and green say their column and row; so every pixel of a tile knows where it should be."""
    crs, transform = PLACES[name]
    rows, cols = np.mgrid[:240, :240]
    path = geotiffs.write(
        tmp_path / "in.tif",
        np.dstack([cols, rows, cols * 0 + 77]).astype(np.uint8),
        crs=crs,
        transform=transform,
    )
    with open_mercator(Same(), path) as opened:
        found = {tile: opened.tile(tile) for tile in tiles_of(opened)}
        if "180" in name:
            assert {tile.wrapped.x < 1000 for tile, made in found.items() if made} == {True, False}
            for tile, made in found.items():
                assert opened.png(tile.wrapped) == opened.png(tile) and (made is None) == (
                    opened.png(tile) is None
                )
        checked = 0
        for tile, made in found.items():
            if made is None:
                continue
            size, box = mercator.pixel_size(tile.z), mercator.bounds(tile.window, tile.z)
            y, x = np.nonzero(made.valid)
            east, north = rasterio.warp.transform(
                mercator.CRS, crs, box.left + (x + 0.5) * size, box.top - (y + 0.5) * size
            )
            east = np.array(east)
            if transform.c > 179 and crs == "EPSG:4326":
                east = east % 360
            back, north = ~transform, np.array(north)
            col, row = back.a * east + back.b * north + back.c, back.d * east + back.e * north + back.f
            inside = (col > 4) & (col < 236) & (row > 4) & (row < 236)
            shown = made.pixels[y, x].astype(float)
            assert np.abs(shown[inside, 0] + 0.5 - col[inside]).max(initial=0) < 1.01
            assert np.abs(shown[inside, 1] + 0.5 - row[inside]).max(initial=0) < 1.01
            assert np.abs((shown[inside, 0] + 0.5 - col[inside]).mean() if inside.any() else 0) < 0.15
            checked += inside.sum()
            assert (col > -1.5).all() and (col < 241.5).all() and (row > -1.5).all() and (row < 241.5).all()
        ratio = mercator.ground_size(opened.zoom, opened.extent.south) / opened.scene_metres
        assert checked > 200**2 / ratio**2


def test_a_scene_of_other_samples_has_the_same_scale_on_every_tile(tmp_path):
    rows, cols = np.mgrid[:600, :600]
    values = (1000 + 3 * cols + 2 * rows).astype(np.uint16)[..., None].repeat(3, -1)
    path = geotiffs.write(tmp_path / "in.tif", values, nodata=0)
    with open_mercator(Same(), path) as opened:
        means = {
            (t.x, t.y): made.pixels[made.valid].mean() for t in tiles_of(opened) if (made := opened.tile(t))
        }
    xs, ys = sorted({x for x, _ in means}), sorted({y for _, y in means})
    assert all(means[a, y] < means[b, y] for y in ys for a, b in itertools.pairwise(xs))


def test_scenes_without_a_place_and_zooms_without_sense_are_refused(tmp_path, scene):
    pixels = geotiffs.texture(40, 40)
    bare = geotiffs.write(tmp_path / "bare.tif", pixels, crs=None, transform=None)
    polar = geotiffs.write(
        tmp_path / "polar.tif", pixels, crs="EPSG:3031", transform=Affine(1, 0, 0, 0, -1, 0)
    )
    coarse = geotiffs.write(tmp_path / "coarse.tif", pixels, transform=Affine(9, 0, 5e5, 0, -9, 5e6))
    empty = geotiffs.write(tmp_path / "empty.tif", pixels, mask=np.zeros((40, 40), np.bool_))
    before = files(tmp_path)
    for path, error in (
        (bare, UnusableCrs),
        (polar, UnusableCrs),
        (coarse, WrongResolution),
        (empty, UnsupportedFormat),
    ):
        for kind in CONTAINERS:
            with pytest.raises(error):
                translate_to_tiles(model(), path, tmp_path / f"out.{kind}", kind, SceneOptions())
    with pytest.raises(WrongResolution):
        translate_to_tiles(model(), scene, tmp_path / "out", "xyz", SceneOptions(zoom=(3, 24)))
    assert files(tmp_path) == before


# -- what other programs read ------------------------------------------------------------------------------------


def test_archives_hold_what_the_folder_holds(scene, tmp_path):
    from pmtiles.reader import MmapSource, Reader, all_tiles

    options = SceneOptions(products=("colour",), zoom=(ZOOM - 2, ZOOM))
    for kind in CONTAINERS:
        translate_to_tiles(model(), scene, tmp_path / f"out.{kind}", kind, options)
    folder = tmp_path / "out.xyz"
    expected = {
        Tile(*map(int, path.relative_to(folder).with_suffix("").parts)): path.read_bytes()
        for path in folder.rglob("*.png")
    }
    assert len({tile.z for tile in expected}) == 3
    with (tmp_path / "out.pmtiles").open("rb") as file:
        reader = Reader(MmapSource(file))
        header, metadata = reader.header(), reader.metadata()
        assert {Tile(*key): data for key, data in all_tiles(MmapSource(file))} == expected
        assert header["clustered"] and (header["min_zoom"], header["max_zoom"]) == (ZOOM - 2, ZOOM)
    database = sqlite3.connect(tmp_path / "out.mbtiles")
    rows = database.execute("SELECT * FROM tiles").fetchall()
    said = dict(database.execute("SELECT name, value FROM metadata"))
    database.close()
    assert {Tile(z, x, 2**z - 1 - row): data for z, x, row, data in rows} == expected
    tilejson = json.loads((folder / "tiles.json").read_bytes())
    bounds = tilejson["bounds"]
    assert [float(value) for value in said["bounds"].split(",")] == bounds
    assert [header[f"{edge}_e7"] / 1e7 for edge in ("min_lon", "min_lat", "max_lon", "max_lat")] == bounds
    assert said["format"] == "png" and (said["minzoom"], said["maxzoom"]) == (str(ZOOM - 2), str(ZOOM))
    for found in (said, metadata, tilejson):
        assert "neural network" in found["description"] and found["sat2map_model"] == "fake"
    with rasterio.open(scene) as dataset:
        assert rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds) == pytest.approx(
            bounds
        )


def test_gdal_reads_the_database_in_the_right_place(scene, tmp_path):
    out = tmp_path / "out.mbtiles"
    translate_to_tiles(Same(), scene, out, "mbtiles", SceneOptions(zoom=(ZOOM, ZOOM)))
    with rasterio.open(out, driver="MBTiles") as made, rasterio.open(scene) as dataset:
        assert made.crs.to_epsg() == 3857
        x, y = rasterio.warp.transform(dataset.crs, made.crs, [500_000 + 300], [5_000_000 - 60])
        (shown,) = made.sample([(x[0], y[0])])
        (below,) = rasterio.vrt.WarpedVRT(dataset, crs=made.crs).sample([(x[0], y[0])])
        assert shown[3] == 255 and np.abs(shown[:3].astype(int) - below[:3]).max() < 60
        (outside,) = made.sample([rasterio.warp.transform(dataset.crs, made.crs, [500_230], [4_999_840])])
        assert outside.size == 4


def test_missing_pixels_are_transparent_and_class_numbers_stay_numbers(scene, tmp_path):
    out = tmp_path / "out"
    made = translate_to_tiles(model(), scene, out, "xyz", SceneOptions(products=PRODUCTS, zoom=(ZOOM, ZOOM)))
    kinds = set()
    for path in sorted(out.rglob("*.png")):
        name = path.relative_to(out)
        colour, classes, confidence = (Image.open(folder / name) for folder in made)
        alpha = np.asarray(colour.convert("RGBA"))[..., 3]
        assert set(np.unique(alpha)) <= {0, 255}
        for other in (classes, confidence):
            assert np.array_equal(np.asarray(other.convert("RGBA"))[..., 3], alpha)
            assert np.array_equal(np.asarray(other) == 255, alpha == 0)
        numbers = np.asarray(classes)[alpha > 0]
        palette = fakes.PALETTE
        assert set(np.unique(numbers)) <= set(palette.classes)
        assert np.array_equal(
            np.asarray(classes.convert("RGB"))[alpha > 0],
            np.array(palette.class_colours(), np.uint8)[numbers],
        )
        kinds.add(colour.mode)
    assert kinds == {"RGB", "RGBA"}


def test_a_folder_of_other_things_is_left_alone(scene, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "precious.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(OutputExists):
            translate_to_tiles(model(), scene, tmp_path / "letters", "xyz", SceneOptions(overwrite=overwrite))
    assert (tmp_path / "letters" / "precious.txt").read_text() == "x"
    (tmp_path / "empty").mkdir()
    translate_to_tiles(model(), scene, tmp_path / "empty", "xyz", SceneOptions(zoom=(ZOOM, ZOOM)))
    with pytest.raises(OutputExists):
        translate_to_tiles(model(), scene, tmp_path / "empty", "xyz", SceneOptions(zoom=(ZOOM, ZOOM)))


# -- pyramids -----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", ["UTM", "turned", "coarse", "degrees, 180"])
def test_around_a_scene_the_network_is_shown_its_mirror_image(tmp_path, name):
    """The scene says where its pixels are; so each pixel around it says which one it mirrors."""
    crs, transform = PLACES[name]
    rows, cols = np.mgrid[:240, :240]
    pixels = np.dstack([cols, rows, cols * 0 + 77]).astype(np.uint8)
    path = geotiffs.write(tmp_path / "in.tif", pixels, crs=crs, transform=transform)
    with open_mercator(Same(), path) as opened:
        source = opened.source(opened.zoom)
        box = opened.data.grown(opened.card.halo)
        inside = box._replace(row=box.row - source.region.row, col=box.col - source.region.col)
        shown, valid = source.read(inside), source.valid(inside)
        size, bounds = mercator.pixel_size(opened.zoom), mercator.bounds(box, opened.zoom)
        y, x = np.nonzero(~valid)
        east, north = rasterio.warp.transform(
            mercator.CRS, crs, bounds.left + (x + 0.5) * size, bounds.top - (y + 0.5) * size
        )
        east = np.array(east) % 360 if crs == "EPSG:4326" else np.array(east)
        back, north = ~transform, np.array(north)
        col, row = back.a * east + back.b * north + back.c, back.d * east + back.e * north + back.f
        folded = [240 - np.abs(np.mod(at, 480) - 240) for at in (col, row)]
        pixel = max(1.0, mercator.ground_size(opened.zoom, opened.extent.south) / opened.scene_metres)
        for axis in (0, 1):
            assert np.abs(shown[y, x, axis] + 0.5 - folded[axis]).max() < 2 * pixel + 1
        assert (shown[y, x, 2] == 77).all() and len(y) > 500


def test_the_grid_of_cells_is_the_worlds(scene):
    with open_mercator(model(), scene) as opened:
        assert opened.region.row % opened.side == 0 and opened.region.col % opened.side == 0
        assert opened.region.covers(opened.data.grown(opened.card.halo))
        assert opened.grid.pixels(Block(0, 0, 1, 1))[2:] == (opened.side, opened.side)
