"""A real QGIS opens what we write: colours, names and styles are there without a hand on them.

Needs QGIS with its Python (Debian: apt install qgis python3-qgis); skipped where there is none.
"""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

import fakes
import geotiffs
from sat2map.cli.main import main
from sat2map.images import read_image
from sat2map.palette import BUILDING, GREEN, HIGHWAY, LAND, MAPS, ROAD, WATER
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.translate import PRODUCTS

LOOK = pathlib.Path(__file__).with_name("qgis_look.py")
PYTHON = "/usr/bin/python3"  # distributions build QGIS for their own Python
HAS_QGIS = "import importlib.util, sys; sys.exit(importlib.util.find_spec('qgis') is None)"
SIDE = 200  # px of the test scenes; QGIS draws them four times as large

pytestmark = pytest.mark.skipif(
    not pathlib.Path(PYTHON).exists() or subprocess.run([PYTHON, "-I", "-c", HAS_QGIS]).returncode != 0,
    reason=f"no QGIS for {PYTHON} (Debian: apt install qgis python3-qgis)",
)


def toy_classes():
    """A town of every class, drawn with straight lines."""
    classes = np.full((SIDE, SIDE), LAND, np.uint8)
    classes[20:60, 20:70], classes[20:60, 120:180] = BUILDING, GREEN
    classes[120:180, 20:80], classes[90:102, :], classes[:, 150:162] = WATER, ROAD, HIGHWAY
    return classes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What our commands make of a scene with missing pixels, and of a toy town."""
    folder = tmp_path_factory.mktemp("qgis")
    mask = np.ones((SIDE, SIDE), np.bool_)
    mask[:50, :30] = False
    geotiffs.write(folder / "in.tif", geotiffs.texture(SIDE, SIDE), mask=mask)
    translate_scene(
        fakes.FakeTranslator(), folder / "in.tif", folder / "map.tif", SceneOptions(products=PRODUCTS)
    )
    geotiffs.write(folder / "town.tif", toy_classes()[..., None])
    for name in ("town.gpkg", "town.fgb", "town.geojson"):
        layers = "buildings" if name == "town.fgb" else "green,water,roads,buildings"
        assert (
            main(["vectorize", str(folder / "town.tif"), str(folder / name), "--layers", layers, "-q"]) == 0
        )
    return folder


@pytest.fixture(scope="module")
def seen(files):
    """What QGIS says of each file; its pictures lie beside them as FILE.png."""
    home = files / "home"
    home.mkdir(mode=0o700)
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GDAL", "PROJ"))
    }
    names = ["map.tif", "map_classes.tif", "map_confidence.tif", "town.gpkg", "town.fgb", "town.geojson"]
    done = subprocess.run(
        [PYTHON, str(LOOK), str(files), *(str(files / name) for name in names)],
        env={**clean, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "partially supported" not in done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == names and all(layer["valid"] for layers in found.values() for layer in layers)
    return found


def drawn(files, name):
    """The picture at the middle of each pixel of the scene: (SIDE, SIDE, 3)."""
    picture = read_image(files / f"{name}.png")
    assert picture.shape == (4 * SIDE, 4 * SIDE, 3)
    return picture[2::4, 2::4]


def stored(files, name):
    import rasterio

    with rasterio.open(files / name) as file:
        return file.read(), file.dataset_mask() > 0


def test_everything_has_its_place_on_earth(seen):
    for name, layers in seen.items():
        expected = "EPSG:4326" if name == "town.geojson" else "EPSG:32632"
        assert {layer["crs"] for layer in layers} == {expected}, name


def test_the_colour_map_is_drawn_as_it_is_and_missing_pixels_not_at_all(seen, files):
    (layer,) = seen["map.tif"]
    assert layer["renderer"] == "multibandcolor"
    colours, valid = stored(files, "map.tif")
    assert not valid.all()
    assert np.array_equal(
        drawn(files, "map.tif"), np.where(valid[..., None], np.moveaxis(colours, 0, -1), 255)
    )


def test_classes_have_their_names_and_colours_and_no_others(seen, files):
    (layer,) = seen["map_classes.tif"]
    table = fakes.PALETTE.class_colours()
    assert layer["renderer"] == "paletted"
    shown = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in table]
    assert layer["legend"] == [list(entry) for entry in zip(fakes.PALETTE.names, shown, strict=True)]
    (classes,), valid = stored(files, "map_classes.tif")
    painted = np.array(table, np.uint8)[np.where(valid, classes, 0)]
    assert len(np.unique(classes[valid])) >= 3
    assert np.array_equal(drawn(files, "map_classes.tif"), np.where(valid[..., None], painted, 255))


def test_confidence_is_grey_and_darker_where_there_is_less(seen, files):
    (layer,) = seen["map_confidence.tif"]
    assert layer["renderer"] == "singlebandgray"
    (percent,), valid = stored(files, "map_confidence.tif")
    grey = drawn(files, "map_confidence.tif")[..., 0].astype(int)
    order = np.argsort(percent[valid], kind="stable")
    assert (np.diff(grey[valid][order]) >= 0).all() and np.ptp(grey[valid]) > 100
    assert (grey[~valid] == 255).all()


def test_layers_of_a_geopackage_are_drawn_in_map_colours(seen, files):
    layers = {layer["name"]: layer for layer in seen["town.gpkg"]}
    assert list(layers) == ["green", "water", "roads", "buildings"]
    assert {name: layer["features"] for name, layer in layers.items()}["buildings"] == 1
    assert {layer["renderer"] for layer in layers.values()} == {"categorizedSymbol"}
    assert [name for name, _ in layers["roads"]["legend"]] == ["road", "highway"]
    picture, colours = drawn(files, "town.gpkg"), MAPS.class_colours()
    places = {(40, 45): BUILDING, (40, 135): GREEN, (150, 50): WATER, (96, 30): ROAD, (150, 156): HIGHWAY}
    for (row, col), number in places.items():
        assert tuple(picture[row, col]) == colours[number], (row, col)
    assert (picture[70:85, 20:140] == 255).all()  # land is not a layer: there is nothing
    # Roads are as wide as they are on the ground: 12 px of carriageway, a dark casing, then nothing.
    column = picture[80:112, 50].astype(int).sum(1)
    white = np.flatnonzero(column == sum(colours[ROAD])) + 80
    assert white.min() in (90, 91) and white.max() in (100, 101)
    assert (column[[8, 9, 22, 23]] < sum(colours[ROAD])).any()


@pytest.mark.parametrize(("name", "count"), [("town.fgb", 1), ("town.geojson", None)])
def test_other_vector_files_open_too(name, count, seen):
    (layer,) = seen[name]
    assert layer["features"] == count if count else layer["features"] >= 5
