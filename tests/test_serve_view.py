"""Views from the ground over HTTP: the library's bytes, nothing that names a file, and the tab of the page."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import geotiffs
import tiny
from sat2map.images import decode_image, encode_png
from sat2map.views import Place, SceneImagery, WorldImagery, open_viewer
from sat2map.worlds import Town
from serving import serving
from test_serve_page import browser, opened, until  # noqa: F401  (a fixture)

SIDE = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    geotiffs.write(folder / "town.tif", geotiffs.texture(SIDE, SIDE))
    tiny.viewer(folder / "geo")
    tiny.bundle(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    models = {"tiny": folder / "tiny", "geo": folder / "geo"}
    with serving(scenes={"town": folder / "town.tif"}, models=models) as running:
        yield running


@pytest.fixture(scope="module")
def middle(folder) -> Place:
    with SceneImagery(folder / "town.tif") as scene:
        west, south, east, north = scene.extent
    return Place(round((west + east) / 2, 7), round((south + north) / 2, 7))


def test_the_answer_is_what_the_library_draws(server, folder, middle):
    viewer = open_viewer(folder / "geo")
    with SceneImagery(folder / "town.tif") as scene:
        crop = scene.crop(middle, viewer.side, viewer.metres)
    seen = []
    for heading in (0.0, 130.0):
        answer = server.get(f"/view?lon={middle.x}&lat={middle.y}&heading={heading}")
        assert answer.status == 200 and answer.headers["content-type"] == "image/png"
        assert answer.body == encode_png(viewer(crop, heading))
        again = server.get(
            f"/view?lon={middle.x}&lat={middle.y}&heading={heading + 360}",
            If_None_Match=answer.headers["etag"],
        )
        assert again.status == 304
        seen.append(answer.body)
    assert seen[0] != seen[1]


def test_a_town_needs_no_scene(server, folder):
    viewer, world = open_viewer(folder / "geo"), WorldImagery(Town(seed=7, style="organic"))
    answer = server.get("/towns/organic/7/view.png?x=12.5&y=-30&heading=45")
    crop = world.crop(Place(12.5, -30.0), viewer.side, viewer.metres)
    assert answer.status == 200 and answer.body == encode_png(viewer(crop, 45.0))


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/view?lat=47", 400, "BadQuery"),
        ("/view?lon=15&lat=nan", 400, "BadQuery"),
        ("/view?lon=15&lat=1e400", 400, "BadQuery"),
        ("/view?lon=181&lat=47", 400, "BadQuery"),
        ("/view?lon=15&lat=47&heading=north", 400, "BadQuery"),
        ("/view?lon=../../etc/passwd&lat=47", 400, "BadQuery"),
        ("/view?lon=15&lat=47&scene=../town", 404, "NoSuchPlace"),
        ("/view?lon=15&lat=47&model=tiny", 404, "NoViewModel"),
        ("/view?lon=15&lat=47&model=%2Fetc%2Fpasswd", 404, "NoViewModel"),
        ("/view?lon=-170&lat=-60", 404, "NoImagery"),
        ("/towns/..%2f..%2fetc/7/view.png?x=0&y=0", 404, None),
        ("/towns/grid/seven/view.png?x=0&y=0", 404, "NoSuchPlace"),
        ("/towns/grid/7/view.png?x=0", 400, "BadQuery"),
    ],
)
def test_what_cannot_be_drawn_is_said(server, path, status, kind):
    answer = server.get(path)
    assert answer.status == status and answer.headers["content-type"] == "application/problem+json"
    assert kind is None or answer.json()["kind"] == kind
    assert "/tmp" not in answer.body.decode() and "town.tif" not in answer.body.decode()


def test_equal_requests_share_one_picture_and_a_crowd_is_turned_away(server, middle):
    def ask(number: int):
        return server.get(f"/view?lon={middle.x}&lat={middle.y}&heading={number}")

    with ThreadPoolExecutor(24) as pool:
        same = list(pool.map(ask, [77] * 12))
        crowd = list(pool.map(ask, range(200, 224)))
    assert {answer.status for answer in same} == {200} and len({answer.body for answer in same}) == 1
    assert {answer.status for answer in crowd} <= {200, 503}
    for answer in crowd:
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) >= 1 and answer.json()["kind"] == "Refused"
    assert server.get("/healthz").status == 200


def test_a_view_model_translates_no_pictures(server):
    picture = encode_png(geotiffs.texture(64, 64))
    assert server.ask("POST", "/translate?model=geo", picture).status == 404
    assert server.ask("POST", "/translate", picture).status == 200


def test_the_description_and_the_page_know_of_it(server):
    paths = server.get("/openapi.json").json()["paths"]
    assert {"/view", "/towns/{style}/{seed}/view.png"} <= set(paths)
    models = server.get("/layers.json").json()["models"]
    assert [model["ground"] for model in models] == [None, {"field": 75.0, "width": 64, "height": 64}]


DRAWN = "Boolean(window.sat2mapView?.drawn) && window.sat2mapView.drawn === window.sat2mapView.address"


def picture(page) -> np.ndarray:
    """The pixels of the view as the browser has them."""
    data = page.evaluate("""(() => {
        const image = document.getElementById('view-picture'), canvas = document.createElement('canvas');
        canvas.width = image.naturalWidth;
        canvas.height = image.naturalHeight;
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
    })()""")
    side = round((len(data) / 4) ** 0.5)
    return np.array(data, np.uint8).reshape(side, side, 4)[..., :3]


def test_the_tab_stands_turns_and_walks(browser, server, middle):  # noqa: F811
    with contextlib.contextmanager(opened)(browser, server) as page:
        page.goto(f"{page.address}#view")
        until(page, DRAWN)
        assert page.locator("#view-ready").is_visible() and not page.locator("#view-missing").is_visible()
        assert float(page.input_value("#view-x")) == pytest.approx(middle.x, abs=1e-5)
        first = picture(page)
        assert first.shape == (64, 64, 3)
        page.locator("#view-picture").focus()
        page.keyboard.press("ArrowRight")
        until(page, DRAWN)
        turned = picture(page)
        assert page.input_value("#view-heading") == "15" and (turned != first).any()
        page.keyboard.press("ArrowUp")
        until(page, DRAWN)
        assert float(page.input_value("#view-y")) > middle.y and (picture(page) != turned).any()
        box = page.locator("#view-ground").bounding_box()
        before = page.input_value("#view-x")
        page.mouse.click(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5)
        until(page, f"document.getElementById('view-x').value !== '{before}'")
        until(page, DRAWN)
        expected = server.get("/" + page.evaluate("sat2mapView.address")).body
        assert (picture(page) == decode_image(expected)).all()
        page.expected.add("404")
        page.fill("#view-x", "100")
        page.keyboard.press("Tab")
        until(page, "document.getElementById('view-state').textContent.includes('outside')")


def test_without_a_scene_the_tab_stands_in_an_invented_town(browser, folder):  # noqa: F811
    with (
        serving(models={"tiny": folder / "tiny", "geo": folder / "geo"}) as server,
        contextlib.contextmanager(opened)(browser, server, viewport={"width": 390, "height": 800}) as page,
    ):
        page.goto(f"{page.address}#view")
        until(page, DRAWN)
        town = page.evaluate("sat2mapView.ground.town")
        box = page.locator("#view-ground").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
        page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
        until(page, DRAWN)
        assert float(page.input_value("#view-x")) == pytest.approx(-115.2, abs=2)
        page.get_by_role("button", name="Another town").click()
        end = time.time() + 90
        while page.evaluate("sat2mapView.ground.town") == town:
            assert time.time() < end
            page.wait_for_timeout(100)
        until(page, DRAWN)
