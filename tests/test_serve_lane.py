"""Who is let in, in which order, who is told to come back: the lane with a worker that takes as long as a test says."""

import asyncio
import time
from typing import Any

import pytest

from sat2map import mercator
from sat2map.mercator import Tile
from sat2map.serve.catalogue import Catalogue, Layer
from sat2map.serve.lane import Lane, Refused
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Made, ModelFacts, Ready, Tiles, ViewFacts
from sat2map.serve.supervisor import WorkerLost

ZOOM, SIDE = 17, 512
COL, ROW = 100, 80  # of the scene's first cell


class Slow:
    """Takes `seconds` for each cell and remembers what it was asked; `dies` lists calls that end it."""

    def __init__(self, seconds: float = 0.0, dies: frozenset[int] = frozenset()) -> None:
        self.seconds, self.dies, self.asked = seconds, dies, []
        self.is_ready, self.numbers = True, 0
        self.inside = 0

    async def ready(self) -> None:
        await asyncio.sleep(0)

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    async def call(self, request: Tiles, silence: float, report: Any = None) -> Made:
        assert self.inside == 0, "two batches at a time"
        self.inside += 1
        self.asked.append([(Tile(w.z, w.x, w.y), w.product) for w in request.wanted])
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.inside -= 1
        if len(self.asked) in self.dies:
            raise WorkerLost
        return Made(request.id, tuple(f"{w}".encode() for w in request.wanted), self.seconds or 1e-3)


def layers(cells: int = 8) -> dict[str, Layer]:
    model = ModelFacts("m", "", "sat2map", 0.9, (), (), "", (), "")
    data = (ROW * SIDE, COL * SIDE, cells * SIDE, cells * SIDE)
    extent = mercator.degrees(mercator.Window(*data), ZOOM)
    products = ("colour", "classes", "confidence")
    view = ViewFacts("s.m", "s", "m", products, ZOOM, 10, 21, SIDE, data, tuple(extent), 0.9, "d", ())
    return Catalogue(Ready((model,), (view,))).layers


def tile(cell: int = 0, part: int = 0, row: int = 0) -> Tile:
    """A tile of one of the scene's cells."""
    return Tile(ZOOM, (COL + cell) * 2 + part % 2, (ROW + row) * 2 + part // 2)


def run(test: Any, worker: Slow, **limits: Any) -> None:
    async def main() -> None:
        lane = Lane(worker, ServeLimits(**limits))  # type: ignore[arg-type]
        lane.start()
        try:
            async with asyncio.timeout(30):
                await test(lane)
        finally:
            await lane.close()

    asyncio.run(main())


async def settle(tasks: list[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_equal_requests_share_one_flight_and_one_cell_is_one_batch() -> None:
    worker, known = Slow(0.05), layers()

    async def test(lane: Lane) -> None:
        first = asyncio.create_task(lane.tile(known["colour"], tile(7), "png"))
        await asyncio.sleep(0.01)  # the worker is busy: all of the following wait
        wanted = [(known[p], tile(1, n)) for n in range(4) for p in ("colour", "classes", "confidence")] * 3
        wanted += [(known["colour"], tile(0))]
        results = await settle([lane.tile(layer, t, "png") for layer, t in wanted])
        await first
        assert len(worker.asked) == 3 and len(worker.asked[1]) == 12 and len(set(results)) == 13
        assert results[0] == results[12] == results[24]

    run(test, worker)


def test_the_queue_is_bounded_and_refusals_come_at_once() -> None:
    known = layers()

    async def test(lane: Lane) -> None:
        tasks = [
            asyncio.create_task(lane.tile(known["colour"], tile(n % 8, 0, n // 8), "png")) for n in range(12)
        ]
        start = time.perf_counter()
        results = await settle(tasks[6:])
        assert time.perf_counter() - start < 0.2
        assert all(isinstance(r, Refused) and r.reason == "full" and r.retry_after >= 1 for r in results)
        assert lane.waiting <= 5
        assert all(isinstance(r, bytes) for r in await settle(tasks[:5]))

    run(test, Slow(0.3), queue=5)


def test_whoever_would_wait_too_long_is_refused_at_the_door_and_whoever_has_is_refused_later() -> None:
    known = layers()

    async def test(lane: Lane) -> None:
        lane.seconds = 0.001  # it looks as if there were time enough
        tasks = [asyncio.create_task(lane.tile(known["colour"], tile(n), "png")) for n in range(6)]
        results = await settle(tasks)
        assert [isinstance(r, bytes) for r in results[:2]] == [True, True]
        late = [r for r in results if isinstance(r, Refused)]
        assert {r.reason for r in late} == {"late"} and len(late) >= 2
        lane.seconds = 10.0
        first = asyncio.create_task(lane.tile(known["colour"], tile(0, 0, 1), "png"))
        await asyncio.sleep(0.01)
        with pytest.raises(Refused, match="slow"):
            await lane.tile(known["colour"], tile(1, 0, 1), "png")
        await settle([first])

    run(test, Slow(0.2), patience=0.5)


def test_work_that_nobody_waits_for_is_not_done() -> None:
    worker, known = Slow(0.05), layers()

    async def test(lane: Lane) -> None:
        tasks = [asyncio.create_task(lane.tile(known["colour"], tile(n), "png")) for n in range(6)]
        both = asyncio.create_task(
            lane.tile(known["colour"], tile(2), "png")
        )  # one of two leaves: still wanted
        await asyncio.sleep(0.02)
        for task in tasks[1:5]:
            task.cancel()
        await settle([*tasks, both])
        assert [batch[0][0] for batch in worker.asked] == [tile(0), tile(2), tile(5)]
        assert not lane.is_working and lane.waiting == 0

    run(test, worker)


def test_an_overview_is_made_after_everything_else_from_cells_made_one_by_one() -> None:
    worker, known = Slow(0.02), layers()

    async def test(lane: Lane) -> None:
        above = Tile(ZOOM - 3, tile().x // 8, tile().y // 8)  # 4 x 4 cells
        overview = asyncio.create_task(lane.tile(known["colour"], above, "png"))
        await asyncio.sleep(0.05)
        await lane.tile(known["colour"], tile(7, 0, 7), "png")
        before = len(worker.asked)
        assert before < 8, "a tile waits for one cell at most"
        await overview
        assert worker.asked[-1] == [(above, "colour")] and len(worker.asked) == 18
        await lane.tile(known["classes"], above, "png")
        assert len(worker.asked) == 19, "its cells are known"

    run(test, worker)


def test_an_overview_that_nobody_waits_for_stops() -> None:
    worker, known = Slow(0.02), layers()

    async def test(lane: Lane) -> None:
        overview = asyncio.create_task(lane.tile(known["colour"], Tile(ZOOM - 3, 25, 20), "png"))
        overview.cancel()
        above = Tile(ZOOM - 3, tile().x // 8, tile().y // 8)
        overview = asyncio.create_task(lane.tile(known["colour"], above, "png"))
        await asyncio.sleep(0.05)
        overview.cancel()
        await asyncio.sleep(0.1)
        assert len(worker.asked) <= 4 and lane.waiting == 0

    run(test, worker)


def test_a_death_fails_only_its_own_requests_and_twice_is_quarantine() -> None:
    worker, known = Slow(0.02, frozenset({1, 3})), layers()

    async def test(lane: Lane) -> None:
        bad, good = (lane.tile(known["colour"], tile(n), "png") for n in (0, 1))
        results = await settle([bad, good])
        assert isinstance(results[0], WorkerLost) and isinstance(results[1], bytes)
        with pytest.raises(WorkerLost):
            await lane.tile(known["colour"], tile(0), "png")
        with pytest.raises(Refused, match="quarantined"):
            await lane.tile(known["colour"], tile(0), "png")
        assert await lane.tile(known["colour"], tile(1, 1), "png")
        await asyncio.sleep(0.5)
        assert await lane.tile(known["colour"], tile(0), "png"), "the quarantine ends"

    run(test, worker, quarantine=0.4)


def test_closing_refuses_all_that_wait() -> None:
    known = layers()

    async def test(lane: Lane) -> None:
        tasks = [asyncio.create_task(lane.tile(known["colour"], tile(n), "png")) for n in range(4)]
        await asyncio.sleep(0.02)
        await lane.close()
        assert all(isinstance(r, Refused) for r in await settle(tasks))
        with pytest.raises(Refused, match="closing"):
            await lane.tile(known["colour"], tile(5), "png")

    run(test, Slow(5))
