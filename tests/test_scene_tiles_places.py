"""Scenes on the web's tile grid: every pixel is where its coordinates say, and what has no place is refused."""

import itertools

import numpy as np
import pytest
import rasterio
from affine import Affine

import geotiffs
from sat2map import mercator
from sat2map.errors import UnsupportedFormat, UnusableCrs, WrongResolution
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.tiles import open_mercator
from sat2map.scenes.tiles.containers import CONTAINERS
from sat2map.scenes.tiles.job import translate_to_tiles
from tiled import PLACES, Same, files, model, small_scene, tiles_of


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return small_scene(tmp_path_factory.mktemp("tiles"))


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
