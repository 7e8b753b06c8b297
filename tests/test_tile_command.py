"""`translate` with an address of tiles: the map of their mosaic, with its attribution and without its tokens."""

import hashlib
import json
import pathlib

import numpy as np
import pytest
import rasterio
from affine import Affine

import geotiffs
import tileserver
import tiny
from badnet import Server
from sat2map.cli.main import main
from tileserver import serving
from tilesources import COL, PLACEHOLDER, ROW, ZOOM, own_cache, world

__all__ = ["own_cache"]


@pytest.fixture
def model(tmp_path: pathlib.Path) -> str:
    tiny.bundle(tmp_path / "model")
    return str(tmp_path / "model")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_translating_tiles_is_translating_their_mosaic(tmp_path, model, capsys):
    at = world(3, 3)
    at.holes.add((ROW + 1, COL + 2))
    left, top, size = at.origin
    mask = np.full(at.pixels.shape[:2], 255, np.uint8)
    mask[256:512, 512:] = 0
    scene = geotiffs.write(
        tmp_path / "scene.tif",
        at.pixels,
        crs="EPSG:3857",
        transform=Affine(size, 0, left, 0, -size, top),
        mask=mask,
    )
    products = ["--products", "colour,classes,confidence", "--model", model, "-q"]
    assert run("translate", scene, tmp_path / "file.tif", *products) == 0
    with Server(serving(at)) as server:
        address, box = server.url("/{z}/{x}/{y}.png"), ",".join(map(repr, at.bbox()))
        tiles = ["--bbox", box, "--zoom", ZOOM, "--rate", 100, "--attribution", "© Somebody"]
        assert run("translate", address, tmp_path / "tiles.tif", *tiles, "--dry-run", "--model", model) == 0
        said = capsys.readouterr().out
        assert (
            "9 tiles of 256 x 256 px at zoom 17" in said
            and "768 x 768 px" in said
            and "0.808 m per pixel" in said
        )
        assert server.seen == []
        assert run("translate", address, tmp_path / "tiles.tif", *tiles, *products) == 0
        assert len(server.seen) == 9
        assert run("translate", address, tmp_path / "tiles.tif", *tiles, *products) == 2, "it is there"
        assert len(server.seen) == 9
    for product in ("", "_classes", "_confidence"):
        with (
            rasterio.open(tmp_path / f"file{product}.tif") as a,
            rasterio.open(tmp_path / f"tiles{product}.tif") as b,
        ):
            assert np.array_equal(a.read(), b.read()), product
            assert np.array_equal(a.dataset_mask(), b.dataset_mask()) and (a.dataset_mask() == 0).any()
            assert a.transform.almost_equals(b.transform, 1e-6) and a.crs == b.crs
            assert b.tags()["TIFFTAG_COPYRIGHT"] == "© Somebody"
            assert b.tags()["SAT2MAP_SOURCE"] == address
            assert "TIFFTAG_COPYRIGHT" not in a.tags()
    assert list(tmp_path.glob(".*")) == []


def test_a_second_map_of_the_same_area_asks_nobody(tmp_path, model):
    at = world(2, 2)

    def answer(handler, seen, number):
        body = at.tile(*tileserver.xyz(seen.path))
        handler.send(body, Content_Type="image/png", Cache_Control="max-age=3600")

    with Server(answer) as server:
        common = [
            server.url("/{z}/{x}/{y}"),
            "--bbox",
            ",".join(map(repr, at.bbox())),
            "--rate",
            100,
            "--model",
            model,
            "-q",
        ]
        assert run("translate", common[0], tmp_path / "a.tif", *common[1:]) == 0
        assert run("translate", common[0], tmp_path / "b.tif", *common[1:]) == 0
        assert len(server.seen) == 4
        assert run("translate", common[0], tmp_path / "c.tif", *common[1:], "--no-cache") == 0
        assert len(server.seen) == 8


def test_tiles_become_tiles_with_their_attribution(tmp_path, model):
    at = world(2, 2)
    with Server(serving(at)) as server:
        command = [
            "translate",
            server.url("/{z}/{x}/{y}"),
            f"{tmp_path / 'map'}/",
            "--zoom",
            f"16-{ZOOM}",
            "--rate",
            100,
        ]
        command += [
            "--bbox",
            ",".join(map(repr, at.bbox(20))),
            "--model",
            model,
            "-q",
            "--attribution",
            "© A & <B>",
        ]
        assert run(*command) == 0
        assert {seen.path.split("/")[1] for seen in server.seen} == {str(ZOOM)}, "the largest zoom is fetched"
    said = json.loads((tmp_path / "map" / "tiles.json").read_text("utf-8"))
    assert said["attribution"] == "© A &amp; &lt;B&gt;"
    assert (said["minzoom"], said["maxzoom"]) == (16, ZOOM)
    assert (tmp_path / "map" / str(ZOOM) / str(COL) / f"{ROW}.png").is_file()


def test_a_token_stays_in_the_environment(tmp_path, model, capsys, monkeypatch):
    canary = "c4n4ry-t0k3n-4711"
    monkeypatch.setenv("MAP_KEY", canary)
    at = world(2, 2)
    denies = [False]
    tiles = serving(at)

    def answer(handler, seen, number):
        assert f"key={canary}" in seen.path and seen.headers["x-key"] == f"Bearer {canary}"
        return handler.send(b"", 403) if denies[0] else tiles(handler, seen, number)

    with Server(answer) as server:
        command = [
            "translate",
            server.url("/{z}/{x}/{y}?key={env:MAP_KEY}"),
            tmp_path / "a.tif",
            "--model",
            model,
        ]
        command += [
            "--bbox",
            ",".join(map(repr, at.bbox())),
            "--rate",
            100,
            "--header",
            "X-Key: Bearer {env:MAP_KEY}",
        ]
        denies[0] = True
        assert run(*command, "--debug") == 1
        denies[0] = False
        assert run(*command, "--json", "--products", "colour,classes") == 0
    said = capsys.readouterr()
    texts = [said.out, said.err, *(str(path) for path in tmp_path.rglob("*"))]
    texts += [p.read_bytes().decode("latin-1") for p in tmp_path.rglob("*") if p.is_file()]
    assert "answers 403" in said.err and "key={env:MAP_KEY}" in "".join(texts)
    digest = hashlib.sha256(canary.encode()).hexdigest()
    assert not any(form in text for text in texts for form in (canary, canary[:8], digest))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["https://host/{z}/{x}/{y}", "a.tif"], "--bbox"),
        (["https://host/{z}/{x}/{y}", "--bbox", "0,0,1,1"], "OUT"),
        (["https://host/{z}/{x}/{y}", "a.tif", "--bbox", "0,0,1"], "WEST,SOUTH,EAST,NORTH"),
        (["photo.png", "a.png", "--bbox", "0,0,1,1"], "for tile sources"),
        (["https://host/{z}/{x}/{y}", "a.tif", "--bbox", "0,0,1,1", "--header", "s3cr3t"], "NAME: VALUE"),
    ],
)
def test_wrong_use_is_explained(tmp_path, monkeypatch, capsys, model, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(PLACEHOLDER)
    assert run("translate", *arguments, "--model", model) == 2
    error = capsys.readouterr().err
    assert says in error and "s3cr3t" not in error
