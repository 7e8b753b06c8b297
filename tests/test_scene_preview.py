"""The quick-look page of a scene: a small picture that is right, and a page that works in a browser by itself."""

import io
import random
import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fakes
import geotiffs
from sat2map.errors import OutputExists
from sat2map.grid import Window
from sat2map.images import decode_image
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.preview import round_length
from sat2map.scenes.sketch import Sketch
from sat2map.scenes.tiles.job import translate_to_tiles
from sat2map.scenes.translate import PRODUCTS


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """400 x 300 m at 1 m, with a hole."""
    mask = np.ones((300, 400), np.bool_)
    mask[100:200, 150:250] = False
    folder = tmp_path_factory.mktemp("preview")
    return geotiffs.write(folder / "a <b> & c.tif", geotiffs.texture(300, 400), mask=mask)


@pytest.fixture(scope="module")
def made(scene):
    out = scene.parent / "map.tif"
    translate_scene(
        fakes.FakeTranslator(), scene, out, SceneOptions(products=PRODUCTS, preview=True, window=100)
    )
    return scene.parent / "map_preview.html"


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(0, 999),
    st.floats(0, 1),
)
def test_a_sketch_is_means_and_modes_however_the_scene_is_cut(height, width, longest, step, seed, holes):
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 256, (height, width, 3), np.uint8)
    classes = rng.integers(0, 5, (height, width), np.uint8)
    valid = rng.random((height, width)) >= holes
    sketch = Sketch(height, width, longest)
    parts = list(Window(-3, -2, height + 9, width + 5).parts(step))  # also beyond the scene
    random.Random(seed).shuffle(parts)
    for window in parts:
        inside = window.clipped(height, width)
        whole = {"colour": np.zeros((*window[2:], 3), np.uint8), "classes": np.zeros(window[2:], np.uint8)}
        known = np.ones(window[2:], np.bool_)
        for name, values in (("colour", colour), ("classes", classes)):
            whole[name][inside.slices(window)] = values[inside.slices()]
        known[inside.slices(window)] = valid[inside.slices()]
        sketch.add(window, whole, known)
    rows, cols = sketch.shape
    assert max(rows, cols) <= longest and rows <= height and cols <= width
    assert np.array_equal(
        sketch.areas() or [], _shares(classes[valid]) if valid.any() else sketch.areas() or []
    )
    for row, col in [(r, c) for r in range(rows) for c in range(cols) if (r + c + seed) % 7 == 0]:  # a sample
        down = [r for r in range(height) if (2 * r + 1) * rows // (2 * height) == row]
        across = [c for c in range(width) if (2 * c + 1) * cols // (2 * width) == col]
        inner = [(r, c) for r in down for c in across if valid[r, c]]
        assert sketch.valid[row, col] == bool(inner)
        if inner:
            exact = np.mean([colour[place] for place in inner], 0)
            assert np.abs(sketch.picture("colour")[row, col] - exact).max() <= 0.5
            counts = np.bincount([classes[place] for place in inner])
            assert counts[sketch.picture("classes")[row, col]] == counts.max()


def _shares(classes):
    counts = np.bincount(classes, minlength=16)
    return [float(count) / counts.sum() for count in counts]


@given(st.floats(1e-3, 1e7))
def test_scale_bars_are_round_and_fit(most):
    length = round_length(most)
    assert most / 2.5 <= length * (1 + 1e-9) and length <= most * (1 + 1e-6)
    assert f"{length:.6e}"[0] in "125"


def pictures(text):
    import base64

    found = re.findall(r'<img[^>]* src="data:image/(\w+);base64,([^"]+)"', text)
    return [base64.b64decode(data) for _, data in found]


def test_the_page_is_one_file_with_the_pictures_in_it(made):
    text = made.read_text("utf-8")
    source, *layers = pictures(text)
    assert len(layers) == 3 and "{{" not in text and "://" not in re.sub(r"data:[^\"]+", "", text)
    before = decode_image(source).astype(int)
    original = geotiffs.texture(300, 400)
    assert before.shape == original.shape
    apart = (before - original)[:90].reshape(9, 10, 40, 10, 3).mean((1, 3))  # JPEG keeps little of noise
    assert np.abs(apart).mean() < 3
    alpha = np.asarray(Image.open(io.BytesIO(layers[0])).convert("RGBA"))[..., 3]
    assert (alpha[110:190, 160:240] == 0).all() and (alpha[:90] == 255).all()
    assert (before[110:190, 160:240] > 240).all()


def test_the_page_says_how_large_the_scene_is_and_where(made):
    text = made.read_text("utf-8")
    for words in (
        "360 m x 270 m",
        "0.9 x 0.9 m",
        "WGS 84 / UTM zone 32N (EPSG:32632)",
        "a &lt;b&gt; &amp; c.tif",
        "neural network",
    ):
        assert words in text, words
    assert "a <b>" not in text
    width, label = re.search(r'class="scale" style="width: ([\d.]+)%">([^<]+)<', text).groups()
    assert label == "100 m" and float(width) == pytest.approx(100 * 100 / 360, abs=0.05)
    shares = [float(share) for share in re.findall(r'class="number">([\d.]+) %', text)]
    assert sum(shares) == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize("name", ["map.png", "tiles", "map.pmtiles"])
def test_every_kind_of_output_has_one(scene, tmp_path, name):
    options = SceneOptions(preview=True)
    if name == "map.png":
        translate_scene(fakes.FakeTranslator(), scene, tmp_path / name, options)
    else:
        kind = "xyz" if name == "tiles" else "pmtiles"
        translate_to_tiles(fakes.FakeTranslator(), scene, tmp_path / name, kind, options)
    page = tmp_path / f"{name.partition('.')[0]}_preview.html"
    source, layer = pictures(page.read_text("utf-8"))
    assert decode_image(source).shape == decode_image(layer).shape
    with pytest.raises(OutputExists, match="preview"):
        translate_scene(fakes.FakeTranslator(), scene, tmp_path / f"{page.stem[:-8]}.tif", options)
    page.unlink()
    if name == "map.png":
        translate_scene(
            fakes.FakeTranslator(), scene, tmp_path / name, SceneOptions(preview=True, resume=True)
        )
        assert page.exists(), "a page that is missing is made when the job is resumed"


def test_a_large_scene_has_a_small_page(tmp_path):
    path = geotiffs.write(
        tmp_path / "in.tif", np.zeros((2000, 3000, 3), np.uint8), tiled=True, blockxsize=256, blockysize=256
    )
    translate_scene(
        fakes.FakeTranslator(fakes.card(cell=512)), path, tmp_path / "map.tif", SceneOptions(preview=True)
    )
    page = tmp_path / "map_preview.html"
    assert decode_image(pictures(page.read_text("utf-8"))[0]).shape == (800, 1200, 3)
    assert page.stat().st_size < 400_000


def test_the_page_works_in_a_browser(made):
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: the page is not tried in a browser")
    with sync.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=path, args=options)
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        troubles = []
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request",
            lambda request: troubles.append(request.url[:60]) if "http" in request.url[:5] else None,
        )
        page.goto(made.as_uri())
        box = page.locator("#compare").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
        bar = page.locator(".bar").bounding_box()
        assert (bar["x"] + bar["width"] / 2 - box["x"]) / box["width"] == pytest.approx(0.25, abs=0.01)
        scale = page.locator(".scale").bounding_box()
        assert scale["width"] / box["width"] == pytest.approx(100 / 360, abs=0.01)
        page.get_by_label("Classes", exact=True).check()
        assert page.locator("#classes").is_visible() and not page.locator("#map").is_visible()
        for width in (320, 768, 1600):
            page.set_viewport_size({"width": width, "height": 700})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        chromium.close()
    assert troubles == []
