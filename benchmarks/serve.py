"""The server under load: an open-loop generator, which does not wait for answers before it asks again.

1. Kept tiles: how many per second, and how long each takes at half that rate.
2. Tiles that need the network: one at a time (the unloaded time), then as many as it can take (the capacity).
3. `--factor` times the capacity for `--seconds`, every request for another cell: what is served within that time
   (goodput), how fast, how fast the rest is refused, and whether the server still says that it is well.
4. The same for a few seconds once more; then all clients leave, and how long it takes until a tile comes in
   its unloaded time again.
5. Whether any tile was wrong: SHA-256 against tiles that this process computes itself, one by one.

Times are counted from the moment at which a request was due, so a server (or a client) that is late cannot hide it. The
server is bound to the first core that we may use and this process to the second; `--cores` chooses others, `--cores
none` leaves them alone. The numbers mean something only if nobody else works there until "measured" is printed.

python benchmarks/serve.py [--model ID|DIR] [--seconds 60] [--factor 4] [--cores A,B] [--json FILE]
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
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine

from measuring import arguments, finish
from sat2map import mercator
from sat2map.bundle import DEFAULT, find
from sat2map.mercator import Tile
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.tiles import open_mercator
from sat2map.serve.limits import ServeLimits

BURST = 12.0  # seconds of load before all clients leave


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
        "blockxsize": 256, "blockysize": 256, "compress": "zstd", "zstd_level": 1, "crs": "EPSG:3857",
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


class Load:
    """Sends `rate` requests per second for `seconds`, whatever becomes of them."""

    def __init__(self, port: int, paths: list[str], rate: float, seconds: float) -> None:
        assert len(paths) >= int(rate * seconds), "a scene with more cells is needed"
        self._port, self._paths, self._rate, self._seconds = port, paths, rate, seconds
        self.tasks: list[asyncio.Task[Reply]] = []
        self.in_time = 0  # tiles served while the load lasted

    async def run(self) -> None:
        """Return when the last request has been sent."""
        start = time.perf_counter()
        for number in range(int(self._rate * self._seconds)):
            due = start + number / self._rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            self.tasks.append(asyncio.create_task(ask(self._port, self._paths[number], due)))
        await asyncio.sleep(max(start + self._seconds - time.perf_counter(), 0))
        self.in_time = sum(task.done() and task.result().status == 200 for task in self.tasks)

    async def replies(self) -> list[Reply]:
        """Wait for all answers."""
        return list(await asyncio.gather(*self.tasks))

    async def leave(self) -> None:
        """Close all connections that still wait."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


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


@contextlib.asynccontextmanager
async def probing(port: int, seconds: list[float]) -> AsyncIterator[None]:
    """Ask for the server's health ten times a second, and note how long that takes."""

    async def probe() -> None:
        while True:
            seconds.append((await ask(port, "/healthz", time.perf_counter())).seconds)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(probe())
    try:
        yield
    finally:
        task.cancel()


async def measured(
    port: int, fresh: list[str], seconds: float, factor: float
) -> tuple[dict[str, float], list[Reply]]:
    """Run all phases; `fresh` are tiles of different cells, none of which has been asked for."""
    figures: dict[str, float] = {}
    alone = [await ask(port, fresh.pop(), time.perf_counter()) for _ in range(13)][1:]
    unloaded = statistics.median(reply.seconds for reply in alone)
    worst = max(reply.seconds for reply in alone)
    figures |= {"uncached_p50": unloaded, "uncached_worst": worst}

    known, short = [reply.path for reply in alone], min(seconds, 8)
    busy = await closed_loop(port, known * 100_000, 8, short)
    figures["cached_per_second"] = len(busy) / short
    half = Load(port, known * 100_000, figures["cached_per_second"] / 2, short)
    await half.run()
    times = [reply.seconds for reply in await half.replies()]
    figures |= {"cached_p50": statistics.median(times), "cached_p99": percentile(times, 0.99)}

    start = time.perf_counter()
    full = await closed_loop(port, [fresh.pop() for _ in range(24)], 3, 1e9)
    capacity = len(full) / (time.perf_counter() - start)
    figures["capacity_per_second"] = capacity

    health: list[float] = []
    async with probing(port, health):
        load = Load(
            port, [fresh.pop() for _ in range(int(factor * capacity * seconds))], factor * capacity, seconds
        )
        await load.run()
        replies = await load.replies()
        burst = [fresh.pop() for _ in range(int(factor * capacity * min(BURST, seconds)))]
        again = Load(port, burst, factor * capacity, min(BURST, seconds))
        await again.run()
        await again.leave()
        ended, after = time.perf_counter(), []
        while not after or after[-1].seconds > 1.25 * worst + 0.05:
            after.append(await ask(port, fresh.pop(), time.perf_counter()))
        recovery = time.perf_counter() - ended - after[-1].seconds
    served = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 503]
    assert len(served) + len(refused) == len(replies), {reply.status for reply in replies}
    assert all(reply.retry_after for reply in refused)
    figures |= {
        "offered": len(replies),
        "served": len(served),
        "served_in_time": load.in_time,
        "goodput": load.in_time / (capacity * seconds),
        "admitted_p50": percentile([r.seconds for r in served], 0.5),
        "admitted_p99": percentile([r.seconds for r in served], 0.99),
        "refused": len(refused),
        "refused_late": sum(reply.reason == "late" for reply in refused),
        "refusal_p50": percentile([r.seconds for r in refused], 0.5),
        "refusal_p99": percentile([r.seconds for r in refused], 0.99),
        "health_p99": percentile(health, 0.99),
        "health_worst": max(health),
        "recovery": recovery,
    }
    return figures, [*alone, *full, *served, *after]


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


def promises(figures: dict[str, float], late: float) -> list[tuple[str, bool]]:
    """Return what was promised (issue "Serve"), and whether it was kept; `late`: seconds that a tile may wait."""
    allowed = 3 * figures["uncached_p50"] + late
    return [
        ("goodput at least 90 % of the capacity", figures["goodput"] >= 0.9),
        (f"p99 of admitted tiles at most {allowed:.1f} s", figures["admitted_p99"] <= allowed),
        ("p99 of all refusals at most 50 ms", not figures["refused"] or figures["refusal_p99"] <= 0.05),
        ("p99 of health at most 100 ms", figures["health_p99"] <= 0.1),
        ("unloaded times again within 5 s", figures["recovery"] <= 5),
        (f"no wrong tile among {figures['checked']}", figures["wrong"] == 0),
    ]


def two_cores(told: str) -> list[int]:
    """Return the cores of the server and of this process; none if they are not to be bound."""
    if told:
        return [] if told == "none" else [int(core) for core in told.split(",")]
    ours = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ours[:2] if len(ours) > 1 else []


def main() -> int:
    """Measure; 1 if a promise is broken."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--factor", type=float, default=4.0)
    parser.add_argument("--cells", type=int, default=40, help="per side of the scene")
    parser.add_argument("--cores", default="", help="of the server and of this process, e.g. 0,1; or none")
    parser.add_argument(
        "--wait-for", type=Path, metavar="FILE", help="prepare, then begin when this file is there"
    )
    options = parser.parse_args()
    cores, bundle = two_cores(options.cores), find(options.model)
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.tif"
        write_scene(scene, options.cells, 512, 17)
        with open_mercator(OnnxTranslator(bundle), scene) as opened:
            side, zoom = opened.side, opened.zoom
            cells = list(opened.cells())
        step = side // mercator.TILE
        fresh = [f"/tiles/colour/{zoom}/{col * step}/{row * step}.png" for row, col in cells]
        random.Random(1).shuffle(fresh)
        while options.wait_for and not options.wait_for.exists():
            time.sleep(0.5)
        if cores:
            os.sched_setaffinity(0, {cores[1]})
        with server(scene, str(bundle.folder), cores[0] if cores else None) as (port, _):
            time.sleep(6)  # for the second worker to be ready, so that it does not start while we measure
            figures, replies = asyncio.run(measured(port, fresh, options.seconds, options.factor))
        print("measured; now the tiles are checked", flush=True)
        figures["wrong"] = wrong(replies, scene, str(bundle.folder))
        figures["checked"] = len({reply.path for reply in replies})
    for key, value in figures.items():
        print(f"{key:22} {value:.4g}")
    kept: list[tuple[str, Any]] = list(promises(figures, ServeLimits().patience))
    for text, is_kept in kept:
        print(f"{'PASS' if is_kept else 'FAIL'}  {text}")
    finish(options.json, {"model": bundle.card.id, "cores": cores, **figures, "promises": dict(kept)})
    return 0 if all(is_kept for _, is_kept in kept) else 1


if __name__ == "__main__":
    sys.exit(main())
