"""Paired sets of every layout hold the same pairs, and refuse what is no pair."""

import pathlib
import shutil

import numpy as np
import pytest

from sat2map import storage
from sat2map.data.cache import PixelCache, default_root
from sat2map.data.manifest import write_manifest
from sat2map.data.pairs import PairedSet, natural, read, source_and_target
from sat2map.errors import BadDataset, CorruptFile, FileMissing, Sat2MapError
from sat2map.images import write_image
from sat2map.palette import MAPS


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def put(path: pathlib.Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, rgb, overwrite=True)


def halves(number: int) -> tuple[np.ndarray, np.ndarray]:
    return picture(number), picture(1000 + number)


@pytest.fixture
def side_by_side(tmp_path: pathlib.Path) -> pathlib.Path:
    for split, numbers in (("train", (1, 2, 10)), ("val", (3,))):
        for number in numbers:
            put(tmp_path / "maps" / split / f"{number}.png", np.concatenate(halves(number), 1))
    return tmp_path / "maps"


def test_names_sort_as_people_count():
    names = ["10.jpg", "2.jpg", "a10b2", "a2b10", "1.jpg", "a"]
    assert sorted(names, key=natural) == ["1.jpg", "2.jpg", "10.jpg", "a", "a2b10", "a10b2"]


def test_all_layouts_hold_the_same_pairs(side_by_side, tmp_path):
    for split, numbers in (("train", (1, 2, 10)), ("val", (3,))):
        for number in numbers:
            for half, rgb in zip(("sat", "street"), halves(number), strict=True):
                put(tmp_path / "splits_first" / split / half / f"{number}.png", rgb)
                put(tmp_path / "halves_first" / half / split / f"{number}.png", rgb)
    folders = [side_by_side, tmp_path / "splits_first", tmp_path / "halves_first"]
    for folder in folders:
        found = PairedSet.open(folder)
        assert [pair.name for pair in found] == ["train/1", "train/2", "train/10", "val/3"]
        assert found.splits == {"train": 3, "val": 1}
        for pair, number in zip(found, (1, 2, 10, 3), strict=True):
            for got, expected in zip(read(pair), halves(number), strict=True):
                np.testing.assert_array_equal(got, expected)


def test_a_manifest_gives_back_the_set_it_was_written_from(side_by_side):
    found = PairedSet.open(side_by_side)
    found.licence, found.attribution = "CC-BY-4.0", "someone"
    write_manifest(found, {pair.name: (24, 32) for pair in found})
    again = PairedSet.open(side_by_side)
    assert again.licence == "CC-BY-4.0" and again.attribution == "someone"
    assert [
        p._replace(sat=p.sat._replace(sha256=""), street=p.street._replace(sha256="")) for p in again
    ] == [*found]
    assert again[0].sat.sha256 == storage.sha256(side_by_side / "train" / "1.png")


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (0, '{"format": "sat2map-pairs", "version": 99}', "version 99"),
        (0, "not json", "line 1"),
        (2, '{"name": "x"}', "line 3"),
    ],
)
def test_a_damaged_manifest_is_refused_with_its_line(side_by_side, line, text, says):
    found = PairedSet.open(side_by_side)
    path = write_manifest(found, {pair.name: (24, 32) for pair in found})
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines))
    with pytest.raises(BadDataset, match=says):
        PairedSet.open(side_by_side)


def test_direction_only_decides_which_half_is_the_input(side_by_side):
    pair = PairedSet.open(side_by_side)[0]
    decoded = read(pair)
    assert source_and_target(pair, "sat2map") == (pair.sat, pair.street)
    assert source_and_target(pair, "map2sat") == (pair.street, pair.sat)
    assert source_and_target(decoded, "map2sat")[0] is decoded[1]


def test_splits_are_taken_by_name_and_an_undivided_folder_is_training_data(side_by_side):
    found = PairedSet.open(side_by_side)
    assert [pair.name for pair in found.of("val")] == ["val/3"]
    assert len(found.of("all")) == 4
    with pytest.raises(BadDataset, match=r"train \(3\), val \(1\)"):
        found.of("test")
    undivided = PairedSet.open(side_by_side / "train")
    assert [pair.name for pair in undivided.of("train")] == ["1", "2", "10"]
    with pytest.raises(BadDataset):
        undivided.of("val")


def test_what_is_no_paired_set_is_refused(tmp_path):
    with pytest.raises(FileMissing, match="nowhere"):
        PairedSet.open(tmp_path / "nowhere")
    with pytest.raises(BadDataset, match="no pairs"):
        PairedSet.open(tmp_path)
    put(tmp_path / "two" / "sat" / "a.png", picture(1))
    put(tmp_path / "two" / "street" / "b.png", picture(2))
    with pytest.raises(BadDataset, match="2 images have no partner"):
        PairedSet.open(tmp_path / "two")
    put(tmp_path / "same" / "a.png", picture(1))
    put(tmp_path / "same" / "a.jpg", picture(1))
    with pytest.raises(BadDataset, match="two pairs called a"):
        PairedSet.open(tmp_path / "same")


def test_halves_of_unequal_size_are_refused_on_reading(tmp_path):
    put(tmp_path / "odd" / "a.png", picture(1, 8, 9))
    with pytest.raises(BadDataset, match="9 px wide"):
        read(PairedSet.open(tmp_path / "odd")[0])
    put(tmp_path / "two" / "sat" / "a.png", picture(1, 8, 9))
    put(tmp_path / "two" / "street" / "a.png", picture(2, 8, 10))
    with pytest.raises(BadDataset, match="9×8 px, the street half 10×8 px"):
        read(PairedSet.open(tmp_path / "two")[0])


# -- pixel cache ------------------------------------------------------------------------------------------------


def test_a_cache_holds_exactly_the_decoded_pixels_whatever_the_sizes(tmp_path):
    sizes = [(8, 10), (17, 6), (8, 10)]
    for number, (height, width) in enumerate(sizes):
        put(tmp_path / "set" / f"{number}.png", picture(number, height, 2 * width))
    pairs = PairedSet.open(tmp_path / "set")
    seen = []
    cache = PixelCache.build(
        pairs, tmp_path / "cache", progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(cache) == 3 and cache.sizes == tuple(sizes) and cache.size is None
    index = cache.index(MAPS)
    for number, pair in enumerate(pairs):
        sat, street = read(pair)
        np.testing.assert_array_equal(cache.sat(number), sat)
        np.testing.assert_array_equal(cache.street(number), street)
        np.testing.assert_array_equal(index(number), MAPS.encode(street))
    with pytest.raises(BadDataset, match="2 different sizes"):
        cache.stacked()


def test_a_cache_is_built_once_and_never_used_for_a_changed_set(side_by_side, tmp_path):
    built = []
    pairs = PairedSet.open(side_by_side)
    first = PixelCache.build(pairs, tmp_path / "cache", progress=lambda *at: built.append(at))
    again = PixelCache.build(pairs, tmp_path / "cache", progress=lambda *at: built.append(at))
    assert len(built) == 4 and first.folder == again.folder
    np.testing.assert_array_equal(first.stacked()[0], again.stacked()[0])
    put(side_by_side / "train" / "2.png", picture(77, 24, 64))
    changed = PixelCache.build(PairedSet.open(side_by_side), tmp_path / "cache")
    np.testing.assert_array_equal(changed.sat(1), picture(77, 24, 64)[:, :32])
    (side_by_side / "train" / "2.png").unlink()
    fewer = PixelCache.build(PairedSet.open(side_by_side), tmp_path / "cache")
    assert fewer.names == ("train/1", "train/10", "val/3")


def test_content_names_the_pixels_wherever_and_whenever_they_lie(side_by_side, tmp_path):
    first = PixelCache.build(PairedSet.open(side_by_side), tmp_path / "cache")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(side_by_side, elsewhere, copy_function=shutil.copyfile)  # new times of change
    moved = PixelCache.build(PairedSet.open(elsewhere), tmp_path / "cache")
    assert moved.key != first.key and moved.content == first.content
    (elsewhere / "train" / "2.png").rename(elsewhere / "train" / "4.png")
    renamed = PixelCache.build(PairedSet.open(elsewhere), tmp_path / "cache")
    put(side_by_side / "train" / "2.png", picture(77, 24, 64))
    changed = PixelCache.build(PairedSet.open(side_by_side), tmp_path / "cache")
    assert len({first.content, renamed.content, changed.content}) == 3


def test_a_failed_build_leaves_no_cache(side_by_side, tmp_path):
    (side_by_side / "train" / "10.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(Sat2MapError):
        PixelCache.build(PairedSet.open(side_by_side), tmp_path / "cache")
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_a_truncated_cache_is_refused(side_by_side, tmp_path):
    pairs = PairedSet.open(side_by_side)
    cache = PixelCache.build(pairs, tmp_path / "cache")
    with (cache.folder / "street.u8").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(CorruptFile, match="100 bytes"):
        PixelCache.build(pairs, tmp_path / "cache")


def test_caches_live_where_the_platform_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "sat2map"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the XDG specification: ignore relative paths
    assert default_root().is_absolute()


def test_real_pairs_open_in_natural_order(shared):
    found = PairedSet.open(shared / "data" / "maps")
    assert found.splits == {"train": 1096, "val": 100}
    assert [pair.name for pair in found[:3]] == ["train/1", "train/2", "train/3"]
    sat, street = read(found[0])
    assert sat.shape == street.shape == (600, 600, 3)
    # the map half is made of few colours, the satellite half of many
    assert len(np.unique(street[::4, ::4].reshape(-1, 3) // 16, axis=0)) < 60
    assert sat.std() > 20
