"""The worker process may die, hang or be killed: the server stays, and only those who wait for it are told.

SAT2MAP_KILLS (default 3) says how often it is killed under load, SAT2MAP_PAUSE (default 1.2) how many seconds lie
between.
"""

import concurrent.futures
import hashlib
import os
import pathlib
import random
import signal
import statistics
import threading
import time

import pytest

import geotiffs
import tiny
from sat2map import mercator
from sat2map.mercator import Tile
from serving import Server, serving

KILLS = int(os.environ.get("SAT2MAP_KILLS", "3"))
PAUSE = float(os.environ.get("SAT2MAP_PAUSE", "1.2"))
ZOOM = 17


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("worker")
    geotiffs.write(folder / "town.tif", geotiffs.texture(900, 900))
    tiny.bundle(folder / "tiny")
    return folder


def started(folder: pathlib.Path, **told: object):
    return serving(scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}, **told)


def paths(server: Server, zoom: int = ZOOM) -> list[str]:
    extent = mercator.Degrees(*server.layer("colour")["extent"])
    tiles: list[Tile] = list(mercator.tiles(mercator.window_of(extent, zoom), zoom))
    return [f"/tiles/{p}/{t.z}/{t.x}/{t.y}.png" for t in tiles for p in ("source", "colour", "classes")]


@pytest.mark.parametrize("spare_after", [0.2, None])
def test_kills_under_load_harm_only_what_is_under_way(folder, tmp_path_factory, spare_after):
    """Memory for tiles is so small that nearly every request needs the worker."""
    limits = {"memory": 1, "patience": 60, "deaths": 1000, "spare_after": spare_after}
    with started(folder, limits=limits) as server:
        known = paths(server)
        truth = {path: hashlib.sha256(server.get(path).body).hexdigest() for path in known}
        answers: list[tuple[int, str, str, str]] = []
        going = threading.Event()

        def load(seed: int) -> None:
            chosen = random.Random(seed)
            while not going.is_set():
                path = chosen.choice(known)
                answer = server.get(path)
                kind = answer.json()["kind"] if answer.status != 200 else ""
                answers.append((answer.status, path, hashlib.sha256(answer.body).hexdigest(), kind))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            loads = [pool.submit(load, seed) for seed in range(4)]
            ready, back = [], []
            for _ in range(KILLS):
                time.sleep(PAUSE)
                worker = server.worker()
                ready.append(server.gauge("worker_spare") == 1)
                start = time.perf_counter()
                os.kill(worker, signal.SIGKILL)
                while server.worker() == worker:
                    time.sleep(0.002)
                assert server.get("/healthz").status == 200
                server.wait_ready()
                back.append(time.perf_counter() - start)
            time.sleep(0.3)
            going.set()
            for each in loads:
                each.result()
        failed = [answer for answer in answers if answer[0] != 200]
        assert all(a[0] == 503 and a[3] in ("WorkerLost", "Refused") for a in failed), failed[:3]
        assert all(a[2] == truth[a[1]] for a in answers if a[0] == 200)
        assert len(failed) <= 8 * KILLS and len(answers) - len(failed) > KILLS
        assert KILLS + 1 <= server.gauge("worker_starts_total") <= KILLS + 2
        assert spare_after or not any(ready)
        figures = (
            f"{KILLS} kills, each {PAUSE} s after the last was over, {sum(ready)} with a spare at hand: {len(answers)} "
            f"answers, {len(failed)} failed; ready again after {statistics.median(back):.2f} s (median), "
            f"{max(back):.2f} s at most"
        )
        name = f"kills-{'with' if spare_after else 'without'}-spare.txt"
        (tmp_path_factory.getbasetemp() / name).write_text(figures)


def test_a_spare_that_dies_is_replaced_and_nobody_notices(folder):
    with started(folder, limits={"spare_after": 0.1}) as server:
        path = paths(server)[1]
        body = server.get(path).body
        first, spare = _children(server, 2)
        os.kill(spare, signal.SIGKILL)
        while spare in _children(server, 1):
            time.sleep(0.01)
        assert server.get("/readyz").status == 200 and server.get(path).body == body
        assert _children(server, 2)[0] == first
        server.wait_ready()
    assert not pathlib.Path(f"/proc/{first}").exists(), "both end with the server"


def _children(server: Server, least: int) -> list[int]:
    """Return the processes of the server, once there are so many."""
    end = time.time() + 60
    while time.time() < end:
        found = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        if len(found) >= least:
            return [int(number) for number in found]
        time.sleep(0.01)
    raise AssertionError(f"there are only {found}")


def test_a_worker_that_hangs_is_ended(folder):
    with started(folder, limits={"batch_timeout": 8.0}) as server:
        path = paths(server)[1]
        before = server.worker()
        os.kill(before, signal.SIGSTOP)
        answer = server.get(path)
        assert (answer.status, answer.json()["kind"]) == (503, "WorkerLost") and answer.headers["retry-after"]
        server.wait_ready()
        assert server.worker() != before and server.get(path).status == 200


def test_a_worker_never_outlives_its_server(folder):
    with started(folder) as server:
        worker = server.worker()
        server.stop(signal.SIGKILL)
        end = time.time() + 20
        while pathlib.Path(f"/proc/{worker}").exists() and time.time() < end:
            state = pathlib.Path(f"/proc/{worker}/stat")
            try:
                if state.read_text().rpartition(")")[2].split()[0] == "Z":
                    break
            except FileNotFoundError:
                break
            time.sleep(0.05)
        else:
            assert time.time() < end, "the worker is still there"


def test_sigterm_finishes_what_is_under_way_and_leaves_well(folder):
    with started(folder) as server, concurrent.futures.ThreadPoolExecutor(4) as pool:
        wanted = [pool.submit(server.get, path) for path in paths(server)[1:5]]
        time.sleep(0.05)
        assert server.stop() == 0
        answers = [each.result() for each in wanted]
        assert all(a.status in (200, 503) for a in answers)
        assert all(len(a.body) == int(a.headers["content-length"]) for a in answers), "none is cut short"


def test_what_cannot_be_opened_is_said_by_its_own_error(folder, tmp_path, capsys):
    from sat2map.cli.main import main

    (tmp_path / "no.tif").write_bytes(b"no scene at all")
    assert (
        main(["serve", str(tmp_path / "no.tif"), "--model", str(folder / "tiny"), "--port", "0", "-q"]) == 1
    )
    assert "no.tif" in capsys.readouterr().err
    tiny.bundle(tmp_path / "backwards", id="backwards", direction="map2sat")
    arguments = [
        "serve",
        str(folder / "town.tif"),
        "--model",
        str(tmp_path / "backwards"),
        "--port",
        "0",
        "-q",
    ]
    assert main(arguments) == 2
    assert "sat2map" in capsys.readouterr().err
