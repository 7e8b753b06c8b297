"""A tile source of other people as a live scene: the tiles of the batch, byte for byte, and never half of one."""

import concurrent.futures
import os
import pathlib
import time
from collections.abc import Iterator

import numpy as np
import pytest

import geotiffs
import tileserver
import tiny
from badnet import Handler, Seen
from badnet import Server as Upstream
from sat2map import mercator
from sat2map.cli.main import main
from sat2map.images import decode_image_with_alpha
from sat2map.mercator import Tile
from serving import Server, serving
from tileserver import World

ZOOM, ROW, COL = 17, 45_900, 68_640  # Zürich, in tiles
ROWS, COLS = 3, 4
PRODUCTS = ("colour", "classes", "confidence")


class Fickle:
    """A source that can be told to fail: a status for every tile, a header, a delay, or bytes instead of a picture."""

    def __init__(self, world: World) -> None:
        self.good = tileserver.serving(world)
        self.status, self.after, self.delay, self.body = 200, "", 0.0, b""

    def __call__(self, handler: Handler, seen: Seen, number: int) -> None:
        time.sleep(self.delay)
        if self.body:
            handler.send(self.body, 200, Content_Type="image/png")
        elif self.status != 200:
            handler.send(b"no", self.status, **({"Retry_After": self.after} if self.after else {}))
        else:
            self.good(handler, seen, number)


@pytest.fixture(scope="module")
def world() -> World:
    at = World(geotiffs.texture(ROWS * 256, COLS * 256), ROW * 256, COL * 256, ZOOM)
    at.holes = {(ROW + 1, COL + 2)}
    return at


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("source") / "tiny"
    tiny.bundle(folder)
    return folder


@pytest.fixture
def fickle(world) -> Fickle:
    return Fickle(world)


@pytest.fixture
def upstream(fickle) -> Iterator[Upstream]:
    with Upstream(fickle) as server:
        yield server


def live(upstream: Upstream, world: World, bundle: pathlib.Path, path: str = "/{z}/{x}/{y}.png", **told):
    """Serve tiles of `upstream`; `told` are limits, fields of `Remote` go in `remote`."""
    remote = {
        "id": "tiles",
        "address": upstream.url(path),
        "bbox": world.bbox(inset=60.5),
        "rate": 100.0,
        **told.pop("remote", {}),
    }
    return serving(remotes=[remote], models={"tiny": bundle}, **told)


def path_of(tile: Tile, product: str = "colour") -> str:
    return f"/tiles/{product}/{tile.z}/{tile.x}/{tile.y}.png"


def tiles_of(server: Server, zoom: int = ZOOM) -> list[Tile]:
    extent = mercator.Degrees(*server.layer("colour")["extent"])
    return list(mercator.tiles(mercator.window_of(extent, zoom), zoom))


@pytest.fixture(scope="module")
def batch(world, bundle, tmp_path_factory) -> pathlib.Path:
    """The tiles that `translate` makes of the source."""
    folder = tmp_path_factory.mktemp("batch")
    box = ",".join(map(repr, world.bbox(inset=60.5)))
    with Upstream(tileserver.serving(world)) as upstream:
        asked = ["translate", upstream.url("/{z}/{x}/{y}.png"), f"{folder / 'out'}/", "--bbox", box]
        asked += ["--model", str(bundle), "--rate", "100", "--products", "colour,classes,confidence"]
        assert main([*asked, "--no-cache", "-q"]) == 0
    return folder


def test_live_tiles_are_those_of_the_batch_byte_for_byte(upstream, world, bundle, batch):
    with live(upstream, world, bundle) as server:
        compared = 0
        for file in sorted(batch.glob("out*/*/*/*.png"), reverse=True):
            product = file.relative_to(batch).parts[0].partition("_")[2] or "colour"
            tile = Tile(int(file.parts[-3]), int(file.parts[-2]), int(file.stem))
            if tile.z >= server.layer("colour")["minzoom"]:
                answer = server.get(path_of(tile, product))
                assert answer.status == 200 and answer.body == file.read_bytes(), (tile, product)
                compared += 1
        assert compared > 3 * ROWS * COLS
        assert len(upstream.seen) == ROWS * COLS, "each tile of the source is asked for once"
        assert server.gauge("upstream_requests_total") == ROWS * COLS
        shown = decode_image_with_alpha(server.get(path_of(Tile(ZOOM, COL + 1, ROW + 1), "source")).body)
        assert np.array_equal(shown.rgb, world.pixels[256:512, 256:512]) and shown.alpha is None
        hole = decode_image_with_alpha(server.get(path_of(Tile(ZOOM, COL + 2, ROW + 1))).body)
        assert hole.alpha is not None and not hole.alpha.any(), (
            "a tile that the source lacks is missing pixels"
        )


def test_a_source_that_fails_is_said_and_never_becomes_a_tile(upstream, fickle, world, bundle, batch):
    with live(upstream, world, bundle) as server:
        tile = Tile(ZOOM, COL + 3, ROW + 2)
        for status, body in ((500, b""), (403, b""), (200, b"<html>no imagery</html>")):
            fickle.status, fickle.body = status, body
            answer = server.get(path_of(tile))
            assert answer.status == 502 and answer.json()["kind"] == "DownloadFailed", answer.body
            assert int(answer.headers["retry-after"]) >= 1 and "no-store" in answer.headers["cache-control"]
            assert "127.0.0.1" not in answer.json()["detail"], (
                "where imagery comes from is nothing for clients"
            )
            assert server.get("/healthz").status == 200
        fickle.status, fickle.body = 200, b""
        assert server.get(path_of(tile)).body == (batch / f"out/{ZOOM}/{tile.x}/{tile.y}.png").read_bytes()
        fickle.status, fickle.after = 503, "40"
        answer = server.get(path_of(Tile(ZOOM, COL, ROW)))
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 35
        time.sleep(0.3)  # for what was on its way
        asked = len(upstream.seen)
        again = server.get(path_of(Tile(ZOOM, COL, ROW + 1)))
        assert again.status == 503 and int(again.headers["retry-after"]) >= 30
        assert len(upstream.seen) == asked, "nobody is asked who wants a pause"


def test_one_bad_tile_fails_those_that_need_it_and_no_others(upstream, fickle, world, bundle):
    lost = f"/{ZOOM}/{COL}/{ROW}.png"

    def answer(handler: Handler, seen: Seen, number: int) -> None:
        handler.send(
            b"\x89PNG and then nothing", Content_Type="image/png"
        ) if seen.path == lost else fickle.good(handler, seen, number)

    upstream.answer = answer
    with live(upstream, world, bundle) as server:
        assert server.get(path_of(Tile(ZOOM, COL, ROW))).status == 502
        assert server.get(path_of(Tile(ZOOM, COL + 3, ROW + 2))).status == 200


def test_a_slow_source_holds_nobody_up(upstream, fickle, world, bundle, tmp_path):
    """Tiles of files and the source's own failure: in time, while the source sleeps."""
    geotiffs.write(tmp_path / "town.tif", geotiffs.texture(300, 300))
    limits = {"upstream_patience": 2.0}
    told = {"scenes": {"town": tmp_path / "town.tif"}, "limits": limits}
    with live(upstream, world, bundle, **told) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        fickle.delay = 6.0
        layer = server.layer("tiles-colour")
        window = mercator.window_of(mercator.Degrees(*layer["extent"]), ZOOM)
        paths = [path_of(t, "tiles-colour") for t in mercator.tiles(window, ZOOM)][:8]
        waiting = [pool.submit(server.get, path) for path in paths]
        time.sleep(0.3)
        layer = server.layer("town-colour")
        window = mercator.window_of(mercator.Degrees(*layer["extent"]), layer["own_zoom"])
        near = next(mercator.tiles(window, layer["own_zoom"]))
        start = time.perf_counter()
        assert server.get(path_of(near, "town-colour")).status == 200
        assert time.perf_counter() - start < 1.9, "it waited for the source"
        answers = [each.result() for each in waiting]
        assert {a.status for a in answers} == {503} and all(a.headers["retry-after"] for a in answers)
        assert {a.json()["kind"] for a in answers} <= {"DownloadFailed", "Refused"}


def test_kept_tiles_outlive_the_server_and_damage_is_seen(upstream, world, bundle, tmp_path):
    with live(upstream, world, bundle, cache=tmp_path / "cache") as server:
        tile = tiles_of(server)[7]
        body = server.get(path_of(tile)).body
    asked = len(upstream.seen)
    kept = sorted((tmp_path / "cache" / "sources").rglob("*.tile"))
    assert kept and len(kept) == asked
    for finished in (tmp_path / "cache").glob("??/*.tile"):
        finished.unlink()
    kept[0].write_bytes(kept[0].read_bytes()[:-3])
    with live(upstream, world, bundle, cache=tmp_path / "cache") as server:
        assert server.get(path_of(tile)).body == body
    assert len(upstream.seen) <= asked + 1, "all but the damaged one are on disk"


def test_documents_are_read_once_and_attribution_is_passed_on(upstream, world, bundle):
    document = tileserver.tilejson(
        "/{z}/{x}/{y}.png", attribution="© Land <b>& Survey</b>", bounds=world.bbox()
    )
    upstream.answer = tileserver.serving(world, {"/t.json": ("application/json", document)})
    with live(upstream, world, bundle, path="/t.json") as server:
        told = server.get("/tilejson/colour.json").json()
        assert "Land" in told["attribution"] and "<b>" not in told["attribution"]
        os.kill(server.worker(), 9)
        time.sleep(0.1)
        server.wait_ready()
        assert server.get(path_of(tiles_of(server)[3])).status == 200
    assert [seen.path for seen in upstream.seen].count("/t.json") == 1


def test_an_area_of_a_source_becomes_files(upstream, fickle, world, bundle):
    with live(upstream, world, bundle) as server:
        west, south, east, north = server.layer("colour")["extent"]
        box = f"{west},{south},{(west + east) / 2},{north}"
        job = server.ask("POST", f"/extract/colour?bbox={box}").json()
        while job["state"] in ("waiting", "running"):
            time.sleep(0.05)
            job = server.get(f"/jobs/{job['id']}").json()
        assert job["state"] == "done" and {"colour", "classes"} <= job["results"].keys(), job


def test_what_makes_no_sense_is_refused_at_start(upstream, world, bundle, tmp_path, capsys):
    address = upstream.url("/{z}/{x}/{y}.png")
    told = ["--model", str(bundle), "--port", "0", "-q"]
    assert main(["serve", address, *told]) == 2 and "--bbox" in capsys.readouterr().err
    assert main(["serve", "--bbox", "1,2,3,4", *told]) == 2 and "tile sources" in capsys.readouterr().err
    assert main(["serve", address, "--bbox", "0,0,40,40", *told]) == 2
    assert "smaller area" in capsys.readouterr().err
    assert main(["serve", "https://10.0.0.1.example/{z}", "--bbox", "1,2,3,4", *told]) == 2
