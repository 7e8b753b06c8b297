"""Addresses of tiles become local scenes: every variant of address, every way to have no tile, every area."""

import numpy as np
import pytest
from affine import Affine

import geotiffs
import tileserver
from badnet import FakeClock, Server, always
from sat2map.errors import BadAddress, BadTileSource, DownloadFailed, TooMuchToFetch
from sat2map.scenes.sources.area import area_of, cover_of, nearest_level
from sat2map.scenes.sources.job import TileOptions, TileSource
from sat2map.scenes.sources.template import Template, quadkey
from tileserver import World, serving
from tilesources import COL, PLACEHOLDER, ROW, ZOOM, gathered, own_cache, world

__all__ = ["own_cache"]


def test_all_of_an_area_arrives_in_its_place(tmp_path):
    at = world()
    with Server(serving(at), FakeClock()) as server:
        pixels, valid, profile = gathered(server, "/{z}/{x}/{y}.png", at, tmp_path / "a.tif")
        assert np.array_equal(pixels, at.pixels) and valid.all()
        left, top, size = at.origin
        assert profile["transform"].almost_equals(Affine(size, 0, left, 0, -size, top), 1e-6)
        assert profile["crs"].to_epsg() == 3857
        assert len(server.seen) == 12
        inner, _, _ = gathered(server, "/{z}/{x}/{y}.png", at, tmp_path / "b.tif", bbox=at.bbox(inset=100.5))
        assert np.array_equal(inner, at.pixels[100:-100, 100:-100]), "whole pixels, outwards"
    assert list(tmp_path.glob(".*")) == [], "nothing is left over"


@pytest.mark.parametrize(
    ("template", "seen"),
    [
        ("/{z}/{x}/{y}.png", f"/{ZOOM}/{COL}/{ROW}.png"),
        ("/{z}/{x}/{-y}.png", f"/{ZOOM}/{COL}/{2**ZOOM - 1 - ROW}.png"),
        ("/t/{q}.png", f"/t/{quadkey(str(ZOOM), COL, ROW)}.png"),
        ("/{switch:a,b}/{z}/{x}/{y}", f"/a/{ZOOM}/{COL}/{ROW}"),
        ("/w?m={TileMatrix}&c={TileCol}&r={TileRow}", f"/w?m={ZOOM}&c={COL}&r={ROW}"),
        ("/{z}/{x}/{y}{r}.png", f"/{ZOOM}/{COL}/{ROW}.png"),
    ],
)
def test_addresses_are_filled_in(tmp_path, template, seen):
    at = world(1, 1)
    with Server(always(at.tile(ZOOM, COL, ROW), Content_Type="image/png"), FakeClock()) as server:
        pixels, _, _ = gathered(server, template, at, tmp_path / "a.tif")
        assert np.array_equal(pixels, at.pixels)
        assert [s.path for s in server.seen] == [seen]


def test_quadkeys_are_those_of_bing():
    assert quadkey("3", 3, 5) == "213"  # the example of the Bing Maps Tile System's description


def test_alternatives_share_the_tiles_and_keep_them():
    template = Template.parse("https://{s}.host/{z}/{x}/{y}")
    assert {host.partition("/{")[0] for host in template.alternatives} == {f"https://{s}.host" for s in "abc"}
    for bad in ("https://host/{x}", "https://host/{z}/{x}/{y}/{what}", "https://{x}.host/{z}/{x}/{y}"):
        with pytest.raises(BadTileSource):
            Template.parse(bad)
    with pytest.raises(BadAddress):
        Template.parse("ftp://host/{z}/{x}/{y}")


def test_tiles_of_double_size(tmp_path):
    at = world(2, 2, side=512)
    with Server(serving(at), FakeClock()) as server:
        for template, options in (("/{z}/{x}/{y}@2x.png", {}), ("/{z}/{x}/{y}.png", {"tile_size": 512})):
            pixels, _, _ = gathered(server, template, at, tmp_path / "a.tif", **options)
            assert np.array_equal(pixels, at.pixels)
        with pytest.raises(DownloadFailed, match=r"512 x 512 px, not 256 x 256.*--tile-size"):
            gathered(server, "/{z}/{x}/{y}.png", at, tmp_path / "a.tif")


@pytest.mark.parametrize(
    "absent",
    [
        {"body": b"", "status": 404},
        {"body": b"", "status": 204},
        {"body": b"", "status": 410},
        {"body": b"", "status": 200},
        {"body": tileserver.png(np.zeros((1, 1, 3), np.uint8)), "status": 200},
        {"body": tileserver.png(np.zeros((256, 256, 4), np.uint8)), "status": 200},
        {"body": PLACEHOLDER, "status": 200},
        {"body": PLACEHOLDER, "status": 200, "X_VE_Tile_Info": "no-tile"},
    ],
    ids=["404", "204", "410", "empty", "1 px", "transparent", "placeholder", "bing"],
)
def test_tiles_that_are_not_there_are_missing_pixels(tmp_path, absent):
    at, hole = world(2, 3), (ROW, COL + 1)
    tiles = serving(at)
    (tmp_path / "none.png").write_bytes(PLACEHOLDER)
    options = {} if "X_VE_Tile_Info" in absent else {"placeholders": (tmp_path / "none.png",)}

    def answer(handler, seen, number):
        if seen.path == f"/{ZOOM}/{hole[1]}/{hole[0]}":
            handler.send(Content_Type="image/png", **absent)
        else:
            tiles(handler, seen, number)

    with Server(answer, FakeClock()) as server:
        pixels, valid, _ = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", **options)
        assert len(server.seen) == 6, "and nobody is asked twice for them"
    expected = np.ones((512, 768), bool)
    expected[:256, 256:512] = False
    assert np.array_equal(valid, expected)
    assert np.array_equal(pixels[valid], at.pixels[valid])


def test_what_is_no_picture_is_neither_a_tile_nor_a_missing_one(tmp_path):
    at = world(1, 1)
    for body, kind in (
        (b"<html>log in</html>", "text/html"),
        (b"nonsense", "image/png"),
        (at.tile(ZOOM, COL, ROW)[:-90], "image/png"),
    ):
        with Server(always(body, Content_Type=kind), FakeClock()) as server, pytest.raises(DownloadFailed):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif")
        assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    "bbox", [(1, 2, 3), (0, 5, 1, 4), (0, -91, 1, 0), (200, 0, 201, 1), (5, 0, 5, 1), (0, 0, float("nan"), 1)]
)
def test_areas_that_are_none_are_refused(bbox):
    with pytest.raises(BadTileSource, match="--bbox WEST,SOUTH,EAST,NORTH"):
        area_of(bbox)


def test_too_many_tiles_are_refused_with_their_number_and_a_way_out(tmp_path):
    source = TileSource("https://host.example/{z}/{x}/{y}", TileOptions())
    area = area_of((8.0, 47.0, 9.0, 48.0))
    with pytest.raises(
        TooMuchToFetch, match=r"needs 197,\d{3} tiles at zoom 17, and --max-tiles allows 1,024.*--zoom 13"
    ):
        cover_of(source.layer, source.layer.level("17"), area, 1024)
    assert cover_of(source.layer, source.layer.level("13"), area, 1024).count <= 1024
    assert nearest_level(source.layer, area, 0.81).label == "17"
    assert nearest_level(source.layer, area, 1e9).label == "0"


def test_an_area_may_cross_180_degrees(tmp_path):
    zoom, side = 4, 256
    parts = World(geotiffs.texture(side, 4 * side), 5 * side, 14 * side, zoom)  # two columns on either side

    def answer(handler, seen, number):
        z, x, y = tileserver.xyz(seen.path)
        body = parts.tile(z, x if x >= 14 else x + 16, y)
        handler.send(body, Content_Type="image/png")

    west, south, east, north = parts.bbox()
    with Server(answer, FakeClock()) as server:
        pixels, _, _ = gathered(
            server, "/{z}/{x}/{y}", parts, tmp_path / "a.tif", zoom="4", bbox=(west, south, east - 360, north)
        )
        assert np.array_equal(pixels, parts.pixels)
        assert {s.path for s in server.seen} == {f"/4/{x}/5" for x in (14, 15, 0, 1)}
