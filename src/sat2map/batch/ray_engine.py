"""A Ray cluster: one actor per worker holds the model; rasters go to the shared folder and never through Ray.

Ray finds the places for actors. One whose process or node is gone is replaced, and gets cells once it runs; which cell
is tried again is decided by `batch.run`. An actor has one cell at a time, so that a death is charged to the right
cell.
"""

from pathlib import Path
from typing import Any

from sat2map.batch.engine import attempt, died, open_worker
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import PlannedCell
from sat2map.errors import ClusterFailed, MissingExtra

PATIENCE = 300.0  # seconds without any worker
TRIES = 5


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
        self._actor: Any = ray.remote(_Actor).options(
            num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0
        )
        self._folder = str(folder.resolve())
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._out: dict[Any, tuple[Any, str]] = {}
        self._failures = 0  # of actors to start, in a row
        for _ in range(workers):
            self._replace()

    @property
    def capacity(self) -> int:
        """How many cells may be out: one for each actor that runs."""
        return len(self._idle) + len(self._out)

    def start(self, cell: PlannedCell) -> None:
        """Hand a cell to an idle actor."""
        actor = self._idle.pop()
        self._out[actor.compute.remote(cell)] = (actor, cell.id)

    def wait(self) -> list[Outcome]:
        """Block until a cell has ended or an actor runs; raises ClusterFailed if nobody runs and nobody will."""
        waited_for = [*self._out, *self._starting]
        ended, _ = self._ray.wait(waited_for, num_returns=1, timeout=None if self._out else PATIENCE)
        if not ended:
            raise ClusterFailed(
                f"for {PATIENCE:.0f} seconds no node of the cluster had room for a worker",
                "Add nodes, or ask for fewer --gpus; what is done is kept",
            )
        outcomes = []
        for reference in ended:
            if reference in self._starting:
                self._began(reference)
            else:
                outcomes.append(self._end(reference))
        return outcomes

    def _replace(self) -> None:
        actor = self._actor.remote(self._folder)
        self._starting[actor.ready.remote()] = actor

    def _began(self, reference: Any) -> None:
        from ray.exceptions import RayError

        actor = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except RayError as error:
            self._failures += 1
            if self._failures > TRIES:
                cause = str(getattr(error, "cause", None) or error).splitlines()[0][:200]
                raise ClusterFailed(
                    f"{TRIES} workers in a row did not start: {cause}",
                    "See that all nodes have sat2map and the plan's folder",
                ) from error
            self._replace()
        else:
            self._failures = 0
            self._idle.append(actor)

    def _end(self, reference: Any) -> Outcome:
        from ray.exceptions import RayError, RayTaskError

        actor, cell = self._out.pop(reference)
        try:
            outcome: Outcome = self._ray.get(reference)
        except RayTaskError as error:  # what `attempt` lets through, StorageFailed above all
            self._idle.append(actor)
            raise (error.cause or error) from None
        except RayError as error:
            self._replace()
            return died(cell, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
        self._idle.append(actor)
        return outcome

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        for actor in (*self._idle, *self._starting.values(), *(actor for actor, _ in self._out.values())):
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()


class _Actor:
    """A worker process of Ray."""

    def __init__(self, folder: str) -> None:
        self._worker = open_worker(Path(folder))

    def ready(self) -> None:
        """Return once the model is loaded."""

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
            ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterFailed(
            f"no Ray cluster at {address or 'this machine'}: {str(error).splitlines()[0][:200]}",
            "Start one (ray start --head) or leave --address out",
        ) from error
