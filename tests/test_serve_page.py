"""The page in a real browser: a scene and the default model, mouse, finger and keys, light and dark, one server."""

import importlib.util
import json
import pathlib
import re
import shutil
import time

import numpy as np
import pytest

import geotiffs
import tiny
from sat2map.bundle import shipped
from sat2map.images import decode_image, encode_png
from serving import serving

PATIENCE = 90  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("page")
    geotiffs.write(folder / "town.tif", geotiffs.texture(260, 300))
    (folder / "photo.png").write_bytes(encode_png(geotiffs.texture(120, 160)))
    tiny.bundle(folder / "back", id="back", direction="map2sat", kind="rgb", palette=None)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    models = {"carto": "carto", "back": folder / "back"}
    limits = {"patience": 300, "overview_patience": 300}
    with serving(scenes={"town": folder / "town.tif"}, models=models, limits=limits) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: the page is not tried in a browser")
    with sync.sync_playwright() as playwright:
        options = [
            "--no-sandbox", "--disable-background-networking", "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
        ]  # fmt: skip
        chromium = playwright.chromium.launch(executable_path=path, args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, server):
    yield from opened(browser, server)


def opened(browser, server, **options):
    context = browser.new_context(**{"viewport": {"width": 1000, "height": 640}, **options})
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.troubles, page.expected = [], set()
    page.on("console", lambda m: page.troubles.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    own = f"http://127.0.0.1:{server.port}/"
    page.on(
        "request",
        lambda r: page.troubles.append(r.url) if not r.url.startswith((own, "blob:", "data:")) else None,
    )
    page.address = own
    yield page
    context.close()
    left = [t for t in page.troubles if not any(e in t for e in page.expected) and "GPU stall" not in t]
    assert left == []


def until(page, expression: str, patience: float = PATIENCE) -> None:
    """Wait for an expression; our policy forbids what Playwright's own waiting does."""
    end = time.time() + patience
    while not page.evaluate(expression):
        assert time.time() < end, f"never {expression}: {page.locator('body').inner_text()[:400]}"
        page.wait_for_timeout(100)


SHOWN = "Boolean(window.sat2map?.isShown())"


def colours(page, x: float, y: float, width: int = 60, height: int = 60) -> np.ndarray:
    """(P, 3) colours of a piece of the window."""
    data = page.screenshot(clip={"x": x, "y": y, "width": width, "height": height})
    return decode_image(data).reshape(-1, 3)


def at_centre(page) -> tuple[float, float]:
    box = page.locator("#maps").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_map_shows_both_layers_and_the_line_moves(tab):
    tab.goto(tab.address)
    until(tab, SHOWN)
    assert not tab.locator("#state").is_visible() or tab.locator("#state").inner_text() == ""
    swipe, box = tab.locator("#swipe"), tab.locator("#maps").bounding_box()
    middle = swipe.bounding_box()
    tab.evaluate("sat2map.maps.left.jumpTo({center: sat2map.maps.left.getCenter(), zoom: 19})")
    until(tab, SHOWN)
    x, y = at_centre(tab)
    tab.mouse.move(middle["x"] + middle["width"] / 2, middle["y"] + 300)
    tab.mouse.down()
    seen = []
    for share in (0.95, 0.05):
        tab.mouse.move(box["x"] + box["width"] * share, y)
        assert float(swipe.get_attribute("aria-valuenow")) == pytest.approx(100 * share, abs=1)
        seen.append(len(np.unique(colours(tab, x - 30, y - 100), axis=0)))
    tab.mouse.up()
    assert seen[0] > 3 * seen[1], "imagery has many colours, a map has few"
    swipe.focus()
    for key, value in (("ArrowRight", 7), ("PageUp", 17), ("End", 100), ("ArrowLeft", 98), ("Home", 0)):
        tab.keyboard.press(key)
        assert float(swipe.get_attribute("aria-valuenow")) == pytest.approx(value, abs=1)
    centres = tab.evaluate("Object.values(sat2map.maps).map(m => m.getCenter().toArray())")
    assert centres[0] == pytest.approx(centres[1])


def test_layers_classes_and_opacity_change_what_is_shown(tab):
    tab.goto(tab.address)
    until(tab, SHOWN)
    tab.evaluate(
        "sat2map.maps.left.jumpTo({center: sat2map.maps.left.getCenter(), zoom: 19}); sat2map.swipeTo(0)"
    )
    until(tab, SHOWN)
    x, y = at_centre(tab)
    map_ = colours(tab, x - 60, y - 60, 120, 120)
    tab.select_option("#right", "confidence")
    until(tab, SHOWN)
    grey = colours(tab, x - 60, y - 60, 120, 120)
    assert (grey.max(1) - grey.min(1)).max() < 3 and tab.locator("#percent").is_visible()
    tab.select_option("#right", "colour")
    until(tab, SHOWN)
    boxes = tab.locator("#classes input")
    for number in range(boxes.count()):
        boxes.nth(number).uncheck()
    tab.wait_for_timeout(200)
    until(tab, SHOWN)
    through = colours(tab, x - 60, y - 60, 120, 120)
    assert len(np.unique(through, axis=0)) > 1000 > len(np.unique(map_, axis=0)), (
        "what lies below is seen instead"
    )
    for number in range(boxes.count()):
        boxes.nth(number).check()
    tab.wait_for_timeout(200)
    until(tab, SHOWN)
    assert np.array_equal(colours(tab, x - 60, y - 60, 120, 120), map_)
    tab.locator("#opacity").fill("0")
    tab.wait_for_timeout(300)
    assert np.array_equal(colours(tab, x - 60, y - 60, 120, 120), through)


def test_whose_imagery_it_is_stands_on_the_map_and_a_source_that_fails_is_named(tab):
    tab.expected |= {"502", "Failed to load"}

    def credited(route) -> None:
        facts = route.fetch().json()
        for layer in facts["layers"]:
            layer["attribution"] = "© Land & <b>Survey</b>"
        route.fulfill(json=facts)

    tab.route("**/layers.json", credited)
    failing = {"status": 502, "headers": {"Retry-After": "5"}, "json": {"detail": "status 500, 3 times"}}
    tab.route(re.compile(r"/tiles/"), lambda route: route.fulfill(**failing))
    tab.goto(tab.address)
    tab.wait_for_selector("text=source of the imagery fails")
    assert tab.locator("#credit").inner_text() == "© Land & <b>Survey</b>"
    tab.unroute(re.compile(r"/tiles/"))
    until(tab, SHOWN)


def test_the_view_is_saved_as_a_picture(tab):
    tab.goto(tab.address)
    until(tab, SHOWN)
    with tab.expect_download() as download:
        tab.click("#picture")
    image = decode_image(pathlib.Path(download.value.path()).read_bytes())
    assert download.value.suggested_filename == "sat2map.png"
    assert image.shape[1] == 1000 and len(np.unique(image.reshape(-1, 3), axis=0)) > 100


def test_the_view_is_saved_as_geotiff_and_shapes(tab, tmp_path):
    tab.goto(tab.address)
    until(tab, SHOWN)
    import rasterio

    for name, ending in (("GeoTIFF", "tif"), ("GeoPackage", "gpkg")):
        with tab.expect_download() as download:
            tab.get_by_role("button", name=name).click()
        assert download.value.suggested_filename.endswith(ending)
        until(tab, "!document.querySelector('button.extract').disabled")
        if ending == "tif":
            with rasterio.open(download.value.path()) as made:
                assert made.crs.to_epsg() == 3857 and made.count == 3 and min(made.shape) > 200


def test_a_picture_is_translated_and_can_be_compared_and_kept(tab, folder):
    tab.goto(f"{tab.address}#translate")
    tab.set_input_files("#file", str(folder / "photo.png"))
    tab.wait_for_selector("#result:not([hidden])")
    assert tab.evaluate("document.getElementById('result-after').naturalWidth") == 160
    slider = tab.locator("#result-slider")
    slider.focus()
    tab.keyboard.press("Home")
    assert tab.evaluate("document.getElementById('compare').style.getPropertyValue('--at')") == "0%"
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download: Map").click()
    assert decode_image(pathlib.Path(download.value.path()).read_bytes()).shape == (120, 160, 3)


def test_a_picture_that_is_chosen_before_the_server_has_answered_is_not_lost(tab, folder):
    def late(route):
        tab.set_input_files("#file", str(folder / "photo.png"))
        route.continue_()

    tab.route("**/layers.json", late)
    tab.goto(f"{tab.address}#translate")
    tab.wait_for_selector("#result:not([hidden])")
    assert tab.evaluate("document.getElementById('result-after').naturalWidth") == 160


def test_a_scene_is_translated_with_progress_and_downloads(tab, folder):
    tab.goto(f"{tab.address}#translate")
    tab.set_input_files("#file", str(folder / "town.tif"))
    tab.wait_for_selector("#result:not([hidden])")
    assert tab.locator("#downloads button").count() >= 3
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download: Classes").click()
    assert pathlib.Path(download.value.path()).read_bytes()[:2] in (b"II", b"MM")


def test_a_bad_file_is_told_and_its_name_is_never_markup(tab):
    tab.expected.add("415")
    tab.goto(f"{tab.address}#translate")
    name = '"><img src=x onerror=alert(1)>.png'
    tab.set_input_files("#file", files=[{"name": name, "mimeType": "image/png", "buffer": b"no picture"}])
    tab.wait_for_selector("text=no PNG, JPEG, WebP or TIFF")
    assert tab.locator("img[src=x]").count() == 0 and not tab.locator("#result").is_visible()


def test_drawing_makes_the_picture_anew(tab):
    tab.goto(f"{tab.address}#imagine")
    sketch = tab.locator("#sketch")
    sketch.wait_for()  # the page asks the server before it shows a tab
    box = sketch.bounding_box()
    seen = []
    for number, row in enumerate((0.3, 0.6)):
        tab.get_by_role("radio", name=("road", "water")[number]).click()
        tab.mouse.move(box["x"] + 20, box["y"] + box["height"] * row)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] * row, steps=3)
        tab.mouse.up()
        source = "document.getElementById('imagined').src"
        until(tab, f"{source}.startsWith('blob:') && {source} !== {json.dumps(seen[-1] if seen else '')}")
        seen.append(tab.evaluate(source))
    assert tab.evaluate("document.getElementById('imagined').naturalWidth") == 512
    sketch.focus()
    tab.keyboard.press("5")
    assert tab.get_by_role("radio", name="green").get_attribute("aria-checked") == "true"
    for key in ("Space", "ArrowDown", "ArrowDown", "Space"):
        tab.keyboard.press(key)
    assert pixel_under_pen(tab) == [202, 222, 174]


def test_with_the_models_of_the_package_drawn_water_becomes_dark_water(browser):
    models = {name: name for name in shipped()}
    assert {"carto", "carto-reverse", "view-geo"} <= set(models)
    with serving(models=models, limits={"patience": 300}) as server:
        for tab in opened(browser, server):
            tab.goto(f"{tab.address}#imagine")
            tab.wait_for_selector("#sketch")
            box = tab.locator("#sketch").bounding_box()
            tab.get_by_role("radio", name="water").click()
            tab.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
            tab.mouse.down()
            tab.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=4)
            tab.mouse.up()
            until(
                tab,
                "document.getElementById('imagined-state').textContent.startsWith('Made by carto-reverse')",
            )
            bands = tab.evaluate("""() => {
              const image = document.getElementById('imagined'), sheet = document.createElement('canvas');
              sheet.width = sheet.height = 512;
              const pen = sheet.getContext('2d', {willReadFrequently: true});
              pen.drawImage(image, 0, 0);
              const mean = (row) => {
                const found = pen.getImageData(50, row, 412, 6).data.filter((_, n) => n % 4 < 3);
                return found.reduce((sum, value) => sum + value, 0) / found.length;
              };
              return [mean(253), mean(80), mean(430)];
            }""")
            assert bands[0] < min(bands[1:]) - 8, "darker than the land on both sides"


def pixel_under_pen(tab) -> list[int]:
    return tab.evaluate(
        """() => { const sketch = document.getElementById('sketch'), pen = document.getElementById('pen').style;
        const place = (name) => Math.round(parseFloat(pen[name]) * 512 / sketch.clientWidth);
        return [...sketch.getContext('2d').getImageData(place('left'), place('top'), 1, 1).data].slice(0, 3) }"""
    )


SHEET = "document.getElementById('sketch').toDataURL()"


def test_a_town_is_rolled_painted_and_mapped_back_and_strokes_can_be_taken_back(tab):
    tab.goto(f"{tab.address}#imagine")
    tab.wait_for_selector("#paints button")
    empty = tab.evaluate(SHEET)
    tab.check("#back-wanted")
    tab.click("#roll")
    until(
        tab, "document.getElementById('back').src.startsWith('blob:')", 3 * PATIENCE
    )  # a town is a lot of paint
    assert "Town" in tab.locator("#sketch-name").inner_text()
    town = tab.evaluate(SHEET)
    assert tab.evaluate("document.getElementById('back').naturalWidth") == 512 and town != empty
    tab.click("#wipe")
    assert tab.evaluate(SHEET) == empty
    tab.click("#undo")
    assert tab.evaluate(SHEET) == town
    tab.locator("#sketch").focus()
    tab.keyboard.press("Control+z")
    assert tab.evaluate(SHEET) == empty and tab.locator("#undo").is_disabled()
    tab.keyboard.press("Control+Shift+z")
    assert tab.evaluate(SHEET) == town
    for button, name in (("#keep-sketch", "map.png"), ("#keep-imagined", "imagery.png")):
        with tab.expect_download() as download:
            tab.click(button)
        assert download.value.suggested_filename == name
        assert decode_image(pathlib.Path(download.value.path()).read_bytes()).shape == (512, 512, 3)


def test_while_one_draws_few_pictures_are_made_and_the_last_is_of_the_last_sheet(tab):
    sent = []

    def noted(route) -> None:
        sent.append(route.request.post_data_buffer)
        route.continue_()

    tab.route("**/translate?*", noted)
    tab.goto(f"{tab.address}#imagine")
    tab.wait_for_selector("#paints button")
    box = tab.locator("#sketch").bounding_box()
    for number in range(6):
        y = box["y"] + 30 + number * 20
        tab.mouse.move(box["x"] + 20, y)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 300, y, steps=12)
        tab.mouse.up()
    until(tab, "document.getElementById('imagined-state').textContent.startsWith('Made by')")
    tab.wait_for_timeout(600)
    until(tab, "document.getElementById('imagined-state').textContent.startsWith('Made by')")
    assert 1 <= len(sent) <= 13, "two for each stroke at most, not one for each movement"
    shown = "document.getElementById('sketch').getContext('2d').getImageData(0, 0, 512, 512).data"
    sheet = np.array(tab.evaluate(f"[...{shown}]"), np.uint8).reshape(512, 512, 4)[..., :3]
    assert np.array_equal(decode_image(sent[-1]), sheet)


def test_tabs_work_by_keys_and_say_what_is_missing(tab):
    tab.goto(f"{tab.address}#view")
    until(tab, "document.getElementById('view-missing').offsetParent !== null")
    assert "sat2map train view-geo" in tab.locator("#view").inner_text()
    assert not tab.locator("#view-ready").is_visible()
    tab.locator("#tab-view").focus()
    for key, name in (
        ("ArrowRight", "map"),
        ("ArrowLeft", "view"),
        ("Home", "map"),
        ("ArrowRight", "translate"),
    ):
        tab.keyboard.press(key)
        assert tab.evaluate("document.activeElement.id") == f"tab-{name}"
        shown = [p for p in ("map", "translate", "imagine", "view") if tab.locator(f"#{p}").is_visible()]
        assert shown == [name] and tab.url.endswith(f"#{name}")


def test_a_server_that_is_gone_or_busy_is_told(tab):
    tab.expected |= {"ERR_FAILED", "503", "Failed to load"}
    tab.route("**/layers.json", lambda route: route.abort())
    tab.goto(tab.address)
    tab.wait_for_selector("text=does not answer")
    tab.unroute("**/layers.json")
    busy = {"status": 503, "headers": {"Retry-After": "1"}, "json": {"detail": "the queue is full"}}
    tab.route(re.compile(r"/tiles/"), lambda route: route.fulfill(**busy))
    tab.get_by_role("button", name="Try again").click()
    tab.wait_for_selector("text=too much to do")
    tab.unroute(re.compile(r"/tiles/"))
    until(tab, "document.getElementById('trouble').hidden")
    until(tab, SHOWN)


def test_a_phone_sees_all_of_it_and_fingers_move_the_line(browser, server):
    phone = opened(
        browser, server, viewport={"width": 390, "height": 720}, has_touch=True, color_scheme="dark"
    )
    tab = next(phone)
    tab.goto(tab.address)
    until(tab, SHOWN)
    for name in ("map", "translate", "imagine", "view"):
        tab.click(f"#tab-{name}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390, name
    tab.click("#tab-map")
    assert not tab.locator("#options").is_visible()
    tab.click("#fold")
    assert tab.locator("#right").is_visible()
    assert tab.locator("#swipe").bounding_box()["width"] >= 44
    next(phone, None)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_everything_has_a_name(browser, server, scheme):
    pages = opened(browser, server, color_scheme=scheme)
    tab = next(pages)
    tab.goto(tab.address)
    until(tab, SHOWN)
    nameless = tab.evaluate(
        """[...document.querySelectorAll('button, input, select, canvas, [role]')].filter(e => e.checkVisibility()
        && !e.closest('.maplibregl-ctrl') && e.role !== 'status' && !(e.labels && e.labels.length) && !e.ariaLabel
        && !e.getAttribute('aria-labelledby') && !e.textContent.trim()).map(e => e.outerHTML.slice(0, 100))"""
    )
    assert nameless == []

    def luminance(selector: str, name: str) -> float:
        text = tab.locator(selector).first.evaluate(f"e => getComputedStyle(e)['{name}']")
        channels = np.array([float(n) for n in re.findall(r"[\d.]+", text)[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for text, behind in (
        (".panel label", ".panel"), (".panel .soft", ".panel"), ("legend", ".panel"), ("#tab-view", ".bar"),
        (".place", ".place"), ("#tab-map", "#tab-map"), ("button#fit", "button#fit"), (".end", ".end"),
    ):  # fmt: skip
        low, high = sorted((luminance(text, "color"), luminance(behind, "backgroundColor")))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, scheme)  # WCAG 2.2, 1.4.3
    next(pages, None)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(browser, server, scheme):
    """Deque's rules for WCAG 2.2 A and AA and their best practices, on every tab as it is when one comes to it."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe is not installed (pip install axe-playwright-python)")
    axe = (pathlib.Path(found.submodule_search_locations[0]) / "axe.min.js").read_text("utf-8")
    for size in ({"width": 1000, "height": 640}, {"width": 390, "height": 720}):
        pages = opened(browser, server, color_scheme=scheme, viewport=size)
        tab = next(pages)
        tab.goto(tab.address)
        until(tab, SHOWN)
        tab.evaluate(axe)
        for name in ("map", "translate", "imagine", "view"):
            tab.click(f"#tab-{name}")
            broken = tab.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
            told = [(b["id"], [node["html"][:120] for node in b["nodes"]]) for b in broken]
            assert told == [], (name, scheme, size, told)
        next(pages, None)


def test_a_token_is_asked_for_and_used_for_everything(browser, folder):
    tiny.bundle(folder / "tiny")
    told = {"token": "a-long-secret", "limits": {"patience": 300, "overview_patience": 300}}
    with serving(scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}, **told) as server:
        pages = opened(browser, server)
        tab = next(pages)
        tab.expected.add("401")
        tab.goto(tab.address)
        for word in ("not-the-secret", "a-long-secret"):
            tab.wait_for_selector("#token:not([hidden])")
            tab.fill("#token input", word)
            tab.click("#token button")
        until(tab, SHOWN)
        assert not tab.locator("#token").is_visible() and "secret" not in tab.url
        next(pages, None)
