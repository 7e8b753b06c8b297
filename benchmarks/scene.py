"""Georeferenced scenes: what the engine around the model costs, and whether memory grows with the scene.

Throughput: one scene of `--side` px, in turns as raw calls of the model on its cells in memory, and as a whole job from
GeoTIFF to COG; by the clock, and in seconds of the processor, which other work on the machine disturbs less. Memory: a
sparse scene of `--giant` px a side, whose blocks are missing but for a few, in a process of its own, against a process
that translates a single cell.

python benchmarks/scene.py [--model ID|DIR] [--side 2048] [--giant 50000] [--rounds 3] [--json FILE]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from inference import find_or_stand_in
from measuring import Contestant, arguments, finish, interleaved, report_rates
from sat2map.bundle import DEFAULT, Bundle
from sat2map.grid import align_up
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.pictures import translate_image
from sat2map.scenes.translate import PRODUCTS
from translate import once

MOST_EXTRA, LEAST_SHARE = 1024, 0.85  # MiB over the model's own; of the raw model's throughput


def write_scene(path: Path, side: int, metres: float, filled: int | None = None) -> int:
    """Write a tiled RGB scene of smooth noise; with `filled`, only so many tiles, the others missing.

    Returns the number of filled tiles.
    """
    random = np.random.default_rng(0)
    tile = 512
    places = [(row, col) for row in range(0, side, tile) for col in range(0, side, tile)]
    if filled is not None:
        places = [
            places[at] for at in sorted(random.choice(len(places), min(filled, len(places)), replace=False))
        ]
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", nodata=0, tiled=True,
        blockxsize=tile, blockysize=tile, compress="deflate", bigtiff="yes", sparse_ok=True,
        crs="EPSG:32632", transform=Affine(metres, 0, 500_000, 0, -metres, 5_000_000), photometric="rgb",
    ) as file:  # fmt: skip
        for row, col in places:
            high, wide = min(tile, side - row), min(tile, side - col)
            coarse = random.integers(1, 256, (3, tile // 16, tile // 16), np.uint8)
            pixels = coarse.repeat(16, 1).repeat(16, 2)[:, :high, :wide]
            file.write(pixels, window=rasterio.windows.Window(col, row, wide, high))
    return len(places)


def throughput(bundle: Bundle, folder: Path, side: int, rounds: int) -> dict[str, object]:
    """Measure pixels per second of the model alone, of the engine in memory, and of the whole job."""
    translator = OnnxTranslator(bundle)
    card = bundle.card
    side = align_up(side, card.cell)  # cells that reach beyond the scene would be counted against the engine
    write_scene(folder / "scene.tif", side, card.metres_per_pixel)
    cells = (side // card.cell) ** 2
    patch = np.random.default_rng(0).integers(0, 256, (1, card.patch, card.patch, 3), np.uint8)
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    millions = side * side / 1e6

    def raw() -> None:
        for _ in range(cells):
            translator(patch, ("colour", "index", "confidence"))

    def job() -> None:
        options = SceneOptions(products=PRODUCTS, jobs=1, overwrite=True)
        translate_scene(translator, folder / "scene.tif", folder / "map.tif", options)

    runs: dict[str, Callable[[], object]] = {
        "raw model, cells with their halos": raw,
        "engine, in memory": lambda: translate_image(translator, image, PRODUCTS, jobs=1),
        "whole job, GeoTIFF to COG": job,
    }
    worked: dict[str, list[float]] = {name: [] for name in runs}  # seconds of the processor

    def watched(name: str) -> Callable[[], None]:
        def run() -> None:
            start = time.process_time()
            runs[name]()
            worked[name].append(time.process_time() - start)

        return run

    contestants = [Contestant(name, millions, watched(name)) for name in runs]
    rates = interleaved(contestants, rounds, 0)
    reported = report_rates(rates, "Mpx/s", [contestants[0].name])
    halo = (card.patch / card.cell) ** 2
    print(f"the halo makes the model compute {halo:.2f} times the pixels of the scene (cell {card.cell} px)")
    share = reported[contestants[2].name]["ratios"][contestants[0].name]["median"]
    print(
        f"the job runs at {share:.0%} of the raw model ({'meets' if share >= LEAST_SHARE else 'misses'} 85 %)"
    )
    first, *others = (statistics.median(seconds[1:]) for seconds in worked.values())  # but for the warm-up
    for name, seconds in zip(list(runs)[1:], others, strict=True):
        print(f"{name}: the raw model needs {first / seconds:.0%} of its processor time")
    return {"side": side, "halo": halo, "rates": reported, "processor": worked}


def memory(bundle: Bundle, folder: Path, giant: int, filled: int) -> dict[str, object]:
    """Measure the peak memory of a job on a giant sparse scene, and of the model alone."""
    metres = bundle.card.metres_per_pixel
    tiles = write_scene(folder / "giant.tif", giant, metres, filled)
    write_scene(folder / "small.tif", bundle.card.cell, metres)
    peaks = {}
    for name in ("small", "giant"):
        command = [sys.executable, "-m", "sat2map", "translate", str(folder / f"{name}.tif"), "-q", "-j", "1"]
        command += ["--model", str(bundle.folder), "--products", ",".join(PRODUCTS), "--overwrite"]
        start = time.perf_counter()
        peaks[name] = once(command).megabytes
        print(f"{name} scene: {peaks[name]:.0f} MiB at most, {time.perf_counter() - start:.0f} s")
    extra = peaks["giant"] - peaks["small"]
    verdict = "meets" if extra <= MOST_EXTRA else "misses"
    print(
        f"{giant:,} px a side, {tiles} tiles filled: {extra:.0f} MiB over the model's own ({verdict} 1 GiB)"
    )
    return {"giant": giant, "filled": tiles, "megabytes": peaks}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.set_defaults(rounds=3)
    parser.add_argument("--model", default=DEFAULT, help=f"id or folder of a bundle (default {DEFAULT})")
    parser.add_argument(
        "--side", type=int, default=2048, help="px of the scene for throughput, at least (default 2048)"
    )
    parser.add_argument("--giant", type=int, default=50_000, help="px of the sparse scene (default 50000)")
    parser.add_argument(
        "--filled", type=int, default=64, help="tiles of it that are not missing (default 64)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = find_or_stand_in(options.model, folder)
        fast = throughput(bundle, folder, options.side, options.rounds)
        small = memory(bundle, folder, options.giant, options.filled)
    finish(options.json, {"model": bundle.card.id, "throughput": fast, "memory": small})


if __name__ == "__main__":
    main()
