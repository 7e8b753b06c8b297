"""What several processes, and the dead among them, mean for a run folder: leftovers, journals and locks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat2map.errors import FileMissing, RunLocked
from sat2map.storage import (
    append_line,
    committing_folder,
    locked,
    read_lines,
    replacing,
    restore,
    sweep,
    verify,
)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "step-000001"
    with committing_folder(folder) as unfinished:
        (unfinished / "weights.bin").write_bytes(bytes(range(256)))
    return folder


# -- leftovers --------------------------------------------------------------------------------------------------

DIE_HALFWAY = """
import os, sys
from pathlib import Path
from sat2map.storage import committing_folder, replacing
root = Path(sys.argv[1])
with committing_folder(root / "folder") as folder, replacing(root / "a.png", overwrite=True) as a:
    a.write_bytes(b"half")
    (folder / "half").write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline().startswith("ready")
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_sweep_leaves_the_living_and_their_work_alone_and_removes_that_of_the_dead(tmp_path) -> None:
    process = start(DIE_HALFWAY, str(tmp_path))
    try:
        with replacing(tmp_path / "mine.png", overwrite=True) as mine:
            mine.write_bytes(b"mine")
            assert sweep(tmp_path) == []
            assert sweep(tmp_path / "nowhere") == []
            end(process)
            assert len(sweep(tmp_path)) == 2
            assert mine.exists()
    finally:
        end(process)
    assert names(tmp_path) == ["mine.png"]


def test_work_of_another_host_is_only_swept_by_who_holds_the_folder(tmp_path) -> None:
    foreign = tmp_path / ".map.tmp-00000000-1-00000000-000000.png"
    foreign.write_bytes(b"half")
    assert sweep(tmp_path) == []
    assert sweep(tmp_path, exclusive=True) == [foreign]
    assert names(tmp_path) == []


def test_a_version_moved_aside_by_a_kill_comes_back(tmp_path, checkpoint) -> None:
    aside = tmp_path / f".{checkpoint.name}.old-00000000-1-00000000-000000"
    checkpoint.rename(aside)
    assert restore(checkpoint) and not restore(checkpoint)
    verify(checkpoint)
    checkpoint.rename(aside)
    assert sweep(tmp_path) == [aside]
    verify(checkpoint)


# -- journals ---------------------------------------------------------------------------------------------------


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))),
    torn=st.text(max_size=5),
)
def test_a_journal_gives_back_its_lines_and_heals_a_torn_end(tmp_path_factory, lines, torn) -> None:
    path = tmp_path_factory.mktemp("journal") / "log.jsonl"
    path.write_bytes(b"")
    for line in lines:
        append_line(path, line)
    assert read_lines(path) == lines
    with path.open("ab") as file:
        file.write(torn.replace("\n", "").encode("utf-8", "replace") * 2000)
    assert read_lines(path) == lines
    append_line(path, "next")
    assert read_lines(path) == [*lines, "next"]


def test_a_journal_that_is_not_there_is_a_typed_error(tmp_path) -> None:
    with pytest.raises(FileMissing, match=r"log\.jsonl"):
        read_lines(tmp_path / "log.jsonl")


# -- locks ------------------------------------------------------------------------------------------------------

HOLD = """
import os, sys, time
from sat2map.storage import locked
with locked(sys.argv[1]):
    child = os.fork() if sys.argv[2] == "fork" else 1
    if not child:
        time.sleep(30)
        os._exit(0)
    print("ready", child, flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path) -> None:
    process = start(HOLD, str(tmp_path), "alone")
    try:
        with pytest.raises(RunLocked, match=f"process {process.pid} .* is working in"), locked(tmp_path):
            raise AssertionError("two runs in one folder")
    finally:
        end(process)
    with locked(tmp_path), pytest.raises(RunLocked, match=f"process {os.getpid()} "), locked(tmp_path):
        raise AssertionError("not even the same process")
    with locked(tmp_path):
        pass  # released at the end of the block


def test_the_lock_of_a_killed_run_is_free_even_while_its_workers_live(tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "fork"],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    worker = int(process.stdout.readline().split()[1])
    try:
        process.kill()
        process.wait()
        os.kill(worker, 0)  # it lives
        for _ in range(50):  # the fork's own clean-up may still be on its way
            try:
                with locked(tmp_path):
                    return
            except RunLocked:
                time.sleep(0.1)
        raise AssertionError("an orphaned worker keeps the folder")
    finally:
        os.kill(worker, signal.SIGKILL)
        process.communicate()
