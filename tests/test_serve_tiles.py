"""Live tiles: those of the batch, byte for byte, at every zoom; told of in all the languages of map clients."""

import hashlib
import io
import json
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import fakes
import geotiffs
import tiny
from sat2map import mercator
from sat2map.cli.main import main
from sat2map.grid import Window
from sat2map.images import decode_image_with_alpha
from sat2map.mercator import Tile
from sat2map.palette import Palette
from sat2map.serve.documents import FORMATS
from serving import Server, serving

ZOOM = 17  # nearest to 0.9 m at 45 degrees
PRODUCTS = ("colour", "classes", "confidence")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """A scene of 500 x 400 px with a hole, and a model."""
    folder = tmp_path_factory.mktemp("serve")
    mask = np.ones((400, 500), np.bool_)
    mask[60:340, 150:420] = False
    geotiffs.write(folder / "town.tif", geotiffs.texture(400, 500), mask=mask)
    tiny.bundle(folder / "tiny")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serving(scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}) as running:
        yield running


def path_of(layer: str, tile: Tile, kind: str = "png") -> str:
    return f"/tiles/{layer}/{tile.z}/{tile.x}/{tile.y}.{kind}"


def tiles_of(server: Server, zoom: int, layer: str = "colour") -> list[Tile]:
    extent = mercator.Degrees(*server.layer(layer)["extent"])
    return list(mercator.tiles(mercator.window_of(extent, zoom), zoom))


def test_live_tiles_are_those_of_the_batch_byte_for_byte(server, folder, tmp_path):
    arguments = [
        "translate",
        str(folder / "town.tif"),
        f"{tmp_path / 'out'}/",
        "--model",
        str(folder / "tiny"),
    ]
    zooms = f"{ZOOM - 2}-{ZOOM + 1}"
    assert main([*arguments, "-q", "--zoom", zooms, "--products", "colour,classes,confidence"]) == 0
    compared = empty = 0
    for zoom in range(ZOOM + 1, ZOOM - 3, -1):
        for tile in tiles_of(server, zoom):
            for product in PRODUCTS:
                stem = "out" if product == "colour" else f"out_{product}"
                batch = tmp_path / stem / f"{zoom}/{tile.x}/{tile.y}.png"
                live = server.get(path_of(product, tile))
                assert live.status == 200 and live.headers["content-type"] == "image/png"
                if batch.exists():
                    compared += 1
                    assert live.body == batch.read_bytes(), (tile, product)
                else:  # the batch leaves tiles without a pixel out; here they are transparent
                    empty += 1
                    assert not decode_image_with_alpha(live.body).alpha.any()
    written = sum(1 for _ in tmp_path.glob("out*/*/*/*.png"))
    assert compared == written > 50 and empty > 0


def test_an_overview_that_comes_first_is_the_same(server, folder):
    tile = tiles_of(server, ZOOM - 2)[0]
    with serving(scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}) as other:
        for product in ("confidence", "source", "colour"):
            assert other.get(path_of(product, tile)).body == server.get(path_of(product, tile)).body


def test_the_source_is_what_the_scene_shows(server):
    tile = next(t for t in tiles_of(server, ZOOM) if server.get(path_of("source", t)).body)
    shown = decode_image_with_alpha(server.get(path_of("source", tile)).body)
    map_ = decode_image_with_alpha(server.get(path_of("colour", tile)).body)
    assert np.array_equal(shown.alpha, map_.alpha) and len(np.unique(shown.rgb.reshape(-1, 3), axis=0)) > 500


def test_an_area_is_the_tiles_of_its_view_in_one_raster(server):
    import rasterio

    west, south, east, north = server.layer("colour")["extent"]
    middle = (west + east) / 2
    answer = server.ask("POST", f"/extract/colour?bbox={middle},{south},{east},{north}")
    assert answer.status == 202
    job = answer.json()
    while job["state"] in ("waiting", "running"):
        job = server.get(f"/jobs/{job['id']}").json()
    assert job["state"] == "done", job
    got = server.get("/" + job["results"]["colour"]).body
    assert server.get("/" + job["results"]["vectors"]).body.startswith(b"SQLite format 3\0")
    with rasterio.open(io.BytesIO(got)) as made:
        pixels, mask = np.moveaxis(made.read(), 0, -1), made.dataset_mask()
        left, top = made.transform.c, made.transform.f
        assert made.transform.a == pytest.approx(mercator.pixel_size(ZOOM))
    col = round((left + mercator.EDGE) / mercator.pixel_size(ZOOM))
    row = round((mercator.EDGE - top) / mercator.pixel_size(ZOOM))
    window = Window(row, col, *pixels.shape[:2])
    for tile in mercator.tiles(window, ZOOM):
        rgb, alpha = decode_image_with_alpha(server.get(path_of("colour", tile)).body)
        shared = tile.window.shared(window)
        valid = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha
        assert np.array_equal(mask[shared.slices(window)], valid[shared.slices(tile.window)])
        here, there = pixels[shared.slices(window)], rgb[shared.slices(tile.window)]
        assert np.array_equal(
            here[mask[shared.slices(window)] > 0], there[valid[shared.slices(tile.window)] > 0]
        )
    for box in ("", "1,2,3", "a,b,c,d", "nan,nan,nan,nan", "0,0,1,1", "10,0,-10,1"):
        assert server.ask("POST", f"/extract/colour?bbox={box}").status == 404
    assert server.ask("POST", "/extract/nothing?bbox=1,2,3,4").status == 404


def test_webp_has_the_same_pixels(server):
    for product in ("colour", "source", "classes"):
        tile = tiles_of(server, ZOOM)[0]
        answer = server.get(path_of(product, tile, "webp"))
        assert answer.headers["content-type"] == FORMATS["webp"] and answer.body[8:12] == b"WEBP"
        png, webp = (
            decode_image_with_alpha(server.get(path_of(product, tile, k)).body) for k in ("png", "webp")
        )
        assert np.array_equal(png.alpha, webp.alpha)
        assert np.array_equal(png.rgb[png.alpha > 0], webp.rgb[webp.alpha > 0])


def test_what_is_no_tile_is_404_and_what_is_empty_is_transparent(server):
    low, high = server.layer("colour")["minzoom"], server.layer("colour")["maxzoom"]
    first = tiles_of(server, ZOOM)[0]
    for path in (
        path_of("colour", Tile(low - 1, 0, 0)), path_of("colour", Tile(high + 1, 0, 0)),
        path_of("nothing", first), path_of("colour", Tile(ZOOM, 1 << ZOOM, 0)), path_of("colour", first, "jpg"),
        "/tiles/colour/x/0/0.png", "/tiles/colour/-1/0/0.png", f"/tiles/colour/{'9' * 5000}/0/0.png",
        f"/tiles/colour/{ZOOM}/{'9' * 40}/0.png", "/tiles/colour/%D9%A1%D9%A7/0/0.png",
    ):  # fmt: skip
        answer = server.get(path)
        assert answer.status in (404, 414), path
        assert answer.json()["status"] == answer.status and answer.json()["detail"]
    far = server.get(path_of("colour", Tile(ZOOM, 3, 3)))
    assert far.status == 200 and not decode_image_with_alpha(far.body).alpha.any()


def test_etags_are_hashes_of_the_content_and_spare_the_way(server):
    tile = tiles_of(server, ZOOM)[0]
    answer = server.get(path_of("colour", tile))
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    for known in (answer.headers["etag"], f'"other", W/{answer.headers["etag"]}', "*"):
        again = server.get(path_of("colour", tile), if_none_match=known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert server.get(path_of("colour", tile), if_none_match='"other"').body == answer.body
    assert "no-cache" in answer.headers["cache-control"]
    versioned = json.loads(server.get("/tilejson/colour.json").body)["tiles"][0].split("?")[1]
    assert "immutable" in server.get(f"{path_of('colour', tile)}?{versioned}").headers["cache-control"]
    assert server.ask("HEAD", path_of("colour", tile)).headers["content-length"] == str(len(answer.body))


def test_tilejson_leads_to_tiles(server):
    for layer in ("source", *PRODUCTS):
        told = server.get(f"/tilejson/{layer}.json").json()
        assert told["tilejson"] == "3.0.0" and told["minzoom"] <= ZOOM <= told["maxzoom"]
        west, south, east, north = told["bounds"]
        assert west < told["center"][0] < east and south < told["center"][1] < north
        tile = tiles_of(server, ZOOM)[0]
        address = told["tiles"][0].format(z=tile.z, x=tile.x, y=tile.y)
        assert address.startswith(f"http://127.0.0.1:{server.port}/")
        assert server.get(address.partition(str(server.port))[2]).status == 200
    assert server.get("/tilejson/nothing.json").status == 404


def test_wmts_capabilities_lead_to_the_same_tiles(server):
    names = {"w": "http://www.opengis.net/wmts/1.0", "o": "http://www.opengis.net/ows/1.1"}
    root = ElementTree.fromstring(server.get("/wmts/WMTSCapabilities.xml").body)
    layers = {layer.find("o:Identifier", names).text: layer for layer in root.findall(".//w:Layer", names)}
    assert set(layers) == {"source", *PRODUCTS}
    limits = next(
        limit for limit in layers["colour"].findall(".//w:TileMatrixLimits", names)
        if limit.find("w:TileMatrix", names).text == str(ZOOM)
    )  # fmt: skip
    row, col = (limits.find(f"w:Min{name}", names).text for name in ("TileRow", "TileCol"))
    address = layers["colour"].find("w:ResourceURL", names).get("template")
    address = address.format(TileMatrix=ZOOM, TileCol=col, TileRow=row)
    tile = tiles_of(server, ZOOM)[0]
    assert address.endswith(path_of("colour", tile))
    matrix = next(
        m for m in root.findall(".//w:TileMatrix", names) if m.findtext("o:Identifier", None, names) == "17"
    )
    # OGC 17-083r4, WebMercatorQuad, zoom 17
    assert float(matrix.findtext("w:ScaleDenominator", None, names)) == pytest.approx(4265.459167, rel=1e-7)


def test_a_scene_across_180_degrees_is_served_on_both_sides(folder, tmp_path):
    from affine import Affine

    west = mercator.EDGE - 200 * 1.2  # metres: 200 px before the line
    geotiffs.write(
        tmp_path / "far.tif",
        geotiffs.texture(300, 400),
        crs="EPSG:3857",
        transform=Affine(1.2, 0, west, 0, -1.2, 0),
    )
    with serving(scenes={"far": tmp_path / "far.tif"}, models={"tiny": folder / "tiny"}) as server:
        zoom = server.layer("colour")["own_zoom"]
        last = (1 << zoom) - 1
        for x in (last, 0):
            tile = Tile(zoom, x, 1 << (zoom - 1))
            assert decode_image_with_alpha(server.get(path_of("colour", tile)).body).alpha is None or (
                decode_image_with_alpha(server.get(path_of("colour", tile)).body).alpha.any()
            )
        assert server.get("/tilejson/colour.json").json()["bounds"][0] > 0


def test_a_proxy_may_take_the_path_off_or_not(folder):
    told = {"root_path": "/maps", "public_url": "https://maps.example.org", "allow_hosts": ["inside"]}
    with serving(scenes={"town": folder / "town.tif"}, models={"tiny": folder / "tiny"}, **told) as server:
        for prefix in ("", "/maps"):
            told = server.get(f"{prefix}/tilejson/colour.json", host="maps.example.org").json()
            assert told["tiles"][0].startswith("https://maps.example.org/maps/tiles/colour/")
            assert server.get(f"{prefix}/", host="inside:80").status == 200
            assert server.get(f"{prefix}/web/app.js").status == 200


def test_several_scenes_and_models_have_names_of_their_own(folder, tmp_path):
    tiny.bundle(tmp_path / "other", id="other", metres_per_pixel=1.8)
    geotiffs.write(tmp_path / "two.tif", geotiffs.texture(200, 200, seed=3))
    with serving(
        scenes={"town": folder / "town.tif", "two": tmp_path / "two.tif"},
        models={"tiny": folder / "tiny", "other": tmp_path / "other"},
    ) as server:
        ids = {layer["id"] for layer in server.get("/layers.json").json()["layers"]}
        assert {"town-source", "two-source", "town-tiny-colour", "two-other-classes"} < ids and len(ids) == 14
        assert server.layer("town-other-colour")["own_zoom"] == ZOOM - 1
        bodies = set()
        for name in ("town-tiny-colour", "two-tiny-colour"):
            bodies.add(server.get(path_of(name, tiles_of(server, ZOOM, name)[0])).body)
        assert len(bodies) == 2


def test_tiles_on_disk_survive_a_restart_and_damaged_ones_are_made_anew(folder, tmp_path):
    told = {
        "scenes": {"town": folder / "town.tif"},
        "models": {"tiny": folder / "tiny"},
        "cache": tmp_path / "kept",
    }
    with serving(**told) as server:
        tiles = tiles_of(server, ZOOM)[:4]
        first = [server.get(path_of("colour", tile)).body for tile in tiles]
        assert server.stop() == 0
    kept = sorted((tmp_path / "kept").rglob("*.tile"))
    assert len(kept) == len(tiles)
    damaged = bytearray(kept[0].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    kept[0].write_bytes(damaged)
    with serving(**told) as server:
        assert [server.get(path_of("colour", tile)).body for tile in tiles] == first
        assert (server.gauge("cache_disk_hits_total"), server.gauge("cache_damaged_total")) == (3, 1)


def test_another_model_never_gets_the_tiles_of_the_first(folder, tmp_path):
    turned = Palette(fakes.PALETTE.colours[::-1], fakes.PALETTE.classes[::-1])
    tiny.bundle(tmp_path / "changed", palette=turned)
    bodies = set()
    for model in (folder / "tiny", tmp_path / "changed"):
        told = {"models": {"tiny": model}, "cache": tmp_path / "kept"}
        with serving(scenes={"town": folder / "town.tif"}, **told) as server:
            bodies.add(server.get(path_of("colour", tiles_of(server, ZOOM)[0])).body)
            assert server.gauge("cache_disk_hits_total") == 0
            assert server.stop() == 0
    assert len(bodies) == 2


def test_the_default_model_on_a_real_scene_is_its_batch(shared, tmp_path):
    scene = shared / "data/aerial/inria-austin-0.3m/image.tif"
    assert main(["translate", str(scene), f"{tmp_path / 'out'}/", "-q", "--zoom", "17-17", "-j", "1"]) == 0
    made = {
        path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").glob("*/*/*.png")
    }
    with serving(scenes={"austin": scene}, models={"carto": "carto"}) as server:
        for name, path in made.items():
            assert server.get(f"/tiles/colour/{name}").body == path.read_bytes()
    assert len(made) >= 4
