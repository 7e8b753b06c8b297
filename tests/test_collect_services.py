"""Photos from services: complete whatever they do, politely, within the caps, and without a trace of the token."""

import base64
import contextlib
import hashlib
import logging
import os
import pathlib
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

import badnet
import photoservices
from photoservices import Commons, Panoramax, Service, Vk, running, shots
from sat2map.cli.main import main
from sat2map.collect.collection import Collection
from sat2map.collect.gather import Gathering
from sat2map.collect.region import Region, from_box
from sat2map.collect.services import quarters, vk
from sat2map.collect.services.opening import Wish, opened
from sat2map.errors import BadArea, DownloadFailed, TooMuchToFetch
from sat2map.network import Budget

BOX = (37.0, 55.0, 37.3, 55.2)
SMALL = (37.0, 55.0, 37.08, 55.1)
BASES = {"vk": "/method", "commons": "/w/api.php", "panoramax": "/api"}
REQUESTS = int(os.environ.get("SAT2MAP_REQUESTS", "70"))  # photos of the test with faults
KILLS = int(os.environ.get("SAT2MAP_KILLS", "2"))
TOKEN = "vk1.a.CANARY-7f3k2Qz-" + "x9" * 12


def service_of(name: str, known: list[photoservices.Shot], **options: int) -> Service:
    return {"vk": Vk, "commons": Commons, "panoramax": Panoramax}[name](known, **options)


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("VK_TOKEN", "t0ken")


def collect(
    folder: pathlib.Path, name: str, server: badnet.Server, region: Region | None = None, **options: object
) -> Gathering:
    """Collect by the library, with the clock of the server."""
    limits = {key: options.pop(key) for key in ("requests", "size") if key in options}
    wish = Wish(name, region or from_box(*BOX), base=server.url(BASES[name]), rate=100, **options)
    budget = Budget(limits.get("requests"), limits.get("size"), folder / "spent.log")
    with (
        Collection.held(folder, create=True) as collection,
        opened(wish, budget, clock=server.clock) as provider,
    ):
        run = Gathering(collection, provider, wish.region)
        run.run()
        return run


def numbers(folder: pathlib.Path) -> list[int]:
    """Which photos of the fake are here, by the bytes of their files; every file is checked."""
    by_sum = {hashlib.sha256(photoservices.picture(n)).hexdigest(): n for n in range(max(130, REQUESTS))}
    found = []
    for photo in Collection.open(folder).photos.values():
        if photo.file:
            data = (folder / photo.file).read_bytes()
            assert hashlib.sha256(data).hexdigest() == photo.sha256 and len(data) == photo.size
            found.append(by_sum[photo.sha256])
    return sorted(found)


# -- contracts ----------------------------------------------------------------------------------------------------


def test_vk_keeps_what_it_says_and_covers_an_area_with_more_than_a_search_gives(tmp_path):
    service = Vk(shots(40, SMALL), page=4)
    service.most = 12  # of 3,000
    with pytest.MonkeyPatch.context() as patch, running(service, clock=badnet.FakeClock()) as server:
        patch.setattr(vk, "MOST", 12)
        patch.setattr(vk, "PAGE", 4)
        collect(tmp_path / "set", "vk", server, from_box(*SMALL))
    assert numbers(tmp_path / "set") == list(range(40))
    photo = Collection.open(tmp_path / "set").photos["vk:100_456000000"]
    assert (photo.page, photo.title) == ("https://vk.com/photo100_456000000", "No. 0")
    assert photo.taken == "2023-07-22" and photo.author == "https://vk.com/id100"
    assert all(seen.headers.get("authorization") for seen in server.seen if "/method/" in seen.path)


def test_vk_users_are_listed_to_the_end_and_closed_profiles_passed_over(tmp_path):
    service = Vk(shots(50, BOX, without=12), page=5)
    service.closed = {101}
    with pytest.MonkeyPatch.context() as patch, running(service, clock=badnet.FakeClock()) as server:
        patch.setattr(vk, "PAGE_OF_USER", 5)
        run = collect(tmp_path / "set", "vk", server, owners=(100, 101, 102))
    placed = [n for n in range(50) if n % 3 != 1 and n < 38]
    assert numbers(tmp_path / "set") == placed
    assert run.result.without_place == len([n for n in range(38, 50) if n % 3 != 1])


@pytest.mark.parametrize(("code", "says"), [(5, "VK_TOKEN"), (29, "tomorrow")])
def test_vk_errors_that_do_not_pass_end_the_run(tmp_path, code, says):
    service = Vk(shots(3, BOX))
    service.say = lambda path, query, headers: service.error(code, "no")
    with running(service, clock=badnet.FakeClock()) as server, pytest.raises(DownloadFailed, match=says):
        collect(tmp_path / "set", "vk", server)
    assert len(server.seen) == 1


def test_commons_cuts_boxes_that_are_too_large_or_too_full_and_puts_properties_together(tmp_path):
    service = Commons(shots(90, BOX), page=20, properties=6)
    with pytest.MonkeyPatch.context() as patch, running(service, clock=badnet.FakeClock()) as server:
        patch.setattr("sat2map.collect.services.wikimedia.MOST", 20)
        collect(tmp_path / "set", "commons", server)
    assert numbers(tmp_path / "set") == list(range(90))
    photo = Collection.open(tmp_path / "set").photos["commons:1000"]
    assert (photo.licence, photo.author, photo.title) == ("CC BY-SA 4.0", "Ann", "Hill 0.jpg")
    assert photo.taken == "2021-06-05T12:30:00"


@pytest.mark.parametrize("pages", [False, True])
def test_a_stac_api_is_read_to_the_end_with_and_without_next_links(tmp_path, pages):
    service = Panoramax(shots(90, BOX), page=11, pages=pages)
    with pytest.MonkeyPatch.context() as patch, running(service, clock=badnet.FakeClock()) as server:
        patch.setattr("sat2map.collect.services.stac.MOST", 11)
        collect(tmp_path / "set", "panoramax", server)
    assert numbers(tmp_path / "set") == [n for n in range(90) if n % 10 != 9], (
        "those of a whole circle are left out"
    )
    photo = next(iter(Collection.open(tmp_path / "set").photos.values()))
    assert (photo.licence, photo.author, photo.direction) == ("CC-BY-SA-4.0", "Eva", 90)
    assert photo.taken == "2022-07-01T12:20:30+02:00"


def test_files_on_hosts_that_nobody_named_are_not_asked_for(tmp_path):
    service = Panoramax(shots(4, BOX))
    places = iter(
        [
            "http://169.254.169.254/latest/x.jpg",
            "http://localhost:1/x.jpg",
            "https://evil.example/x.jpg",
            "file:///etc/passwd",
        ]
    )
    service.file = lambda number: next(places)
    with running(service, clock=badnet.FakeClock()) as server:
        run = collect(tmp_path / "set", "panoramax", server)
    assert run.result.gone == 4 and run.result.fetched == 0
    assert len(server.seen) == 1
    assert all("refused" in photo.missing for photo in Collection.open(tmp_path / "set").photos.values())


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"<html>log in</html>",
        b'{"features": 3, "response": [], "query": {"pages": {}}}',
        b'{"response": {"items": [1, {"id": "x"}]}, "features": [{"id": 1}, 2]}',
    ],
)
def test_odd_answers_end_in_an_error_or_in_nothing(tmp_path, name, body):
    answer = badnet.always(body, Content_Type="application/json")
    with badnet.Server(answer, badnet.FakeClock()) as server, contextlib.suppress(DownloadFailed):
        collect(tmp_path / "set", name, server, from_box(37, 55, 37.01, 55.01))
    assert not (tmp_path / "set" / "photos").exists()


def test_a_service_needs_an_area(tmp_path):
    with pytest.raises(BadArea, match="--bbox"), opened(Wish("commons"), Budget()):
        pass


def test_quarters_cover_a_box_once_even_across_180_degrees():
    box = from_box(170, -10, -170, 10).box
    random_ = random.Random(1)
    paths, token = [], ""
    while token is not None:
        is_full = len(token) < 4 and random_.random() < 0.6
        if not is_full:
            paths.append(token or "0")
        token = quarters.following(token, box, is_full=is_full)
    parts = [quarters.box_of(path, box) for path in paths]
    assert sum((p.east - p.west) * (p.north - p.south) for p in parts) == pytest.approx(20 * 20)
    for _ in range(200):
        longitude, latitude = random_.uniform(170, 190), random_.uniform(-10, 10)
        longitude -= 360 if longitude > 180 else 0
        assert sum(p.west < longitude < p.east and p.south < latitude < p.north for p in parts) == 1


# -- faults, kills, caps, tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BASES)
def test_with_a_third_of_the_answers_bad_all_arrives_politely_and_cheaply(tmp_path, name, record_property):
    known = shots(REQUESTS, BOX, seed=3)
    with running(service_of(name, known), clock=badnet.FakeClock()) as clean:
        collect(tmp_path / "clean", name, clean)
    with running(service_of(name, known), 0.3, 5, badnet.FakeClock()) as bad:
        collect(tmp_path / "bad", name, bad)
    assert numbers(tmp_path / "bad") == numbers(tmp_path / "clean") != []
    record_property("requests", [len(clean.seen), len(bad.seen), bad.answer.faults])
    assert len(bad.seen) <= (1.5 if REQUESTS >= 1000 else 1.6) * len(clean.seen)
    assert bad.answer.faults > 0.2 * len(bad.seen)
    early = [s for s in bad.seen for _, told, until in bad.answer.held if told < s.at < until - 1e-6]
    assert bad.answer.held and early == []


def test_a_killed_run_loses_nothing_and_asks_for_nothing_twice(tmp_path):
    known = shots(60, BOX)
    service = Panoramax(known, page=9, pages=True)
    command = [sys.executable, "-m", "sat2map", "collect", "photos", "panoramax", str(tmp_path / "set")]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[1] / "src")}
    random_ = random.Random(4)
    with running(service) as server:
        command += ["--url", server.url("/api"), "--bbox", ",".join(map(str, BOX)), "--rate", "200"]
        for _ in range(KILLS):
            before = len(server.seen)
            with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
                deadline, wanted = time.monotonic() + 60, before + random_.randrange(1, 25)
                while len(server.seen) < wanted and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.005)
                process.kill()
        assert subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode == 0
    assert numbers(tmp_path / "set") == [n for n in range(60) if n % 10 != 9]
    asked = Counter(seen.path for seen in server.seen if seen.path.startswith("/file/"))
    assert sum(count - 1 for count in asked.values()) <= KILLS, "at most the one under way is asked for again"
    lines = (tmp_path / "set" / "manifest.jsonl").read_text().splitlines()
    keys = [line for line in lines if '"record":"photo"' in line]
    assert len(keys) == len(set(keys)) == 54


def test_caps_hold_over_restarts_and_what_arrived_stays(tmp_path):
    service = Panoramax(shots(30, BOX))
    with running(service, clock=badnet.FakeClock()) as server:
        for _ in range(3):
            with pytest.raises(TooMuchToFetch, match="10"):
                collect(tmp_path / "set", "panoramax", server, requests=10)
        assert len(server.seen) == 10 and len(numbers(tmp_path / "set")) == 9
        with pytest.raises(TooMuchToFetch):
            collect(tmp_path / "set", "panoramax", server, size=1)
        assert len(server.seen) == 10
        collect(tmp_path / "set", "panoramax", server, requests=100)
    assert len(numbers(tmp_path / "set")) == 27


def test_what_failed_is_tried_again_and_what_is_gone_is_not(tmp_path):
    service = Panoramax(shots(8, BOX))
    whole = service.answer
    bad = {"/file/2.jpg": 404, "/file/5.jpg": 500}

    def answer(seen: badnet.Seen) -> photoservices.Answer:
        return photoservices.Answer(b"", "text/plain", bad[seen.path]) if seen.path in bad else whole(seen)

    service.answer = answer
    with running(service, clock=badnet.FakeClock()) as server:
        first = collect(tmp_path / "set", "panoramax", server).result
        assert (first.fetched, first.gone, first.failed) == (6, 1, 1)
        bad.clear()
        second = collect(tmp_path / "set", "panoramax", server).result
    assert (second.fetched, second.gone) == (1, 0)
    assert numbers(tmp_path / "set") == [0, 1, 3, 4, 5, 6, 7]


def test_the_token_is_in_no_file_no_log_no_error_and_goes_to_the_api_alone(
    tmp_path, monkeypatch, caplog, capfd
):
    monkeypatch.setenv("VK_TOKEN", TOKEN)
    clock = badnet.FakeClock()  # a server that is gone is asked again for minutes
    monkeypatch.setattr("sat2map.network.client.Clock", lambda: clock)
    monkeypatch.setattr("sat2map.collect.services.asking.Clock", lambda: clock)
    caplog.set_level(logging.DEBUG)
    service = Vk(shots(25, BOX), token=TOKEN)
    arguments = ["--bbox", ",".join(map(str, BOX)), "--rate", "500"]
    with running(Panoramax([])) as files, running(service, 0.2, 2) as server:
        service.files = files.url("").rstrip("/")
        code = main(
            ["collect", "photos", "vk", str(tmp_path / "set"), "--url", server.url("/method"), *arguments,
             "--allow-host", f"127.0.0.1:{files.port}"]
        )  # fmt: skip
        assert code == 0 and len(numbers(tmp_path / "set")) == 25
        assert {"authorization" in seen.headers for seen in files.seen} == {False}
        assert {TOKEN in str(seen.path) for seen in server.seen} == {False}
        service.say = lambda path, query, headers: service.error(5, f"invalid access_token {TOKEN}")
        assert (
            main(["collect", "photos", "vk", str(tmp_path / "b"), "--url", server.url("/method"), *arguments])
            == 1
        )
    assert (
        main(["collect", "photos", "vk", str(tmp_path / "c"), "--url", server.url("/method"), *arguments])
        == 1
    )
    texts = [record.getMessage() + str(record.exc_info) for record in caplog.records] + list(
        capfd.readouterr()
    )
    texts += [p.read_bytes().decode("latin-1") for p in tmp_path.rglob("*") if p.is_file()]
    spelled = [TOKEN, base64.b64encode(TOKEN.encode()).decode()[:-4], TOKEN.encode().hex(), TOKEN[8:24]]
    assert len(texts) > 30 and any("127.0.0.1" in text for text in texts)
    assert [form for form in spelled for text in texts if form in text] == []


def test_a_missing_token_is_said_before_anything_is_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("VK_TOKEN")
    assert main(["collect", "photos", "vk", str(tmp_path / "set"), "--bbox", "37,55,38,56"]) == 2
    assert "VK_TOKEN" in capsys.readouterr().err
    assert main(["collect", "photos", "commons", str(tmp_path / "set")]) == 2
    assert main(["collect", "photos", str(tmp_path / "nowhere"), str(tmp_path / "set")]) == 2
    assert list(tmp_path.iterdir()) == []
