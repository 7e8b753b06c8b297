"""Batches on a real Ray runtime: on this machine, and on a cluster of two nodes of which one is lost."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import regions
from sat2map.batch.journal import read_standing
from sat2map.batch.plan import RASTERS

pytest.importorskip("ray", reason="Ray is not installed (ray extra)")

ROOT = pathlib.Path(__file__).resolve().parents[1]

# A driver on a cluster of two nodes; the second is taken away after the first cell.
LOSING_A_NODE = """
import json, pathlib, sys
import ray
from ray.cluster_utils import Cluster
from sat2map.batch.ray_engine import RayEngine
from sat2map.batch.run import run_plan
if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    gone = []
    def lose(done, total, note):
        if not gone:
            gone.append(note)
            cluster.remove_node(second, allow_graceful=False)
    standing = run_plan(folder, lambda: RayEngine(folder, 2), on_progress=lose)
    print(json.dumps({"done": len(standing.finished), "lost after": gone[0]}))
    ray.shutdown()
    cluster.shutdown()
"""


def environment() -> dict[str, str]:
    quiet = {"RAY_DISABLE_IMPORT_WARNING": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Two equal plans of the same region, the first computed by the pool of processes."""
    base = tmp_path_factory.mktemp("ray")
    sources = regions.region(base / "scenes")
    for name in ("local", "ray", "cluster"):
        regions.plan(sources, base / name)
    run("batch", "run", base / "local", "--workers", 1, "-q")
    return base


def run(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sat2map", *map(str, arguments)],
        env=environment(), capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def rasters(folder: pathlib.Path) -> dict[str, str]:
    return {name: sha for o in read_standing(folder).finished.values() for name, sha in o.files.items()}


def test_ray_makes_the_same_files_as_the_pool(planned):
    run("batch", "run", planned / "ray", "--engine", "ray", "--workers", 2, "-q")
    assert rasters(planned / "ray") == rasters(planned / "local") != {}
    for name in rasters(planned / "local"):
        assert (planned / "ray" / RASTERS / name).read_bytes() == (
            planned / "local" / RASTERS / name
        ).read_bytes()


def test_a_lost_node_costs_an_attempt_and_no_cell(planned):
    script = planned / "driver.py"
    script.write_text(LOSING_A_NODE)
    done = subprocess.run(
        [sys.executable, script, planned / "cluster"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["done"] == len(read_standing(planned / "local").finished)
    assert rasters(planned / "cluster") == rasters(planned / "local")
