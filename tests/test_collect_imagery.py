"""The crop beside a photo: the same ground whatever the source, made once, and only where there is imagery."""

import functools
import hashlib
import os

import numpy as np
import pytest

import badnet
import geotiffs
import photos
import photoservices
from sat2map import images, mercator
from sat2map.cli.main import main
from sat2map.collect.collection import Collection
from sat2map.collect.imagery.crops import crop_all
from sat2map.collect.imagery.opening import ImageryWish, opened
from sat2map.collect.imagery.views import Cut, View, around
from sat2map.collect.manifest import Photo
from sat2map.errors import BadTileSource, TooMuchToFetch

PLACE = (38.01, 56.0)  # of the second photo of the album
CUT = Cut(zoom=15, view=90, resize=72, crop=32)
CROPS = int(os.environ.get("SAT2MAP_REQUESTS", "40"))  # views of the test with faults


def world(window, zoom: int) -> np.ndarray:
    """A picture of the whole world: each pixel says where it is, smoothly."""
    rows = (window.row + np.arange(window.height))[:, None]
    cols = (window.col + np.arange(window.width))[None] % mercator.side(zoom)
    scale = 2.0 ** (15 - zoom)
    return np.stack(
        [
            127 + 100 * np.sin(rows * scale / 40 + 0 * cols),
            127 + 100 * np.sin(cols * scale / 40 + 0 * rows),
            127 + 100 * np.sin((rows + cols) * scale / 90),
        ],
        -1,
    ).astype(np.uint8)


@pytest.fixture
def collection(tmp_path):
    photos.album(tmp_path / "album", 4)
    assert main(["collect", "photos", str(tmp_path / "album"), str(tmp_path / "set"), "-q"]) == 0
    assert main(["collect", "filter", str(tmp_path / "set"), "--keep-people", "-q"]) == 0
    return tmp_path / "set"


def tile_server(missing: tuple[str, ...] = ()) -> badnet.Server:
    def answer(handler, seen, number) -> None:
        if seen.path in missing:
            return handler.send(b"", 404)
        z, x, y = (int(part) for part in seen.path.partition(".")[0].strip("/").split("/"))
        pixels = world(mercator.Tile(z, x, y).window, z)
        return handler.send(images.encode_png(pixels), Content_Type="image/png")

    return badnet.Server(answer, badnet.FakeClock())


def scene(path, zoom: int = 15, side: int = 600):
    """A GeoTIFF of the world's picture around the place, in Web Mercator."""
    from affine import Affine

    window = around(*PLACE, zoom, side)
    box, size = mercator.bounds(window, zoom), mercator.pixel_size(zoom)
    geotiffs.write(
        path,
        world(window, zoom),
        crs="EPSG:3857",
        transform=Affine(size, 0, box.left, 0, -size, box.top),
    )
    return path


def test_the_cut_of_the_seed_covers_430_metres_at_its_latitude():
    view = View(np.zeros((450, 450, 3), np.uint8), mercator.ground_size(15, 56.0))
    crop = Cut().apply(view)
    assert crop.pixels.shape == (128, 128, 3)
    assert crop.metres == pytest.approx(3.34, abs=0.01) and 128 * crop.metres == pytest.approx(430, abs=4)


@pytest.mark.parametrize("side", [16, 90, 450])
@pytest.mark.parametrize("place", [PLACE, (-70.3, -33.1), (0.0, 0.0)])
def test_the_place_is_in_the_middle_to_half_a_pixel(place, side):
    window = around(*place, 15, side)
    box = mercator.bounds(window, 15)
    x, y = mercator.to_metres(*place)
    middle = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    assert max(abs(middle[0] - x), abs(middle[1] - y)) <= mercator.pixel_size(15) * 0.5001


def test_tiles_and_a_scene_of_the_same_world_give_the_same_crop(tmp_path, collection):
    wish = ImageryWish(str(scene(tmp_path / "ortho.tif")))
    with opened(wish, CUT, collection) as source:
        from_scene = source.view(*PLACE)
    with (
        tile_server() as server,
        opened(
            ImageryWish(server.url("/{z}/{x}/{y}.png"), rate=1000), CUT, collection, clock=server.clock
        ) as source,
    ):
        from_tiles = source.view(*PLACE)
        asked = len(server.seen)
        source.view(PLACE[0] + 1e-4, PLACE[1])
        assert len(server.seen) == asked, "tiles that are here are not asked for again"
    assert np.array_equal(from_tiles.pixels, world(around(*PLACE, 15, 90), 15))
    assert np.abs(from_scene.pixels.astype(int) - from_tiles.pixels).max() <= 2
    assert from_scene.metres == pytest.approx(from_tiles.metres)


def test_tiles_go_on_across_180_degrees(collection):
    with (
        tile_server() as server,
        opened(
            ImageryWish(server.url("/{z}/{x}/{y}.png"), rate=1000), CUT, collection, clock=server.clock
        ) as source,
    ):
        view = source.view(179.9999, 10.0)
    assert np.array_equal(view.pixels, world(around(179.9999, 10.0, 15, 90), 15))


def test_where_there_is_no_imagery_the_manifest_says_so(tmp_path, collection):
    only_one = scene(tmp_path / "ortho.tif", side=100)
    with Collection.held(collection) as held, opened(ImageryWish(str(only_one)), CUT, collection) as source:
        done = crop_all(held, source, CUT, list(held.kept()))
        again = crop_all(held, source, CUT, list(held.kept()))
    assert (done.made, done.gone, done.failed) == (1, 3, 0) and (again.made, again.known) == (0, 4)
    crops = Collection.open(collection).crops.values()
    assert sorted(crop.missing for crop in crops) == ["", *["outside the scene"] * 3]
    row = around(*PLACE, 15, 90)
    x, y = (row.col + 45) // 256, (row.row + 45) // 256
    with (
        tile_server((f"/15/{x}/{y}.png",)) as server,
        Collection.held(collection) as held,
        opened(
            ImageryWish(server.url("/{z}/{x}/{y}.png"), rate=1000), CUT, collection, clock=server.clock
        ) as source,
    ):
        done = crop_all(held, source, CUT, list(held.kept()))
        assert done.gone >= 1 and done.made >= 1 and done.gone + done.made == 4
        assert any(crop.missing == f"no tile 15/{x}/{y}" for crop in held.crops.values())


def test_the_command_asks_yandex_as_the_seed_does_and_only_once(collection, monkeypatch, capsys):
    key = "YKEY-canary-81723-qwe"
    monkeypatch.setenv("YANDEX_MAPS_KEY", key)
    service = photoservices.Yandex(key)
    with photoservices.running(service) as server:
        command = [
            "collect",
            "imagery",
            "yandex",
            str(collection),
            "--url",
            server.url("/1.x/"),
            "--rate",
            "500",
        ]
        assert main(command) == 0 and len(server.seen) == 4
        assert main(command) == 0 and len(server.seen) == 4
        assert "ll=38.000000,56.000000" in server.seen[0].path
        assert "size=450,450&z=15&l=sat" in server.seen[0].path
    for crop in Collection.open(collection).crops.values():
        data = (collection / crop.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == crop.sha256
        assert images.decode_image(data).shape == (128, 128, 3)
        assert crop.source == "yandex z15 450/360/128" and "Yandex" in crop.attribution
    written = b"".join(p.read_bytes() for p in collection.rglob("*") if p.is_file())
    assert key.encode() not in written and key not in "".join(capsys.readouterr())


def test_a_wrong_key_is_an_error_that_names_the_variable_and_not_the_key(collection, monkeypatch, capsys):
    monkeypatch.setenv("YANDEX_MAPS_KEY", "wrong-key-4711")
    with photoservices.running(photoservices.Yandex("right")) as server:
        code = main(
            ["collect", "imagery", "yandex", str(collection), "--url", server.url("/1.x/"), "--rate", "500"]
        )
    said = capsys.readouterr()
    assert code == 0 and "4 failed" in said.out
    crops = Collection.open(collection).crops.values()
    assert all("403" in crop.missing and "wrong-key" not in crop.missing for crop in crops)


class TileService(photoservices.Service):
    """Tiles of the world, for a fake that misbehaves."""

    def __init__(self) -> None:
        super().__init__([], 0)

    def say(self, path: str, query: dict[str, str], headers: dict[str, str]) -> photoservices.Answer:
        z, x, y = (int(part) for part in path.partition(".")[0].strip("/").split("/"))
        return photoservices.Answer(self.tile(z, x, y), "image/png")

    @staticmethod
    @functools.cache
    def tile(z: int, x: int, y: int) -> bytes:
        return images.encode_png(world(mercator.Tile(z, x, y).window, z))


@pytest.mark.parametrize(
    ("service", "at"), [(photoservices.Yandex, "/1.x/"), (TileService, "/{z}/{x}/{y}.png")]
)
def test_with_a_third_of_the_answers_bad_all_crops_arrive_politely_and_cheaply(
    tmp_path, service, at, record_property
):
    shots = photoservices.shots(CROPS, (37.0, 55.0, 41.0, 57.0), seed=3)
    album = [Photo(f"p:{shot.number}", longitude=shot.longitude, latitude=shot.latitude) for shot in shots]
    sums, servers = [], []
    for share in (0.0, 0.3):
        folder = tmp_path / f"{share}"
        with (
            photoservices.running(service(), share, 1, badnet.FakeClock()) as server,
            Collection.held(folder, create=True) as held,
        ):
            name = "yandex" if service is photoservices.Yandex else server.url(at)
            wish = ImageryWish(name, base=server.url(at), rate=500)
            with opened(wish, CUT, folder, clock=server.clock) as source:
                assert crop_all(held, source, CUT, album).made == CROPS
            sums.append({key: crop.sha256 for (key, _), crop in held.crops.items()})
            servers.append(server)
    clean, bad = servers
    assert sums[0] == sums[1] and len(sums[0]) == CROPS
    record_property("requests", [len(clean.seen), len(bad.seen), bad.answer.faults])
    assert len(bad.seen) <= (1.5 if CROPS >= 1000 else 1.7) * len(clean.seen)
    assert bad.answer.faults > 0.2 * len(bad.seen)
    early = [s for s in bad.seen for _, told, until in bad.answer.held if told < s.at < until - 1e-6]
    assert bad.answer.held and early == []


def test_caps_of_requests_hold_for_imagery(collection):
    for _ in range(2):
        with (
            tile_server() as server,
            Collection.held(collection) as held,
            opened(
                ImageryWish(server.url("/{z}/{x}/{y}.png"), rate=1000, most_requests=3),
                CUT,
                collection,
                clock=server.clock,
            ) as source,
            pytest.raises(TooMuchToFetch),
        ):
            crop_all(held, source, CUT, list(held.kept()))
    lines = (collection / "spent.log").read_text().splitlines()
    assert lines.count("request") == 3


def test_a_layer_without_the_zoom_is_refused(collection):
    document = (
        b'{"tilejson": "3.0.0", "tiles": ["http://127.0.0.1:1/{z}/{x}/{y}.png"], "minzoom": 0, "maxzoom": 9}'
    )
    with badnet.Server(badnet.always(document, Content_Type="application/json")) as server:
        wish = ImageryWish(server.url("/layer.json"), allowed=("127.0.0.1:1",))
        with pytest.raises(BadTileSource, match="zoom 15"), opened(wish, CUT, collection):
            pass
