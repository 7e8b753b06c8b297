"""Planted faults are found, and nothing else is; imports keep bytes and splits keep places."""

import json
import pathlib

import numpy as np
import pytest
from click.testing import CliRunner

from sat2map.cli.data import data
from sat2map.data.check import audit
from sat2map.data.check_page import page, thumbnail
from sat2map.data.findings import KINDS
from sat2map.data.imports import assign_splits, find_source, import_pairs
from sat2map.data.measures import flatness, shift_between
from sat2map.data.overlaps import blur
from sat2map.data.pairs import PairedSet, read
from sat2map.errors import BadDataset, OutputExists
from sat2map.images import write_image

SIDE = 160


def town(seed: int, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A map of blocks and streets, and imagery of the same ground; uint8 (side, side, 3) each."""
    random = np.random.default_rng(seed)
    street = np.full((side, side, 3), (234, 230, 222), np.uint8)
    for at in random.integers(0, side, 4):
        street[at : at + 8] = 254
        street[:, (at * 7) % side : (at * 7) % side + 8] = 254
    for row, col in random.integers(0, side - 20, (6, 2)):
        street[row : row + 18, col : col + 14] = (202, 222, 174)
    grey = street.astype(np.float32).mean(-1)
    texture = blur(random.normal(0, 1, (side, side)).astype(np.float32), 1.3)
    sat = 90 + 1.5 * (grey - grey.mean()) + 28 * texture / texture.std()
    return np.clip(sat, 0, 255).astype(np.uint8)[..., None].repeat(3, 2), street


def put(folder: pathlib.Path, name: str, sat: np.ndarray, street: np.ndarray) -> None:
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.concatenate([sat, street], 1), overwrite=True)


@pytest.fixture
def clean(tmp_path: pathlib.Path) -> pathlib.Path:
    for number in range(6):
        put(tmp_path / "set", f"{'train' if number < 4 else 'val'}/{number}", *town(number))
    return tmp_path / "set"


def kinds(folder: pathlib.Path) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for finding in audit(PairedSet.open(folder)).findings:
        found.setdefault(finding.kind, []).append(finding.pairs)
    return found


def test_a_clean_set_has_no_findings(clean):
    assert kinds(clean) == {}


def test_every_planted_fault_is_found_and_nothing_else(clean):
    random = np.random.default_rng(99)
    sat, street = town(20)
    put(clean, "train/swapped", street, sat)
    (clean / "train" / "broken.png").write_bytes((clean / "train" / "1.png").read_bytes()[:900])
    put(clean, "val/copy", *town(2))
    put(clean, "train/copy", *town(3))
    big_sat, big_street = town(21, 400)
    near = slice(20, 20 + SIDE)
    noisy = np.clip(big_sat[near, 24 : 24 + SIDE] + random.normal(0, 1, (SIDE, SIDE, 1)), 0, 255).astype(
        np.uint8
    )
    put(clean, "train/near", big_sat[20:180, 20:180], big_street[20:180, 20:180])
    put(clean, "train/nearly", noisy, big_street[near, 24 : 24 + SIDE])
    put(clean, "val/overlap", big_sat[100:260, 80:240], big_street[100:260, 80:240])
    put(clean, "train/blank", town(22)[0], np.full((SIDE, SIDE, 3), 229, np.uint8))
    sea = np.full((SIDE, SIDE, 3), (178, 210, 254), np.uint8)
    put(clean, "train/sea", np.clip(30 + random.normal(0, 5, sea.shape), 0, 255).astype(np.uint8), sea)
    put(clean, "train/dark", np.clip(town(23)[0] // 40, 0, 255), town(23)[1])
    put(clean, "train/wide", *town(24, SIDE + 40))
    sorry = np.clip(200 + random.normal(0, 3, sea.shape), 0, 255).astype(np.uint8)
    for number in (30, 31, 32):
        put(clean, f"train/sorry{number}", sorry, town(number)[1])
    put(clean, "train/one", town(40)[0], town(40)[1])
    put(clean, "train/other", town(40)[0], town(41)[1])
    found = kinds(clean)
    assert found.pop("unreadable") == [("train/broken",)]
    assert found.pop("swapped") == [("train/swapped",)]
    assert found.pop("duplicate across splits") == [("train/2", "val/copy")]
    assert sorted(found.pop("duplicate")) == [("train/3", "train/copy"), ("train/near", "train/nearly")]
    assert set(found.pop("shared ground across splits")) == {
        ("train/near", "val/overlap"),
        ("train/nearly", "val/overlap"),
    }
    assert found.pop("placeholder") == [("train/sorry30", "train/sorry31", "train/sorry32")]
    assert found.pop("contradiction") == [("train/one", "train/other")]
    assert found.pop("odd size") == [("train/wide",)]
    assert found.pop("empty map") == [("train/blank",)]
    assert found.pop("water") == [("train/sea",)]
    scenes = {pairs[0] for pairs in found.pop("empty scene")}
    assert scenes == {"train/dark", "train/sorry30", "train/sorry31", "train/sorry32"}
    assert {pairs[0] for pairs in found.pop("faint scene", [])} <= {"train/swapped"}
    assert {pairs[0] for pairs in found.pop("misaligned", [])} <= {
        "train/other"
    }  # its map is of another place
    assert found == {}


def test_a_shift_between_the_halves_is_measured():
    sat, street = town(50, 320)
    still = shift_between(sat[40:280, 40:280], street[40:280, 40:280])
    assert abs(still.rows) <= 2 and abs(still.cols) <= 2 and still.strength > 4 and not still.is_sure
    off = shift_between(sat[40:280, 40:280], street[52:292, 32:272])
    assert abs(off.rows + 12) <= 2 and abs(off.cols - 8) <= 2 and off.strength > 4 and off.lead > 2
    assert shift_between(np.zeros((300, 300, 3), np.uint8), street[:300, :300]).strength == 0


def test_maps_are_flat_and_imagery_is_not_on_real_pairs(shared):
    pairs = PairedSet.open(shared / "data" / "maps")
    strong = []
    for pair in pairs[::60]:
        sat, street = read(pair)
        assert flatness(street) > flatness(sat)
        shift = shift_between(sat, street)
        if shift.strength >= 8:
            strong.append(max(abs(shift.rows), abs(shift.cols)))
    assert len(strong) > 5 and np.median(strong) <= 2


def test_the_report_shows_the_findings_and_escapes_names(clean):
    put(clean, "train/<b>&", *town(0))
    pairs = PairedSet.open(clean)
    found = audit(pairs)
    text = page(found, pairs)
    assert "&lt;b&gt;&amp;" in text and "<b>&" not in text and "data:image/png;base64," in text
    assert "http" not in text.replace("http-equiv", "")  # self-contained
    assert "Nothing found" in page(audit(pairs.of("val")), pairs.of("val"))
    assert set(found.summary()) <= set(KINDS)
    assert json.loads(json.dumps(found.as_json()))["splits"] == {"train": 5, "val": 2}


def test_thumbnails_average_whole_blocks():
    rgb = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    assert thumbnail(rgb, 10).shape == (6, 10, 3)
    np.testing.assert_array_equal(thumbnail(rgb, 100), rgb)
    assert (thumbnail(np.full((90, 90, 3), 77, np.uint8), 10) == 77).all()


# -- import -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [True, False])
def test_import_keeps_bytes_names_and_splits(clean, tmp_path, copy):
    source = find_source(clean)
    made = import_pairs(source, tmp_path / "deep" / "out", copy=copy)
    assert [(p.name, p.split) for p in made] == [(p.name, p.split) for p in source]
    for old, new in zip(source, made, strict=True):
        assert old.sat.path.read_bytes() == new.sat.path.read_bytes()
        assert (new.sat.path.resolve() == old.sat.path.resolve()) is not copy
        np.testing.assert_array_equal(read(old)[1], read(new)[1])
    again = import_pairs(PairedSet.open(tmp_path / "deep" / "out"), tmp_path / "again")
    assert [p.sat.sha256 for p in again] == [p.sat.sha256 for p in made]


def test_import_knows_the_side_of_the_satellite_and_two_folders(tmp_path):
    sat, street = town(1)
    put(tmp_path / "mirrored", "a", street, sat)
    made = import_pairs(find_source(tmp_path / "mirrored", "right"), tmp_path / "one")
    np.testing.assert_array_equal(read(made[0])[0], sat)
    for name, rgb in (("ortho", sat), ("plan", street)):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / "a.png", rgb, overwrite=False)
    made = import_pairs(find_source(tmp_path / "ortho", street=tmp_path / "plan"), tmp_path / "two")
    np.testing.assert_array_equal(read(made[0])[1], street)
    assert sorted(p.name for p in (tmp_path / "two").rglob("*.png")) == ["a.png", "a.png"]


def test_import_refuses_what_exists_and_what_is_unequal(clean, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputExists):
        import_pairs(find_source(clean), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    write_image(clean / "train" / "9.png", np.zeros((8, 9, 3), np.uint8), overwrite=False)
    with pytest.raises(BadDataset, match="9 px wide"):
        import_pairs(find_source(clean), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_random_share_is_exact_and_repeatable(tmp_path):
    for number in range(10):
        put(tmp_path / "set", str(number), *(np.full((4, 4, 3), number, np.uint8),) * 2)
    source = find_source(tmp_path / "set")
    split = assign_splits(source, 0.3, by_place=False, seed=4)
    assert split.splits == {"train": 7, "val": 3}
    assert list(assign_splits(source, 0.3, by_place=False, seed=4)) == list(split)
    with pytest.raises(BadDataset, match="already has 3"):
        assign_splits(split, 0.3, by_place=False)
    with pytest.raises(BadDataset, match="share"):
        assign_splits(source, 0.01, by_place=False)


def test_a_split_by_place_passes_the_check_that_a_random_one_fails(tmp_path):
    for place in range(8):
        sat, street = town(100 + place, 220)
        for number, (row, col) in enumerate([(0, 0), (30, 50), (55, 10)]):
            cut = np.s_[row : row + SIDE, col : col + SIDE]
            put(tmp_path / "set", f"{place}-{number}", sat[cut], street[cut])
    source = find_source(tmp_path / "set")
    by_place = import_pairs(assign_splits(source, 0.25, by_place=True), tmp_path / "place")
    assert by_place.splits == {"train": 18, "val": 6}
    assert "shared ground across splits" not in kinds(tmp_path / "place")
    import_pairs(assign_splits(source, 0.25, by_place=False), tmp_path / "random")
    assert "shared ground across splits" in kinds(tmp_path / "random")


# -- command line -----------------------------------------------------------------------------------------------


def test_the_verbs_import_check_and_tell(clean, tmp_path):
    run = CliRunner().invoke
    done = run(data, ["import", str(clean), str(tmp_path / "out"), "--licence", "CC0"])
    assert done.exit_code == 0 and "4 train, 2 val pairs" in done.output
    assert PairedSet.open(tmp_path / "out").licence == "CC0"
    done = run(data, ["check", str(tmp_path / "out"), "--json", str(tmp_path / "a.json")])
    assert done.exit_code == 0 and json.loads((tmp_path / "a.json").read_text())["findings"] == []
    put(clean, "val/copy", *town(0))
    done = run(data, ["check", str(clean), "--report", str(tmp_path / "a.html")])
    assert done.exit_code == 1 and "fault: duplicate across splits: 1" in done.output
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    quiet = run(data, ["check", str(clean), "-q"])
    assert quiet.exit_code == 1 and quiet.output == ""


@pytest.mark.parametrize(
    "words",
    [
        ["get", "facades", "out"],
        ["get", "maps", "out", "--url", "http://x", "--from", "y"],
        ["get", "maps", "out", "--sha256", "abc"],
        ["import", ".", "out", "--val-share", "0.1", "--split-by-place", "0.1"],
        ["import", ".", "out", "--val-share", "1"],
    ],
)
def test_wrong_use_is_refused_with_code_2(words):
    assert CliRunner().invoke(data, words).exit_code == 2
