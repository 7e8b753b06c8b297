"""The review page: decisions reach the disk, survive a kill, and nobody but the person with the address gets in."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
from typing import NamedTuple

import pytest

import photos
from sat2map.cli.main import main
from sat2map.collect.collection import Collection
from sat2map.collect.review.server import COOKIE, ReviewServer
from sat2map.collect.review.session import Review
from sat2map.errors import PortTaken, StorageFailed

COUNT = 12


@pytest.fixture(scope="module")
def filtered(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("review")
    photos.album(folder / "album", COUNT)
    assert main(["collect", "photos", str(folder / "album"), str(folder / "set"), "-q"]) == 0
    assert main(["collect", "filter", str(folder / "set"), "--keep-people", "-q"]) == 0
    return folder / "set"


@pytest.fixture
def folder(filtered, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(filtered, tmp_path / "set"))


@pytest.fixture
def server(folder):
    with Collection.held(folder) as collection, ReviewServer(Review(collection)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(server, method: str, path: str, body: bytes = b"", **headers: str | None) -> Reply:
    """One request, by default that of a person who has opened the printed address; None leaves a header out."""
    home = f"127.0.0.1:{server.server_port}"
    fields = {"Host": home, "Cookie": f"{COOKIE}={server.key}", "Origin": f"http://{home}"} | headers
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in fields.items():
        if value is not None:
            connection.putheader(name, value)
    if method == "POST" and "Content-Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    with contextlib.closing(connection):
        connection.endheaders(body)
        reply = connection.getresponse()
        return Reply(reply.status, reply.headers, reply.read())


def decide(server, numbers: list[int], keep: bool | None) -> dict:
    reply = ask(server, "POST", "/decide", json.dumps({"photos": numbers, "keep": keep}).encode())
    assert reply.status == 200
    return json.loads(reply.body)["progress"]


def test_the_printed_address_lets_in_and_leaves_its_key_out_of_the_history(server):
    reply = ask(server, "GET", server.address.partition(str(server.server_port))[2], Cookie=None)
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict"} <= set(reply.headers["Set-Cookie"].split("; "))
    page = ask(server, "GET", "/")
    assert page.status == 200 and b"review.js" in page.body
    assert "'unsafe" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": None},
        {"Cookie": f"{COOKIE}=guess"},
        {"Cookie": f"{COOKIE}=\udcff".encode("utf-8", "surrogateescape").decode("latin-1")},
        {"Host": "evil.example"},
        {"Host": None},
    ],
)
@pytest.mark.parametrize("path", ["/", "/state", "/preview/0", "/photo/0", "/?key=guess"])
def test_strangers_see_nothing(server, path, headers):
    reply = ask(server, "GET", path, **headers)
    assert reply.status == 403
    assert server.key.encode() not in reply.body


@pytest.mark.parametrize(
    "headers", [{"Cookie": None}, {"Origin": "https://evil.example"}, {"Origin": None}, {"Origin": "null"}]
)
def test_strangers_decide_nothing(server, folder, headers):
    before = (folder / "manifest.jsonl").read_bytes()
    body = b'{"photos": [0], "keep": false}'
    assert ask(server, "POST", "/decide", body, **headers).status == 403
    assert ask(server, "POST", "/undo", b"{}", **headers).status == 403
    assert (folder / "manifest.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'{"photos": [0]}', b'{"photos": 3, "keep": true}', b'{"photos": ["0"], "keep": true}',
        b'{"photos": [0], "keep": 1}', b'{"photos": [999], "keep": true}', b'{"photos": [-1], "keep": true}',
        b'{"photos": [true], "keep": true}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_changes_nothing(server, folder, body):
    before = (folder / "manifest.jsonl").read_bytes()
    assert ask(server, "POST", "/decide", body).status == 400
    assert (folder / "manifest.jsonl").read_bytes() == before


def test_bodies_without_end_are_refused(server):
    for length in ("2000000", "-1", "x", "9" * 40):
        assert ask(server, "POST", "/decide", b"", **{"Content-Length": length}).status == 413


@pytest.mark.parametrize(
    "path",
    [
        "/photo/..%2fmanifest.jsonl",
        "/manifest.jsonl",
        "/../manifest.jsonl",
        "/photo/999",
        "/photo/-1",
        "/photo/0x1",
    ],
)
def test_a_path_names_no_file(server, path):
    assert ask(server, "GET", path).status == 404


def test_pictures_are_those_of_the_photos(server, folder):
    for number, photo in enumerate(Collection.open(folder).passed()):
        assert ask(server, "GET", f"/photo/{number}").body == (folder / photo.file).read_bytes()
        reply = ask(server, "GET", f"/preview/{number}")
        assert reply.headers["Content-Type"] == "image/jpeg" and len(reply.body) < 60_000


def test_decisions_and_undo_are_in_the_manifest_before_the_answer(server, folder):
    assert decide(server, [0, 1, 2], True) == {"photos": COUNT, "kept": 3, "rejected": 0, "steps": 1}
    assert decide(server, [1], False)["rejected"] == 1
    keys = [photo.key for photo in server.review.photos]
    assert Collection.open(folder).decisions == {keys[0]: True, keys[1]: False, keys[2]: True}
    answer = json.loads(ask(server, "POST", "/undo", b"{}").body)
    assert answer["photos"] == [[1, True]] and Collection.open(folder).decisions[keys[1]] is True
    json.loads(ask(server, "POST", "/undo", b"{}").body)
    assert Collection.open(folder).decisions == {}
    assert json.loads(ask(server, "POST", "/undo", b"{}").body)["photos"] == []
    state = json.loads(ask(server, "GET", "/state").body)
    assert [photo["keep"] for photo in state["photos"]] == [None] * COUNT


def test_a_port_in_use_is_an_error_with_a_remedy(server, folder):
    with pytest.raises(PortTaken, match="--port"):
        ReviewServer(server.review, server.server_port)


@contextlib.contextmanager
def started(folder: pathlib.Path):
    """The command itself, and its address."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[1] / "src")}
    command = [sys.executable, "-m", "sat2map", "collect", "review", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_killed_review_has_every_decision_and_goes_on(folder):
    keys = [photo.key for photo in Collection.open(folder).passed()]
    expected = {}
    for number in range(4):
        with started(folder) as (process, address):
            port, key = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?key=(\S+)", address).groups()
            server = type("Running", (), {"server_port": int(port), "key": key})
            decide(server, [number], number % 2 == 0)
            process.send_signal(signal.SIGKILL)
        expected[keys[number]] = number % 2 == 0
        assert Collection.open(folder).decisions == expected


def test_ctrl_c_ends_the_command_with_a_summary(folder):
    with started(folder) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert process.returncode == 0 and "0 kept, 0 rejected, 12 to do" in out


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
def tab(browser, server):
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.troubles = []
    page.on("console", lambda message: page.troubles.append(message.text))
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.goto(server.address)
    page.wait_for_selector(".photo.here")
    yield page
    context.close()


def settle(tab, text: str) -> None:
    tab.wait_for_function("text => document.getElementById('count').textContent.startsWith(text)", arg=text)


def kept(folder: pathlib.Path) -> dict[int, bool]:
    collection = Collection.open(folder)
    order = [photo.key for photo in collection.passed()]
    return {order.index(key): keep for key, keep in collection.decisions.items()}


def test_keys_decide_undo_and_go_on(tab, folder):
    assert "key=" not in tab.url
    for key, count in (("k", 1), ("x", 2), ("k", 3)):
        tab.keyboard.press(key)
        settle(tab, f"{count} of {COUNT}")
    assert kept(folder) == {0: True, 1: False, 2: True}
    assert tab.locator(".photo").count() == COUNT - 3, "decided ones leave the list of what is to do"
    assert tab.locator(".photo.here").get_attribute("data-number") == "3"
    tab.keyboard.press("z")
    settle(tab, f"2 of {COUNT}")
    assert tab.locator(".photo.here").get_attribute("data-number") == "2"
    tab.keyboard.press("Control+z")
    settle(tab, f"1 of {COUNT}")
    assert kept(folder) == {0: True}
    assert tab.troubles == []


def test_many_at_once_by_keys_and_mouse(tab, folder):
    for key in ("Shift+ArrowRight", "Shift+ArrowRight"):
        tab.keyboard.press(key)
    assert tab.locator(".photo.selected").count() == 3
    tab.keyboard.press("x")
    settle(tab, f"3 of {COUNT}")
    tab.locator("#photo-5").click()
    tab.locator("#photo-8").click(modifiers=["Shift"])
    tab.locator("#photo-10").click(modifiers=["Control"])
    assert tab.locator(".photo.selected").count() == 5
    tab.get_by_role("button", name="Keep", exact=True).click()
    settle(tab, f"8 of {COUNT}")
    assert kept(folder) == {**dict.fromkeys((0, 1, 2), False), **dict.fromkeys((5, 6, 7, 8, 10), True)}
    tab.get_by_role("button", name="Undo").click()
    settle(tab, f"3 of {COUNT}")
    tab.get_by_role("button", name="Rejected").click()
    assert tab.locator(".photo").count() == 3
    tab.keyboard.press("a")
    tab.keyboard.press("c")
    settle(tab, f"0 of {COUNT}")
    assert kept(folder) == {} and tab.locator("#empty").is_visible()
    assert tab.troubles == []


def test_large_view_decides_and_goes_on(tab, folder):
    tab.keyboard.press("Enter")
    assert tab.locator("#large").is_visible()
    tab.keyboard.press("k")
    settle(tab, f"1 of {COUNT}")
    tab.wait_for_function("() => document.getElementById('picture').src.endsWith('/photo/1')")
    tab.wait_for_function("() => document.getElementById('picture').naturalWidth === 400")
    tab.keyboard.press("Escape")
    assert not tab.locator("#large").is_visible()
    assert tab.troubles == []


def test_what_was_not_saved_is_not_shown_as_decided(tab, server, folder, monkeypatch):
    def full(numbers: list[int], keep: bool | None) -> None:
        raise StorageFailed("cannot append: no space left on device", "Free some space.")

    monkeypatch.setattr(server.review, "decide", full)
    tab.keyboard.press("k")
    tab.wait_for_selector("#trouble:not([hidden])")
    assert "no space left" in tab.locator("#trouble").text_content()
    assert tab.locator(".photo").count() == COUNT and kept(folder) == {}


def test_strange_texts_stay_texts(folder, browser):
    from sat2map.collect.manifest import Photo

    with Collection.held(folder) as collection:
        first = next(collection.passed())
        evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
        fields = {name: getattr(first, name) for name in Photo.__struct_fields__}
        collection.append(Photo(**{**fields, "title": evil, "author": evil, "licence": evil}))
        with ReviewServer(Review(collection)) as running:
            thread = threading.Thread(target=running.serve_forever, daemon=True)
            thread.start()
            context = browser.new_context()
            page = context.new_page()
            page.goto(running.address)
            page.wait_for_selector(".photo.here")
            assert evil in page.locator("#facts").text_content() and "owned" not in page.title()
            context.close()
            running.shutdown()
