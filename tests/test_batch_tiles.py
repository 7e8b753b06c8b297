"""Tile services in a plan: the map of their mosaic, each tile asked for once, whoever computes and whatever fails."""

import json
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import rasterio

import geotiffs
import regions
from badnet import Server
from batches import Here, pixels, same_maps
from sat2map.batch.area import Footprint, box_of, from_geojson, touches
from sat2map.batch.journal import read_standing
from sat2map.batch.plan import HEADER, RASTERS, read_cells, read_plan
from sat2map.batch.run import run_plan
from sat2map.errors import BadArea, BadPlan, BadTileSource, CellsMissing, DownloadFailed, TooMuchToFetch
from sat2map.scenes.sources.area import area_of, cover_of
from sat2map.scenes.sources.job import TileOptions, TileSource
from tileserver import World, capabilities, serving, tilejson

ROOT = pathlib.Path(__file__).resolve().parents[1]
ZOOM, ROW, COL = 17, 45_900, 68_640  # Zürich, in tiles
FAST = TileOptions(rate=100.0, cache=False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def world(rows: int = 4, cols: int = 5) -> World:
    found = World(geotiffs.texture(rows * 256, cols * 256), ROW * 256, COL * 256, ZOOM)
    found.holes.add((ROW + 1, COL + 2))
    return found


def asked(server: Server) -> list[str]:
    return [seen.path for seen in server.seen]


def planned(server: Server, at: World, folder: pathlib.Path, path: str = "/{z}/{x}/{y}.png", **wanted):
    told = {"bbox": at.bbox(inset=30.5), "gsd": 0.8, "tiles": FAST, **wanted}
    return regions.plan([server.url(path)], folder, **told)


def mosaic(server: Server, at: World, out: pathlib.Path, bbox) -> pathlib.Path:
    """The same area as a GeoTIFF."""
    source = TileSource(server.url("/{z}/{x}/{y}.png"), FAST)
    cover = cover_of(source.layer, source.layer.level(str(ZOOM)), area_of(bbox), 1000)
    with source.gathered(cover, out) as found:
        return pathlib.Path(found.rename(out))


@pytest.mark.parametrize("grid", [{}, {"crs": "EPSG:2056"}])
def test_a_service_has_the_map_of_its_mosaic_and_is_asked_once_for_each_tile(tmp_path, grid):
    at = world()
    with Server(serving(at)) as server:
        plan = planned(server, at, tmp_path / "plan", **grid)
        assert asked(server) == [], "planning asks for no tile"
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        assert len(asked(server)) == len(set(asked(server))) == plan.sources[0].tiles == 20
        scene = mosaic(server, at, tmp_path / "mosaic.tif", at.bbox(inset=30.5))
    regions.plan([scene], tmp_path / "scene", gsd=0.8, model=str(tmp_path / "model"), **grid)
    run_plan(tmp_path / "scene", lambda: Here(tmp_path / "scene"))
    same_maps(tmp_path / "plan", tmp_path / "scene")
    same_maps(tmp_path / "scene", tmp_path / "plan")
    _, _, valid = pixels(tmp_path / "plan", "classes")
    assert 0.7 < valid.mean() < 1, "the hole is one"


def test_neither_size_nor_order_of_cells_changes_a_pixel_or_a_request(tmp_path):
    at = world()
    with Server(serving(at)) as server:
        for name, side, shuffle in (("a", 512, None), ("b", 1024, 3)):
            planned(server, at, tmp_path / name, side=side)
            run_plan(tmp_path / name, lambda name=name: Here(tmp_path / name), shuffle=shuffle)
        assert len(asked(server)) == 40 and len(set(asked(server))) == 20
    same_maps(tmp_path / "a", tmp_path / "b")


def test_only_tiles_that_touch_the_polygon_are_fetched(tmp_path):
    at = world(6, 6)
    west, south, east, north = at.bbox(inset=1.5)
    triangle = [[west, south], [west, north], [east, south], [west, south]]
    area = tmp_path / "area.geojson"
    area.write_text(
        json.dumps({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [triangle]}})
    )
    with Server(serving(at)) as server:
        plan = planned(server, at, tmp_path / "plan", bbox=None, file=area)
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        rows, cols = zip(
            *((int(p.split("/")[3][:-4]) - ROW, int(p.split("/")[2]) - COL) for p in asked(server)),
            strict=True,
        )
    assert len(rows) == len(set(zip(rows, cols, strict=True))) == plan.sources[0].tiles == 21
    assert all(col <= row for row, col in zip(rows, cols, strict=True)), "below the diagonal"
    world_, _, valid = pixels(tmp_path / "plan", "colour")
    assert world_.width >= 1530 and 0.5 < valid.mean() < 0.65


@pytest.mark.parametrize("kind", ["tilejson", "wmts"])
def test_descriptions_travel_in_the_plan(tmp_path, kind):
    at = world(2, 2)
    at.holes.clear()
    documents = {
        "/tiles.json": (
            "application/json",
            tilejson("/{z}/{x}/{y}.png", attribution="Land & Survey", maxzoom=ZOOM),
        ),
        "/wmts": ("text/xml", capabilities(at, resource="/r/{TileMatrix}/{TileCol}/{TileRow}")),
    }
    path = {"tilejson": "/tiles.json", "wmts": "/wmts"}[kind]

    def answer(handler, seen, number):
        seen = seen._replace(path=seen.path.replace("EPSG:3857:", "").replace("EPSG%3A3857%3A", ""))
        return serving(at, documents)(handler, seen, number)

    with Server(answer) as server:
        plan = planned(server, at, tmp_path / "plan", path, bbox=at.bbox(inset=2.5))
        assert asked(server) == [path] and "Land & Survey" in plan.sources[0].attribution
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        assert asked(server)[1:] and path not in asked(server)[1:], "nobody asks for the description again"
    written = sorted((tmp_path / "plan" / RASTERS).glob("*_colour.tif"))
    with rasterio.open(written[0]) as file:
        assert "Land & Survey" in file.tags()["TIFFTAG_COPYRIGHT"]


def test_two_processes_share_the_tiles_while_every_fifth_request_fails(tmp_path):
    at, lock, faults = world(), threading.Lock(), []
    answered: list[str] = []

    def faulty(handler, seen, number):
        with lock:
            fails = (len(answered) + len(faults)) % 5 == 3
            (faults if fails else answered).append(seen.path)
        if fails:
            return handler.send(b"busy", 503, Retry_After="0")
        return serving(at)(handler, seen, number)

    with Server(faulty) as server:
        planned(server, at, tmp_path / "plan")
        done = subprocess.run(
            [sys.executable, "-m", "sat2map", "batch", "run", str(tmp_path / "plan"), "--workers", "2", "-q"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=250,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len(answered) == len(set(answered)) == 20 and faults
        scene = mosaic(server, at, tmp_path / "mosaic.tif", at.bbox(inset=30.5))
    regions.plan([scene], tmp_path / "scene", gsd=0.8, model=str(tmp_path / "model"))
    run_plan(tmp_path / "scene", lambda: Here(tmp_path / "scene"))
    same_maps(tmp_path / "plan", tmp_path / "scene")


def test_a_tile_that_never_comes_costs_its_own_cells_and_a_retry_asks_only_for_what_is_missing(tmp_path):
    at = world(6, 6)
    at.holes.clear()
    poisoned = [f"/{ZOOM}/{COL + 5}/{ROW + 5}.png"]

    def answer(handler, seen, number):
        if seen.path in poisoned:
            return handler.send(b"forbidden", 403)
        return serving(at)(handler, seen, number)

    with Server(answer) as server:
        plan = planned(server, at, tmp_path / "plan", bbox=at.bbox(inset=2.5))
        with pytest.raises(CellsMissing, match="answers 403"):
            run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        standing = read_standing(tmp_path / "plan")
        assert (
            standing.quarantined and len(standing.finished) >= len(read_cells(tmp_path / "plan", plan)) // 2
        )
        poisoned.clear()
        before = set(asked(server))
        count = len(asked(server))
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"), retry=True)
        again = asked(server)[count:]
        assert not (set(again) & before) - {f"/{ZOOM}/{COL + 5}/{ROW + 5}.png"}
    assert not read_standing(tmp_path / "plan").quarantined


def test_a_service_that_is_gone_is_not_asked_for_every_cell(tmp_path):
    at, gone = world(6, 8), [True]
    at.holes.clear()

    def answer(handler, seen, number):
        return handler.send(b"", 403) if gone[0] else serving(at)(handler, seen, number)

    with Server(answer) as server:
        plan = planned(server, at, tmp_path / "plan", bbox=at.bbox(inset=2.5))
        with pytest.raises(DownloadFailed, match=r"8 cells in a row.*answers 403"):
            run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        assert plan.cells > 10 and len(asked(server)) <= 8 * 4
        gone[0] = False
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    assert len(read_standing(tmp_path / "plan").finished) == plan.cells


def test_a_damaged_tile_is_fetched_again(tmp_path):
    at = world(2, 2)
    with Server(serving(at)) as server:
        planned(server, at, tmp_path / "plan", bbox=at.bbox(inset=2.5))
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        tiles = sorted((tmp_path / "plan" / "tiles").rglob("*.tile"))
        assert len(tiles) == 4 == len(asked(server))
        tiles[0].write_bytes(tiles[0].read_bytes()[:-1] + b"x")
        for path in (tmp_path / "plan" / RASTERS).iterdir():
            path.unlink()
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        assert len(asked(server)) == 5


def test_tokens_stay_in_the_environment(tmp_path, monkeypatch):
    at = world(1, 1)
    at.holes.clear()
    monkeypatch.setenv("TILE_TOKEN", "s3cret")

    def answer(handler, seen, number):
        if "token=s3cret" not in seen.path:
            return handler.send(b"", 403)
        return serving(at)(handler, seen, number)

    with Server(answer) as server:
        planned(
            server, at, tmp_path / "plan", "/{z}/{x}/{y}.png?token={env:TILE_TOKEN}", bbox=at.bbox(inset=2.5)
        )
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    assert len(server.seen) == 1
    for path in (tmp_path / "plan").rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes(), path


def test_an_area_across_180_degrees(tmp_path):
    texture = geotiffs.texture(256, 1024)
    last = (1 << ZOOM) - 2
    west = World(texture[:, :512], ROW * 256, last * 256, ZOOM)
    east = World(texture[:, 512:], ROW * 256, 0, ZOOM)

    def answer(handler, seen, number):
        found = west if f"/{ZOOM}/0/" not in seen.path and f"/{ZOOM}/1/" not in seen.path else east
        return serving(found)(handler, seen, number)

    box = (west.bbox(2.5)[0], west.bbox(2.5)[1], east.bbox(2.5)[2], west.bbox(2.5)[3])
    with Server(answer) as server:
        planned(server, west, tmp_path / "plan", bbox=box)
        run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
        assert len(asked(server)) == len(set(asked(server))) == 4
    frame, _, valid = pixels(tmp_path / "plan", "colour")
    assert frame.width < 1030 and valid.all()


def test_wrong_use_is_explained(tmp_path):
    at = world()
    with Server(serving(at)) as server:
        with pytest.raises(BadArea, match="--bbox"):
            planned(server, at, tmp_path / "plan", bbox=None)
        with pytest.raises(TooMuchToFetch, match="--max-tiles"):
            planned(server, at, tmp_path / "plan", tiles=TileOptions(max_tiles=19, cache=False))
        with pytest.raises(DownloadFailed, match="answers 404"):
            planned(server, at, tmp_path / "plan", "/nothing.html")
        with pytest.raises(BadTileSource):
            planned(server, at, tmp_path / "plan", "/{z}/{x}/{y}.png", bbox=(8.5, 86.0, 8.6, 87.0))
        two = [server.url(f"/{name}/{{z}}/{{x}}/{{y}}.png") for name in "ab"]
        with pytest.raises(BadPlan, match="--header would go to all 2"):
            regions.plan(
                two, tmp_path / "plan", bbox=at.bbox(), tiles=TileOptions(headers=(("X-Key", "secret"),))
            )
        assert not (tmp_path / "plan" / HEADER).exists() and len(server.seen) == 1


def same(lons, lats):
    return -np.asarray(lats, float), np.asarray(lons, float)


def test_footprints_are_those_of_the_polygon():
    """Against a brute-force look at many points of each square."""
    outer = ((0.0, 0.0), (10.0, -1.0), (9.0, -9.0), (1.0, -8.0))
    hole = ((3.2, -3.2), (6.8, -3.2), (6.8, -6.8), (3.2, -6.8))
    footprint = Footprint([outer, hole], same)

    def inside(x: float, y: float) -> bool:
        odd = False
        for ring in (outer, hole):
            for (ax, ay), (bx, by) in zip(ring, (*ring[1:], ring[0]), strict=True):
                if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                    odd = not odd
        return odd

    steps = (np.arange(40) + 0.5) / 40
    for row in range(-1, 11):
        for col in range(-1, 12):
            expected = any(inside(col + x, -(row + y)) for x in steps for y in steps)
            assert touches(footprint.spans(row, row + 1), col, col + 1) == expected, (row, col)


def test_areas_of_geojson(tmp_path):
    path = tmp_path / "a.geojson"
    square = [[[179.0, 1.0], [181.0, 1.0], [181.0, 2.0], [179.0, 2.0], [179.0, 1.0]]]
    path.write_text(json.dumps({"type": "MultiPolygon", "coordinates": [square]}))
    assert box_of(from_geojson(path)) == (179, 1, 181, 2)
    for bad in ("{}", "[", '{"type": "Point", "coordinates": [1, 2]}',
                '{"type": "Polygon", "coordinates": [[[2600000, 1200000], [1, 2], [3, 4]]]}',
                '{"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}'):  # fmt: skip
        path.write_text(bad)
        with pytest.raises(BadArea):
            from_geojson(path)


def test_a_plan_with_a_service_is_the_same_twice(tmp_path):
    at = world()
    with Server(serving(at)) as server:
        one = planned(server, at, tmp_path / "one")
        other = planned(server, at, tmp_path / "two")
    assert one == other == read_plan(tmp_path / "one")
    assert one.sources[0].address.endswith("{y}.png")
