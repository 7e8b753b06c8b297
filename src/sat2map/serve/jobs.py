"""Translations on request: one at a time, in order, with progress to listen to, and results that expire.

The worker computes them cell by cell and gives way to tiles in between. A job whose worker dies fails with a typed
error; it is not tried again by itself, because its file may be the reason.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from sat2map.serve import messages
from sat2map.serve.lane import Refused
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Done, Failed
from sat2map.serve.spool import Spool
from sat2map.serve.supervisor import Supervisor, WorkerLost, WorkFailed

ENDED = frozenset({"done", "failed", "cancelled"})
_TICK = 15.0  # seconds after which a listener is told that we are still here
_SWEEP = 5.0


@dataclass
class Job:
    """One upload and what becomes of it. `id` is also the name of its folder, and the only key to it."""

    id: str
    model: str
    request: messages.Work | messages.Extract
    state: str = "waiting"  # running, done, failed, cancelled
    done: int = 0
    total: int = 0
    note: str = ""
    files: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    failed: Failed | None = None
    ended: float = 0.0
    task: "asyncio.Task[None] | None" = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self) -> None:
        """Wake everybody who watches; each change has an event of its own, so that nobody misses one."""
        before, self.changed = self.changed, asyncio.Event()
        before.set()

    def told(self) -> dict[str, Any]:
        """Return what a client may know."""
        told: dict[str, Any] = {
            "id": self.id,
            "model": self.model,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "note": self.note,
            "results": {what: f"jobs/{self.id}/{what}" for what in self.files},
            "notices": list(self.notices),
        }
        if self.failed:
            told["problem"] = {
                "kind": self.failed.kind or "InternalError",
                "detail": self.failed.what,
                "remedy": self.failed.remedy,
            }
        return told


class Jobs:
    """All jobs by id."""

    def __init__(self, supervisor: Supervisor, spool: Spool, limits: ServeLimits) -> None:
        self._supervisor, self._spool, self._limits = supervisor, spool, limits
        self._jobs: dict[str, Job] = {}
        self._turn = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self._streams = 0
        self._closing = asyncio.Event()

    def start(self) -> None:
        """Begin to remove what has expired."""
        self._sweeper = asyncio.create_task(self._sweep())

    @property
    def active(self) -> int:
        """Jobs that wait or run."""
        return sum(job.state not in ENDED for job in self._jobs.values())

    def find(self, name: str) -> Job | None:
        """Return a job by id."""
        return self._jobs.get(name)

    def refuse_more(self) -> None:
        """Raise Refused if no further job may come."""
        if self._closing.is_set():
            raise Refused("closing", 5)
        if self.active >= self._limits.jobs:
            raise Refused("jobs", 10)

    def number(self) -> int:
        """Return a number for a request to the worker."""
        return self._supervisor.next_number()

    def add(self, name: str, model: str, request: messages.Work | messages.Extract) -> Job:
        """Begin a job in the folder `name`. Raises Refused, and then forgets the folder."""
        try:
            self.refuse_more()
        except Refused:
            self._spool.drop(name)
            raise
        job = Job(name, model, request)
        self._jobs[name] = job
        job.task = asyncio.create_task(self._run(job))
        return job

    async def cancel(self, job: Job) -> None:
        """Stop a job that has not ended, and forget it and its files."""
        if job.task and not job.task.done():
            job.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await job.task
        self._jobs.pop(job.id, None)
        self._spool.drop(job.id)

    async def watch(self, job: Job) -> AsyncIterator[dict[str, Any] | None]:
        """Yield what is known of a job whenever it changes, until it has ended; None if nothing does for long.

        Raises Refused if too many listen.
        """
        if self._streams >= self._limits.streams:
            raise Refused("streams", 10)
        self._streams += 1
        try:
            while True:
                changed = job.changed
                yield job.told()
                if job.state in ENDED or self._closing.is_set():
                    return
                while True:
                    try:
                        async with asyncio.timeout(_TICK):
                            await changed.wait()
                        break
                    except TimeoutError:
                        yield None
        finally:
            self._streams -= 1

    def end_streams(self) -> None:
        """Let listeners go: the server is closing."""
        self._closing.set()
        for job in self._jobs.values():
            job.change()

    async def close(self) -> None:
        """End everything."""
        self.end_streams()
        if self._sweeper:
            self._sweeper.cancel()
        for job in list(self._jobs.values()):
            await self.cancel(job)

    async def _run(self, job: Job) -> None:
        def report(progress: messages.Progress) -> None:
            job.done, job.total, job.note = progress.done, progress.total, progress.note
            job.change()

        try:
            async with self._turn:
                await self._supervisor.ready()
                job.state = "running"
                job.change()
                answer = await self._supervisor.call(job.request, self._limits.job_silence, report)
            assert isinstance(answer, Done)
            job.state, job.files, job.notices = "done", dict(answer.files), answer.notices
        except WorkerLost:
            what = "the process that translated this file ended; the file may be the reason"
            job.state, job.failed = (
                "failed",
                Failed(0, "WorkerLost", what, "Send it once more, or another file"),
            )
        except WorkFailed as error:
            job.state, job.failed = "failed", error.failed
        except asyncio.CancelledError:
            job.state = "cancelled"
            raise
        finally:
            job.ended = time.monotonic()
            self._spool.measure(job.id)
            job.change()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            now = time.monotonic()
            for job in [j for j in self._jobs.values() if j.state in ENDED]:
                if now - job.ended > self._limits.job_age:
                    await self.cancel(job)
            self._spool.sweep()
