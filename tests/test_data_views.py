"""Sets of views: what is read from which layout, and the turned satellite picture."""

import json
from pathlib import Path

import numpy as np
import pytest

from sat2map import images
from sat2map.collect.collection import Collection
from sat2map.collect.manifest import Crop, Decision, Photo, Verdict
from sat2map.data.imagined import PairSettings, make_pairs
from sat2map.data.views import Known, crop_of, heading_up, open_views, read_view
from sat2map.errors import BadDataset, FileMissing
from sat2map.worlds import STYLES, Town, World, stand_within, standpoint


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def put(path: Path, *shape: int, seed: int = 0) -> Path:
    images.write_image(path, noise(*shape, seed=seed), overwrite=False)
    return path


def folders(root: Path, sat: str, ground: str, names: list[str], wide: int = 32) -> Path:
    for number, name in enumerate(names):
        put(root / sat / f"{name}.png", 16, 16, seed=number)
        put(root / ground / f"{name}.png", 16, wide, seed=100 + number)
    return root


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "invented"
    make_pairs(out, PairSettings(3, 4, tile=48, val=0.34, views=True), 1, lambda *_: None)
    return out


def test_an_invented_set_says_where_one_stands_and_looks(invented: Path) -> None:
    views = open_views(invented)
    assert views.splits == {"train": 2, "val": 1} and views.places == 3 and views.licence == "CC0-1.0"
    settings = PairSettings(3, 4, tile=48, val=0.34, views=True)
    for pair in views:
        sat, ground = read_view(pair)
        known = pair.known
        assert sat.shape == (48, 48, 3) and ground.shape == (256, 256, 3)
        assert known.field == 75 and known.metres == settings.gsd and not pair.panorama
        assert 0 <= known.heading < 360
        assert abs(known.row - 24) <= 12 and abs(known.col - 24) <= 12, "near the middle of its tile"
    assert views.of("val")[0].place not in {pair.place for pair in views.of("train")}


@pytest.mark.parametrize("style", STYLES)
def test_one_stands_near_the_point_and_on_a_pavement_where_there_is_one(style: str) -> None:
    world = World(Town(5, style, water=0.2))
    for x, y in ((30.0, -70.0), (400.0, 210.0)):
        eye = stand_within(world, x, y, 20.0)
        assert max(abs(eye.x - x), abs(eye.y - y)) <= 20.5
        street = standpoint(world, x, y)
        if max(abs(street.x - x), abs(street.y - y)) <= 20.0:
            assert eye == street
        assert standpoint(world, street.x, street.y).heading % 180 == pytest.approx(
            street.heading % 180, abs=30
        )


@pytest.mark.parametrize(
    ("sat", "ground"), [("satellite", "street"), ("sat", "view"), ("bingmap", "streetview")]
)
def test_two_folders_with_equal_names(tmp_path: Path, sat: str, ground: str) -> None:
    views = open_views(folders(tmp_path, sat, ground, ["10", "9"]))
    assert [pair.name for pair in views] == ["9", "10"]
    assert all(pair.panorama and pair.known.heading is None for pair in views), "twice as wide as high"
    assert np.array_equal(read_view(views[0])[1], noise(16, 32, seed=101))


def test_folders_anywhere_a_list_of_headings_and_what_holds_for_all(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b", ["x", "y"], wide=16)
    (tmp_path / "facts.csv").write_text("name,heading,place,split\nx, 90 ,north,val\ny,,north,\n")
    views = open_views(
        tmp_path / "a",
        ground=tmp_path / "b",
        facts=tmp_path / "facts.csv",
        known=Known(heading=5.0, field=70.0),
    )
    assert [(p.known.heading, p.known.field, p.place, p.split) for p in views] == [
        (90.0, 70.0, "north", "val"),
        (5.0, 70.0, "north", "all"),
    ]


def test_a_list_may_name_its_files(tmp_path: Path) -> None:
    folders(tmp_path, "s", "g", ["x"])
    line = {"name": "one", "satellite": "s/x.png", "ground": "g/x.png", "heading": 12.5}
    (tmp_path / "views.jsonl").write_text(json.dumps(line) + "\n")
    (pair,) = open_views(tmp_path)
    assert pair.name == pair.place == "one" and pair.known == Known(heading=12.5)


def test_sate_to_ground_is_read_with_the_headings_in_its_names(tmp_path: Path) -> None:
    stem = "51.5,-0.08,339.5"
    put(tmp_path / "test" / f"{stem}_sate_rgb_00.png", 16, 16)
    put(tmp_path / "test" / f"{stem}_00.png", 16, 32)
    (pair,) = open_views(tmp_path)
    assert pair.known.heading == 339.5 and pair.panorama


def test_real_pairs_are_read(shared: Path) -> None:
    ground = shared / "data" / "ground"
    cvusa, london = open_views(ground / "cvusa-25-pairs"), open_views(ground / "sate_to_ground-london")
    assert (len(cvusa), len(london)) == (25, 10)
    assert read_view(cvusa[0])[1].shape == (224, 1232, 3)
    assert all(pair.panorama for pair in (*cvusa, *london))
    assert london[0].known.heading == pytest.approx(12.113, abs=0.001)


def test_a_collection_gives_kept_photos_with_crops_and_neighbours_share_a_place(tmp_path: Path) -> None:
    with Collection.held(tmp_path / "c", create=True) as collection:
        for number, (latitude, direction) in enumerate(
            [(50.0, 45.0), (50.002, None), (51.0, None), (52.0, 1.0)]
        ):
            key = f"folder:{number}"
            file, _ = collection.keep_file(images.encode_png(noise(20, 20, seed=number)), ".png")
            collection.append(
                Photo(key=key, longitude=10.0, latitude=latitude, direction=direction, file=file),
                Verdict(key=key, stage="quality", kept=True),
            )
            if number != 2:
                crop, _ = collection.keep_file(images.encode_png(noise(16, 16)), ".png", "crops")
                collection.append(Crop(key=key, source="made up", file=crop, metres=3.3))
        collection.append(Decision(["folder:3"], keep=False))
    views = open_views(tmp_path / "c")
    assert [(p.name, p.known.heading, p.known.metres) for p in views] == [
        ("folder:0", 45.0, 3.3),
        ("folder:1", None, 3.3),
    ]
    assert views.places == 1, "222 m apart"
    with pytest.raises(BadDataset, match="too few to hold some out"):
        views.held_out(0.5)


def test_whole_places_are_held_out(tmp_path: Path) -> None:
    names = [f"{place}-{number}" for place in range(12) for number in range(3)]
    folders(tmp_path, "satellite", "ground", names)
    (tmp_path / "views.csv").write_text("name,place\n" + "".join(f"{n},{n.split('-')[0]}\n" for n in names))
    views = open_views(tmp_path)
    rest, held = views.held_out(0.25, seed=1)
    assert len(held) == 9 and len(rest) == 27
    assert not {p.place for p in rest} & {p.place for p in held}
    assert views.held_out(0.25, seed=1)[1].pairs == held.pairs != views.held_out(0.25, seed=2)[1].pairs


def test_what_is_no_set_of_views_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        open_views(tmp_path / "nowhere")
    with pytest.raises(BadDataset, match="no views"):
        open_views(tmp_path)
    folders(tmp_path, "sat", "street", ["x"])
    with pytest.raises(BadDataset, match="no views"):
        open_views(tmp_path)  # imagery and maps
    folders(tmp_path, "satellite", "ground", ["y"])
    put(tmp_path / "ground" / "alone.png", 16, 16)
    with pytest.raises(BadDataset, match="alone"):
        open_views(tmp_path)
    (tmp_path / "ground" / "alone.png").unlink()
    for text in (
        "name,field\ny,400\n",
        "name,colour\ny,red\n",
        "name,heading\ny,north\n",
        "name\nother\n",
        "name\na,b\n",
    ):
        (tmp_path / "views.csv").write_text(text)
        with pytest.raises(BadDataset):
            open_views(tmp_path)


def test_turning_by_right_angles_moves_pixels_and_nothing_else() -> None:
    sat = noise(12, 12)
    assert np.array_equal(heading_up(sat, 0, side=12), sat)
    # looking east: what lies to the east comes to the top
    assert np.array_equal(heading_up(sat, 90, side=12), np.rot90(sat))
    assert np.array_equal(heading_up(sat, 180, side=12), sat[::-1, ::-1])
    assert np.array_equal(heading_up(sat, 450, side=12), heading_up(sat, 90, side=12))


def test_the_standpoint_comes_to_the_middle_and_the_border_is_mirrored() -> None:
    sat = noise(10, 14)
    found = heading_up(sat, 0, side=8, row=2, col=12, reach=4)
    padded = np.pad(sat, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    assert np.array_equal(found, padded[2:10, 12:20])


def test_shrinking_takes_means_and_the_crop_follows_what_is_known(tmp_path: Path) -> None:
    sat = noise(32, 32)
    means = sat.reshape(8, 4, 8, 4, 3).mean((1, 3))
    assert np.abs(heading_up(sat, side=8) - means).max() <= 1
    folders(tmp_path, "satellite", "ground", ["x"])
    (tmp_path / "views.csv").write_text("name,heading,metres,row,col\nx,90,0.5,16,10\n")
    (pair,) = open_views(tmp_path)
    crop = crop_of(pair, sat, 12, metres=3.0)
    assert np.array_equal(crop, np.rot90(sat[10:22, 4:16]))
