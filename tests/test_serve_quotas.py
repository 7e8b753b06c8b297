"""Memory and disk have quotas: what is kept stays below them, and what would not fit is refused or forgotten."""

import asyncio
import pathlib
from collections.abc import AsyncIterator

import pytest

from sat2map.mercator import Tile
from sat2map.scenes.sources.kept import KeptTiles
from sat2map.scenes.sources.matrix import Place
from sat2map.serve.lane import Refused
from sat2map.serve.limits import ServeLimits
from sat2map.serve.spool import Spool, TooLarge
from sat2map.serve.tilecache import TileCache

KIB = 1024


def size_of(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def body(size: int) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, KIB):
            yield b"x" * min(KIB, size - start)

    return chunks()


def test_tiles_in_memory_stay_below_their_quota_and_the_oldest_go() -> None:
    cache = TileCache(None, 20 * KIB, 0)
    for x in range(100):
        cache.keep("d", Tile(9, x, 0), bytes([x]) * KIB)
        assert cache.recent("d", Tile(9, 0, 0)) is not None, "what is used stays"
    known = [x for x in range(100) if cache.recent("d", Tile(9, x, 0))]
    assert known[0] == 0 and known[1:] == list(range(101 - len(known), 100)) and 10 < len(known) < 20


def test_tiles_on_disk_stay_below_their_quota(tmp_path) -> None:
    async def fill() -> None:
        cache = TileCache(tmp_path, KIB, 32 * KIB)
        cache.start()
        for x in range(60):
            cache.keep("d", Tile(9, x, 0), bytes([x]) * KIB)
            await asyncio.sleep(0)
            await cache._queue.join()
            assert size_of(tmp_path) <= 32 * KIB
        assert (await cache.find("d", Tile(9, 59, 0))) is not None
        await cache.close()

    asyncio.run(fill())
    assert size_of(tmp_path) > 16 * KIB


def test_tiles_of_a_source_stay_below_their_quota_and_damage_is_no_tile(tmp_path) -> None:
    kept = KeptTiles(tmp_path, 32 * KIB)
    for col in range(60):
        kept.keep(Place(3, col), bytes([col]) * KIB)
        assert size_of(tmp_path) <= 36 * KIB
    assert kept.find(Place(3, 59)) == (bytes([59]) * KIB,) and kept.find(Place(3, 0)) is None
    kept.keep(Place(3, 0), None)
    assert kept.find(Place(3, 0)) == (None,), "it is known that there is none"
    path = next(tmp_path.rglob("3-59.tile"))
    path.write_bytes(path.read_bytes()[:-1])
    assert kept.find(Place(3, 59)) is None


def test_uploads_share_a_space_and_leave_nothing_of_what_does_not_fit(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def receive() -> None:
        spool = Spool(ServeLimits(upload=8 * KIB, spool=20 * KIB, uploads=2))
        folder = spool.private("sources").parent
        names = [await spool.receive(body(8 * KIB), 8 * KIB) for _ in range(2)]
        for size, announced, error in (
            (8, 8, Refused),
            (8, None, Refused),
            (9, 9, TooLarge),
        ):
            with pytest.raises(error):
                await spool.receive(body(size * KIB), announced and announced * KIB)
            assert spool.used == 16 * KIB and size_of(folder) == 16 * KIB
        assert len({*names}) == 2 and all(len(name) > 20 for name in names), "names are random"
        spool.drop(names[0])
        both = [asyncio.create_task(spool.receive(_slow(), None)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert both[2].done() and isinstance(both[2].exception(), Refused), "two at a time"
        for task in both[:2]:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        assert spool.used == 8 * KIB and size_of(folder) == 8 * KIB
        spool.private("sources").mkdir()
        spool.sweep()
        assert spool.private("sources").exists(), "the server's own folder is not swept away"
        spool.close()
        assert not folder.exists()

    asyncio.run(receive())


async def _slow() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.sleep(60)
