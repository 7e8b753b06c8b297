"""One region, whoever computes it: pool, Ray on one node and on two, any order, any size of cells.

The study of real imagery (the Banepa tiles, Austin, Zürich) and of invented scenes takes minutes and is switched on
with SAT2MAP_REGION=all, or with some of its areas, as in SAT2MAP_REGION=austin,zurich; a small one of invented scenes
always runs. A tiny network with random weights takes the place of
a trained one: what is asked is whether pixels differ, and it makes its cells in a fraction of a second.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import rasterio

import geotiffs
import regions
from batches import Here, same_maps
from sat2map.batch.journal import read_standing
from sat2map.batch.local import LocalEngine
from sat2map.batch.merge import merge_plan
from sat2map.batch.plan import RASTERS, read_cells, read_plan
from sat2map.batch.run import run_plan
from sat2map.scenes.vectorize import VectorOptions

ROOT = pathlib.Path(__file__).resolve().parents[1]
ALL = VectorOptions(min_area=0.2, min_road=0.5)  # random weights make small things only
WANTED = os.environ.get("SAT2MAP_REGION", "")
study = pytest.mark.skipif(not WANTED, reason="minutes: set SAT2MAP_REGION=all")

# Several plans on one Ray cluster of so many nodes.
ON_RAY = """
import pathlib, sys
import ray
from ray.cluster_utils import Cluster
from sat2map.batch.ray_engine import RayEngine
from sat2map.batch.run import run_plan
from sat2map.scenes.vectorize import VectorOptions
if __name__ == "__main__":
    nodes, folders = int(sys.argv[1]), [pathlib.Path(name) for name in sys.argv[2:]]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3 - nodes, "include_dashboard": False})
    for _ in range(nodes - 1):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    for folder in folders:
        run_plan(folder, lambda: RayEngine(folder, 2))
    ray.shutdown()
    cluster.shutdown()
"""


def invented(folder: pathlib.Path, side: int) -> list[pathlib.Path]:
    """Two scenes of neighbouring zones that overlap."""
    folder.mkdir(exist_ok=True)
    return [
        regions.scene(folder / "west.tif", 11.99, 47.01, "EPSG:32632", side, side, seed=1),
        regions.scene(folder / "east.tif", 11.9995, 47.0085, "EPSG:32633", side, side, seed=2),
    ]


def converted(folder: pathlib.Path, to: pathlib.Path) -> list[pathlib.Path]:
    """The tiles of Banepa as GeoTIFFs: they are JPEGs called .tif, with their georeference in a file beside them."""
    to.mkdir()
    made = []
    for path in sorted(folder.rglob("*.tif")):
        with rasterio.open(path) as file:
            pixels = np.moveaxis(file.read(), 0, -1)
            made.append(geotiffs.write(to / path.name, pixels, crs="EPSG:4326", transform=file.transform))
    return made


def environment() -> dict[str, str]:
    quiet = {"RAY_DISABLE_IMPORT_WARNING": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"}


def call(*command: object) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment(), capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-2000:]


def files(folder: pathlib.Path) -> dict[str, str]:
    return {name: sha for o in read_standing(folder).finished.values() for name, sha in o.files.items()}


def shapes(folder: pathlib.Path) -> dict[str, list[bytes]]:
    from pyogrio import list_layers, raw

    names = [name for name, kind in list_layers(folder / "merged.gpkg") if kind]
    return {
        name: sorted(bytes(s) for s in raw.read(folder / "merged.gpkg", layer=name)[2] if s is not None)
        for name in names
    }


@study
@pytest.mark.timeout(3600)
def test_a_region_of_a_hundred_cells_is_the_same_whoever_computes_it(shared, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed (ray extra)")
    pytest.importorskip("pyogrio", reason="the vector extra is not installed")
    aerial = shared / "data" / "aerial"
    banepa = converted(aerial / "oam-osm-banepa-z19" / "train", tmp_path / "banepa")
    areas: dict[str, tuple[Sequence[pathlib.Path], dict[str, object]]] = {
        "banepa": (banepa, {"gsd": 0.12}),
        "austin": ([aerial / "inria-austin-0.3m" / "image.tif"], {"gsd": 0.3}),
        "zurich": ([aerial / "zurich-lv95-0.5m" / "1091-322_00.tif"], {"gsd": 0.5, "crs": "EPSG:2056"}),
        "invented": (invented(tmp_path / "scenes", 2300), {"gsd": 0.9}),
    }
    if WANTED != "all":
        areas = {name: areas[name] for name in WANTED.split(",")}
    for base in ("one", "two", "ray1", "ray2", "shuffled", "large"):
        (tmp_path / base).mkdir()
        for name, (sources, wanted) in areas.items():
            side = 1024 if base == "large" else 512
            regions.plan(
                sources, tmp_path / base / name, side=side, model=regions.model(tmp_path / "model"), **wanted
            )
    plans = {base: [tmp_path / base / name for name in areas] for base in ("ray1", "ray2")}
    (tmp_path / "on_ray.py").write_text(ON_RAY)
    for name in areas:
        for base, workers, shuffle in (
            ("one", 1, None),
            ("two", 2, None),
            ("shuffled", 2, 5),
            ("large", 1, None),
        ):
            folder = tmp_path / base / name
            run_plan(
                folder, lambda folder=folder, workers=workers: LocalEngine(folder, workers), shuffle=shuffle
            )
    for nodes, base in ((1, "ray1"), (2, "ray2")):
        call(tmp_path / "on_ray.py", nodes, *plans[base])
    counts = {
        name: len(read_cells(tmp_path / "one" / name, read_plan(tmp_path / "one" / name))) for name in areas
    }
    assert WANTED != "all" or sum(counts.values()) >= 100, counts
    (tmp_path / "counts.txt").write_text(str(counts))
    for name in areas:
        one = tmp_path / "one" / name
        assert files(one)
        for base in ("two", "ray1", "ray2", "shuffled"):
            assert files(tmp_path / base / name) == files(one), "byte for byte"
        same_maps(one, tmp_path / "large" / name)
        same_maps(tmp_path / "large" / name, one)
        for base in ("one", "ray2", "large"):
            merge_plan(tmp_path / base / name, vectors=True, options=ALL)
        first = shapes(one)
        assert sum(map(len, first.values())) > 10
        assert shapes(tmp_path / "ray2" / name) == first == shapes(tmp_path / "large" / name)


def test_two_processes_in_another_order_make_the_files_of_one(tmp_path):
    sources = invented(tmp_path / "scenes", 400)
    for name in ("here", "pool"):
        regions.plan(sources, tmp_path / name, gsd=0.9)
    run_plan(tmp_path / "here", lambda: Here(tmp_path / "here"))
    call("-m", "sat2map", "batch", "run", tmp_path / "pool", "-q", "--workers", 2, "--shuffle", 4)
    assert files(tmp_path / "here") == files(tmp_path / "pool") != {}
    for name in files(tmp_path / "here"):
        here, pool = (tmp_path / folder / RASTERS / name for folder in ("here", "pool"))
        assert here.read_bytes() == pool.read_bytes()
