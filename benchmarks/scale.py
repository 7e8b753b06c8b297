"""What a large region takes, from what a small one took: calibration, prediction, measurement, and their ratio.

A plan of `--cells` cells and one of a single cell are run by one worker; the processor's seconds of both give what a
process costs to start and what a cell costs, their files the bytes. From these the cost of a plan of ten times as many
cells is predicted, and then measured. Seconds are those of the processor (user and system, of all processes), so
that other work on the machine matters little. `--scene` names a GeoTIFF of real imagery, which is repeated in mirror
images: how large the files become depends on what they show.

At the end, what a city, a country and the land take on such a machine, by the formula of docs/scale.md.

python benchmarks/scale.py [--model ID|DIR] [--scene FILE] [--cells 2] [--side 1024] [--json FILE]
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine

from inference import find_or_stand_in
from measuring import arguments, finish
from sat2map.batch.estimate import REGIONS, Rates, cost_of
from sat2map.batch.plan import RASTERS
from sat2map.batch.planning import GridOptions, PlanOptions, plan_batch
from sat2map.bundle import DEFAULT
from sat2map.grid import reflect

CRS = "EPSG:32632"


class Spent(NamedTuple):
    """What a run took."""

    cells: int
    seconds: float  # of the processor, all processes
    inside: float  # of cells, by the clock of the worker
    size: int  # bytes of rasters
    peak: int  # MiB, of the largest process so far


def imagery(path: Path, scene: Path | None, rows: int, cols: int, metres: float, side: int) -> None:
    """Write imagery that fills rows x cols cells from the origin of the grid on."""
    height, width = rows * side, cols * side
    if scene is None:
        random = np.random.default_rng(0)
        pattern = random.integers(1, 256, (1024 // 16, 1024 // 16, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    else:
        with rasterio.open(scene) as file:
            pattern = np.moveaxis(file.read((1, 2, 3)), 0, -1)
    down, across = (
        reflect(np.arange(n), size) for n, size in ((height, pattern.shape[0]), (width, pattern.shape[1]))
    )
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", tiled=True, blockxsize=512,
        blockysize=512, compress="deflate", crs=CRS, transform=Affine(metres, 0, 500_000, 0, -metres, 5_000_000),
    ) as file:  # fmt: skip
        for row in range(0, height, side):
            part = pattern[down[row : row + side]][:, across]
            file.write(np.moveaxis(part, -1, 0), window=rasterio.windows.Window(0, row, width, part.shape[0]))


def run(folder: Path) -> Spent:
    """Run a plan by one worker."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "sat2map", "batch", "run", str(folder), "-q", "--workers", "1"]
    subprocess.run(command, check=True, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    from sat2map.batch.journal import read_standing

    done = read_standing(folder).finished
    return Spent(
        len(done),
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        sum(outcome.seconds for outcome in done.values()),
        sum(path.stat().st_size for path in (folder / RASTERS).glob("*.tif")),
        after.ru_maxrss >> 10,
    )


def measured(
    folder: Path, scene: Path | None, model: str, rows: int, cols: int, side: int, metres: float
) -> Spent:
    """Plan and run rows x cols cells that are full of imagery."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    imagery(folder / "scene.tif", scene, rows, cols, metres, side)
    grid = GridOptions(crs=CRS, gsd=metres, origin=(500_000.0, 5_000_000.0))
    plan = plan_batch([folder / "scene.tif"], folder / "plan", PlanOptions(model=model, side=side, grid=grid))
    assert plan.cells == rows * cols, "cells are full"
    return run(folder / "plan")


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--cells", type=int, default=2, help="cells of the calibration (default 2)")
    parser.add_argument("--side", type=int, default=1024, choices=(512, 1024, 2048))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = find_or_stand_in(chosen.model, Path(scratch))
        how = (chosen.scene, str(bundle.folder))
        metres, side = bundle.card.metres_per_pixel, chosen.side
        one = measured(Path(scratch) / "one", *how, 1, 1, side, metres)
        few = measured(Path(scratch) / "few", *how, 1 + chosen.cells, 1, side, metres)
        each = (few.seconds - one.seconds) / chosen.cells
        start, size = one.seconds - each, few.size / few.cells
        count = 10 * few.cells
        predicted = start + count * each
        print(f"calibration: {one}, {few}")
        print(
            f"prediction: {start:.1f} s to start, {each:.2f} s and {size / 1e6:.2f} MB for each cell of {side} px"
        )
        many = measured(Path(scratch) / "many", *how, 10, few.cells, side, metres)
    print(f"{count} cells: predicted {predicted:.1f} s, measured {many.seconds:.1f} s, "
          f"ratio {many.seconds / predicted:.3f}; predicted {count * size / 1e6:.1f} MB, "
          f"measured {many.size / 1e6:.1f} MB, "
          f"ratio {many.size / (count * size):.3f}; peak {many.peak} MiB")  # fmt: skip
    rates = Rates(each / side**2 * 1e6, size / side**2, start)
    for name, square_km in REGIONS.items():
        print(f"{name}: {cost_of(square_km, rates)}")
    finish(
        chosen.json, {"one": one, "few": few, "predicted": predicted, "many": many, "rates": asdict(rates)}
    )


if __name__ == "__main__":
    main()
