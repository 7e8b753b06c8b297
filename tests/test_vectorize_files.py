"""What is written can be read by others: GeoPackage with styles, GeoJSON by RFC 7946, FlatGeobuf; and the command."""

import json
import pathlib
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from sat2map import errors
from sat2map.cli.main import main
from sat2map.palette import BUILDING, CLASS_NAMES, GREEN, HIGHWAY, LAND, MAPS, ROAD, WATER
from sat2map.scenes.vectorize import Summary, VectorOptions, vectorize
from sat2map.scenes.vectors.layers import DEFAULT, LAYERS, class_colour
from sat2map.scenes.vectors.sources import Affine, ClassArray, RasterArray
from vector_cases import blobs

pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

UTM = "EPSG:32633"
PLACE = Affine(0.5, 0.0, 400_000.0, 0.0, -0.5, 5_800_000.0)


def wkt(name: str) -> str:
    from rasterio.crs import CRS

    return CRS.from_user_input(name).to_wkt()


def town() -> np.ndarray:
    """200 x 240 px: a cross of a street and a highway, four houses, a lake with an island, a park."""
    classes = np.full((200, 240), LAND, np.uint8)
    classes[95:105], classes[:, 110:122] = ROAD, HIGHWAY
    for row, col in ((20, 20), (20, 60), (60, 20), (60, 60)):
        classes[row : row + 20, col : col + 24] = BUILDING
    classes[120:190, 130:230], classes[140:160, 160:180] = WATER, LAND
    classes[120:190, 10:90] = GREEN
    return classes


def source() -> ClassArray:
    return ClassArray(town(), PLACE, wkt(UTM), (0.5, 0.5))


def features(path: pathlib.Path, layer: str | None = None) -> list[dict[str, object]]:
    meta, _, geometry, columns = pyogrio.raw.read(path, layer=layer)
    rows = [dict(zip(meta["fields"], values, strict=True)) for values in zip(*columns, strict=True)]
    return [{"geometry": shapely.from_wkb(g), **row} for g, row in zip(geometry, rows, strict=True)]


def written(feature: dict[str, object]) -> str:
    """All of a feature, to the last bit."""
    return feature["geometry"].wkb_hex + repr([v for k, v in feature.items() if k != "geometry"])


def run(tmp_path: pathlib.Path, name: str, **options: object) -> tuple[pathlib.Path, Summary]:
    confidence = RasterArray(np.where(town() == BUILDING, 80, 60).astype(np.uint8))
    out = tmp_path / name
    return out, vectorize(source(), out, VectorOptions(**options), confidence)  # type: ignore[arg-type]


def test_a_geopackage_has_layers_attributes_and_a_place(tmp_path) -> None:
    out, summary = run(tmp_path, "town.gpkg")
    assert summary.counts == {"green": 1, "water": 1, "roads": 4, "buildings": 4}
    assert summary.notices == [] and summary.paths == [out]
    assert {name for name, _ in pyogrio.list_layers(out)} == {*DEFAULT, "layer_styles"}
    houses = features(out, "buildings")
    assert [house["area_m2"] for house in houses] == [120.0] * 4
    assert {house["class"] for house in houses} == {"building"}
    assert {house["confidence"] for house in houses} == {80.0}
    corners = sorted(house["geometry"].bounds for house in houses)
    assert corners[0] == (400_010.0, 5_799_960.0, 400_022.0, 5_799_970.0)
    (lake,) = features(out, "water")
    assert len(lake["geometry"].interiors) == 1 and lake["area_m2"] == (70 * 100 - 20 * 20) / 4
    roads = features(out, "roads")
    assert sum(road["length_m"] for road in roads) == pytest.approx(220, abs=3)
    assert [*roads[0]] == ["geometry", "class", "length_m", "width_m", "confidence"]
    assert [*lake] == ["geometry", "class", "area_m2", "confidence"]
    widths = {name: {r["width_m"] for r in roads if r["class"] == name} for name in ("road", "highway")}
    assert all(abs(w - 5) < 1 for w in widths["road"]) and all(abs(w - 6) < 1 for w in widths["highway"])
    info = pyogrio.read_info(out, layer="roads")
    assert info["crs"] == UTM and info["geometry_type"] == "LineString"


def test_every_layer_has_a_style_that_paints_map_colours(tmp_path) -> None:
    out, _ = run(tmp_path, "town.gpkg", layers=tuple(LAYERS))
    with sqlite3.connect(out) as base:
        rows = base.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ).fetchall()
        columns = dict(base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall())
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()
    assert {name: column for name, column, _, _ in rows} == columns == dict.fromkeys(LAYERS, "geom")
    for name, _, default, style in rows:
        tree = ElementTree.fromstring(style.partition("\n")[2])
        assert default == 1
        shown = {c.get("value"): c.get("symbol") for c in tree.iter("category")}
        assert set(shown) == {CLASS_NAMES[number] for number in LAYERS[name].classes}
        for number in LAYERS[name].classes:
            symbol = next(s for s in tree.iter("symbol") if s.get("name") == shown[CLASS_NAMES[number]])
            colours = {
                o.get("value") for o in symbol.iter("Option") if o.get("name") in ("color", "line_color")
            }
            assert ",".join(map(str, (*class_colour(number), 255))) in colours


@pytest.mark.parametrize("south_up", [False, True])
def test_geojson_follows_rfc_7946(tmp_path, south_up: bool) -> None:
    from rasterio.warp import transform

    out = tmp_path / "town.geojson"
    place = PLACE._replace(e=0.5) if south_up else PLACE
    vectorize(ClassArray(town(), place, wkt(UTM), (0.5, 0.5)), out)
    text = out.read_text("utf-8")
    found = json.loads(text)
    assert found["type"] == "FeatureCollection" and "crs" not in found
    assert {f["properties"]["layer"] for f in found["features"]} == set(DEFAULT)
    (west,), (north,) = transform(UTM, "EPSG:4326", [place.c], [place.f])
    for feature in found["features"]:
        assert feature["type"] == "Feature" and feature["properties"]["class"] in CLASS_NAMES
        shape = shapely.geometry.shape(feature["geometry"])
        points = shapely.get_coordinates(shape)
        assert np.abs(points - (west, north)).max() < 0.01
        assert np.allclose(points, np.round(points, 7), atol=1e-12)
        if feature["geometry"]["type"] == "Polygon":
            assert shapely.is_ccw(shape.exterior)
            assert not any(shapely.is_ccw(hole) for hole in shape.interiors)
            assert feature["properties"]["area_m2"] > 0 and feature["properties"]["length_m"] is None
        else:
            assert feature["properties"]["length_m"] > 0


def test_flatgeobuf_is_one_file_per_layer(tmp_path) -> None:
    out, summary = run(tmp_path, "town.fgb")
    assert sorted(tmp_path.iterdir()) == sorted(summary.paths)
    assert {path.name for path in summary.paths} == {f"town_{name}.fgb" for name in DEFAULT}
    assert len(features(tmp_path / "town_buildings.fgb")) == 4
    assert pyogrio.read_info(tmp_path / "town_roads.fgb")["crs"] == UTM
    assert [str(name) for name, _ in pyogrio.list_layers(tmp_path / "town_roads.fgb")] == ["town_roads"]
    one = vectorize(source(), out, VectorOptions(layers=("water",)))
    assert one.paths == [out] and len(features(out)) == 1


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb"])
def test_plain_pictures_are_measured_in_pixels_with_y_up(tmp_path, suffix: str) -> None:
    out = tmp_path / f"town{suffix}"
    summary = vectorize(ClassArray(town()), out, VectorOptions(layers=("buildings",)))
    assert len(summary.notices) == 2 and "y up" in summary.notices[0]
    houses = features(out, "buildings" if suffix == ".gpkg" else None)
    assert sorted(house["geometry"].bounds for house in houses)[0] == (20, 120, 44, 140)
    assert {house["area_px2"] for house in houses} == {480.0}
    metric = vectorize(
        ClassArray(town()), out, VectorOptions(layers=("buildings",), gsd=2.0, min_area=2000), overwrite=True
    )
    assert metric.counts == {"buildings": 0} and len(metric.notices) == 1


def test_blocks_change_nothing_that_is_written(tmp_path) -> None:
    classes = np.maximum(blobs(4, (150, 130), 7, 6), blobs(5, (150, 130), 3, 30))
    found = []
    for number, block in enumerate((48, 64, 1024)):
        out = tmp_path / f"{number}.gpkg"
        options = VectorOptions(layers=tuple(LAYERS), block=block)
        vectorize(ClassArray(classes, PLACE, wkt(UTM), (0.5, 0.5)), out, options)
        found.append({layer: sorted(map(written, features(out, layer))) for layer in LAYERS})
    assert found[0] == found[1] == found[2]
    assert sum(map(len, found[0].values())) > 100


def test_the_stairs_of_what_was_drawn_coarsely_vanish_on_a_finer_grid(tmp_path) -> None:
    row, col = np.mgrid[:80, :80] * 0.9  # metres
    turned = np.stack([0.8 * row - 0.6 * col, 0.6 * row + 0.8 * col])
    drawn = np.where((np.abs(turned - np.array([7, 50])[:, None, None]) < 15).all(0), GREEN, LAND)
    parks = {}
    for times, detail in ((1, None), (6, None), (6, 0.9)):
        fine = np.repeat(np.repeat(drawn, times, 0), times, 1).astype(np.uint8)
        place = Affine(0.9 / times, 0.0, 400_000.0, 0.0, -0.9 / times, 5_800_000.0)
        source = ClassArray(fine, place, wkt(UTM), (0.9 / times,) * 2, detail)
        vectorize(source, tmp_path / "park.gpkg", VectorOptions(layers=("green",)), overwrite=True)
        (park,) = features(tmp_path / "park.gpkg", "green")
        parks[times, detail] = park["geometry"]
    assert parks[6, 0.9].equals(parks[1, None])
    few, many = (len(parks[6, detail].exterior.coords) for detail in (0.9, None))
    assert many > 3 * few


@pytest.mark.parametrize("written", ["", "much", "nan", "inf", "-1", "0", "0.9"])
def test_how_coarsely_classes_were_drawn_is_read_from_their_tags(tmp_path, written: str) -> None:
    import rasterio
    from rasterio.transform import Affine as Transform

    from sat2map.scenes.raster import SHOWN
    from sat2map.scenes.vectors.opening import open_classes

    grid = {"width": 240, "height": 200, "count": 1, "dtype": "uint8", "driver": "GTiff"}
    with rasterio.open(tmp_path / "a.tif", "w", crs=UTM, transform=Transform(*PLACE), **grid) as dataset:
        dataset.write(town(), 1)
        dataset.update_tags(**{SHOWN: written})
    with open_classes(tmp_path / "a.tif") as classes:
        assert classes.detail == (0.9 if written == "0.9" else None)


def test_areas_of_all_layers_add_up_to_the_scene(tmp_path) -> None:
    out, _ = run(tmp_path, "town.gpkg", layers=tuple(LAYERS), simplify=0.0, min_area=0.0)
    names = [name for name, layer in LAYERS.items() if layer.kind == "polygons"]
    assert sum(f["area_m2"] for name in names for f in features(out, name)) == 200 * 240 / 4


def test_an_empty_scene_gives_empty_layers(tmp_path) -> None:
    out = tmp_path / "nothing.gpkg"
    summary = vectorize(ClassArray(np.full((40, 40), 255, np.uint8)), out)
    assert set(summary.counts.values()) == {0}
    assert {name for name, _ in pyogrio.list_layers(out)} == {*DEFAULT, "layer_styles"}


def test_nothing_is_left_when_reading_fails(tmp_path) -> None:
    class Broken(ClassArray):
        def read(self, window: object) -> np.ndarray:
            raise errors.CorruptImage("the file ends early", "Copy it again")

    for name in ("a.gpkg", "a.geojson", "a.fgb"):
        with pytest.raises(errors.CorruptImage):
            vectorize(Broken(town()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_wrong_use_is_refused_before_work(tmp_path) -> None:
    class Untouched(ClassArray):
        def read(self, window: object) -> np.ndarray:
            raise AssertionError("nothing is read")

    (tmp_path / "there.gpkg").write_bytes(b"mine")
    with pytest.raises(errors.OutputExists):
        vectorize(Untouched(town()), tmp_path / "there.gpkg")
    assert (tmp_path / "there.gpkg").read_bytes() == b"mine"
    with pytest.raises(errors.UnsupportedFormat, match="shp"):
        vectorize(Untouched(town()), tmp_path / "a.shp")
    with pytest.raises(errors.WrongBands, match="3 x 3"):
        vectorize(Untouched(town()), tmp_path / "a.gpkg", None, RasterArray(np.zeros((3, 3), np.uint8)))
    with pytest.raises(errors.WrongBands):
        ClassArray(np.zeros((3, 3, 3), np.uint8))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are those of POSIX")
@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.fgb"])
def test_a_full_disk_is_a_typed_error_and_leaves_nothing(tmp_path, name: str) -> None:
    # A limit on the size of files stands for a full disk: writes fail beyond it, in a process of its own.
    script = f"""
import pathlib, resource, signal, sys
import numpy as np
sys.path[:0] = {[str(pathlib.Path(__file__).parent)]!r}
from sat2map.errors import StorageFailed
from sat2map.scenes.vectorize import VectorOptions, vectorize
from sat2map.scenes.vectors.sources import ClassArray
from vector_cases import blobs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
classes = blobs(1, (200, 200), 6, 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    vectorize(ClassArray(classes), pathlib.Path({str(tmp_path)!r}) / {name!r}, VectorOptions(min_area=0))
except StorageFailed as error:
    print("refused", error)
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert process.stdout.startswith("refused"), process.stdout + process.stderr
    assert "tmp-" not in process.stdout, process.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_command_reads_maps_in_colours_and_class_pictures(tmp_path, monkeypatch, capsys) -> None:
    from sat2map.images import write_image

    monkeypatch.chdir(tmp_path)
    first = {c: MAPS.classes.index(c) for c in range(6)}
    colours = MAPS.decode(np.vectorize(first.__getitem__)(town()).astype(np.uint8))
    table = np.array(MAPS.class_colours(), np.uint8)
    write_image(pathlib.Path("map.png"), colours, overwrite=False)
    write_image(pathlib.Path("classes.png"), town(), overwrite=False, palette=table)
    write_image(pathlib.Path("percent.png"), np.full((200, 240), 70, np.uint8), overwrite=False)
    for name in ("map", "classes"):
        words = ["vectorize", f"{name}.png", f"{name}.gpkg", "--json", "--confidence", "percent.png"]
        assert main(words) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["features"] == {"green": 1, "water": 1, "roads": 4, "buildings": 4}
        assert summary["written"] == [f"{name}.gpkg"]
        assert {f["confidence"] for f in features(tmp_path / f"{name}.gpkg", "water")} == {70.0}
    assert main(["vectorize", "map.png", "map.gpkg"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["vectorize", "map.png", "b.gpkg", "--layers", "streets"]) == 2
    assert main(["vectorize", "missing.tif", "b.gpkg"]) == 2
    assert main(["vectorize", "map.png", "b.gpkg", "--confidence", "map.png"]) == 2
    assert "percentages are grey" in capsys.readouterr().err and not pathlib.Path("b.gpkg").exists()


def test_what_is_no_map_is_announced(tmp_path, monkeypatch, capsys) -> None:
    from sat2map.images import write_image

    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 120, (80, 80, 3), np.uint8)
    write_image(pathlib.Path("photo.png"), noise, overwrite=False)
    assert main(["vectorize", "photo.png", "a.gpkg"]) == 0
    assert "does not look like a map: 100% of its pixels" in capsys.readouterr().err


def test_the_command_reads_georeferenced_classes(tmp_path, capsys) -> None:
    import rasterio
    from rasterio.transform import Affine as Transform

    classes = town()
    classes[:10, :10] = 255
    grid = {"width": 240, "height": 200, "count": 1, "dtype": "uint8", "driver": "GTiff"}
    path = tmp_path / "classes.tif"
    with rasterio.open(path, "w", crs=UTM, transform=Transform(*PLACE), nodata=255, **grid) as dataset:
        dataset.write(classes, 1)
    assert main(["vectorize", str(path), str(tmp_path / "a.gpkg"), "--window", "64"]) == 0
    assert capsys.readouterr().err == ""
    houses = features(tmp_path / "a.gpkg", "buildings")
    # metres on the ground: the scale of UTM is off by up to 1 in 2500
    assert [house["area_m2"] for house in houses] == pytest.approx([120.0] * 4, rel=2e-3)
    assert sorted(house["geometry"].bounds for house in houses)[0] == pytest.approx(
        (400_010.0, 5_799_960.0, 400_022.0, 5_799_970.0), abs=1e-6
    )
    with rasterio.open(
        tmp_path / "wide.tif", "w", transform=Transform(*PLACE), **{**grid, "dtype": "uint16"}
    ) as dataset:
        dataset.write(classes.astype(np.uint16), 1)
    assert main(["vectorize", str(tmp_path / "wide.tif"), str(tmp_path / "b.gpkg")]) == 1 + 1
    assert "uint16" in capsys.readouterr().err
    with rasterio.open(tmp_path / "percent.tif", "w", transform=Transform(*PLACE), **grid) as dataset:
        dataset.write(np.full((200, 240), 70, np.uint8), 1)
    assert main(["vectorize", str(tmp_path / "percent.tif"), str(tmp_path / "b.gpkg")]) == 2
    assert "holds the number 70; classes are 0 to 6" in capsys.readouterr().err
    assert not (tmp_path / "b.gpkg").exists()


def test_without_the_extra_the_command_says_what_to_install(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    assert main(["vectorize", "map.png", str(tmp_path / "a.gpkg")]) == 2
    assert "pip install 'sat2map[vector]'" in capsys.readouterr().err
