"""Pictures and scenes on request: what `translate` makes, progress, cancelling, expiry, and nothing left behind."""

import collections
import contextlib
import io
import json
import os
import pathlib
import socket
import time
from collections.abc import Callable

import numpy as np
import pytest

import geotiffs
import tiny
from sat2map.cli.main import main
from sat2map.images import decode_image, encode_png
from serving import Answer, Server, serving

LIMITS = {"upload": 4 << 20, "spool": 40 << 20, "picture_pixels": 1 << 20, "job_age": 5.0, "jobs": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("translate")
    (folder / "picture.png").write_bytes(encode_png(geotiffs.texture(200, 300)))
    geotiffs.write(folder / "scene.tif", geotiffs.texture(300, 260))
    tiny.bundle(folder / "tiny")
    tiny.bundle(folder / "back", id="back", direction="map2sat", kind="rgb", palette=None)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    (folder / "tmp").mkdir()
    (folder / "tmp" / "sat2map-serve-orphan").mkdir()
    (folder / "tmp" / "sat2map-serve-orphan" / "upload").write_bytes(b"of a server that was killed")
    models = {"tiny": folder / "tiny", "back": folder / "back"}
    with serving(models=models, limits=LIMITS, tmp=folder / "tmp") as running:
        yield running


def left(folder: pathlib.Path) -> list[str]:
    """Names of what lies in the space for uploads, besides its lock."""
    return [p.name for p in (folder / "tmp").glob("sat2map-serve-*/*") if p.name != ".lock"]


def send(server: Server, body: bytes, query: str = "", **headers: str) -> Answer:
    return server.ask("POST", f"/translate{query}", body, headers)


def wait(server: Server, answer: Answer, seconds: float = 60) -> dict:
    job = answer.json()
    end = time.time() + seconds
    while job["state"] in ("waiting", "running") and time.time() < end:
        time.sleep(0.05)
        job = server.get(f"/jobs/{job['id']}").json()
    return job


def test_a_picture_becomes_what_translate_makes_of_it(server, folder, tmp_path):
    arguments = ["translate", str(folder / "picture.png"), str(tmp_path / "map.png"), "-q"]
    assert main([*arguments, "--model", str(folder / "tiny")]) == 0
    answer = send(server, (folder / "picture.png").read_bytes(), "?model=tiny")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.body == (tmp_path / "map.png").read_bytes()
    assert answer.headers["content-disposition"] == 'attachment; filename="map.png"'
    back = send(server, answer.body, "?model=back")
    assert back.status == 200 and back.body != answer.body
    assert server.gauge("spool_bytes") == 0 and server.gauge("jobs_waiting") == 0 and left(folder) == []


def test_a_scene_becomes_a_job_whose_results_are_those_of_translate(server, folder, tmp_path):
    arguments = ["translate", str(folder / "scene.tif"), str(tmp_path / "map.tif"), "-q"]
    assert main([*arguments, "--model", str(folder / "tiny"), "--products", "colour,classes,confidence"]) == 0
    answer = send(server, (folder / "scene.tif").read_bytes(), "?model=tiny")
    assert answer.status == 202 and answer.headers["location"] == f"jobs/{answer.json()['id']}"
    job = wait(server, answer)
    assert job["state"] == "done" and job["done"] == job["total"] > 0, job
    assert {"colour", "classes", "confidence", "vectors"} == set(job["results"])
    import rasterio

    for product, name in (
        ("colour", "map.tif"),
        ("classes", "map_classes.tif"),
        ("confidence", "map_confidence.tif"),
    ):
        got = server.get("/" + job["results"][product])
        assert got.headers["content-disposition"] == f'attachment; filename="{name}"'
        with rasterio.open(io.BytesIO(got.body)) as live, rasterio.open(tmp_path / name) as batch:
            assert np.array_equal(live.read(), batch.read()) and live.transform == batch.transform
    assert server.get("/" + job["results"]["vectors"]).body.startswith(b"SQLite format 3\0")
    assert server.ask("DELETE", f"/jobs/{job['id']}").status == 204
    assert server.get("/" + job["results"]["colour"]).status == 404
    assert server.gauge("spool_bytes") == 0


def test_progress_is_told_as_it_happens(server, folder):
    answer = send(server, (folder / "scene.tif").read_bytes(), "?model=tiny")
    with server.raw(
        f"GET /jobs/{answer.json()['id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    ) as listening:
        text = b""
        while b'"state": "done"' not in text:
            chunk = listening.recv(65536)
            assert chunk
            text += chunk
    assert b"text/event-stream" in text
    told = [json.loads(line[6:]) for line in text.decode().splitlines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done" and told[-1]["results"]
    server.ask("DELETE", f"/jobs/{told[0]['id']}")


def test_jobs_expire_and_can_be_cancelled(server, folder):
    answer = send(server, (folder / "picture.png").read_bytes(), "?model=tiny&wait=no")
    job = wait(server, answer)
    assert job["state"] == "done" and server.get("/" + job["results"]["colour"]).status == 200
    waiting = [send(server, (folder / "scene.tif").read_bytes()) for _ in range(2)]
    assert server.ask("DELETE", f"/jobs/{waiting[1].json()['id']}").status == 204
    assert server.get(f"/jobs/{waiting[1].json()['id']}").status == 404
    assert wait(server, waiting[0])["state"] == "done"
    end = time.time() + 40
    while server.gauge("spool_bytes") and time.time() < end:
        time.sleep(0.2)
    assert server.gauge("spool_bytes") == 0 and server.get(f"/jobs/{job['id']}").status == 404


def test_more_jobs_than_may_wait_are_refused_at_the_door(server, folder):
    body = (folder / "scene.tif").read_bytes()
    answers = [send(server, body) for _ in range(6)]
    refused = [answer for answer in answers if answer.status == 503]
    assert refused and all(a.headers["retry-after"] and a.headers["x-refused"] == "jobs" for a in refused)
    for answer in answers:
        if answer.status == 202:
            server.ask("DELETE", f"/jobs/{answer.json()['id']}")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 415, "UnsupportedFormat"),
        (b"<svg/>" * 9, 415, "UnsupportedFormat"),
        (encode_png(geotiffs.texture(50, 50))[:-900], 422, "CorruptImage"),
        (encode_png(np.zeros((1100, 1000, 3), np.uint8)), 413, "ImageTooLarge"),
        (b"x" * (5 << 20), 413, "ImageTooLarge"),
    ],
    ids=["nothing", "svg", "cut", "pixels", "bytes"],
)
def test_bad_uploads_are_told_what_is_wrong_and_leave_nothing(server, body, status, kind):
    answer = send(server, body, "?model=tiny")
    assert (answer.status, answer.json()["kind"]) == (status, kind)
    text = answer.body.decode()
    assert "/tmp" not in text and "sat2map-serve" not in text and answer.json()["detail"]
    assert server.gauge("spool_bytes") == 0


def test_a_bad_scene_fails_its_job_with_the_error_of_the_gate(server, folder):
    answer = send(server, (folder / "scene.tif").read_bytes()[:3000], "?model=tiny")
    job = wait(server, answer)
    assert job["state"] == "failed" and job["problem"]["kind"] == "CorruptImage"
    assert "/tmp" not in json.dumps(job)
    server.ask("DELETE", f"/jobs/{job['id']}")


def test_unknown_models_and_jobs_are_404(server):
    assert send(server, b"x", "?model=../carto").json()["kind"] == "UnknownModel"
    for path in (
        "/jobs/none",
        "/jobs/none/events",
        "/jobs/none/colour",
        "/jobs/..%2f..%2fetc%2fpasswd/colour",
    ):
        assert server.get(path).status == 404


def test_uploads_without_a_length_are_cut_off_as_soon_as_they_are_too_long(server):
    head = b"POST /translate?model=tiny HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with server.raw(head) as connection:
        sent = 0
        try:
            for _ in range(400):
                connection.sendall(chunk)
                sent += 65536
            connection.settimeout(10)
            answer = connection.recv(4096)
        except OSError:
            answer = b""
    assert sent < 26 << 20 and (b" 413 " in answer or not answer)
    assert server.gauge("spool_bytes") == 0


def test_uploads_good_aborted_and_too_long_leave_nothing(server, folder):
    """SAT2MAP_UPLOADS says how many: half are sent whole, a quarter is aborted, a quarter is too long or says so."""
    count = int(os.environ.get("SAT2MAP_UPLOADS", "16"))
    picture = (folder / "picture.png").read_bytes()
    for _ in range(4):
        send(server, picture)  # what is set up once belongs to the memory before
    before = {process: _resident(process) for process in (server.pid, server.worker())}
    statuses = collections.Counter()
    for number in range(count):
        statuses[(_whole, _aborted, _whole, _too_long)[number % 4](server, picture, number)] += 1
    assert statuses[200] == (count + 1) // 2 and statuses[413] == count // 4, statuses
    end = time.time() + 20
    while server.gauge("spool_bytes") and time.time() < end:
        time.sleep(0.05)
    assert server.gauge("spool_bytes") == 0 and left(folder) == []
    assert len(list(pathlib.Path(f"/proc/{server.pid}/fd").iterdir())) < 60
    grown = {process: _resident(process) - kib for process, kib in before.items()}
    assert max(grown.values()) < 64 << 10, grown
    told = f"{count} uploads {dict(statuses)}: memory grew by {list(grown.values())} KiB (server, worker)"
    (folder / "uploads.txt").write_text(told)


def _whole(server: Server, picture: bytes, number: int) -> int:
    return send(server, picture).status


def _aborted(server: Server, picture: bytes, number: int) -> int:
    """Announce more than is sent, and leave; every other one without a farewell."""
    head = f"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 << 20}\r\n\r\n".encode()
    with server.raw(head + b"\x89PNG\r\n\x1a\n" + b"x" * (number * 7919 % 300_000)) as connection:
        if number % 8 == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return 0


def _too_long(server: Server, picture: bytes, number: int) -> int:
    """Announce too much, or send it without a word."""
    head, most = b"POST /translate HTTP/1.1\r\nHost: localhost\r\n", LIMITS["upload"]
    if number % 8 == 3:
        data = head + f"Content-Length: {most + 1}\r\n\r\n".encode()
    else:
        data = head + b"Transfer-Encoding: chunked\r\n\r\n"
    with server.raw(data) as connection:
        connection.settimeout(60)
        with contextlib.suppress(OSError):  # it closes in the middle of what we send
            chunk = b"x" * (64 << 10)
            for _ in range(most // len(chunk) + 2 if number % 8 != 3 else 0):
                connection.sendall(b"10000\r\n" + chunk + b"\r\n")
        answer = b""
        with contextlib.suppress(OSError):
            answer = connection.recv(4096)
    return int(answer.split()[1]) if answer else -1


def _resident(process: int) -> int:
    """KiB of memory of a process."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def test_towns_that_nobody_waits_for_are_not_painted(server, folder):
    """Painting one takes seconds; a page that rolls and leaves must not keep the worker busy with all of them."""
    first = server.get("/towns/grid/7/map.png")
    again = server.get("/towns/grid/7/map.png", if_none_match=first.headers["etag"])
    assert (first.status, again.status) == (200, 304) and decode_image(first.body).shape == (512, 512, 3)
    one = _seconds(lambda: server.get("/towns/organic/1/map.png"))
    for seed in range(6):
        with server.raw(f"GET /towns/radial/{seed}/map.png HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()):
            time.sleep(0.05)
    assert _seconds(lambda: send(server, (folder / "picture.png").read_bytes())) < 4 * one + 5
    for path in ("gothic/1/map.png", "grid/x/map.png", "grid/99999999999/map.png", "grid/1/a.png"):
        assert server.get(f"/towns/{path}").status == 404


def _seconds(work: Callable[[], Answer]) -> float:
    start = time.perf_counter()
    assert work().status == 200
    return time.perf_counter() - start
