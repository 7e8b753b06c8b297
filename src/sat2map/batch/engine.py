"""What drives a plan sees of whoever computes the cells: hand one out, wait for some to end."""

import time
from pathlib import Path
from typing import Protocol

from sat2map.batch.cell import Worker
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import PlannedCell, read_plan
from sat2map.errors import StorageFailed


class Engine(Protocol):
    """Computes cells side by side. Attempts of one cell never run at the same time."""

    @property
    def capacity(self) -> int:
        """How many cells may be out at a time."""

    def start(self, cell: PlannedCell) -> None:
        """Hand a cell out."""

    def wait(self) -> list[Outcome]:
        """Block until at least one cell has ended; raises StorageFailed when a worker could not write."""

    def close(self) -> None:
        """End the workers at once; what they were at is lost, and nothing else."""


def attempt(worker: Worker, cell: PlannedCell) -> Outcome:
    """Compute a cell and say how it ended. Raises StorageFailed, which is no fault of the cell."""
    begin = time.monotonic()
    try:
        files = worker.compute(cell)
    except StorageFailed:
        raise
    except Exception as error:  # a cell that cannot be computed must not stop the others
        return Outcome(
            cell.id, "failed", {}, f"{type(error).__name__}: {error}"[:500], _since(begin), time.time()
        )
    return Outcome(cell.id, "done" if files else "empty", files, "", _since(begin), time.time())


def died(cell: str, why: str) -> Outcome:
    """The end of an attempt whose process is gone."""
    return Outcome(cell, "died", {}, why, 0.0, time.time())


def open_worker(folder: Path) -> Worker:
    """What a process of an engine keeps: the plan's model, loaded once."""
    return Worker(read_plan(folder), folder)


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 3)
