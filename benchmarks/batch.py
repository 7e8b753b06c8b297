"""Batches: what a second worker gains, what Ray costs beside the pool of processes, and how large a plan may be.

A region of `--cells` cells is computed with one worker, with two, and by Ray with two, in turns. A plan of a million
cells is made of one source that covers them, in a process of its own.

python benchmarks/batch.py [--model ID|DIR] [--cells 25] [--side 512] [--rounds 3] [--json FILE]
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
from sat2map.batch.described import SceneSource
from sat2map.batch.grids import Grid, MetricGrid, WebGrid
from sat2map.batch.plan import Model, Plan, make_plan
from sat2map.batch.planning import PlanOptions, plan_batch
from sat2map.bundle import DEFAULT
from sat2map.grid import Window
from scene import write_scene

MILLION = 1_000_000
PLANNING = """
import resource, sys, time
sys.path.insert(0, sys.argv[1])
from batch import GRIDS, plan_a_million
begin = time.process_time()
cells = plan_a_million(sys.argv[2], GRIDS[sys.argv[3]])
print(cells, time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def plan_a_million(folder: str, grid: Grid) -> int:
    """Plan 1,000 x 1,000 cells of 2,048 px; return how many they are."""
    row, col = (2_500, 4_000) if isinstance(grid, WebGrid) else (-2_500, 1_500)
    window = Window(row * 2048, col * 2048, 1000 * 2048, 1000 * 2048)
    extent = tuple(grid.degrees([window])[0])
    plan = Plan(
        model=Model("carto", "carto", ""), grid=grid, side=2048, margin=992, products=("colour",),
        sources=(SceneSource("none.tif", "", extent, window),),
    )  # fmt: skip
    return make_plan(plan, Path(folder)).cells


GRIDS: dict[str, Grid] = {"web tiles": WebGrid(17), "EPSG:3035": MetricGrid("EPSG:3035", 1.0)}


def planning(folder: Path, grid: str) -> dict[str, object]:
    """Time and memory of a plan of a million cells."""
    out = subprocess.run(
        [sys.executable, "-c", PLANNING, str(Path(__file__).parent), str(folder), grid],
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
    parser.add_argument("--cells", type=int, default=25, help="about so many (default 25)")
    parser.add_argument(
        "--side", type=int, default=512, choices=(512, 1024, 2048), help="px of a cell (default 512)"
    )
    parser.add_argument("--no-ray", action="store_true", help="only the pool of processes")
    chosen = parser.parse_args()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in GRIDS:
            figures[f"plan on {name}"] = planning(folder / name.replace(":", " "), name)
            print(
                f"a plan of a million cells on {name}: {figures[f'plan on {name}']}, seconds of the processor"
            )
        bundle = find_or_stand_in(chosen.model, folder)
        side = int((chosen.cells**0.5) * chosen.side)
        write_scene(folder / "scene.tif", side, bundle.card.metres_per_pixel)
        plan = folder / "plan"
        made = plan_batch([folder / "scene.tif"], plan, PlanOptions(str(bundle.folder), side=chosen.side))
        engines = {
            "one worker": ("--workers", "1"),
            "two workers": ("--workers", "2"),
            "Ray, two workers": ("--engine", "ray", "--workers", "2"),
        }
        if chosen.no_ray:
            del engines["Ray, two workers"]
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(chosen.rounds):
            for name, engine in engines.items():
                begin = time.perf_counter()
                times[name].append(run(plan, *engine))
                print(f"{name}: {times[name][-1]:.1f} s of cells, {time.perf_counter() - begin:.1f} s in all")
        figures["cells"] = made.cells
        rates = {name: [made.cells / seconds for seconds in values] for name, values in times.items()}
        figures["two workers over one"] = ratio(rates, "two workers", "one worker")._asdict()
        if not chosen.no_ray:
            figures["Ray over the pool"] = ratio(rates, "Ray, two workers", "two workers")._asdict()
        figures["workers_peak_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(figures)
    finish(chosen.json, figures)


if __name__ == "__main__":
    main()
