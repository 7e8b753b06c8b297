"""The demonstration: whole, self-contained, true to its pictures, and usable by mouse, touch and keyboard."""

import html.parser
import json
import shutil

import numpy as np
import pytest

import fakes
import tiny
from sat2map.bundle import Metrics
from sat2map.cli.main import main
from sat2map.demo import build, page, shares
from sat2map.errors import OutputExists, UnsuitableModel
from sat2map.images import read_image

FIGURES = Metrics(
    protocol="maps-600",
    split="val",
    n=100,
    figures={"miou6": 0.5125, "road_f1_3px": 0.75},
    command="",
    baselines={"blank": {"miou6": 0.08}},
)
LIMITS = ("It was trained near <New York> & knows {{title}}.", "It has never seen snow.")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny.bundle(tmp_path_factory.mktemp("demo") / "tiny", metrics=(FIGURES,), limits=LIMITS, cell=128)


@pytest.fixture(scope="module")
def made(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", str(folder), "--model", str(bundle.folder), "-q"]) == 0
    return folder


class Page(html.parser.HTMLParser):
    """Collects the text, the addresses and the open tags of a page."""

    VOID = frozenset({"meta", "img", "input", "link", "br"})

    def __init__(self, text):
        super().__init__()
        self.text, self.addresses, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_everything_is_there_and_of_the_size_of_the_sample(made):
    assert {path.name for path in made.iterdir()} == {
        "source.png",
        "map.png",
        "classes.png",
        "confidence.png",
        "index.html",
        "manifest.json",
    }
    sizes = {read_image(path).shape for path in made.glob("*.png")}
    assert len(sizes) == 1


def test_the_page_is_well_formed_and_needs_nothing_else(made):
    parsed = Page((made / "index.html").read_text("utf-8"))
    assert not parsed.open
    assert len(parsed.addresses) == 4 and all(a.startswith("data:image/") for a in parsed.addresses)


def test_the_page_says_what_the_card_says_and_whose_picture_it_is(made):
    text = " ".join(" ".join(Page((made / "index.html").read_text("utf-8")).text).split())
    for words in (
        *LIMITS,
        "0.512",
        "n = 100",
        "OpenAerialMap",
        "creativecommons.org/licenses/by/4.0",
        "water",
    ):
        assert words in text
    assert "{{" not in text.replace("{{title}}", "")


def test_shares_of_the_legend_are_those_of_the_class_raster():
    classes = np.array([[0, 0, 2], [5, 5, 5]], np.uint8)
    assert shares(classes, 7) == pytest.approx([1 / 3, 0, 1 / 6, 0, 0, 1 / 2, 0])
    products = {"classes": classes, "confidence": np.full((2, 3), 70, np.uint8)}
    text = page(fakes.card(), products, dict.fromkeys(("map.png", "classes.png", "confidence.png"), b""))
    shown = " ".join(" ".join(Page(text).text).split())
    assert "water 50.0 % land 33.3 % road 16.7 %" in shown and "mean here 70 %" in shown
    assert "highway" not in shown  # no colour of the palette is one


def test_a_demonstration_is_replaced_only_when_told_and_nothing_else_ever(bundle, tmp_path):
    arguments = ["demo", str(tmp_path / "out"), "--model", str(bundle.folder), "-q"]
    assert [main(arguments), main(arguments), main([*arguments, "--overwrite"])] == [0, 2, 0]
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "precious.txt").write_text("x")
    with pytest.raises(OutputExists, match="other things"):
        build(fakes.FakeTranslator(), tmp_path / "letters", overwrite=True)
    assert (tmp_path / "letters" / "precious.txt").read_text() == "x"


def test_a_model_without_classes_leaves_nothing_behind(tmp_path):
    with pytest.raises(UnsuitableModel):
        build(fakes.FakeTranslator(fakes.card(kind="rgb", palette=None)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_path_of_the_page_is_printed(bundle, tmp_path, capsys):
    assert main(["demo", str(tmp_path / "out"), "--model", str(bundle.folder)]) == 0
    assert str((tmp_path / "out" / "index.html").resolve()) in capsys.readouterr().out


# -- in a browser -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: the page is not tried in a browser")
    with sync.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=path, args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, made):
    context = browser.new_context(viewport={"width": 1200, "height": 900}, has_touch=True)
    page = context.new_page()
    page.troubles = []
    page.on("console", lambda message: page.troubles.append(message.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on(
        "request", lambda request: page.troubles.append(request.url[:80]) if remote(request.url) else None
    )
    page.goto((made / "index.html").as_uri())
    yield page
    assert page.troubles == []
    context.close()


def remote(url):
    return not url.startswith(("file:", "data:"))


def line_at(tab):
    """Where the line stands, as a share of the picture's width; and it must be where the picture is cut."""
    bar, picture = tab.locator(".bar").bounding_box(), tab.locator("#compare").bounding_box()
    at = (bar["x"] + bar["width"] / 2 - picture["x"]) / picture["width"]
    cut = tab.locator(".over").evaluate("e => getComputedStyle(e).clipPath")
    assert float(cut.split()[-1].rstrip("%)")) == pytest.approx(100 * at, abs=0.5)
    return at


def test_the_mouse_moves_the_line_to_where_it_points(tab):
    box = tab.locator("#compare").bounding_box()
    assert line_at(tab) == pytest.approx(0.5, abs=0.01)
    tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 100)
    tab.mouse.down()
    for share in (0.4, 0.2, 0.0, 0.97):
        tab.mouse.move(box["x"] + box["width"] * share, box["y"] + 150)
        assert line_at(tab) == pytest.approx(share, abs=0.01)
    tab.mouse.up()


def test_a_finger_moves_the_line(tab):
    box = tab.locator("#compare").bounding_box()
    tab.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + 80)
    assert line_at(tab) == pytest.approx(0.25, abs=0.01)


def test_keys_reach_and_move_everything(tab):
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#classes").is_visible() and not tab.locator("#map").is_visible()
    tab.keyboard.press("Tab")
    for key, share in (("ArrowLeft", 0.48), ("PageUp", 0.58), ("Home", 0.0), ("End", 1.0)):
        tab.keyboard.press(key)
        assert line_at(tab) == pytest.approx(share, abs=0.005)


def test_one_layer_is_shown_at_a_time(tab):
    for name in ("classes", "confidence", "map"):
        tab.get_by_label(name.capitalize(), exact=True).check()
        visible = [
            layer for layer in ("map", "classes", "confidence") if tab.locator(f"#{layer}").is_visible()
        ]
        assert visible == [name] and tab.locator("#shown").inner_text() == name.capitalize()


@pytest.mark.parametrize("width", [320, 768, 1600])
def test_no_width_of_the_window_needs_scrolling_sideways(tab, width):
    tab.set_viewport_size({"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(tab, scheme):
    tab.emulate_media(color_scheme=scheme)

    def luminance(name, selector):
        text = tab.locator(selector).first.evaluate(f"e => getComputedStyle(e)['{name}']")
        channels = np.array(json.loads(f"[{text[4:-1]}]")) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    paper = luminance("backgroundColor", "body")
    assert (paper > 0.5) == (scheme == "light")
    for selector in ("body", ".soft", "footer"):  # contrast ratio of WCAG 2.2, 1.4.3
        low, high = sorted((paper, luminance("color", selector)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector
