"""Pairs in quarantine: proposed with reasons, kept out of training, and kept in everything else."""

import pathlib

import numpy as np
import pytest
from click.testing import CliRunner

from sat2map.cli.data import data
from sat2map.data.check import audit
from sat2map.data.copies import ALIKE, different, near_groups, thumbnail
from sat2map.data.pairs import PairedSet
from sat2map.data.quarantine import QUARANTINE, Entry, leave_out, propose, read_quarantine, write_quarantine
from sat2map.errors import BadDataset, FileMissing
from test_data_check import SIDE, clean, put, town  # noqa: F401  (clean is a fixture)


def names(entries: list[Entry]) -> set[str]:
    return {entry.pair for entry in entries}


def test_unfit_pairs_are_proposed_with_reasons_and_one_of_each_copy_stays(clean):  # noqa: F811
    sat, street = town(20)
    put(clean, "train/swapped", street, sat)
    put(clean, "train/copy", *town(3))
    put(clean, "val/copy", *town(2))
    put(clean, "train/wide", *town(24, SIDE + 40))
    pairs = PairedSet.open(clean)
    entries = propose(audit(pairs), pairs)
    assert names(entries) == {"train/swapped", "train/copy", "train/2"}  # val/copy is held out and stays
    assert all(entry.why and ": " in entry.why[0] for entry in entries)


def test_a_placeholder_encoded_anew_is_one_picture_for_many_maps(clean):  # noqa: F811
    random = np.random.default_rng(3)
    sorry = np.full((SIDE, SIDE, 3), 226, np.uint8)
    sorry[70:76, 30:120] = 150  # the words
    for number in range(5):
        noisy = np.clip(sorry + random.normal(0, 2, sorry.shape), 0, 255).astype(np.uint8)
        put(clean, f"train/sorry{number}", noisy, town(60 + number)[1])
    found = [finding for finding in audit(PairedSet.open(clean)).findings if finding.kind == "placeholder"]
    assert [finding.pairs for finding in found] == [tuple(f"train/sorry{n}" for n in range(5))]


def test_thumbnails_group_what_hardly_differs_and_nothing_else():
    random = np.random.default_rng(0)
    one, two = (random.integers(0, 255, (100, 90, 3), dtype=np.uint8) for _ in range(2))
    again = np.clip(one + random.normal(0, 6, one.shape), 0, 255).astype(np.uint8)
    small = {n: thumbnail(picture) for n, picture in enumerate((one, two, again, two[::-1]))}
    assert near_groups(small, ALIKE) == [[0, 2]] and near_groups({}) == []
    assert different(list(small.values()), 4.0) == 3
    np.testing.assert_array_equal(thumbnail(np.full((7, 5, 3), 9, np.uint8))[:7, :5], 9)


def test_a_list_survives_writing_and_leaves_out_what_it_names(clean, tmp_path):  # noqa: F811
    entries = [Entry("train/1", ("swapped: because",)), Entry("val/4"), Entry("train/gone")]
    write_quarantine(tmp_path / "list.jsonl", entries)
    assert read_quarantine(tmp_path / "list.jsonl") == entries
    pairs = PairedSet.open(clean)
    kept, out = leave_out(pairs.of("train"), tmp_path / "list.jsonl")
    assert [pair.name for pair in kept] == ["train/0", "train/2", "train/3"] and names(out) == {"train/1"}
    assert kept.key() != pairs.of("train").key()
    write_quarantine(clean / QUARANTINE, entries[:1])
    assert names(leave_out(pairs)[1]) == {"train/1"}  # found beside the data
    assert len(PairedSet.open(clean)) == len(pairs)  # and nobody else honours it


def test_bad_lists_are_refused(clean, tmp_path):  # noqa: F811
    pairs = PairedSet.open(clean)
    with pytest.raises(FileMissing):
        leave_out(pairs, tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"pair": "a"}\n\nnonsense\n')
    with pytest.raises(BadDataset, match="line 3"):
        leave_out(pairs, tmp_path / "bad.jsonl")
    write_quarantine(tmp_path / "all.jsonl", [Entry(pair.name) for pair in pairs])
    with pytest.raises(BadDataset, match="all 6 pairs"):
        leave_out(pairs, tmp_path / "all.jsonl")


def test_the_verb_writes_the_list_and_keeps_an_old_one(clean):  # noqa: F811
    sat, street = town(20)
    put(clean, "train/swapped", street, sat)
    file = clean / QUARANTINE
    done = CliRunner().invoke(data, ["check", str(clean), "--quarantine", str(file)])
    assert done.exit_code == 1 and "better left out of training: 1 pairs" in done.output
    assert names(read_quarantine(file)) == {"train/swapped"}
    before = file.read_bytes()
    refused = CliRunner().invoke(data, ["check", str(clean), "--quarantine", str(file)])
    assert refused.exit_code != 0 and file.read_bytes() == before


def test_a_set_that_is_shifted_as_a_whole_is_told_from_single_pairs(tmp_path: pathlib.Path):
    for number in range(14):
        sat, street = town(200 + number, 340)
        put(tmp_path / "set", str(number), sat[20:276, 20:276], street[34:290, 20:276])
    kinds = [finding.kind for finding in audit(PairedSet.open(tmp_path / "set")).findings]
    assert "misaligned set" in kinds
