"""A process pool on this machine. A process that dies takes its own cell with it and no other (Pebble's pool)."""

import multiprocessing
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import lru_cache
from pathlib import Path
from typing import Any

from sat2map.batch.cell import Worker
from sat2map.batch.engine import attempt, died, open_worker
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import PlannedCell
from sat2map.errors import MissingExtra


class LocalEngine:
    """`workers` processes, started afresh (spawn), each holding the model once."""

    def __init__(self, folder: Path, workers: int) -> None:
        """Raises MissingExtra without Pebble."""
        try:
            from pebble import ProcessPool
        except ImportError as error:
            raise MissingExtra(
                "batches on this machine need Pebble", "Install it: pip install 'sat2map[batch]'"
            ) from error
        self._folder = str(folder)
        self._pool: Any = ProcessPool(max_workers=workers, context=multiprocessing.get_context("spawn"))
        self._out: dict[Future[Outcome], str] = {}
        self.capacity = 2 * workers  # one under way and one waiting for each

    def start(self, cell: PlannedCell) -> None:
        """Hand a cell out."""
        self._out[self._pool.schedule(_compute, args=(self._folder, cell))] = cell.id

    def wait(self) -> list[Outcome]:
        """Block until a cell has ended."""
        from pebble import ProcessExpired

        ended, _ = wait(self._out, return_when=FIRST_COMPLETED)
        outcomes = []
        for future in ended:
            cell = self._out.pop(future)
            try:
                outcomes.append(future.result())
            except ProcessExpired as error:
                outcomes.append(died(cell, f"its process ended with exit code {error.exitcode}"))
        return outcomes

    def close(self) -> None:
        """End the workers."""
        self._pool.stop()
        self._pool.join()


@lru_cache(maxsize=1)
def _worker(folder: str) -> Worker:
    return open_worker(Path(folder))


def _compute(folder: str, cell: PlannedCell) -> Outcome:
    return attempt(_worker(folder), cell)
