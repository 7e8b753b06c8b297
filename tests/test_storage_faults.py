"""Nothing durable is lost or half there, whichever call fails, dies or is forgotten by the disk.

Each operation is repeated with the first call going wrong, then the second, and so on until it completes (the loops
of SQLite's "anomaly testing"). Controls without fsync or rename show that these tests would notice.
"""

import errno
import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from unittest import mock

import pytest

from faultfs import Killed, faulty
from powerloss import Disk, materialise
from sat2map.errors import CorruptFile, StorageFailed
from sat2map.storage import sweep
from storage_scenarios import NAIVE, SCENARIOS, Scenario, leftovers, next_process

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))


def runs(tmp_path: Path, scenario: Scenario) -> Iterator[Path]:
    """Endless fresh folders that hold the old version."""
    for number in itertools.count(1):
        root = tmp_path / str(number)
        root.mkdir()
        with faulty():
            scenario.before(root)
        yield root


def check_kills(tmp_path: Path, scenario: Scenario, how: str) -> int:
    """Die at every call; returns how many there are. Fails if a version is half there or lost, or litter stays."""
    for at, root in enumerate(runs(tmp_path, scenario), start=1):
        with faulty(at, how) as faults, suppress(Killed):
            scenario.act(root)
        next_process()
        found = scenario.found(root)
        assert leftovers(root) == [], f"call {at} left litter"
        if not faults.happened:
            assert found == "new"
            return at - 1
    raise AssertionError


@every_scenario
@pytest.mark.parametrize("how", ["kill", "torn"])
def test_a_kill_at_any_call_leaves_the_old_or_the_new_version(tmp_path, scenario, how) -> None:
    assert check_kills(tmp_path, scenario, how) >= 3


@every_scenario
@pytest.mark.parametrize(
    ("how", "code"), [("once", errno.EIO), ("once", errno.ENOSPC), ("forever", errno.ENOSPC)]
)
def test_a_refusal_at_any_call_is_an_error_that_leaves_a_version(tmp_path, scenario, how, code) -> None:
    for at, root in enumerate(runs(tmp_path, scenario), start=1):
        refused = False
        with faulty(at, how, code) as faults:
            try:
                scenario.act(root)
            except StorageFailed as error:
                refused = True
                assert str(root) in str(error) and error.remedy
        found = scenario.found(root)
        assert refused or found == "new", f"call {at} failed, nobody said so, and the old version stands"
        assert faults.happened or not refused
        scenario.act(root)  # the disk has recovered: so does the same process
        assert scenario.found(root) == "new"
        next_process()
        assert leftovers(root) == []
        if not faults.happened:
            return


def test_a_kill_while_clearing_up_after_a_kill_leaves_a_version(tmp_path) -> None:
    """Compound faults: die at every call of replacing a folder, then at every call of the sweep that follows."""
    scenario = SCENARIOS["folder replaced"]
    for first in itertools.count(1):
        for second in itertools.count(1):
            root = tmp_path / f"{first}-{second}"
            root.mkdir()
            with faulty():
                scenario.before(root)
            with faulty(first) as faults, suppress(Killed):
                scenario.act(root)
            next_process()
            with faulty(second) as clearing, suppress(Killed):
                sweep(root / "runs")
            next_process()
            scenario.found(root)
            assert leftovers(root) == []
            if not clearing.happened:
                break
        if not faults.happened:
            return


def check_power_cuts(tmp_path: Path, scenario: Scenario) -> int:
    """Cut the power after every call and look at every disk that may result; returns how many were looked at."""
    root = next(iter(runs(tmp_path, scenario)))
    disk = Disk(root)
    with faulty() as faults:
        scenario.act(root)
    seen = 0
    for number, event in enumerate([("start", root.parent), *faults.events]):
        disk.apply(event)
        for tree in disk.after_power_cut():
            seen += 1
            state = tmp_path / f"state-{number}-{seen}"
            state.mkdir()
            materialise(tree, state)
            next_process()
            found = scenario.found(state)
            assert found == "new" or number < len(faults.events), "it returned, and the new version was lost"
            assert leftovers(state) == []
    return seen


@every_scenario
def test_a_power_cut_after_any_call_leaves_the_old_or_the_new_version(tmp_path, scenario) -> None:
    assert check_power_cuts(tmp_path, scenario) > 5


def without(name: str) -> ExitStack:
    """Switch one kind of fsync off wherever storage uses it."""
    patches = ExitStack()
    for module in [m for n, m in sys.modules.items() if n.startswith("sat2map.storage.")]:
        if hasattr(module, name):
            patches.enter_context(mock.patch.object(module, name, lambda path: None))
    return patches


@pytest.mark.parametrize("name", ["file replaced", "file by a library", "folder replaced"])
@pytest.mark.parametrize("missing", ["sync_file", "sync_folder"])
def test_control_the_power_cuts_notice_a_missing_fsync(tmp_path, name, missing) -> None:
    # an error of `verify`, or one of the harness
    with (
        without(missing),
        pytest.raises((CorruptFile, AssertionError), match=r"half a file|was lost|checksum|manifest"),
    ):
        check_power_cuts(tmp_path, SCENARIOS[name])


def test_control_kills_and_power_cuts_notice_a_missing_rename(tmp_path) -> None:
    (tmp_path / "kills").mkdir()
    with pytest.raises(AssertionError, match="half a file"):
        check_kills(tmp_path / "kills", NAIVE, "kill")
    (tmp_path / "cuts").mkdir()
    with pytest.raises(AssertionError, match="half a file"):
        check_power_cuts(tmp_path / "cuts", NAIVE)


REAL_KILLS = """
import itertools, os, pathlib, sys
from faultfs import faulty
from storage_scenarios import SCENARIOS, leftovers
for name, scenario in SCENARIOS.items():
    for at in itertools.count(1):
        root = pathlib.Path(sys.argv[1], name, str(at))
        root.mkdir(parents=True)
        with faulty():
            scenario.before(root)
        child = os.fork()
        if not child:
            with faulty(at, "signal"):
                scenario.act(root)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        found = scenario.found(root)
        assert leftovers(root) == [], (name, at)
        if status == 0:
            assert found == "new", (name, at)
            print(name, at - 1, sep=":")
            break
        assert os.WTERMSIG(status) == 9, (name, at, status)
"""


def test_a_real_sigkill_at_any_call_leaves_the_old_or_the_new_version(tmp_path) -> None:
    environment = {"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REAL_KILLS, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    kills = {line.split(":")[0]: int(line.split(":")[1]) for line in done.stdout.splitlines()}
    assert kills.keys() == SCENARIOS.keys() and min(kills.values()) >= 3
