"""Workers and drivers that are killed at random, a poisoned scene, and still the map of an undisturbed run.

SAT2MAP_KILLS says how many workers are killed (3), and SAT2MAP_DRIVERS how many drivers (1); the study is 30 and 5.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

import regions
from batches import Here
from sat2map.batch.journal import read_standing
from sat2map.batch.plan import RASTERS, read_cells, read_plan
from sat2map.batch.run import run_plan
from sat2map.errors import CellsMissing

ROOT = pathlib.Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("SAT2MAP_KILLS", "3"))
DRIVERS = int(os.environ.get("SAT2MAP_DRIVERS", "1"))
PATIENCE = 500 + 60 * KILLS  # seconds


def scenes(folder: pathlib.Path, side: int) -> list[pathlib.Path]:
    """Two scenes of neighbouring zones, and one apart from them that is going to be poisoned."""
    folder.mkdir()
    return [
        regions.scene(folder / "west.tif", 11.99, 47.01, "EPSG:32632", side, side, seed=1),
        regions.scene(folder / "east.tif", 11.9995, 47.0085, "EPSG:32633", side, side, seed=2),
        regions.scene(folder / "poisoned.tif", 12.1, 47.0, "EPSG:32633", 200, 200, seed=3),
    ]


def driver(folder: pathlib.Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sat2map", "batch", "run", str(folder), "--workers", "2", "-q", *more]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def workers(parent: int) -> list[int]:
    """Processes of a driver that compute: those of its children that multiprocessing has spawned."""
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            is_child = int(status.read_text().rpartition(")")[2].split()[1]) == parent
            command = status.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if is_child and b"spawn_main" in command:
            found.append(int(status.parent.name))
    return found


def attempts(folder: pathlib.Path) -> int:
    """Lines of the journal."""
    journal = folder / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.is_file() else 0


@pytest.mark.timeout(2 * PATIENCE)
def test_kills_of_workers_and_drivers_and_a_poisoned_scene_cost_nothing_but_its_cells(tmp_path):
    sources = scenes(tmp_path / "scenes", 2300 if KILLS > 10 else 700)
    for name in ("calm", "killed"):
        regions.plan(sources, tmp_path / name, gsd=0.9)
    regions.scene(sources[2], 12.1, 47.0, "EPSG:32633", 200, 200, seed=4)  # other pixels than were planned
    with pytest.raises(CellsMissing, match=r"poisoned\.tif has changed"):
        run_plan(tmp_path / "calm", lambda: Here(tmp_path / "calm"))
    folder, choose = tmp_path / "killed", random.Random(5)
    killed, ended = 0, 0
    last_driver = [choose.uniform(0.2, 0.8) * KILLS for _ in range(DRIVERS)]  # after how many workers
    process = driver(folder)
    next_at = 1
    deadline = time.monotonic() + PATIENCE
    while killed < KILLS or last_driver:
        assert time.monotonic() < deadline, f"{killed} workers and {ended} drivers killed so far"
        if process.poll() is not None:
            process.communicate()  # all is done but the quarantine: the rest of the kills hit what is done anew
            for path in (folder / RASTERS).glob("*_classes.tif"):
                path.unlink()
            process = driver(folder, "--retry")
        if attempts(folder) < next_at:  # work goes on between two kills, however slow the machine is
            time.sleep(0.02)
            continue
        next_at = attempts(folder) + choose.randint(1, 2)
        time.sleep(choose.uniform(0.0, 0.3))
        if last_driver and killed >= min(last_driver):
            last_driver.remove(min(last_driver))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            ended += 1
            process = driver(folder)
            continue
        alive = workers(process.pid)
        if alive and killed < KILLS:
            os.kill(choose.choice(alive), signal.SIGKILL)
            killed += 1
    process.communicate(timeout=PATIENCE)
    done = driver(folder, "--retry")
    _, said = done.communicate(timeout=PATIENCE)
    assert done.returncode == 1 and "poisoned.tif has changed" in said
    assert (killed, ended) == (KILLS, DRIVERS)
    calm, after = read_standing(tmp_path / "calm"), read_standing(folder)
    apart = {cell.id for cell in read_cells(folder, read_plan(folder)) if 2 in cell.sources}
    assert set(after.quarantined) == set(calm.quarantined) == apart != set()
    assert {c: o.files for c, o in after.finished.items()} == {c: o.files for c, o in calm.finished.items()}
    names = {name for outcome in calm.finished.values() for name in outcome.files}
    assert {path.name for path in (folder / RASTERS).iterdir()} == names, "nothing is left over"
    for name in names:
        assert (folder / RASTERS / name).read_bytes() == (tmp_path / "calm" / RASTERS / name).read_bytes()
