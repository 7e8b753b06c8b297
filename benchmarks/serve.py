"""The server under load: an open-loop generator, which does not wait for answers before it asks again.

1. Kept tiles: how many per second, and how long each takes at half that rate.
2. Tiles that need the network: one at a time (the unloaded time), then as many as it can take (the capacity).
3. `--factor` times the capacity for `--seconds`: what is served, how fast, how fast the rest is refused, and whether
   the server still says that it is well.
4. How long until a tile takes its unloaded time again; and whether any tile was wrong (SHA-256 against tiles that this
   process computes itself, one by one).

Times are counted from the moment at which a request was due, so a server (or a client) that is late cannot hide it.
With `--cores A,B` the server is bound to core A and this process to core B.

python benchmarks/serve.py [--model ID|DIR] [--seconds 60] [--factor 4] [--cells 16] [--cores 0,1] [--json FILE]
"""

import asyncio
import contextlib
import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine

from measuring import arguments, finish
from sat2map import mercator
from sat2map.bundle import DEFAULT, find
from sat2map.mercator import Tile
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.tiles import open_mercator

PROMISES = {"goodput": 0.9, "refusal_p99": 0.05, "health_p99": 0.1, "recovery": 5.0}
PATIENCE = 30.0  # seconds, of serve/limits.py


class Reply(NamedTuple):
    """What came of one request; seconds from the moment at which it was due."""

    path: str
    status: int
    seconds: float
    digest: str
    retry_after: str
    reason: str  # of a refusal


def write_scene(path: Path, cells: int, side: int, zoom: int) -> None:
    """Write a scene of `cells` by `cells` cells whose pixels are those of the world at `zoom`, all different."""
    noise = np.random.default_rng(0)
    size = mercator.pixel_size(zoom)
    row = mercator.side(zoom) * 3 // 8  # 40 degrees north, where pixels of zoom 17 have 0.91 m
    transform = Affine(size, 0, 0, 0, -size, mercator.EDGE - row * size)
    profile = {
        "driver": "GTiff", "width": cells * side, "height": cells * side, "count": 3, "dtype": "uint8", "tiled": True,
        "blockxsize": 256, "blockysize": 256, "compress": "deflate", "zlevel": 1, "crs": "EPSG:3857",
        "transform": transform, "interleave": "pixel",
    }  # fmt: skip
    coarse = noise.integers(0, 255, (3, side // 16, side // 16), dtype=np.uint8)
    texture = coarse.repeat(16, 1).repeat(16, 2)
    with rasterio.open(path, "w", **profile) as file:
        for row in range(cells):
            for col in range(cells):
                turned = np.roll(texture, (row * 37 % side, col * 53 % side), (1, 2))
                place = rasterio.windows.Window(col * side, row * side, side, side)
                file.write((turned // 2 + (row * cells + col) % 100).astype(np.uint8), window=place)


async def ask(port: int, path: str, due: float) -> Reply:
    """Send one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        body = await reader.read()
    finally:
        writer.close()
    seconds = time.perf_counter() - due
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    return Reply(
        path,
        int(head.split()[1]),
        seconds,
        hashlib.sha256(body).hexdigest(),
        fields.get("retry-after", ""),
        fields.get("x-refused", ""),
    )


async def open_loop(port: int, paths: list[str], rate: float, seconds: float) -> list[Reply]:
    """Send `rate` requests per second for `seconds`, whatever becomes of them."""
    start, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        due = start + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(ask(port, paths[number % len(paths)], due)))
    return list(await asyncio.gather(*tasks))


async def closed_loop(port: int, paths: list[str], clients: int, seconds: float) -> list[Reply]:
    """Keep `clients` requests under way for `seconds`, or until every path has been asked for once."""
    replies: list[Reply] = []
    left, end = iter(paths), time.perf_counter() + seconds

    async def client() -> None:
        for path in left:
            replies.append(await ask(port, path, time.perf_counter()))
            if time.perf_counter() > end:
                return

    await asyncio.gather(*(client() for _ in range(clients)))
    return replies


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed; NaN of none."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


@contextlib.contextmanager
def server(scene: Path, model: str, core: int | None) -> Iterator[tuple[int, int]]:
    """Yield port and process number of a server, on one core if wanted."""
    command = [sys.executable, "-m", "sat2map", "serve", str(scene), "--model", model, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    try:
        assert process.stdout
        line = process.stdout.readline()
        yield int(line.rsplit(":", 1)[1].strip("/\n")), process.pid
    finally:
        process.terminate()
        process.wait(60)


async def measured(port: int, fresh: list[str], seconds: float, factor: float) -> tuple[dict, list[Reply]]:
    """Run all phases; `fresh` are tiles of different cells, none of which has been asked for."""
    taken = iter(fresh)
    figures: dict[str, float] = {}
    alone = [await ask(port, next(taken), time.perf_counter()) for _ in range(9)][1:]
    unloaded = statistics.median(reply.seconds for reply in alone)
    figures |= {"uncached_p50": unloaded, "uncached_worst": max(reply.seconds for reply in alone)}
    known = [reply.path for reply in alone]

    busy = await closed_loop(port, known * 100_000, 8, min(seconds, 10))
    figures["cached_per_second"] = len(busy) / min(seconds, 10)
    half = await open_loop(port, known, figures["cached_per_second"] / 2, min(seconds, 10))
    times = [reply.seconds for reply in half]
    figures |= {"cached_p50": statistics.median(times), "cached_p99": percentile(times, 0.99)}

    start = time.perf_counter()
    full = await closed_loop(port, [next(taken) for _ in range(12)], 3, 1e9)
    capacity = len(full) / (time.perf_counter() - start)
    figures["capacity_per_second"] = capacity

    health: list[Reply] = []

    async def probe() -> None:
        while True:
            health.append(await ask(port, "/healthz", time.perf_counter()))
            await asyncio.sleep(0.1)

    probing = asyncio.create_task(probe())
    rest = list(taken)
    replies = await open_loop(port, rest, factor * capacity, seconds)
    ended = time.perf_counter()
    probing.cancel()
    served = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 503]
    assert len(served) + len(refused) == len(replies), {reply.status for reply in replies}
    assert all(reply.retry_after for reply in refused)
    spare = iter(rest[::-1])
    while (await ask(port, next(spare), time.perf_counter())).seconds > 2 * unloaded + 0.1:
        pass
    recovery = time.perf_counter() - ended
    at_door = [reply.seconds for reply in refused if reply.reason != "late"]
    figures |= {
        "offered": len(replies),
        "served": len(served),
        "goodput": len(served) / (capacity * seconds),
        "admitted_p50": percentile([r.seconds for r in served], 0.5),
        "admitted_p99": percentile([r.seconds for r in served], 0.99),
        "admitted_p99_allowed": 3 * unloaded + PATIENCE,
        "refusal_p50": percentile(at_door, 0.5),
        "refusal_p99": percentile(at_door, 0.99),
        "late": len(refused) - len(at_door),
        "health_p99": percentile([reply.seconds for reply in health], 0.99),
        "recovery": recovery,
    }
    return figures, [*alone, *full, *served]


def wrong(replies: list[Reply], scene: Path, model: str) -> int:
    """Count the tiles that are not what this process makes of the scene."""
    truth = OnnxTranslator(find(model))
    with open_mercator(truth, scene) as opened:
        found = 0
        for reply in {reply.path: reply for reply in replies}.values():
            z, x, y = (int(word) for word in reply.path.removesuffix(".png").split("/")[3:])
            data = opened.png(Tile(z, x, y))
            found += data is None or hashlib.sha256(data).hexdigest() != reply.digest
    return found


def main() -> int:
    """Measure; 1 if a promise is broken."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--factor", type=float, default=4.0)
    parser.add_argument("--cells", type=int, default=16, help="per side of the scene")
    parser.add_argument("--cores", default="", help="of the server and of this process, e.g. 0,1")
    options = parser.parse_args()
    cores = [int(core) for core in options.cores.split(",")] if options.cores else []
    bundle = find(options.model)
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.tif"
        zoom = mercator.nearest_zoom(bundle.card.metres_per_pixel, 0)
        write_scene(scene, options.cells, 512, 17)
        with open_mercator(OnnxTranslator(bundle), scene) as opened:
            side, zoom = opened.side, opened.zoom
            cells = list(opened.cells())
        step = side // mercator.TILE
        fresh = [f"/tiles/colour/{zoom}/{col * step}/{row * step}.png" for row, col in cells]
        random.Random(1).shuffle(fresh)
        if cores:
            os.sched_setaffinity(0, {cores[1]})
        with server(scene, str(bundle.folder), cores[0] if cores else None) as (port, _):
            figures, replies = asyncio.run(measured(port, fresh, options.seconds, options.factor))
        figures["wrong"] = wrong(replies, scene, str(bundle.folder))
        figures["checked"] = len({reply.path for reply in replies})
    for key, value in figures.items():
        print(f"{key:22} {value:.4g}")
    checks = [figures["goodput"] >= PROMISES["goodput"], figures["wrong"] == 0]
    checks += [figures[key] <= PROMISES[key] for key in ("refusal_p99", "health_p99", "recovery")]
    checks.append(figures["admitted_p99"] <= figures["admitted_p99_allowed"])
    finish(options.json, {"model": bundle.card.id, **figures})
    print("every promise is kept" if all(checks) else "not every promise is kept")
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main())
