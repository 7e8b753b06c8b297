"""Addresses of tiles become local scenes: every variant of address, every way to have no tile, kept through kills."""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import rasterio
from affine import Affine

import geotiffs
import tileserver
import tiny
from badnet import FakeClock, Faulty, Server, always
from sat2map.cli.main import main
from sat2map.errors import (
    BadAddress,
    BadTileSource,
    DownloadFailed,
    NothingToResume,
    OutputExists,
    TooMuchToFetch,
)
from sat2map.scenes.sources.area import area_of, cover_of, nearest_level
from sat2map.scenes.sources.job import TileOptions, TileSource
from sat2map.scenes.sources.template import Template, quadkey
from tileserver import World, serving

ZOOM, ROW, COL = 17, 45_900, 68_640  # Zürich, in tiles


def world(rows: int = 3, cols: int = 4, bands: int = 3, side: int = 256) -> World:
    pixels = geotiffs.texture(rows * side, cols * side, bands)
    return World(pixels, ROW * side, COL * side, ZOOM, side)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def gathered(
    server: Server, path: str, at: World, out: pathlib.Path, *, bbox=None, zoom=str(ZOOM), resume=False, **options
):  # fmt: skip
    """Fetch an area and return its pixels, its mask and its profile with tags."""
    clock = server.clock if isinstance(server.clock, FakeClock) else None
    source = TileSource(
        server.url(path), TileOptions(**{"rate": 1000.0, "cache": False, **options}), clock=clock
    )
    cover = cover_of(
        source.layer, source.layer.level(zoom), area_of(bbox or at.bbox()), source.options.max_tiles
    )
    with source.gathered(cover, out, resume=resume) as mosaic, rasterio.open(mosaic) as dataset:
        return np.moveaxis(dataset.read(), 0, -1), dataset.read_masks(1) > 0, dataset.profile | dataset.tags()


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


# -- tiles that are not there -----------------------------------------------------------------------------------

PLACEHOLDER = tileserver.png(np.full((256, 256, 3), 200, np.uint8))


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


# -- areas and limits -------------------------------------------------------------------------------------------


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


# -- TileJSON and WMTS ------------------------------------------------------------------------------------------


def test_a_tilejson_says_where_tiles_are_and_whose(tmp_path):
    at = world(2, 2)
    document = tileserver.tilejson(
        "/{z}/{x}/{y}.png", attribution="© <a href='x'>Somebody</a>", minzoom=3, maxzoom=18, name="Town"
    )
    with Server(serving(at, {"/t.json": ("application/json", document)}), FakeClock()) as server:
        pixels, _, tags = gathered(server, "/t.json", at, tmp_path / "a.tif")
        assert np.array_equal(pixels, at.pixels)
        assert tags["TIFFTAG_COPYRIGHT"] == "© Somebody" and tags["SAT2MAP_SOURCE_LAYER"] == "Town"
        assert tags["SAT2MAP_SOURCE"] == server.url("/t.json") and tags["SAT2MAP_SOURCE_ZOOM"] == "17"
        with pytest.raises(BadTileSource, match=r"no level 19.*3, 4, 5"):
            gathered(server, "/t.json", at, tmp_path / "b.tif", zoom="19")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"tiles": ["https://other.example/{z}/{x}/{y}"]}', "--allow-host other.example"),
        ('{"tiles": ["http://127.0.0.1:22/{z}/{x}/{y}"]}', "--allow-host 127.0.0.1:22"),
        ('{"tiles": ["file:///etc/{z}/{x}/{y}"]}', "http or https"),
        ('{"tiles": ["https://host/{z}/{x}/{y}?k={env:HOME}"]}', "names no tiles"),
        ('{"tiles": ["x"], "vector_layers": [{}]}', "vector tiles"),
        ('{"tiles": []}', "names no tiles"),
        ('{"tiles": 5}', "no TileJSON"),
        ("{" * 100_000, "no TileJSON"),
        ("hello", "neither a template"),
        ("<html><body/></html>", "no WMTS capabilities"),
        ("<a>" * 100_000, "nested too deeply"),
        ("<a><b></a>", "no XML"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "document type declaration"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>', "document type declaration"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "no XML"),
        ("<Capabilities><Contents/></Capabilities>", "offers no layer"),
    ],
)  # fmt: skip
def test_documents_of_strangers_are_read_with_care(text, says):
    with Server(always(text.encode(), Content_Type="text/plain"), FakeClock()) as server:
        with pytest.raises((BadTileSource, BadAddress), match=says):
            TileSource(server.url("/doc"), TileOptions(cache=False), clock=server.clock)
        assert len(server.seen) == 1


def test_entities_would_be_a_danger_without_the_rule():
    """The control: the parser that we use does expand entities if it is allowed to."""
    from xml.etree import ElementTree

    nested = '<!DOCTYPE a [<!ENTITY x "boom"><!ENTITY y "&x;&x;">]><a>&y;&y;</a>'
    assert ElementTree.fromstring(nested).text == "boom" * 4


@pytest.mark.parametrize(
    "resource", ["/r/{Style}/{Time}/{TileMatrixSet}/{TileMatrix}/{TileCol}/{TileRow}.png", ""]
)
def test_a_wmts_is_asked_as_its_capabilities_say(tmp_path, resource):
    at = world(2, 2)

    def answer(handler, seen, number):
        path, _, query = seen.path.partition("?")
        fields = dict(part.split("=") for part in query.split("&") if part)
        if path == "/wmts":
            return handler.send(document(server.url().rstrip("/")).encode(), Content_Type="text/xml")
        if resource:
            _, _, style, when, matrix_set, matrix, col, row = path.removesuffix(".png").split("/")
            assert (style, when, matrix_set) == ("summer", "2024", "web")
        else:
            assert path == "/kvp" and fields["SERVICE"] == "WMTS" and fields["REQUEST"] == "GetTile"
            assert (fields["LAYER"], fields["STYLE"], fields["FORMAT"]) == ("ortho", "summer", "image%2Fpng")
            assert fields["Time"] == "2024" and fields["TILEMATRIXSET"] == "web"
            matrix, col, row = fields["TILEMATRIX"], fields["TILECOL"], fields["TILEROW"]
        assert fields["token"] == "abc", "the fields of the user's own address go along"
        body = at.tile(int(matrix.rpartition(":")[2]), int(col), int(row))
        return handler.send(body or b"", 200 if body else 404, Content_Type="image/png")

    document = tileserver.capabilities(at, resource=resource)
    with Server(answer, FakeClock()) as server:
        address = "/wmts?SERVICE=WMTS&request=GetCapabilities&token=abc"
        pixels, valid, tags = gathered(server, address, at, tmp_path / "a.tif")
        assert np.array_equal(pixels, at.pixels) and valid.all()
        assert tags["TIFFTAG_COPYRIGHT"] == "Land & Survey; CC BY 4.0"
        assert tags["SAT2MAP_SOURCE_LAYER"] == "Aerial picture"
        assert "abc" not in json.dumps({key: str(value) for key, value in tags.items()})
        for options, says in (
            ({"layer": "orto"}, "no layer 'orto'. Did you mean ortho"),
            ({"matrix_set": "utm"}, "Choose one with --matrix-set: web"),
            ({"style": "spring"}, "--style: summer, winter"),
            ({"image_format": "gif"}, "--image-format: application/pdf, image/png, image/jpeg"),
        ):
            with pytest.raises(BadTileSource, match=says):
                gathered(server, address, at, tmp_path / "b.tif", **options)
        with pytest.raises(BadTileSource, match="covers"):
            gathered(server, address, at, tmp_path / "b.tif", bbox=(1, 1, 1.01, 1.01))


def test_a_choice_that_is_needed_is_offered(tmp_path):
    at = world(1, 1)
    more = "".join(f"<Layer><ows:Identifier>year{n}</ows:Identifier></Layer>" for n in range(40))
    document = tileserver.capabilities(at, layers=more)
    offered = pytest.raises(BadTileSource, match=r"41 layers.*--layer: ortho, year0, .* and 17 more")
    with Server(serving(at, {"/w": ("text/xml", document)}), FakeClock()) as server, offered:
        TileSource(server.url("/w"), TileOptions(cache=False), clock=server.clock)


@pytest.mark.parametrize("order", ["as the authority has it", "as many have it"])
@pytest.mark.parametrize(
    ("crs", "corner", "size", "middle"),
    [
        ("urn:ogc:def:crs:EPSG::2056", (2_420_000.0, 1_350_000.0), 10.0, (8.54, 47.37)),  # Swiss: east, north
        ("EPSG:31467", (3_280_000.0, 6_110_000.0), 10.0, (9.2, 48.8)),  # Gauss-Krüger: north, east
        ("urn:ogc:def:crs:EPSG::4326", (-180.0, 90.0), 360 / 256 / 2**9, (8.54, 47.37)),
        ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", (-180.0, 90.0), 360 / 256 / 2**9, (8.54, 47.37)),
    ],
)  # fmt: skip
def test_matrix_sets_in_other_crs_lie_where_they_should(order, crs, corner, size, middle):
    from sat2map.scenes import raster
    from sat2map.scenes.sources.wmts import Wanted, parse

    name = "OGC:CRS84" if "CRS84" in crs else f"EPSG:{crs.rpartition(':')[2]}"
    units = raster.units_of(name)
    assert units.is_north_first == (name in ("EPSG:31467", "EPSG:4326"))
    swaps = units.is_north_first == (order == "as the authority has it")
    first, second = corner[::-1] if swaps else corner
    at = world(1, 1)
    lon, lat = middle
    text = tileserver.capabilities(at)("http://host.example")
    box = f"<ows:LowerCorner>{lon - 1} {lat - 1}</ows:LowerCorner>"
    box += f"<ows:UpperCorner>{lon + 1} {lat + 1}</ows:UpperCorner>"
    start, stop = text.index("<ows:LowerCorner>"), text.index("\n</ows:WGS84BoundingBox>")
    text = text[:start] + box + text[stop:]
    start, stop = text.index("<ows:SupportedCRS>"), text.index("</TileMatrixSet>\n</Contents>")
    matrix = (
        f"<ows:SupportedCRS>{crs}</ows:SupportedCRS><TileMatrix><ows:Identifier>07</ows:Identifier>"
        f"<ScaleDenominator>{size * units.metres / 0.28e-3!r}</ScaleDenominator>"
        f"<TopLeftCorner>{first} {second}</TopLeftCorner>"
        "<TileWidth>256</TileWidth><TileHeight>256</TileHeight><MatrixWidth>300</MatrixWidth>"
        "<MatrixHeight>300</MatrixHeight></TileMatrix>"
    )
    layer = parse((text[:start] + matrix + text[stop:]).encode(), "http://host.example/w", "w", Wanted())
    level = layer.level("7")
    assert (level.left, level.top, level.crs) == (*corner, name)
    assert level.size == pytest.approx(size)
    cover = cover_of(layer, level, area_of((lon, lat, lon + 0.01, lat + 0.01)), 99)
    ((x, y),) = zip(*rasterio.warp.transform("OGC:CRS84", name, [lon + 0.005], [lat + 0.005]), strict=True)
    found = level.bounds(cover.window)
    assert found.left < x < found.right and found.bottom < y < found.top
    assert found.right - x < 2000 * size and y - found.bottom < 2000 * size


# -- kills and faults -------------------------------------------------------------------------------------------


def test_a_third_of_all_requests_may_fail(tmp_path):
    at = world(14, 14, side=64)
    faulty = Faulty(lambda path: at.tile(*tileserver.xyz(path)), 0.3, seed=2)
    with Server(faulty, FakeClock()) as server:
        pixels, valid, _ = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", tile_size=64)
        assert np.array_equal(pixels, at.pixels) and valid.all()
        assert len(server.seen) <= 1.5 * 196 + 20
        assert all(n == 1 for n in faulty.delivered.values())


def test_what_arrived_before_an_error_is_not_fetched_again(tmp_path):
    at = world(4, 4)
    tiles, closed = serving(at), [True]
    delivered: list[str] = []

    def answer(handler, seen, number):
        if closed[0] and len(delivered) >= 7:
            return handler.send(b"", 403)
        delivered.append(seen.path)
        return tiles(handler, seen, number)

    with Server(answer, FakeClock()) as server:
        with pytest.raises(DownloadFailed, match=r"403; [4-7] of 16 tiles are here.*--resume"):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif")
        with pytest.raises(OutputExists, match="--resume"):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif")
        with pytest.raises(NothingToResume, match="window"):
            gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", resume=True, bbox=at.bbox(10))
        (broken,) = tmp_path.glob(f".a.tif.tiles/{ROW}-{COL}.tile")
        broken.write_bytes(b"rotten")
        closed[0] = False
        pixels, _, _ = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "a.tif", resume=True)
        assert np.array_equal(pixels, at.pixels)
    assert len(set(delivered)) == 16 and len(delivered) == 17, "one of them was rotten"
    assert list(tmp_path.glob(".*")) == []


WORKER = """
import pathlib, sys
from sat2map.scenes.sources.area import area_of, cover_of
from sat2map.scenes.sources.job import TileOptions, TileSource
address, out, bbox = sys.argv[1:]
source = TileSource(address, TileOptions(rate=1000.0, cache=False, tile_size=64))
cover = cover_of(source.layer, source.layer.level("17"), area_of(tuple(map(float, bbox.split(",")))), 999)
out = pathlib.Path(out)
with source.gathered(cover, out, resume=True) as mosaic:
    out.write_bytes(mosaic.read_bytes())
"""


def test_kills_lose_nothing_and_repeat_nothing(tmp_path):
    """Killed again and again while it fetches or writes; only what was under way is asked for twice."""
    at, kills, random_ = world(9, 9, side=64), 6, random.Random(3)
    tiles = serving(at)
    delivered: list[str] = []

    def answer(handler, seen, number):
        time.sleep(0.01)
        tiles(handler, seen, number)
        delivered.append(seen.path)

    with Server(answer) as server:
        whole, _, profile = gathered(server, "/{z}/{x}/{y}", at, tmp_path / "whole.tif", tile_size=64)
        asked, done = len(server.seen), 0
        bbox = ",".join(map(repr, at.bbox()))
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(WORKER),
            server.url("/{z}/{x}/{y}"),
            str(tmp_path / "a.tif"),
            bbox,
        ]
        while done < kills:
            start = len(delivered)
            process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
            enough = start + random_.randint(1, 12)
            while len(delivered) < enough and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            assert not (tmp_path / "a.tif").exists()
        subprocess.run(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)
        assert len(server.seen) - asked <= 81 + kills * 8, (
            "at most those under way, and those not yet written"
        )
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert np.array_equal(np.moveaxis(dataset.read(), 0, -1), whole)
        assert dataset.profile["transform"] == profile["transform"]
    assert list(tmp_path.glob(".a.tif*")) == []


# -- the command ------------------------------------------------------------------------------------------------


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
