"""`info` tells images, scenes, vector files, models and runs apart and says about each what people ask."""

import json
import math

import numpy as np
import pytest

import geotiffs
import tiny
from sat2map.bundle import Metrics, find
from sat2map.cli.descriptions import work_lines
from sat2map.cli.main import main
from sat2map.images import encode_png, write_image
from sat2map.mercator import Degrees, Tile
from sat2map.scenes.tiles.containers import CONTAINERS, Tileset

FIGURES = Metrics(
    protocol="maps-600",
    split="val",
    n=9,
    figures={"miou6": 0.51},
    command="",
    baselines={"blank": {"miou6": 0.08}},
)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints" / "step-000400").mkdir(parents=True)
    (folder / "recipe.yaml").write_text("name: carto\ndata:\n  name: not-this\n")
    entries = [
        {"kind": "train", "step": 100, "seen": 400, "loss": 2.5},
        {"kind": "development", "step": 100, "seen": 400, "miou6": 0.2},
        {"kind": "train", "step": 400, "seen": 1600, "loss": 1.25},
    ]
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "log.jsonl").write_text(text + '{"kind": "train", "step": 999, "los')  # torn by a kill
    return folder


def shown(capsys, *arguments):
    assert main(["info", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_an_image(tmp_path, capsys):
    write_image(tmp_path / "a.png", np.zeros((30, 40, 3), np.uint8), overwrite=False)
    facts = json.loads(shown(capsys, tmp_path / "a.png", "--json"))
    assert (facts["is"], facts["format"], facts["width"], facts["height"]) == ("image", "PNG", 40, 30)
    assert "40" in shown(capsys, tmp_path / "a.png")


def test_a_model_with_its_figures_baselines_and_limits(tmp_path, capsys):
    folder = tiny.bundle(tmp_path / "b", metrics=(FIGURES,), limits=("It knows nothing.",)).folder
    text = shown(capsys, folder)
    for words in (
        "tiny",
        "halo 8 px",
        "miou6: model 0.51, blank 0.08",
        "n = 9",
        "It knows nothing.",
        "water",
    ):
        assert words in text
    assert json.loads(shown(capsys, folder, "--json"))["metrics"][0]["n"] == 9


def test_a_model_that_paints_colours(tmp_path, capsys):
    changes = {"kind": "rgb", "palette": None, "windowing": "blend", "receptive_radius": -1}
    text = shown(capsys, tiny.bundle(tmp_path / "b", cell=64, **changes).folder)
    assert "their whole window" in text and "limits" in text


def test_a_model_of_views_has_no_classes_and_windows(tmp_path, capsys):
    text = shown(capsys, "view-geo")
    assert "256 x 256 px (128 m)" in text and "planes at 0, 4, 8, 16 m" in text and "75 degrees wide" in text
    assert "classes" not in text and "windows" not in text and "bands" not in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"ground": {"route": "latent", "field": 75.0, "turned": False}},
            ("north up", "a picture of 64 x 32 px, 75 degrees wide"),
        ),
        (
            {"ground": {"route": "projected", "field": 360.0, "heights": [0.0]}},
            ("planes at 0 m", "a panorama, the heading in its middle, the horizon at 50%"),
        ),
        ({"latent": 6, "cell": 32}, ("6 normal draws", "a picture of 32 x 32 px")),
    ],
)
def test_what_a_model_of_pictures_takes_and_makes(facts, words):
    ground = {"height": 32, "width": 64, "side": 128, "horizon": 0.5, "eye": 1.7} | facts.get("ground", {})
    given = {"metres_per_pixel": 0.5, **facts, **({"ground": ground} if "ground" in facts else {})}
    text = "\n".join(work_lines(given).values())
    assert all(word in text for word in words), text


def test_a_run_that_was_killed(run, capsys):
    facts = json.loads(shown(capsys, run, "--json"))
    assert (facts["recipe"], facts["step"], facts["checkpoints"]) == ("carto", 400, ["step-000400"])
    assert facts["latest"]["train"]["loss"] == 1.25 and facts["latest"]["development"]["miou6"] == 0.2
    text = shown(capsys, run)
    assert "recipe carto" in text and "loss 1.25" in text


def test_a_run_that_has_just_begun(run, capsys):
    (run / "log.jsonl").unlink()
    assert json.loads(shown(capsys, run, "--json"))["step"] == 0


def test_a_damaged_model_is_not_described(tmp_path, capsys):
    folder = tiny.bundle(tmp_path / "b").folder
    (folder / "model.onnx").write_bytes(b"other")
    assert main(["info", str(folder)]) == 1
    assert "model.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["nothing", "nothing.png", "no/such/folder"])
def test_what_is_not_there_is_said_so(wrong, capsys):
    assert main(["info", wrong]) == 2
    assert wrong in capsys.readouterr().err


def test_every_shipped_model_can_be_asked_for_by_id(capsys):
    from sat2map.bundle import shipped

    for name in shipped():
        assert f"model {name}" in shown(capsys, name)


# -- scenes and vector files --------------------------------------------------------------------------------------


def asked(capsys, path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(shown(capsys, path, "--json"), parse_constant=refuse)


def test_a_scene_says_where_it_is_and_how_the_model_would_see_it(tmp_path, capsys):
    transform = geotiffs.Affine(0.45, 0, 500_000, 0, -0.45, 5_000_000)
    path = geotiffs.write(
        tmp_path / "a.tif", geotiffs.texture(300, 200), transform=transform, nodata=0, tiled=True, blockxsize=64,
        blockysize=128, compress="deflate",
    )  # fmt: skip
    facts = asked(capsys, path)
    assert (facts["is"], facts["width"], facts["height"], facts["crs"]) == ("scene", 200, 300, "EPSG:32632")
    assert (facts["bands"], set(facts["dtypes"])) == (3, {"uint8"})
    assert (facts["nodata"], facts["mask"], facts["block"]) == (0, "nodata", [128, 64])
    assert facts["bounds"] == [500_000, 5_000_000 - 300 * 0.45, 500_000 + 200 * 0.45, 5_000_000]
    west, south, east, north = facts["lonlat"]  # 500,000 m is the meridian of the zone, 9 degrees east
    assert west == pytest.approx(9, abs=1e-9) and east - west == pytest.approx(
        90 / (111_320 * math.cos(math.radians(45.15))), rel=0.01
    )
    assert north - south == pytest.approx(135 / 111_130, rel=0.01) and 45 < north < 45.3
    seen = facts["model"]
    assert seen["id"] == find().card.id
    assert (seen["width"], seen["height"]) == (101, 151)  # 0.9 m; a metre of UTM is 1.0004 m on this meridian
    assert facts["zoom"] == pytest.approx(
        math.log2(40_075_017 * math.cos(math.radians(45.15)) / 256 / 0.45), abs=0.01
    )
    text = shown(capsys, path)
    for words in (
        "EPSG:32632",
        "200 x 300 px",
        "pixels of value 0",
        "blocks of 64 x 128 px",
        "carto sees 101 x 151 px",
    ):
        assert words in text


def test_a_product_names_the_model_that_made_it(tmp_path, capsys):
    scene = geotiffs.write(tmp_path / "a.tif", geotiffs.texture(700, 600))
    bundle = tiny.bundle(tmp_path / "b")
    command = [
        "translate",
        scene,
        tmp_path / "map.tif",
        "--model",
        bundle.folder,
        "--products",
        "classes",
        "-q",
    ]
    assert main([*map(str, command)]) == 0
    facts = asked(capsys, tmp_path / "map.tif")
    own = facts["product"]
    assert (own["model"], own["generated"], own["product"]) == ("tiny", "yes", "classes")
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    assert own["model_sha256"] in json.dumps(manifest)
    assert facts["is_cog"] and facts["colours"] == ["palette"] and facts["overviews"] == [2]
    text = shown(capsys, tmp_path / "map.tif")
    assert "classes product of sat2map" in text and "model tiny" in text and "not surveyed" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crs": None, "transform": None}, "of unknown size on the ground"),
        ({"transform": geotiffs.Affine(90, 0, 5e5, 0, -90, 5e6)}, "carto refuses"),
        ({"crs": "EPSG:4326"}, "cannot be right"),  # metres in a file that says degrees
        ({"nodata": math.nan, "dtype": "float32"}, "pixels of value nan"),
    ],
)
def test_scenes_that_cannot_be_translated_as_they_are_can_be_looked_at(changes, words, tmp_path, capsys):
    pixels = geotiffs.texture(20, 30).astype(changes.pop("dtype", "uint8"))
    path = geotiffs.write(tmp_path / "a.tif", pixels, **changes)
    assert asked(capsys, path)["width"] == 30
    assert words in shown(capsys, path)


def test_a_scene_by_control_points_has_bounds_too(tmp_path, capsys):
    from rasterio.control import GroundControlPoint

    points = [
        GroundControlPoint(row=row, col=col, x=9 + col * 1e-5, y=45 - row * 1e-5)
        for row, col in ((0, 0), (0, 30), (20, 0), (20, 30))
    ]
    path = geotiffs.write(
        tmp_path / "a.tif", geotiffs.texture(20, 30), transform=None, gcps=points, crs="EPSG:4326"
    )
    facts = asked(capsys, path)
    assert facts["control_points"] == 4 and facts["transform"] is None
    assert facts["lonlat"] == pytest.approx([9, 45 - 20e-5, 9 + 30e-5, 45], abs=1e-9)
    assert "4 control points" in shown(capsys, path)


def test_a_scene_that_is_none_gets_the_typed_error(tmp_path, capsys):
    path = geotiffs.write(tmp_path / "a.tif", geotiffs.texture(20, 30))
    path.write_bytes(path.read_bytes()[:40])
    assert main(["info", str(path)]) == 1
    assert "a.tif" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "layers"), [("a.gpkg", 2), ("a.geojson", 1), ("a_buildings.fgb", 1)])
def test_vector_files_list_their_layers(name, layers, tmp_path, capsys):
    classes = np.zeros((60, 80), np.uint8)
    classes[10:20, 10:30], classes[40:52, 40:60] = 1, 1  # two buildings
    classes[30:34, :] = 2  # a road
    scene = geotiffs.write(tmp_path / "classes.tif", classes[..., None])
    out = tmp_path / name.replace("_buildings", "")
    assert main(["vectorize", str(scene), str(out), "--layers", "roads,buildings", "-q"]) == 0
    facts = asked(capsys, tmp_path / name)
    assert facts["is"] == "vectors" and len(facts["layers"]) == layers
    assert facts["styled"] == (name == "a.gpkg")
    counts = {layer["name"]: layer["features"] for layer in facts["layers"]}
    assert sum(counts.values()) == {"a.gpkg": 3, "a.geojson": 3, "a_buildings.fgb": 2}[name]
    text = shown(capsys, tmp_path / name)
    assert all(f"{layer}: {count} features" in text for layer, count in counts.items())


@pytest.mark.parametrize(
    "content",
    [b"{ nothing", b"SQLite format 3\0" + bytes(52) + b"GPKG" + bytes(99), b"fgb\x03fgb\x00" + bytes(9)],
)
def test_vector_files_that_are_none_get_the_typed_error(content, tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(content)
    assert main(["info", str(tmp_path / "a.bin")]) == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "kind"), [("t", "xyz"), ("t.mbtiles", "mbtiles"), ("t.pmtiles", "pmtiles")])
def test_tiles_say_what_they_hold(name, kind, tmp_path, capsys):
    tiles = [Tile(3, 4, 2), Tile(4, 8, 5), Tile(4, 9, 5)]
    more = {"sat2map_model": "carto", "attribution": "Somebody"}
    tileset = Tileset("town colour", "Generated", (3, 4), Degrees(0.0, 40.0, 45.0, 60.0), more)
    with CONTAINERS[kind](tmp_path / name, tileset, overwrite=False) as put:
        for tile in tiles:
            put(tile, encode_png(np.zeros((256, 256, 3), np.uint8)))
    assert main(["info", str(tmp_path / name), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    said = found["metadata"]
    assert (found["is"], found["format"], said["minzoom"], said["maxzoom"]) == ("tiles", kind, 3, 4)
    assert said["bounds"] == pytest.approx([0, 40, 45, 60]) and said["name"] == "town colour"
    assert kind == "xyz" or said["tiles_count"] == len(tiles)
    assert main(["info", str(tmp_path / name)]) == 0
    shown = capsys.readouterr().out
    assert all(words in shown for words in ("3 to 4", "west 0", "model carto", "Somebody"))


def test_tiles_that_were_damaged_are_still_called_tiles(tmp_path, capsys):
    (tmp_path / "torn.pmtiles").write_bytes(b"PMTiles\x03" + b"\xff" * 40)
    (tmp_path / "torn.mbtiles").write_bytes(b"SQLite format 3\x00" + b"\xff" * 40)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "tiles.json").write_text('{"tilejson": "3.0')
    for name in ("torn.pmtiles", "torn.mbtiles", "torn"):
        assert main(["info", str(tmp_path / name)]) == 0
        assert "tiles" in capsys.readouterr().out
