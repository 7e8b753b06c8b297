"""The report of a run: true to the log, whole, usable offline; the animation and the contact sheet beside it."""

import html.parser
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map import storage
from sat2map.data.quarantine import QUARANTINE, Entry, write_quarantine
from sat2map.images.animation import LONGER, encode_gif
from sat2map.training import journal, timeline
from sat2map.training.about import ABOUT
from sat2map.training.curves import POINTS, curves, thin
from sat2map.training.recipe import load_recipe
from sat2map.training.report import write_report

STEPS = (100, 200, 300)


def sheet(level: int) -> list[tuple[np.ndarray, ...]]:
    return [tuple(np.full((40, 40, 3), level + 10 * k, np.uint8) for k in range(3)) for _ in range(2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    lines = [
        {"kind": "train", "step": s, "seen": 4 * s, "g": 9 / s, "g_norm": 1.0, "guard.contrast": 0.01 * s}
        for s in STEPS
    ]
    lines += [
        {"kind": "development", "step": s, "seen": 4 * s, "n": 5, "l1": 2.0, "miou6": 0.3} for s in STEPS
    ]
    lines.append(
        {"kind": "guard", "step": 200, "seen": 800, "alarm": "collapse <b>", "answer": "back to step 100"}
    )
    for line in lines:
        storage.append_line(folder / "log.jsonl", json.dumps(line))
    for step in STEPS:
        journal.write_sample(folder, step, journal.sample_sheet(sheet(step // 2)))
    journal.write_contact(folder, 300, sheet(90) * 12)
    storage.write_json(folder / ABOUT, {"device": "cpu, 1 threads", "torch": "2.x"})
    write_quarantine(folder / QUARANTINE, [Entry("train/7", ("swapped: yes",))])
    write_report(folder, load_recipe("pix2pix-paper"), 60.0)
    return folder


class Page(html.parser.HTMLParser):
    """Collects text, addresses and whatever stayed open."""

    VOID = frozenset({"meta", "img", "input", "br", "line", "circle", "rect", "polyline"})

    def __init__(self, text):
        super().__init__()
        self.text, self.addresses, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_says_what_the_run_left(run):
    page = Page((run / "report.html").read_text("utf-8"))
    text = " ".join(" ".join(page.text).split())
    assert not page.open
    assert len(page.addresses) == len(STEPS) + 1  # one frame for each sheet, and the contact sheet
    assert all(address.startswith("data:image/") for address in page.addresses)
    for words in (
        "images seen 1,200", "images per second 20.0", "collapse <b>", "back to step 100", "contrast 3", "miou6 0.3",
        "cpu, 1 threads", "train/7", "swapped: yes", "name: pix2pix-paper", "the guard spoke after 800 images",
    ):  # fmt: skip
        assert words in text, words


def test_a_run_that_has_only_begun_has_a_report_too(tmp_path):
    (tmp_path / "run").mkdir()
    write_report(tmp_path / "run", load_recipe("carto"), 0.0)
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "No samples yet" in text and not (tmp_path / "run" / timeline.ANIMATION).exists()


def test_the_animation_shows_every_sheet_in_order_and_stays_on_the_last(run):
    with Image.open(run / timeline.ANIMATION) as animation:
        assert animation.n_frames == len(STEPS) and animation.info["loop"] == 0
        levels, times = [], []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            levels.append(int(np.asarray(animation.convert("RGB"))[5, 5, 0]))
            times.append(animation.info["duration"])
    assert levels == [50, 100, 150] and times[-1] == LONGER * times[0]


def test_flat_maps_stay_exact_in_an_animation():
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (12, 3), dtype=np.uint8)
    frames = [colours[random.integers(0, 12, (30, 20))] for _ in range(3)]
    with Image.open(io.BytesIO(encode_gif(frames, 100))) as animation:
        for number, frame in enumerate(frames):
            animation.seek(number)
            np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), frame)


def test_long_runs_show_a_spread_of_sheets_with_both_ends(tmp_path):
    for step in range(1, 101):
        journal.write_sample(tmp_path, step, np.zeros((2, 2, 3), np.uint8))
    shown = [int(path.stem[5:]) for path in timeline.shown_sheets(tmp_path)]
    assert len(shown) == timeline.FRAMES and shown[0] == 1 and shown[-1] == 100 and shown == sorted(shown)


def test_a_contact_sheet_holds_every_row_once():
    rows = [tuple(np.full((130, 130, 3), 10 * n + k, np.uint8) for k in range(3)) for n in range(24)]
    found = journal.contact_sheet(rows)
    values, counts = np.unique(found[..., 0], return_counts=True)
    for n in range(24):
        assert counts[values.tolist().index(10 * n)] >= 65 * 65
    assert journal.contact_sheet(rows[:1]).shape[0] < 200


def test_curves_keep_their_mean_when_thinned_and_mark_the_guard():
    points = [(float(x), float(x % 7)) for x in range(POINTS * 3)]
    assert len(thin(points)) == POINTS
    assert sum(y for _, y in thin(points)) / POINTS == pytest.approx(sum(y for _, y in points) / len(points))
    drawn = curves({"guard.contrast": points}, "a <title>", [100.0])
    assert (
        drawn.count("stroke-dasharray") == 1 and "&lt;title&gt;" in drawn and ">contrast " not in drawn[:50]
    )


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip(
        "playwright.sync_api", reason="the page is tried in a browser where there is one"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: the page is not tried in a browser")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def test_the_slider_walks_through_time_by_mouse_key_and_button_and_asks_for_nothing(browser, run):
    page = browser.new_context(viewport={"width": 1000, "height": 900}).new_page()
    troubles = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: troubles.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    page.goto((run / "report.html").as_uri())
    label, slider = page.locator(".timeline output"), page.locator(".timeline input")

    def seen():
        assert page.locator(".timeline img:visible").count() == 1
        assert page.locator(".timeline img:visible").get_attribute("alt") == label.inner_text()
        return label.inner_text()

    assert seen() == "step 300"
    slider.fill("0")
    assert seen() == "step 100"
    slider.press("ArrowRight")
    assert seen() == "step 200"
    page.locator(".timeline button").click()
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect(label).to_have_text("step 300")
    playwright.expect(page.locator(".timeline button")).to_have_text("Play")
    assert page.locator(".timeline button").inner_text() == "Play" and seen() == "step 300"
    assert troubles == []


def test_without_scripts_the_newest_samples_are_seen(browser, run):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto((run / "report.html").as_uri())
    assert page.locator(".timeline img:visible").get_attribute("alt") == "step 300"
    assert not page.locator(".timeline input").is_visible()
