"""A Ray cluster: one actor per worker holds the model; rasters go to the shared folder and never through Ray.

Ray restarts actors whose process or node is gone; which cell is tried again is decided by `batch.run`. An actor has one
cell at a time, so that a death is charged to the cell that it happened to.
"""

from pathlib import Path
from typing import Any

from sat2map.batch.engine import attempt, died, open_worker
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import PlannedCell
from sat2map.errors import ClusterFailed, MissingExtra


class RayEngine:
    """`workers` actors, each asking for one CPU (and a share of a GPU, if told)."""

    def __init__(self, folder: Path, workers: int, *, address: str | None = None, gpus: float = 0.0) -> None:
        """`address`: of a running cluster; None starts one on this machine. `folder` must be seen by all nodes.

        Raises MissingExtra without Ray, ClusterFailed if there is no cluster at the address.
        """
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("--engine ray needs Ray", "Install it: pip install 'sat2map[ray]'") from error
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            _connect(ray, address, workers)
        actor = ray.remote(_Actor).options(num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=0)
        self._idle: list[Any] = [actor.remote(str(folder.resolve())) for _ in range(workers)]
        self._out: dict[Any, tuple[Any, str]] = {}
        self.capacity = workers

    def start(self, cell: PlannedCell) -> None:
        """Hand a cell to an idle actor."""
        actor = self._idle.pop()
        self._out[actor.compute.remote(cell)] = (actor, cell.id)

    def wait(self) -> list[Outcome]:
        """Block until a cell has ended."""
        ended, _ = self._ray.wait(list(self._out), num_returns=1)
        return [self._end(reference) for reference in ended]

    def _end(self, reference: Any) -> Outcome:
        from ray.exceptions import RayError, RayTaskError

        actor, cell = self._out.pop(reference)
        self._idle.append(actor)
        try:
            outcome: Outcome = self._ray.get(reference)
        except RayTaskError as error:  # the cell's own exception, StorageFailed above all
            raise (error.cause or error) from None
        except RayError as error:
            return died(cell, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
        return outcome

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in (*self._idle, *(actor for actor, _ in self._out.values())):
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()


class _Actor:
    """A worker process of Ray."""

    def __init__(self, folder: str) -> None:
        self._worker = open_worker(Path(folder))

    def compute(self, cell: PlannedCell) -> Outcome:
        """Compute one cell."""
        return attempt(self._worker, cell)


def _connect(ray: Any, address: str | None, workers: int) -> None:
    """Join a cluster, or start one here that has room for the workers."""
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(num_cpus=workers, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterFailed(
            f"no Ray cluster at {address or 'this machine'}: {str(error).splitlines()[0][:200]}",
            "Start one (ray start --head) or leave --address out",
        ) from error
