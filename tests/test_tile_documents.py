"""TileJSON and WMTS: what strangers write is read with care, and asked as it says."""

import json

import numpy as np
import pytest
import rasterio

import tileserver
from badnet import FakeClock, Server, always
from sat2map.errors import (
    BadAddress,
    BadTileSource,
)
from sat2map.scenes.sources.area import area_of, cover_of
from sat2map.scenes.sources.job import TileOptions, TileSource
from tileserver import serving
from tilesources import gathered, own_cache, world

__all__ = ["own_cache"]


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
