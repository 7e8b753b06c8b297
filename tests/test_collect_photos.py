"""What photos say of place and time, where the sun stood, and how a folder becomes a collection."""

import json
import pathlib
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

import photos
from sat2map import images
from sat2map.cli.main import main
from sat2map.collect.collection import Collection
from sat2map.collect.folder import Folder
from sat2map.collect.gather import Gathering
from sat2map.collect.manifest import Crop, Cursor, Decision, Measure, Photo, Verdict, decode, encode
from sat2map.collect.region import from_box, from_geojson
from sat2map.collect.sun import RISE, elevation, instant
from sat2map.errors import BadArea, BadCollection, RunLocked

# -- metadata -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("place", [(38.25, 56.5), (-70.5, -33.25), (179.9999, -0.0001)])
def test_place_time_and_direction_survive_every_format(tmp_path, ending, place):
    path = tmp_path / f"a.{ending}"
    photos.write(path, photos.landscape(0, 40, 50), photos.exif(photos.gps(place, t17=IFDRational(2715, 10))))
    found = images.read_metadata(path)
    assert (found.longitude, found.latitude) == pytest.approx(place, abs=1e-6)
    assert found.direction == pytest.approx(271.5)
    assert found.taken == datetime(2023, 7, 1, 12, tzinfo=timezone(timedelta(hours=3)))


def test_without_coordinates_there_is_no_half_of_them(tmp_path):
    no_reference = {tag: value for tag, value in photos.gps((38, 56)).items() if tag != 3}
    for facts in (None, (0.0, 0.0), no_reference, photos.gps((38, 56), t2=(95, 0, 0))):
        photos.write(tmp_path / "a.jpg", photos.landscape(0, 40, 50), photos.exif(facts))
        found = images.read_metadata(tmp_path / "a.jpg")
        assert found.longitude is None and found.latitude is None


def test_the_zone_follows_from_the_satellites_clock_if_both_clocks_can_be_right(tmp_path):
    for date, hours, zone in (
        ("2023:07:01", 9, timezone(timedelta(hours=3))),
        ("2023:06:30", 22, timezone(timedelta(hours=14))),
        ("2023:05:01", 9, None),
    ):
        data = photos.exif(photos.gps((38, 56), t7=(hours, 0, 0), t29=date), "2023:07:01 12:00:02", "")
        photos.write(tmp_path / "a.jpg", photos.landscape(0, 40, 50), data)
        assert images.read_metadata(tmp_path / "a.jpg").taken == datetime(2023, 7, 1, 12, 0, 2, tzinfo=zone)


@given(
    cut=st.integers(0, 2000), flips=st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 255)), max_size=8)
)
def test_damaged_metadata_never_raises_and_never_says_what_cannot_be(tmp_path_factory, cut, flips):
    data = bytearray(
        photos.jpeg(photos.landscape(0, 16, 16), photos.exif(photos.gps((38, 56), t17=IFDRational(10, 1))))
    )
    length = int.from_bytes(data[4:6])
    for position, value in flips:
        data[12 + position % (length - 8)] = value
    path = tmp_path_factory.mktemp("damaged") / "a.jpg"
    path.write_bytes(data)
    found = images.read_metadata(path)
    assert found.longitude is None or (-180 <= found.longitude <= 180 and abs(found.latitude) <= 90)
    assert found.direction is None or 0 <= found.direction < 360


def test_the_broken_files_of_others_are_read_as_far_as_they_go(shared):
    folder = shared / "data" / "photos" / "mapillary-tools-exif" / "tests"
    good = images.read_metadata(folder / "data" / "images" / "DSC00001.JPG")
    assert (good.longitude, good.latitude) == pytest.approx((-122.572765, 45.516903), abs=1e-6)
    assert good.taken and good.taken.astimezone(UTC) == datetime(2018, 6, 8, 20, 24, 10, tzinfo=UTC)
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as image:
            gps = image.getexif().get_ifd(0x8825)
        assert (images.read_metadata(path).longitude is not None) == (4 in gps), path.name


# -- the sun ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "rise", "set_"),
    [  # published by the U.S. Naval Observatory for these days, to the minute
        ((-0.1278, 51.5074), datetime(2024, 6, 20, 3, 43), datetime(2024, 6, 20, 20, 21)),  # London
        ((-0.1278, 51.5074), datetime(2024, 12, 21, 8, 4), datetime(2024, 12, 21, 15, 53)),
        ((151.2093, -33.8688), datetime(2024, 6, 20, 21, 0), datetime(2024, 6, 21, 6, 54)),  # Sydney
    ],
)
def test_the_sun_rises_and_sets_when_it_does(place, rise, set_):
    for moment, direction in ((rise, 1), (set_, -1)):
        moment = moment.replace(tzinfo=UTC)
        before, after = (elevation(moment + timedelta(minutes=m * direction), *place) for m in (-2, 2))
        assert before < RISE < after


def test_the_sun_is_highest_at_its_own_noon_and_by_the_right_amount():
    equinox = datetime(2024, 3, 20, 3, 6, tzinfo=UTC)
    solstice = datetime(2024, 6, 20, 20, 51, tzinfo=UTC)
    for moment, declination in ((equinox, 0.0), (solstice, 23.436)):
        heights = [elevation(moment, longitude, 56.0) for longitude in np.linspace(-180, 180, 721)]
        assert max(heights) == pytest.approx(90 - 56 + declination, abs=0.02)
        assert min(heights) == pytest.approx(-(90 - 56) + declination, abs=0.02)


def test_a_photo_without_a_zone_is_dated_by_the_sun_and_one_without_a_time_is_not():
    assert instant("2023-07-01T12:00:00+03:00", 38.0) == (datetime(2023, 7, 1, 9, tzinfo=UTC), False)
    assert instant("2023-07-01T12:00:00", 45.0) == (datetime(2023, 7, 1, 9, tzinfo=UTC), True)
    assert instant("2023-07-01", 45.0) is None and instant("", 45.0) is None


# -- regions ------------------------------------------------------------------------------------------------------


def test_a_box_across_180_degrees_holds_what_lies_on_both_sides():
    region = from_box(170, -10, -170, 10)
    assert all(region.holds(x, 0) for x in (175, 180, -180, -175, 185))
    assert not any(region.holds(x, 0) for x in (160, -160, 0, 190.1))


def test_polygons_have_holes_and_parts(tmp_path):
    square = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    hole = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    far = [[20, 20], [30, 20], [25, 30]]
    shape = {"type": "MultiPolygon", "coordinates": [[square, hole], [far]]}
    file = tmp_path / "a.geojson"
    file.write_text(
        json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": shape}]})
    )
    region = from_geojson(file)
    assert region.holds(1, 1) and region.holds(9, 5) and region.holds(25, 25)
    assert not any(region.holds(*p) for p in ((5, 5), (15, 15), (-1, 5), (29, 29)))
    random = np.random.default_rng(0)
    points = random.uniform(0, 10, (500, 2))
    inside = [region.holds(*p) for p in points]
    assert inside == [not (4 < x < 6 and 4 < y < 6) for x, y in points]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type": "Point", "coordinates": [1, 2]}',
        '{"type": "Polygon", "coordinates": [[[500, 0], [1, 1], [0, 1]]]}',
        '{"type": "Polygon", "coordinates": [[[1, 0]]]}',
        "[" * 5000,
    ],
)
def test_what_is_no_polygon_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadArea, match="GeoJSON"):
        from_geojson(tmp_path / "a.json")


# -- collections --------------------------------------------------------------------------------------------------


def everything(folder: pathlib.Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_record_survives_its_line():
    for record in (
        Photo("a:1", longitude=0.1 + 0.2, title='ü\n\u2028"', file="x.jpg"),
        Cursor("q", None),
        Measure("a:1", "scene", "x", {"beach": 0.25, "boxes": [1.0, 2.0], "hash": "ff"}),
        Verdict("a:1", "scene", False, "why"),
        Decision(["a:1"], None),
        Crop("a:1", "yandex", missing="none"),
    ):
        line = encode(record)
        assert "\n" not in line and decode(line, 1, "x") == record


def test_a_folder_is_collected_once_and_what_is_new_is_found_later(tmp_path, capsys):
    photos.album(tmp_path / "album" / "deep", 3)
    photos.write(tmp_path / "album" / "lost.jpg", photos.landscape(7), photos.exif(None))
    (tmp_path / "album" / "notes.txt").write_text("x")
    (tmp_path / "album" / "fake.jpg").write_bytes(b"<html>")
    command = ["collect", "photos", str(tmp_path / "album"), str(tmp_path / "set")]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "3 fetched" in out and "2 without coordinates" in out
    before = everything(tmp_path / "set")
    assert main([*command, "-q"]) == 0
    after = everything(tmp_path / "set")
    del before["manifest.jsonl"], after["manifest.jsonl"], before[".lock"], after[".lock"]
    assert before == after
    photos.write(tmp_path / "album" / "a-new.jpg", photos.landscape(9), photos.exif((38, 56)))
    assert main(command) == 0 and "1 fetched" in capsys.readouterr().out
    collection = Collection.open(tmp_path / "set")
    for key, photo in collection.photos.items():
        if photo.file:
            original = tmp_path / "album" / key.partition(":")[2]
            assert collection.path(photo).read_bytes() == original.read_bytes()
            assert (photo.height, photo.width) == (300, 400)


def test_references_copy_nothing(tmp_path):
    photos.album(tmp_path / "album", 2)
    assert (
        main(["collect", "photos", str(tmp_path / "album"), str(tmp_path / "set"), "--reference", "-q"]) == 0
    )
    assert set(everything(tmp_path / "set")) == {"manifest.jsonl", ".lock"}
    collection = Collection.open(tmp_path / "set")
    assert all(collection.path(photo).is_file() for photo in collection.photos.values())


def test_a_limit_and_a_region_may_be_widened_later(tmp_path):
    photos.album(tmp_path / "album", 6)  # 38.00 to 38.05 degrees east
    command = ["collect", "photos", str(tmp_path / "album"), str(tmp_path / "set"), "-q"]

    def held() -> int:
        return sum(1 for photo in Collection.open(tmp_path / "set").photos.values() if photo.file)

    for options, count in (
        (["--limit", "2"], 2),
        (["--limit", "2"], 2),
        (["--bbox", "38,55,38.025,57"], 3),
        (["--bbox", "38,55,38.035,57"], 4),
        ([], 6),
    ):
        assert main([*command, *options]) == 0 and held() == count


def test_a_collection_cut_at_any_byte_is_completed_without_loss_or_duplicate(tmp_path):
    photos.album(tmp_path / "album", 5)

    def gather(folder: pathlib.Path) -> Collection:
        with Collection.held(folder, create=True) as collection:
            Gathering(collection, Folder(tmp_path / "album")).run()
        return Collection.open(folder)

    whole = gather(tmp_path / "set")
    lines = (tmp_path / "set" / "manifest.jsonl").read_bytes()
    for cut in np.random.default_rng(0).integers(0, len(lines), 25).tolist():
        (tmp_path / "set" / "manifest.jsonl").write_bytes(lines[:cut])
        again = gather(tmp_path / "set")
        assert again.photos == whole.photos
        text = (tmp_path / "set" / "manifest.jsonl").read_text()
        assert text.count('"record":"photo"') == 5
    assert len(everything(tmp_path / "set" / "photos")) == 5


def test_one_process_at_a_time_and_no_other_folder(tmp_path):
    photos.album(tmp_path / "album", 1)
    with Collection.held(tmp_path / "set", create=True) as collection:
        collection.append(Cursor("q"))
        with pytest.raises(RunLocked), Collection.held(tmp_path / "set"):
            pass
    before = everything(tmp_path / "album")
    with pytest.raises(BadCollection), Collection.held(tmp_path / "album", create=True):
        pass
    assert everything(tmp_path / "album") == before
