"""What storage promises while nothing goes wrong, and what it says when a user can mend it."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat2map.errors import CorruptFile, FileMissing, OutputExists, Sat2MapError, StorageFailed
from sat2map.storage import (
    MANIFEST,
    committing_folder,
    make_folder,
    newest_valid,
    read_verified,
    replacing,
    sha256,
    verify,
    write_bytes,
    write_json,
    write_manifest,
    write_text,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "step-000001"
    with committing_folder(folder) as unfinished:
        (unfinished / "weights.bin").write_bytes(bytes(range(256)))
        (unfinished / "parts").mkdir()
        (unfinished / "parts" / "state.txt").write_text("state")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# -- files ------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path) -> None:
    write_bytes(tmp_path / "new" / "deep" / "a.bin", b"bytes")
    write_text(tmp_path / "b.txt", "Zürich\n")
    write_json(tmp_path / "c.json", {"pixels": [1, 2]})
    assert (tmp_path / "new" / "deep" / "a.bin").read_bytes() == b"bytes"
    assert (tmp_path / "b.txt").read_text("utf-8") == "Zürich\n"
    assert json.loads((tmp_path / "c.json").read_text("utf-8")) == {"pixels": [1, 2]}
    assert names(tmp_path) == ["b.txt", "c.json", "new", "new/deep", "new/deep/a.bin"]


def test_json_refuses_what_other_parsers_refuse(tmp_path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert names(tmp_path) == []


def test_an_existing_file_is_refused_before_any_work_and_stays(tmp_path) -> None:
    target = tmp_path / "map.png"
    target.write_bytes(b"precious")
    refused = pytest.raises(OutputExists, match=r"map\.png already exists. .*--overwrite")
    with refused, replacing(target, overwrite=False):
        raise AssertionError("work has begun")
    with pytest.raises(OutputExists):
        write_bytes(target, b"other", overwrite=False)
    assert target.read_bytes() == b"precious" and names(tmp_path) == ["map.png"]


def test_a_file_that_appears_during_the_work_is_not_overwritten(tmp_path) -> None:
    target = tmp_path / "map.png"
    with pytest.raises(OutputExists), replacing(target, overwrite=False) as temporary:
        temporary.write_bytes(b"slow")
        target.write_bytes(b"fast")
    assert target.read_bytes() == b"fast" and names(tmp_path) == ["map.png"]


@pytest.mark.parametrize(
    "error", [ValueError("bad"), KeyboardInterrupt(), FileNotFoundError(2, "gone", "input.jpg")]
)
def test_an_error_inside_passes_through_and_leaves_the_old_file(tmp_path, error) -> None:
    target = tmp_path / "map.png"
    write_bytes(target, b"old")
    with pytest.raises(type(error)) as raised, replacing(target, overwrite=True) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert raised.value is error
    assert target.read_bytes() == b"old" and names(tmp_path) == ["map.png"]


def test_a_refusal_of_the_disk_inside_is_a_typed_error_with_a_remedy(tmp_path) -> None:
    refused = pytest.raises(StorageFailed, match=r"map\.png: No space left on device. Free some space")
    with refused, replacing(tmp_path / "map.png", overwrite=True):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


@given(
    name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
)
def test_the_temporary_name_is_hidden_beside_the_target_with_its_suffix(tmp_path_factory, name) -> None:
    folder = tmp_path_factory.mktemp("names")
    if name in (".", ".."):
        return
    with replacing(folder / name, overwrite=False) as temporary:
        assert temporary.parent == folder and temporary.name.startswith(".")
        suffix = (folder / name).suffix
        assert temporary.suffix == suffix or not 2 <= len(suffix) <= 16
        temporary.write_bytes(b"x")
    assert names(folder) == [name]


def test_a_link_is_written_through(tmp_path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "disk" / "real.json")
    write_text(tmp_path / "link.json", "content")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "disk" / "real.json").read_text() == "content"


@pytest.mark.parametrize("blocked", ["a folder of the name", "a file where a folder must be"])
def test_impossible_places_are_a_typed_error(tmp_path, blocked) -> None:
    if blocked == "a folder of the name":
        target = make_folder(tmp_path / "map.png")
    else:
        (tmp_path / "file").write_text("content")
        target = tmp_path / "file" / "map.png"
    with pytest.raises(StorageFailed, match=r"map\.png|file"):
        write_bytes(target, b"x")


# -- folders and manifests --------------------------------------------------------------------------------------


def test_a_committed_folder_is_complete_and_verified(checkpoint) -> None:
    verify(checkpoint)
    assert names(checkpoint) == [MANIFEST, "parts", "parts/state.txt", "weights.bin"]
    assert read_verified(checkpoint, "weights.bin") == bytes(range(256))
    manifest = json.loads((checkpoint / MANIFEST).read_text())
    assert manifest["weights.bin"] == {"size": 256, "sha256": sha256(checkpoint / "weights.bin")}
    assert names(checkpoint.parent)[0] == checkpoint.name  # no temporaries


def test_a_failed_folder_leaves_the_old_one_or_none(tmp_path, checkpoint) -> None:
    for target in (checkpoint, tmp_path / "step-000002"):
        with pytest.raises(ZeroDivisionError), committing_folder(target, overwrite=True) as unfinished:
            (unfinished / "weights.bin").write_bytes(b"half")
            raise ZeroDivisionError
    verify(checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]


def test_an_existing_folder_is_refused_or_replaced_whole(checkpoint) -> None:
    with pytest.raises(OutputExists), committing_folder(checkpoint):
        raise AssertionError("work has begun")
    with committing_folder(checkpoint, overwrite=True) as unfinished:
        (unfinished / "only.txt").write_text("new")
    verify(checkpoint)
    assert names(checkpoint.parent) == [
        checkpoint.name,
        f"{checkpoint.name}/{MANIFEST}",
        f"{checkpoint.name}/only.txt",
    ]


def test_every_flipped_bit_and_every_truncation_is_noticed(checkpoint) -> None:
    for name in names(checkpoint):
        path = checkpoint / name
        if path.is_dir():
            continue
        good = path.read_bytes()
        for position in range(0, len(good), 3):
            for damaged in (
                good[:position],
                good[:position] + bytes([good[position] ^ 1 << position % 8]) + good[position + 1 :],
            ):
                path.write_bytes(damaged)
                with pytest.raises(CorruptFile):
                    verify(checkpoint)
        path.write_bytes(good)
    verify(checkpoint)


def test_swapped_and_missing_files_are_noticed_by_name(checkpoint) -> None:
    with pytest.raises(CorruptFile, match="names no file other"):
        read_verified(checkpoint, "other")
    weights = checkpoint / "weights.bin"
    weights.write_bytes(bytes(reversed(range(256))))
    for check in (lambda: verify(checkpoint), lambda: read_verified(checkpoint, "weights.bin")):
        with pytest.raises(CorruptFile, match=r"weights\.bin does not match its checksum"):
            check()
    weights.unlink()
    for check in (lambda: verify(checkpoint), lambda: read_verified(checkpoint, "weights.bin")):
        with pytest.raises(CorruptFile, match=r"weights\.bin is missing"):
            check()
    with pytest.raises(FileMissing, match="no folder"):
        verify(checkpoint / "nowhere")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside", "..\\outside", "nul\0"])
def test_a_manifest_may_not_lead_out_of_its_folder(checkpoint, name) -> None:
    manifest = {name: {"size": 1, "sha256": "0" * 64}}
    (checkpoint / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CorruptFile, match="leads out of the folder"):
        verify(checkpoint)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": 1}', '{"a": {"size": "1", "sha256": "x"}}', '{"a": {}}', "[" * 100_000, "\xff"],
)
def test_a_damaged_manifest_is_a_typed_error(checkpoint, text) -> None:
    (checkpoint / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptFile, match="damaged"):
        verify(checkpoint)


def test_a_manifest_can_be_renewed_in_place(checkpoint) -> None:
    (checkpoint / "README.md").write_text("added")
    verify(checkpoint)  # what the manifest does not name is nobody's concern
    write_manifest(checkpoint)
    assert read_verified(checkpoint, "README.md") == b"added"


def test_the_newest_valid_version_is_found_by_number_and_the_bad_ones_are_reported(tmp_path) -> None:
    for step in (5, 40, 300, 1000):
        with committing_folder(tmp_path / f"step-{step}") as unfinished:
            (unfinished / "w").write_text(str(step))
    os.utime(tmp_path / "step-5")  # the clock has no say
    assert newest_valid(tmp_path) == tmp_path / "step-1000"
    (tmp_path / "step-1000" / "w").write_text("xxxx")
    (tmp_path / "step-300" / MANIFEST).unlink()
    rejected: list[tuple[Path, Sat2MapError]] = []
    found = newest_valid(tmp_path, rejected=lambda path, error: rejected.append((path, error)))
    assert found == tmp_path / "step-40"
    assert [path.name for path, _ in rejected] == ["step-1000", "step-300"]
    assert all(isinstance(error, CorruptFile) for _, error in rejected)
    assert newest_valid(tmp_path / "nowhere") is None
