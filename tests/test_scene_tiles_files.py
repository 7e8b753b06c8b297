"""Tiles in folders, MBTiles and PMTiles: what other programs read."""

import json
import sqlite3

import numpy as np
import pytest
import rasterio
from PIL import Image

import fakes
from sat2map.errors import OutputExists
from sat2map.mercator import Tile
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.tiles.containers import CONTAINERS
from sat2map.scenes.tiles.job import translate_to_tiles
from sat2map.scenes.translate import PRODUCTS
from tiled import ZOOM, Same, model, small_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return small_scene(tmp_path_factory.mktemp("tiles"))


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
