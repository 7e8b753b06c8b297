"""Batches made ahead of the step that needs them.

A batch is a function of the images seen, so that making it early, late or twice gives the same bits: threads can change
when a batch is there and nothing else, and there is no position that a stop could lose. Threads and not processes: the
pixels are mapped from a file of decoded pictures, and copying, warping and scaling run in numpy and torch outside of
Python's lock.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch

from sat2map.data.batches import Batch
from sat2map.training.dataset import Data
from sat2map.training.team import Team


class Feed:
    """`feed(seen)` gives the batch after so many images; `workers` threads make the next ones meanwhile."""

    def __init__(
        self,
        make: Callable[[int], Batch],
        size: Callable[[int], int],
        total: int,
        workers: int,
        *,
        pinned: bool = False,
    ) -> None:
        """`size(seen)` says how many images follow in one step; nothing is made beyond `total` images.

        `pinned` puts batches where an accelerator can fetch them by itself.
        """
        self._make, self._size, self._total, self._pinned = make, size, total, pinned
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, "batch") if workers else None
        self._coming: dict[int, Future[Batch]] = {}

    def __call__(self, seen: int) -> Batch:
        """The batch after `seen` images; raises what making it raises."""
        if self._pool is None:
            return self._made(seen)
        if seen not in self._coming:  # the first, or the run went back to an earlier checkpoint
            self._drop()
        at = seen
        for _ in range(self._workers + 1):  # one for now, one for each thread
            if at >= self._total and at != seen:
                break
            if at not in self._coming:
                self._coming[at] = self._pool.submit(self._made, at)
            at += self._size(at)
        return self._coming.pop(seen).result()

    def _made(self, seen: int) -> Batch:
        batch = self._make(seen)
        if not self._pinned:
            return batch
        index = batch.palette_index
        return batch._replace(
            source=batch.source.pin_memory(),
            target=batch.target.pin_memory(),
            palette_index=None if index is None else index.pin_memory(),
        )

    def _drop(self) -> None:
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()

    def __enter__(self) -> "Feed":
        """Threads start with the first batch."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for batches that are being made, and forget them."""
        self._drop()
        if self._pool is not None:
            self._pool.shutdown()


def feed_of(data: Data, team: Team, device: torch.device) -> Feed:
    """The batches of a run, or a rank's rows of them."""
    run = data.recipe.run
    return Feed(
        lambda seen: data.batch(seen, team.rank, team.size),
        data.batch_size,
        run.images,
        run.workers,
        pinned=device.type == "cuda",
    )
