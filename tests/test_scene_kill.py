"""A scene job that is killed, or meets a full disk, goes on where it was and ends in the same bytes."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fakes
import geotiffs
from sat2map.errors import NothingToResume, OutputExists, StorageFailed
from sat2map.grid import Window
from sat2map.scenes.blocks import JOURNAL, BlockStore
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.translate import PRODUCTS

ROOT = pathlib.Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("SAT2MAP_KILLS", "5"))
OPTIONS = {"products": PRODUCTS, "window": 128, "jobs": 2}
BLOCKS = 5 * 6

# The job as a process of its own; each strip takes a while, so that kills fall everywhere.
JOB = """
import json, pathlib, sys, time
sys.path.insert(0, sys.argv[1])
import fakes
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
class Slow(fakes.FakeTranslator):
    def __call__(self, batch, want):
        time.sleep(0.01)
        return super().__call__(batch, want)
folder, options = pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
options["products"] = tuple(options["products"])
print("started", flush=True)
model = Slow(fakes.card(cell=64, halo=8))
translate_scene(model, folder / "in.tif", folder / "out.tif", SceneOptions(**options, resume=True))
print("done", len(model.shapes), flush=True)
"""


def model() -> fakes.FakeTranslator:
    return fakes.FakeTranslator(fakes.card(cell=64, halo=8))


def outputs(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("out*"))}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A folder with a scene, and what a job that nobody disturbs makes of it."""
    folder = tmp_path_factory.mktemp("kill")
    mask = np.ones((640, 700), np.bool_)
    mask[200:500, 100:300] = False
    geotiffs.write(folder / "in.tif", geotiffs.texture(640, 700), mask=mask)
    translate_scene(model(), folder / "in.tif", folder / "out.tif", SceneOptions(**OPTIONS))
    made = outputs(folder)
    for name in made:
        (folder / name).unlink()
    return folder, made


def start(folder: pathlib.Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(ROOT / "tests"), str(folder), json.dumps(OPTIONS)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_random_kills_leave_nothing_false_and_the_same_bytes_in_the_end(scene, tmp_path):
    original, expected = scene
    rng = random.Random(5)
    kills = rounds = 0
    while kills < KILLS:
        folder = tmp_path / f"round-{rounds}"
        folder.mkdir()
        shutil.copy2(original / "in.tif", folder / "in.tif")
        rounds += 1
        for _ in range(4):  # killed again while it resumes
            job = start(folder)
            assert job.stdout is not None and job.stdout.readline() == "started\n"
            goal = rng.randrange(BLOCKS + 8)  # blocks in the journal; beyond them the files are put together
            while job.poll() is None and count(folder) < min(goal, BLOCKS):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05) if goal < BLOCKS else rng.uniform(0, 1))
            job.send_signal(signal.SIGKILL)
            was_killed = job.wait() == -signal.SIGKILL
            job.stdout.close()
            kills += was_killed
            for name, content in outputs(folder).items():
                assert content == expected[name], f"{name} has its final name and is not what it should be"
            if not was_killed:
                break
        job = start(folder)
        said, _ = job.communicate(timeout=120)
        assert job.returncode == 0, said
        assert outputs(folder) == expected
        assert not list(folder.glob(".*")), "a finished job leaves nothing behind"


def count(folder: pathlib.Path) -> int:
    journal = folder / ".out.tif.job" / JOURNAL
    return journal.read_bytes().count(b'"block"') if journal.exists() else 0


class Stopping(fakes.FakeTranslator):
    """Works for some strips, then fails, as a killed process does as far as its files are concerned."""

    def __init__(self, strips: int) -> None:
        super().__init__(fakes.card(cell=64, halo=8))
        self._left = strips

    def __call__(self, batch, want):
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return super().__call__(batch, want)


def stop_in_the_middle(scene, tmp_path) -> tuple[pathlib.Path, int]:
    """Return a folder with an unfinished job, and how many blocks of it are done."""
    shutil.copy2(scene[0] / "in.tif", tmp_path / "in.tif")
    with pytest.raises(KeyboardInterrupt):
        translate_scene(Stopping(60), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions(**OPTIONS))
    assert not outputs(tmp_path)
    return tmp_path, count(tmp_path)


def test_only_unfinished_blocks_are_computed_again(scene, tmp_path):
    folder, done = stop_in_the_middle(scene, tmp_path)
    assert 5 < done < BLOCKS
    whole, rest = model(), model()
    translate_scene(rest, folder / "in.tif", folder / "out.tif", SceneOptions(**OPTIONS, resume=True))
    assert outputs(folder) == scene[1]
    translate_scene(whole, folder / "in.tif", folder / "again.tif", SceneOptions(**OPTIONS))
    # All-missing strips cost nothing, so only an upper bound is known: 4 strips for each block that was not done.
    assert len(rest.shapes) <= 4 * (BLOCKS - done) and len(rest.shapes) < len(whole.shapes)


def test_a_damaged_block_is_computed_again(scene, tmp_path):
    folder, _ = stop_in_the_middle(scene, tmp_path)
    blocks = sorted((folder / ".out.tif.job").glob("block-*"))
    damaged = bytearray(blocks[0].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    blocks[0].write_bytes(damaged)
    blocks[1].unlink()
    translate_scene(model(), folder / "in.tif", folder / "out.tif", SceneOptions(**OPTIONS, resume=True))
    assert outputs(folder) == scene[1]


@pytest.mark.parametrize(
    "changes", [{"window": 256}, {"products": ("colour",)}, {"scale": (0.0, 99.0)}, {"nodata": 3.0}]
)
def test_another_job_is_not_resumed(changes, scene, tmp_path):
    folder, _ = stop_in_the_middle(scene, tmp_path)
    options = SceneOptions(**{**OPTIONS, **changes}, resume=True)
    with pytest.raises(NothingToResume, match=next(iter(changes))):
        translate_scene(model(), folder / "in.tif", folder / "out.tif", options)


def test_another_model_or_scene_is_not_resumed(scene, tmp_path):
    folder, _ = stop_in_the_middle(scene, tmp_path)
    options = SceneOptions(**OPTIONS, resume=True)
    with pytest.raises(NothingToResume, match="checksum"):
        translate_scene(model(), folder / "in.tif", folder / "out.tif", options, checksum="other")
    os.utime(folder / "in.tif", (1, 1))
    with pytest.raises(NothingToResume, match="scene"):
        translate_scene(model(), folder / "in.tif", folder / "out.tif", options)


def test_without_resume_the_job_begins_anew_only_if_told_to(scene, tmp_path):
    folder, _ = stop_in_the_middle(scene, tmp_path)
    anew = model()
    with pytest.raises(OutputExists, match="blocks of an unfinished job"):
        translate_scene(anew, folder / "in.tif", folder / "out.tif", SceneOptions(**OPTIONS))
    assert not anew.shapes and count(folder)
    translate_scene(anew, folder / "in.tif", folder / "out.tif", SceneOptions(**OPTIONS, overwrite=True))
    assert outputs(folder) == scene[1] and len(anew.shapes) > 80


def test_a_torn_last_line_of_the_journal_costs_one_block(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    store = BlockStore(folder, ("classes",))
    store.begin({"scene": 1}, resume=False)
    windows = [Window(0, col, 8, 8) for col in (0, 8)]
    for window in windows:
        store.write(window, {"classes": np.full((8, 8), window.col, np.uint8)})
    journal = folder / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-5])
    again = BlockStore(folder, ("classes",))
    again.begin({"scene": 1}, resume=True)
    assert again.windows == windows[:1] and (again.read(windows[0])["classes"] == 0).all()


def test_a_full_disk_is_said_and_leaves_nothing_false(scene, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "none", small]).returncode:
        pytest.skip("a small file system can be mounted by root only: nobody fills a disk here")
    try:
        shutil.copy2(scene[0] / "in.tif", small / "in.tif")
        refused = 0
        for spare in range(3_000_000, 0, -200_000):
            (small / "ballast").write_bytes(bytes(max(free(small) - spare, 0)))
            try:
                translate_scene(
                    model(), small / "in.tif", small / "out.tif", SceneOptions(**OPTIONS, resume=True)
                )
            except StorageFailed:
                refused += 1
                for name, content in outputs(small).items():
                    assert content == scene[1][name]
            else:
                assert outputs(small) == scene[1]
                for path in small.glob("out*"):
                    path.unlink()
            (small / "ballast").unlink()
        assert refused > 3
        translate_scene(
            model(), small / "in.tif", small / "out.tif", SceneOptions(**OPTIONS, resume=True, overwrite=True)
        )
        assert outputs(small) == scene[1]
    finally:
        subprocess.run(["umount", small], check=True)


def free(folder: pathlib.Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def test_an_unwritable_place_is_a_typed_error(scene, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        translate_scene(model(), scene[0] / "in.tif", tmp_path / "file" / "out.tif", SceneOptions(**OPTIONS))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_resuming_a_finished_job_does_nothing_and_a_half_published_one_only_the_rest(scene, tmp_path):
    shutil.copy2(scene[0] / "in.tif", tmp_path / "in.tif")
    options = SceneOptions(**OPTIONS, resume=True)
    translate_scene(model(), tmp_path / "in.tif", tmp_path / "out.tif", options)
    idle = model()
    translate_scene(idle, tmp_path / "in.tif", tmp_path / "out.tif", options)
    assert not idle.shapes and outputs(tmp_path) == scene[1]
    (tmp_path / "out_classes.tif").unlink()  # as if killed between two names
    translate_scene(model(), tmp_path / "in.tif", tmp_path / "out.tif", options)
    assert outputs(tmp_path) == scene[1]
    (tmp_path / "out.tif").write_bytes(b"somebody else's")
    with pytest.raises(OutputExists):
        translate_scene(model(), tmp_path / "in.tif", tmp_path / "out.tif", options)
    assert (tmp_path / "out.tif").read_bytes() == b"somebody else's"
