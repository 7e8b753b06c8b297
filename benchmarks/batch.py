"""Batches: what a second worker gains, what Ray costs beside the pool of processes, and how large a plan may be.

A region of `--cells` cells is computed with one worker, with two, and by Ray with two, in turns. A plan of a million
cells is made of one source that covers them, in a process of its own.

python benchmarks/batch.py [--model ID|DIR] [--cells 12] [--rounds 3] [--json FILE]
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from inference import find_or_stand_in
from measuring import arguments, finish, ratio
from sat2map import mercator
from sat2map.batch.plan import Model, Plan, SceneSource, make_plan
from sat2map.batch.planning import plan_batch
from sat2map.bundle import DEFAULT
from sat2map.grid import Window
from scene import write_scene

MILLION = 1_000_000
PLANNING = """
import resource, sys, time
sys.path.insert(0, sys.argv[1])
from batch import plan_a_million
begin = time.perf_counter()
cells = plan_a_million(sys.argv[2])
print(cells, time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def plan_a_million(folder: str) -> int:
    """Plan 1,000 x 1,000 cells of 2,048 px at zoom 17; return how many they are."""
    extent = mercator.degrees(Window(2_500 * 2048, 4_000 * 2048, 1000 * 2048, 1000 * 2048), 17)
    plan = Plan(
        model=Model("carto", "carto", ""), zoom=17, side=2048, margin=992, products=("colour",),
        sources=(SceneSource("none.tif", "", tuple(extent)),),
    )  # fmt: skip
    return make_plan(plan, Path(folder)).cells


def planning(folder: Path) -> dict[str, object]:
    """Time and memory of a plan of a million cells."""
    out = subprocess.run(
        [sys.executable, "-c", PLANNING, str(Path(__file__).parent), str(folder)],
        check=True, capture_output=True, text=True, env=dict(os.environ),
    ).stdout.split()  # fmt: skip
    return {"cells": int(out[0]), "seconds": round(float(out[1]), 1), "peak_mib": int(out[2])}


def run(plan: Path, *engine: str) -> float:
    """Compute a whole plan anew by the command line; return seconds of its cells, without the start of processes."""
    for name in ("journal.jsonl", "cells"):
        target = plan / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sat2map", "batch", "run", str(plan), "-q", *engine]
    subprocess.run(command, check=True, capture_output=True)
    from sat2map.batch.journal import read_standing

    ended = sorted(outcome.at for outcome in read_standing(plan).finished.values())
    first = min(outcome.at - outcome.seconds for outcome in read_standing(plan).finished.values())
    return ended[-1] - first


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--cells", type=int, default=12)
    chosen = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        figures["plan"] = planning(folder / "million")
        print(f"a plan of a million cells: {figures['plan']}")
        bundle = find_or_stand_in(chosen.model, folder)
        side = int((chosen.cells**0.5) * 1024)
        write_scene(folder / "scene.tif", side, bundle.card.metres_per_pixel)
        plan = folder / "plan"
        made = plan_batch([folder / "scene.tif"], plan, model=str(bundle.folder), side=1024)
        engines = {
            "one worker": ("--workers", "1"),
            "two workers": ("--workers", "2"),
            "Ray, two workers": ("--engine", "ray", "--workers", "2"),
        }
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(chosen.rounds):
            for name, engine in engines.items():
                begin = time.perf_counter()
                times[name].append(run(plan, *engine))
                print(f"{name}: {times[name][-1]:.1f} s of cells, {time.perf_counter() - begin:.1f} s in all")
        figures["cells"] = made.cells
        rates = {name: [made.cells / seconds for seconds in values] for name, values in times.items()}
        figures["two workers over one"] = ratio(rates, "two workers", "one worker")._asdict()
        figures["Ray over the pool"] = ratio(rates, "Ray, two workers", "two workers")._asdict()
        figures["workers_peak_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(figures)
    finish(chosen.json, figures)


if __name__ == "__main__":
    main()
