"""`sat2map imagine`: towns, paired sets that training reads, and cleaned sketches."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.crs
from PIL import Image
from rasterio.warp import transform

from sat2map.cli.main import main
from sat2map.data.imagined import PairSettings, make_pairs
from sat2map.data.pairs import PairedSet, read
from sat2map.palette import BUILDING, GREEN, HIGHWAY, LAND, MAPS, ROAD, WATER
from sat2map.worlds.sketch import clean_sketch, inked, majority


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def silent(done: int, total: int, note: str) -> None:
    pass


SMALL = PairSettings(3, 1, tile=32, val=0.34, water=0.0)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "pairs"
    make_pairs(out, SMALL, 1, silent)
    return out


def test_a_set_is_read_as_a_paired_set_with_a_split_by_worlds(pairs: Path) -> None:
    found = PairedSet.open(pairs)
    assert found.splits == {"train": 2, "val": 1}
    assert found.licence == "CC0-1.0"
    for pair in found:
        sat, street = read(pair)
        assert sat.shape == street.shape == (32, 32, 3)
        assert not np.array_equal(sat, street)


def test_the_number_of_processes_changes_no_byte(pairs: Path, tmp_path: Path) -> None:
    make_pairs(tmp_path / "pairs", SMALL, 2, silent)
    assert files(tmp_path / "pairs") == files(pairs)


def test_a_killed_run_resumes_to_the_same_bytes(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs"
    command = [
        "imagine",
        str(out),
        "--pairs",
        "3",
        "--seed",
        "1",
        "--tile",
        "32",
        "--val",
        "0.34",
        "--water",
        "0",
        "-q",
    ]
    killed = subprocess.Popen([sys.executable, "-m", "sat2map", *command, "-j", "1"])
    journal = tmp_path / ".pairs.job" / "journal.jsonl"
    while killed.poll() is None and not journal.is_file():
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    if not out.exists():  # it was quicker than the signal otherwise
        assert journal.is_file()
        assert main([*command, "-j", "1"]) == 2, (
            "an unfinished set is neither forgotten nor silently continued"
        )
        assert main([*command, "--gsd", "1.1", "--resume", "-j", "1"]) == 2, (
            "another set is not this one continued"
        )
        half_done = sorted((tmp_path / ".pairs.job").rglob("*.png"))[0]
        half_done.write_bytes(b"torn")
        assert main([*command, "--resume", "-j", "1"]) == 0
    assert files(out) == files(pairs)
    assert not (tmp_path / ".pairs.job").exists()


def test_settings_give_the_number_of_pairs_and_disjoint_worlds() -> None:
    for count in (1, 7, 39, 40, 319, 320, 1000):
        made = PairSettings(count, 5)
        assert sum(made.tiles(place) for place in range(made.places)) == count
        assert len({made.town(place).seed for place in range(made.places)}) == made.places
        assert made.places < 2 or 0 < made.splits().count("val") <= max(0.1 * made.places + 1, 1)


def test_a_town_is_a_folder_of_pictures_a_plan_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    town = tmp_path / "town"
    command = ["imagine", str(town), "--seed", "6", "--size", "90", "-j", "1", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["style"] == "radial"
    made = files(town)
    assert {
        "map.png",
        "satellite.png",
        "classes.png",
        "plan.gpkg",
        "plan.geojson",
        "town.json",
        "index.html",
    } <= set(made)
    for name in ("map.png", "satellite.png", "view-1.png"):
        assert name in made["index.html"].decode()
    street, classes = (np.array(Image.open(town / name)) for name in ("map.png", "classes.png"))
    assert np.array_equal(MAPS.to_classes(MAPS.encode(street)), classes)
    assert main(command) == 2, "an existing town is not replaced unasked"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    assert main(["imagine", str(tmp_path / "other"), "--overwrite", "-q"]) == 2
    assert files(tmp_path / "other") == {"thesis.txt": b"mine"}


def test_a_placed_town_has_scenes_that_lie_where_its_plan_lies(tmp_path: Path) -> None:
    town = tmp_path / "town"
    assert (
        main(["imagine", str(town), "--seed", "6", "--size", "90", "--at", "13.4,52.5", "-j", "1", "-q"]) == 0
    )
    for name in ("map", "satellite", "classes"):
        with rasterio.open(town / f"{name}.tif") as scene:
            found = np.moveaxis(scene.read(), 0, -1).squeeze()
            assert np.array_equal(found, np.array(Image.open(town / f"{name}.png"))), name
            assert scene.transform.a == -scene.transform.e == pytest.approx(0.9)
            assert transform(scene.crs, "EPSG:4326", [0.0], [0.0])[0][0] == pytest.approx(13.4, abs=1e-9)
            box, crs = scene.bounds, scene.crs
    roads = pyogrio.read_info(town / "plan.gpkg", layer="roads")
    assert rasterio.crs.CRS.from_user_input(roads["crs"]).to_proj4() == crs.to_proj4()
    left, bottom, right, top = roads["total_bounds"]
    assert left < box.left + 45 < right and bottom < box.bottom + 45 < top, "streets run through the picture"
    assert (town / "classes.qml").is_file() and (town / "classes.tif.aux.xml").is_file()
    assert not [path for path in town.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "wrong",
    [["--style", "baroque"], ["--pairs", "3", "--size", "50"], ["--views"], ["--size", "1"],
     ["--pairs", "2", "--val", "2"], ["--at", "400,2"], ["--density", "-1"], ["--from-sketch", "x.png", "--seed", "3"]],
)  # fmt: skip
def test_wrong_use_writes_nothing(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["imagine", str(tmp_path / "out"), *wrong]) == 2
    assert main(["imagine", str(tmp_path / "town.png")]) == 2 and "name a folder" in capsys.readouterr().err
    assert files(tmp_path) == {}


# -- sketches --


def drawing(noise: int = 0) -> np.ndarray:
    """Felt pens on paper: a park, a lake, a wobbly street, a motorway."""
    rgb = np.full((160, 200, 3), (240, 238, 230), np.uint8)
    rgb[10:70, 10:80] = (40, 150, 60)
    rgb[100:150, 130:190] = (40, 90, 210)
    cols = np.arange(200)
    for col, row in zip(cols, 85 + np.rint(1.6 * np.sin(cols / 2)).astype(int), strict=True):
        rgb[row - 4 : row + 5, col] = (120, 120, 120)
    rgb[:, 100:112] = (250, 150, 20)
    if noise:
        random = np.random.default_rng(0)
        specks = random.random(rgb.shape[:2]) < noise / 100
        rgb[specks] = random.integers(0, 256, (int(specks.sum()), 3))
    return rgb


def test_a_sketch_becomes_a_map_of_the_palette_with_straight_streets() -> None:
    cleaned = clean_sketch(drawing(noise=3))
    classes = MAPS.to_classes(MAPS.encode(cleaned))
    for row, col, wanted in (
        (40, 40, GREEN),
        (125, 160, WATER),
        (85, 40, ROAD),
        (40, 106, HIGHWAY),
        (140, 50, LAND),
    ):
        assert classes[row, col] == wanted
    exact = (cleaned[:, :, None] == np.array(MAPS.colours)).all(-1).any(-1)
    assert exact.mean() > 0.9
    edges = [np.flatnonzero(np.isin(classes[:, col], (ROAD, HIGHWAY)))[0] for col in range(10, 90)]
    assert np.ptp(edges) <= 2, "the wobble of 1.6 px to both sides is gone"
    assert clean_sketch(np.full((20, 30, 3), 255, np.uint8)).shape == (20, 30, 3)


def test_a_clean_map_stays_what_it_is() -> None:
    from sat2map.grid import Window
    from sat2map.worlds import Town, World, paint

    town = paint(World(Town(2, "radial", water=0.0)), Window(-60, 60, 120, 120))
    before, after = (
        MAPS.to_classes(MAPS.encode(rgb)) for rgb in (town.street, clean_sketch(town.street, smooth=1))
    )
    for number in (GREEN, ROAD):
        one, other = before == number, after == number
        assert (one & other).sum() / max((one | other).sum(), 1) > 0.75


def test_majority_takes_specks_away_and_keeps_areas() -> None:
    classes = np.zeros((40, 40), np.uint8)
    classes[:, 20:] = 4
    specked = classes.copy()
    specked[5, 5], specked[30, 31] = 2, 1
    assert np.array_equal(majority(specked, 2), classes)
    assert np.array_equal(majority(specked, 0), specked)


def test_inks_are_told_by_hue() -> None:
    colours = {
        (0, 90, 20): GREEN,
        (10, 60, 160): WATER,
        (255, 140, 0): HIGHWAY,
        (70, 70, 70): ROAD,
        (150, 110, 80): BUILDING,
    }
    for colour, number in colours.items():
        assert inked(np.array([[colour]], np.uint8))[0, 0] == number
