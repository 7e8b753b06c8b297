"""Views as a user makes them: sources of imagery, walks, strips, both kinds of model, and what is refused."""

import itertools
import json
import math

import numpy as np
import pytest
from affine import Affine
from PIL import Image

import geotiffs
import tileserver
import tiny
from badnet import Server
from sat2map import mercator
from sat2map.cli.main import main
from sat2map.data.views import heading_up
from sat2map.data.views.photos import straight_ahead
from sat2map.errors import BadPath, NoImagery, UnsuitableModel, WrongResolution
from sat2map.images import read_image
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.sources.job import TileOptions
from sat2map.views import (
    Camera,
    Crop,
    PictureImagery,
    Place,
    SceneImagery,
    TileImagery,
    Viewer,
    WorldImagery,
    bearing,
    open_viewer,
    places_in,
    project,
    walked,
)
from sat2map.worlds import Town

ZOOM = 18


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "geo": tiny.viewer(folder / "geo"),
        "latent": tiny.viewer(folder / "latent", "latent"),
        "map": tiny.bundle(folder / "map"),
    }


# -- models ------------------------------------------------------------------------------------------------------------


def test_a_projected_model_is_shown_the_projection(models) -> None:
    viewer, crop = open_viewer(models["geo"].folder), Crop.centred(geotiffs.texture(96, 96), 0.9)
    shown = project(crop, viewer.camera, 40.0, (0.0, 5.0))
    drawn = OnnxTranslator(models["geo"])(shown[None], {"colour"}).colour
    np.testing.assert_array_equal(viewer(crop, 40.0), drawn[0])
    assert (viewer(crop, 40.0) != viewer(crop, 220.0)).any()


def test_a_latent_model_is_shown_the_crop_with_the_heading_up(models) -> None:
    viewer, pixels = open_viewer(models["latent"].folder), geotiffs.texture(128, 128)
    crop = Crop.centred(pixels, viewer.metres)
    np.testing.assert_array_equal(
        viewer.shown(crop, 90.0), heading_up(pixels, 90.0, side=64, row=64, col=64, reach=32)
    )
    already = Crop.centred(pixels, viewer.metres, up=90.0)
    np.testing.assert_array_equal(viewer.shown(already, 90.0), pixels[32:96, 32:96])


def test_a_model_of_maps_is_refused(models) -> None:
    with pytest.raises(UnsuitableModel, match="sat2map train view-geo"):
        Viewer(OnnxTranslator(models["map"]))


# -- imagery -----------------------------------------------------------------------------------------------------------


def marked(tmp_path, metres: float = 0.4, side: int = 600):
    """A grey scene in UTM with two white squares of 2 m, one 60 m north of the other; and the place of the southern."""
    pixels = np.full((side, side, 3), 90, np.uint8)
    row, col, step = 400, 250, round(60 / metres)
    for at in (row, row - step):
        pixels[at - 2 : at + 3, col - 2 : col + 3] = 255
    path = geotiffs.write(tmp_path / "marked.tif", pixels, transform=Affine(metres, 0, 5e5, 0, -metres, 5e6))
    from rasterio.warp import transform

    x, y = 5e5 + (col + 0.5) * metres, 5e6 - (row + 0.5) * metres
    (lon,), (lat,) = transform(geotiffs.UTM, "EPSG:4326", [x], [y])
    return path, Place(lon, lat)


def centre(mask: np.ndarray) -> tuple[float, float]:
    rows, cols = np.nonzero(mask)
    return rows.mean() + 0.5, cols.mean() + 0.5


def test_a_crop_of_a_scene_has_its_place_and_its_scale(tmp_path) -> None:
    path, place = marked(tmp_path)
    with SceneImagery(path) as scene:
        crop = scene.crop(place, 300, 0.6)
    assert crop.pixels.shape == (300, 300, 3) and crop.metres == pytest.approx(0.6, rel=0.01)
    bright = crop.pixels.min(2) > 150
    half = np.zeros_like(bright)
    half[int(crop.row) - 20 :] = True
    near, far = centre(bright & half), centre(bright & ~half)
    assert near == pytest.approx((crop.row, crop.col), abs=0.7)
    assert math.hypot(near[0] - far[0], near[1] - far[1]) * crop.metres == pytest.approx(60, rel=0.01)


def test_beyond_the_scene_nothing_is_drawn(tmp_path) -> None:
    path, place = marked(tmp_path)
    with SceneImagery(path) as scene:
        with pytest.raises(NoImagery, match="outside"):
            scene.crop(place._replace(y=place.y + 1), 96, 0.9)
        with pytest.raises(NoImagery, match="%"):
            scene.crop(place, 2000, 0.9)
        with pytest.raises(WrongResolution, match="trained on"):
            scene.crop(place, 96, 0.1)


def test_tiles_and_a_picture_of_them_give_the_same_crop(tmp_path) -> None:
    pixels = geotiffs.texture(1024, 1024)
    row = col = (1 << ZOOM) // 2 * 256 - 512
    world = tileserver.World(pixels, row, col, ZOOM)
    size = mercator.ground_size(ZOOM, 0.0)
    with Server(tileserver.serving(world)) as server:
        address = f"http://127.0.0.1:{server.port}/{{z}}/{{x}}/{{y}}.png"
        with TileImagery(address, TileOptions(cache=False, rate=100)) as tiles:
            one = tiles.crop(Place(0.0, 0.0), 256, size)
            with pytest.raises(NoImagery):
                tiles.crop(Place(1.0, 0.0), 256, size)
    two = PictureImagery(pixels, size).crop(Place(512, 512), 256, size)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert (one.row, one.col) == pytest.approx((two.row, two.col), abs=1e-6)


def test_a_picture_may_have_any_heading_up() -> None:
    imagery = PictureImagery(geotiffs.texture(80, 80), 2.0, up=90.0)
    start = Place(40.0, 40.0)
    assert imagery.offset(start, Place(40.0, 30.0)) == pytest.approx((20.0, 0.0))  # up in it is east
    assert imagery.offset(start, Place(50.0, 40.0)) == pytest.approx((0.0, -20.0))
    assert imagery.crop(start, 20, 2.0).up == 90.0


# -- walks -------------------------------------------------------------------------------------------------------------


def test_a_walk_has_even_steps_and_looks_ahead() -> None:
    imagery = WorldImagery(Town(seed=1))
    steps = walked(places_in("0,0 30,0 30,40"), imagery, 5.0)
    assert len(steps) == 15 and steps[0].place == Place(0, 0) and steps[-1].place == pytest.approx((30, 40))
    along = [imagery.offset(a.place, b.place) for a, b in itertools.pairwise(steps)]
    assert [abs(east) + abs(north) for east, north in along] == pytest.approx([5.0] * 14)
    assert steps[0].heading == pytest.approx(90.0) and steps[-1].heading == pytest.approx(0.0)
    assert {step.heading for step in walked(places_in("0,0 9,0"), imagery, 3.0, heading=200.0)} == {200.0}


def test_a_walk_may_come_from_geojson(tmp_path) -> None:
    line = {"type": "LineString", "coordinates": [[13.4, 52.5], [13.41, 52.5, 30.0]]}
    tree = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": line, "properties": {}}],
    }
    (tmp_path / "walk.geojson").write_text(json.dumps(tree))
    assert places_in(str(tmp_path / "walk.geojson")) == [Place(13.4, 52.5), Place(13.41, 52.5)]
    (tmp_path / "bad.json").write_text('{"type": "LineString", "coordinates": [[1], "x"]}')
    for text in ("1,2", "1,2 x,y", str(tmp_path / "bad.json")):
        with pytest.raises(BadPath):
            places_in(text)
    with pytest.raises(BadPath, match="--step"):
        walked(places_in("0,0 100000,0"), WorldImagery(Town(seed=1)), 4.0)


@pytest.mark.parametrize(("east", "north", "expected"), [(0, 1, 0), (1, 0, 90), (0, -1, 180), (-1, 0, 270)])
def test_headings_count_clockwise_from_north(east, north, expected) -> None:
    assert bearing(east, north) == pytest.approx(expected)


# -- the command -------------------------------------------------------------------------------------------------------


def run(capsys, *arguments: object) -> dict:
    assert main(["view", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_world_needs_nothing_else(models, tmp_path, capsys) -> None:
    out, geo = tmp_path / "view.png", models["geo"].folder
    said = run(capsys, "--world", 7, out, "--model", geo)
    imagery = WorldImagery(Town(7, "coastal"))
    place, along = imagery.street()
    assert said["places"] == [[*place]] and said["headings"] == [pytest.approx(along, abs=0.01)]
    viewer = open_viewer(geo)
    np.testing.assert_array_equal(
        read_image(out), viewer(imagery.crop(place, viewer.side, viewer.metres), along)
    )
    assert main(["view", "--world", "7", str(out), "--model", str(geo)]) == 2, (
        "nothing is overwritten unasked"
    )


def test_a_panorama_of_a_world_is_what_pinhole_cameras_see() -> None:
    imagery = WorldImagery(Town(7, "coastal"))
    place, along = imagery.street()
    panorama = imagery.truth(place, along, Camera(32, 128, 360.0))
    horizon = 0.5 + 0.12 / 2  # the painter's own

    def apart(columns: int, heading: float) -> float:
        """Mean difference between what lies so many columns to the right and a pinhole picture."""
        cut = straight_ahead(np.roll(panorama, -columns, 1), 32, 60.0, horizon)
        pinhole = imagery.truth(place, along + heading, Camera(32, 32, 60.0))
        return float(np.abs(cut.astype(int) - pinhole).mean())

    for columns in (0, 50):  # where two faces meet, too
        turn = columns * 360 / 128
        assert apart(columns, turn) < 16 and apart(columns, turn + 90) > 40


def test_a_path_becomes_an_animation_and_a_strip_shows_its_parts(models, tmp_path, capsys) -> None:
    geo, gif = models["geo"].folder, tmp_path / "walk.gif"
    said = run(capsys, gif, "--world", 3, "--path", "0,0 10,0", "--step", 5, "--model", geo)
    with Image.open(gif) as frames:
        assert said["pictures"] == frames.n_frames == 3
    photos = tmp_path / "photos"
    for name in ("satellite", "ground"):
        (photos / name).mkdir(parents=True)
        for number in range(2):
            Image.fromarray(geotiffs.texture(60, 60, seed=number)).save(photos / name / f"{number}.png")
    strip = tmp_path / "strip.png"
    run(capsys, "5,5", strip, "--world", 3, "--heading", 30, "--strip", "--photos", photos, "--model", geo)
    shown = read_image(strip)
    assert shown.shape == (256, 5 * 256 + 4 * 6, 3), "above, drawn, painted from the plan, two photos"


@pytest.mark.parametrize("kind", ["geo", "latent"])
def test_scenes_and_images_take_both_kinds_of_model(models, tmp_path, capsys, kind) -> None:
    path, place = marked(tmp_path)
    model = models[kind].folder
    run(capsys, f"{place.x},{place.y}", tmp_path / "a.png", "--scene", path, "--model", model)
    image = tmp_path / "above.png"
    Image.fromarray(geotiffs.texture(300, 300)).save(image)
    run(capsys, image, tmp_path / "b.png", "--gsd", 0.9, "--at", "150,120", "--up", 20, "--model", model)
    assert read_image(tmp_path / "a.png").shape == read_image(tmp_path / "b.png").shape == (64, 64, 3)


def test_western_longitudes_are_no_options(models, tmp_path, capsys) -> None:
    path, _ = marked(tmp_path)
    arguments = ["view", "-73.98,40.75", str(tmp_path / "x.png"), "--scene", str(path)]
    assert main([*arguments, "--model", str(models["geo"].folder)]) == 2
    assert "outside marked.tif" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["out.png"], "Where from?"),
        (["1,2", "out.png"], "add --scene"),
        (["photo.png", "out.png"], "--gsd"),
        (["out.png", "--world", "1", "--scene", "x.tif"], "two sources"),
        (["out.png", "--world", "1", "--gsd", "1"], "--gsd is for IMAGE"),
        (["out.png", "--world", "1", "--path", "0,0 5,5"], ".gif"),
        (["out.gif", "--world", "1"], ".gif"),
        (["0,0", "out.gif", "--world", "1", "--path", "0,0 5,5"], "leave PLACE out"),
        (["out.png", "--scene", "x.tif"], "PLACE"),
        (["out.png", "--world", "1", "--photos", "x"], "--strip"),
        (["a", "b", "out.png", "--world", "1"], "3 arguments"),
    ],
)
def test_what_makes_no_sense_is_said(arguments, says, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["view", *arguments]) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_model_in_the_package_draws_without_files_or_network(tmp_path, capsys) -> None:
    """A newcomer's first command. The picture must have to do with the place: sky above, the pavement below."""
    said = run(capsys, "--world", 7, tmp_path / "view.png")
    picture = read_image(tmp_path / "view.png").astype(int)
    assert said["model"] == "view-geo" and picture.shape == (128, 128, 3)
    top, bottom = picture[:40].mean((0, 1)), picture[-20:, 50:78].mean((0, 1))
    assert top[2] > top[0] + 15, "blue above"
    assert abs(bottom[2] - bottom[0]) < 40 and picture.std() > 20
