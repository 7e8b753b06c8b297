"""Workers being started: one is kept in reserve, open and warm, so that the next takes over at once.

A reserve costs the memory of an idle worker (docs/serve.md). While workers die sooner than they can be raised, or
without a reserve, whoever needs one waits for its start, after a pause that doubles from time to time.
"""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import sat2map
from sat2map import errors
from sat2map.errors import Sat2MapError
from sat2map.serve import messages
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Failed, Open, Ready


@dataclass
class Raised:
    """A worker that has opened everything."""

    process: asyncio.subprocess.Process
    pipe: asyncio.StreamReader
    facts: Ready

    @property
    def is_alive(self) -> bool:
        """Whether it may be spoken to."""
        return self.process.returncode is None and not self.pipe.at_eof()


class Nursery:
    """Starts workers, one at a time."""

    def __init__(self, open_: Open, limits: ServeLimits) -> None:
        self._open, self._limits = open_, limits
        self._first: Ready | None = None
        self._spare: Raised | None = None
        self._wanted, self._there, self._taken = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pause = limits.backoff[0]
        self.starts = 0

    @property
    def has_spare(self) -> bool:
        """Whether a worker is in reserve."""
        return self._spare is not None and self._spare.is_alive

    async def first(self) -> Raised:
        """Start the first worker, and begin to raise others. Raises what it raised, or WorkerFailed."""
        raised = await self._raise()
        self._task = asyncio.create_task(self._run())
        return raised

    async def next(self, *, has_settled: bool) -> Raised:
        """Return the reserve, or the next worker that is ready; `has_settled`: the last one lived for long enough."""
        if has_settled:
            self._pause = self._limits.backoff[0]
        while True:
            self._wanted.set()
            await self._there.wait()
            raised, self._spare = self._spare, None
            self._there.clear()
            self._taken.set()
            if raised and raised.is_alive:
                return raised

    async def close(self) -> None:
        """End the reserve, and raise no more."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._spare:
            await end(self._spare.process)

    async def _run(self) -> None:
        """Have a worker in reserve, or raise one whenever it is wanted."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.spare_after):
                    await self._wanted.wait()
            raised = await self._persist()
            self._wanted.clear()
            self._taken.clear()
            self._spare = raised
            self._there.set()
            ends = [asyncio.ensure_future(raised.process.wait()), asyncio.ensure_future(self._taken.wait())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in ends:
                    each.cancel()
            if self._spare is raised:  # it died while it was idle
                self._spare = None
                self._there.clear()

    async def _persist(self) -> Raised:
        """Start workers until one is ready."""
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, self._limits.backoff[1])
            with contextlib.suppress(Sat2MapError, OSError):
                return await self._raise()

    async def _raise(self) -> Raised:
        """Start a worker and wait until it is ready. Raises what it raised, and WorkerFailed if it says nothing."""
        self.starts += 1
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "sat2map.serve.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(),
            start_new_session=True,  # Ctrl-C is for the server, which then ends the worker
        )  # fmt: skip
        assert process.stdin and process.stdout
        try:
            process.stdin.write(messages.framed(self._open))
            try:
                async with asyncio.timeout(self._limits.start_timeout):
                    answer = await messages.read_answer(process.stdout)
            except TimeoutError:
                answer = None
            if isinstance(answer, Failed):
                raise error_of(answer)
            if not isinstance(answer, Ready):
                raise errors.WorkerFailed(
                    "the process that runs the models ended before it was ready",
                    "See what it wrote above; a machine without free memory is the commonest reason",
                )
            if (
                self._first and answer != self._first
            ):  # a file was replaced: what the server says would be wrong
                raise errors.WorkerFailed(
                    "the scene or model has changed since the start", "Start the server again"
                )
        except BaseException:
            await end(process)
            raise
        self._first = answer
        return Raised(process, process.stdout, answer)


async def end(process: asyncio.subprocess.Process, after: float = 0.0) -> None:
    """Wait for the end of a worker for a moment; then it is killed, unless it is dead already."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(after):
            await process.wait()
    if process.returncode is None:
        kill(process)
        await process.wait()


def kill(process: asyncio.subprocess.Process) -> None:
    """End a worker at once."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def error_of(failed: Failed) -> Sat2MapError:
    """Return the error that a worker told of."""
    kind = getattr(errors, failed.kind, None) if failed.kind else None
    if isinstance(kind, type) and issubclass(kind, Sat2MapError):
        return kind(failed.what, failed.remedy)
    return errors.WorkerFailed(failed.what, failed.remedy)


def _environment() -> dict[str, str]:
    """Return the environment of the worker: ours, and where our package lies, as we may not be installed."""
    home = str(Path(sat2map.__file__).resolve().parents[1])
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, *(p for p in known if p != home)])}
