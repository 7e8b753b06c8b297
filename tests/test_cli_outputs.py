"""What `translate` makes of a scene is said by the name of OUT; options that mean nothing for it are refused."""

import json
import sqlite3

import numpy as np
import pytest
from PIL import Image

import geotiffs
import tiny
from sat2map.cli.main import main


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with a model, a scene of 90 x 70 m, a picture, and a TIFF that is a picture."""
    monkeypatch.chdir(tmp_path)
    tiny.bundle(tmp_path / "model")
    pixels = geotiffs.texture(70, 90)
    geotiffs.write(tmp_path / "scene.tif", pixels)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(pixels).save(tmp_path / "plain.tif")
    return tmp_path


def run(*arguments: str) -> int:
    return main(["translate", *arguments, "--model", "model", "-q"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["scene.tif"], {"scene_map.tif"}),
        (["scene.tif", "map.tif"], {"map.tif"}),
        (["scene.tif", "map.png"], {"map.png", "map.png.aux.xml", "map.pgw", "map.prj"}),
        (["scene.tif", "map.webp"], {"map.webp", "map.webp.aux.xml", "map.wld", "map.prj"}),
        (["scene.tif", "map/"], {"map"}),
        (["scene.tif", "map", "--format", "xyz"], {"map"}),
        (["scene.tif", "there"], {"there"}),
        (["scene.tif", "map.mbtiles", "--zoom", "14-17"], {"map.mbtiles"}),
        (["scene.tif", "map.pmtiles", "--preview"], {"map.pmtiles", "map_preview.html"}),
        (["scene.tif", "map", "--format", "pmtiles"], {"map"}),
        (["scene.tif", "map.tif", "--preview", "--products", "colour,classes"],
         {"map.tif", "map_classes.tif", "map_preview.html"}),
        (["photo.png", "map.png"], {"map.png"}),
        (["plain.tif", "map.png"], {"map.png"}),
    ],
)  # fmt: skip
def test_the_name_of_out_says_what_is_made(world, arguments, expected):
    before = {path.name for path in world.iterdir()}
    if "there" in arguments:
        (world / "there").mkdir()
    assert run(*arguments) == 0
    made = {path.name for path in world.iterdir()} - before
    assert {name for name in made if not name.endswith((".qml", "_classes.tif.aux.xml"))} == expected
    if "map" in expected and "pmtiles" not in arguments:
        assert json.loads((world / "map" / "tiles.json").read_bytes())["maxzoom"] == 17


def test_zooms_are_those_that_were_asked_for(world):
    assert run("scene.tif", "map.mbtiles", "--zoom", "15-18") == 0
    database = sqlite3.connect("map.mbtiles")
    assert {zoom for (zoom,) in database.execute("SELECT zoom_level FROM tiles")} == {15, 16, 17, 18}
    database.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["photo.png", "map.pmtiles"], "georeferenced"),
        (["photo.png", "map.tif"], "ordinary picture"),
        (["model", "maps.png"], "name a folder"),
        (["model", "maps", "--format", "tif"], "--format is for scenes"),
        (["photo.png", "map.png", "--zoom", "3"], "--zoom"),
        (["photo.png", "map.png", "--preview"], "--preview"),
        (["plain.tif", "map.png", "--gsd", "1"], "--gsd"),
        (["scene.tif", "map.tif", "--zoom", "3-4"], "--zoom"),
        (["scene.tif", "map/", "--zoom", "9-3"], "MIN-MAX"),
        (["scene.tif", "map/", "--zoom", "x"], "MIN-MAX"),
        (["scene.tif", "map/", "--zoom", "3-22"], "repeat"),
        (["scene.tif", "map/", "--co", "COMPRESS=LZW"], "--co"),
        (["scene.tif", "map.png", "--co", "COMPRESS=LZW"], "--co"),
        (["scene.tif", "map.pmtiles", "--output-crs", "EPSG:4326"], "--output-crs"),
        (["photo.png"], "OUT"),
        (["scene.tif", "--format", "xyz"], "OUT"),
        (["plain.tif", "map.pmtiles"], "CRS"),
        (["scene.tif", "model/", "--overwrite"], "other things"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_left(world, capsys, arguments, says):
    before = sorted(str(path) for path in world.rglob("*"))
    assert run(*arguments) == 2
    assert says in capsys.readouterr().err
    assert sorted(str(path) for path in world.rglob("*")) == before


def test_a_broken_file_is_named_as_that_whatever_it_is_called(world, capsys):
    (world / "empty.tif").touch()
    assert run("empty.tif", "map.tif") == 1
    assert "empty.tif is no PNG, JPEG, WebP or TIFF image: it is empty" in capsys.readouterr().err
    assert run("scene.tif", "map.gif") == 1
    assert ".pmtiles" in capsys.readouterr().err


def test_scenes_in_a_folder_of_pictures_are_told_of(world, capsys):
    (world / "photos").mkdir()
    for name in ("scene.tif", "photo.png", "plain.tif"):
        (world / name).rename(world / "photos" / name)
    assert main(["translate", "photos", "maps", "--model", "model"]) == 0
    assert "1 of the images are GeoTIFFs" in capsys.readouterr().err


def test_the_page_is_among_what_was_written(world, capsys):
    assert main(["translate", "scene.tif", "map.tif", "--model", "model", "--preview"]) == 0
    assert capsys.readouterr().out.split() == ["map.tif", "map_preview.html"]


def test_a_folder_of_pictures_is_still_a_folder_of_pictures(world):
    (world / "photos").mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(world / "photos" / "a.png")
    assert run("photos", "maps/") == 0
    assert [path.name for path in (world / "maps").iterdir()] == ["a.png"]
