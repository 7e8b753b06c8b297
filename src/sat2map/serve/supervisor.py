"""Keeps one worker process alive: starts it, listens to it, ends it when it hangs, starts it anew when it is gone."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sat2map
from sat2map import errors
from sat2map.errors import Sat2MapError
from sat2map.serve import messages
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Failed, Made, Open, Ready

_LAST_MOMENT = 1.0  # seconds between the end of the pipe and that of the process


class WorkerLost(Exception):
    """The worker ended while it had the work; it is being started anew."""


class WorkFailed(Exception):
    """The worker says that it cannot be done."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.what)
        self.failed = failed


class Supervisor:
    """One worker at a time. `call` sends a request and waits for its answer; both end when the worker does."""

    def __init__(self, open_: Open, limits: ServeLimits) -> None:
        self._open, self._limits = open_, limits
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reports: dict[int, Callable[[messages.Progress], None]] = {}
        self._number = 0
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closing = False
        self.facts: Ready | None = None
        self.starts = 0

    @property
    def is_ready(self) -> bool:
        """Whether a worker is there that has opened everything."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The process number of the worker."""
        return self._process.pid if self._process else None

    async def start(self) -> Ready:
        """Start the first worker and return what it has opened; raises what it raised."""
        pipe = await self._start_process()
        self._keeper = asyncio.create_task(self._keep(pipe))
        assert self.facts is not None
        return self.facts

    async def ready(self) -> None:
        """Wait until a worker is there."""
        await self._ready.wait()

    async def call(
        self,
        request: messages.Tiles | messages.Bring | messages.Work | messages.Extract | messages.Invent,
        silence: float,
        report: Callable[[messages.Progress], None] | None = None,
    ) -> Made | messages.Brought | messages.Done:
        """Send a request and return its answer.

        A worker that says nothing about it for `silence` seconds is ended. Raises WorkerLost, WorkFailed.
        """
        if not self.is_ready or self._process is None or self._process.stdin is None:
            raise WorkerLost
        pipe, process, number = self._process.stdin, self._process, request.id
        answer: asyncio.Future[Made | messages.Brought | messages.Done] = (
            asyncio.get_running_loop().create_future()
        )
        heard = time.monotonic()

        def listen(progress: messages.Progress) -> None:
            nonlocal heard
            heard = time.monotonic()
            if report:
                report(progress)

        self._waiting[number], self._reports[number] = answer, listen
        try:
            pipe.write(messages.framed(request))
            while not answer.done():
                left = heard + silence - time.monotonic()
                if left <= 0:
                    if process is self._process:
                        self._ready.clear()
                    self._kill(process)
                    raise WorkerLost
                await asyncio.wait({answer}, timeout=left)
            return answer.result()
        except asyncio.CancelledError:
            if not isinstance(request, messages.Tiles) and not pipe.is_closing():
                pipe.write(messages.framed(messages.Cancel(number)))
            raise
        finally:
            del self._waiting[number], self._reports[number]

    def next_number(self) -> int:
        """Return a number for a request that no other one has."""
        self._number += 1
        return self._number

    async def close(self) -> None:
        """End the worker."""
        self._closing = True
        self._ready.clear()
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process:
            self._kill(self._process)
            await self._process.wait()
        self._lose()

    async def _keep(self, pipe: asyncio.StreamReader) -> None:
        """Listen to worker after worker."""
        first, most = self._limits.backoff
        pause = first
        while True:
            began = time.monotonic()
            await self._listen(pipe)
            self._ready.clear()
            assert self._process is not None
            self._lose()
            await self._end(self._process)
            if time.monotonic() - began > self._limits.settled:
                pause = first
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, most)
                with contextlib.suppress(Sat2MapError, OSError, TimeoutError):
                    pipe = await self._start_process()
                    break

    async def _start_process(self) -> asyncio.StreamReader:
        """Start a worker and wait until it is ready. Raises what it raised, and StartFailed if it says nothing."""
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "sat2map.serve.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(),
            start_new_session=True,  # Ctrl-C is for the server, which then ends the worker
        )  # fmt: skip
        process = self._process
        assert process.stdin and process.stdout
        process.stdin.write(messages.framed(self._open))
        try:
            async with asyncio.timeout(self._limits.start_timeout):
                answer = await messages.read_answer(process.stdout)
        except TimeoutError:
            answer = None
        if not isinstance(answer, Ready):
            self._kill(process)
            await process.wait()
            if isinstance(answer, Failed):
                raise error_of(answer)
            raise errors.WorkerFailed(
                "the process that runs the models ended before it was ready",
                "See what it wrote above; a machine without free memory is the commonest reason",
            )
        if (
            self.facts and answer != self.facts
        ):  # a file was replaced: what the server says of it would be wrong
            self._kill(process)
            raise errors.WorkerFailed(
                "the scene or model has changed since the start", "Start the server again"
            )
        self.facts = answer
        self._ready.set()
        return process.stdout

    async def _listen(self, pipe: asyncio.StreamReader) -> None:
        """Hand on answers until the worker is gone."""
        while (answer := await messages.read_answer(pipe)) is not None:
            match answer:
                case messages.Progress():
                    if answer.id in self._reports:
                        self._reports[answer.id](answer)
                case Made() | messages.Brought() | messages.Done() | Failed():
                    future = self._waiting.get(answer.id)
                    if future and not future.done():
                        if isinstance(answer, Failed):
                            future.set_exception(WorkFailed(answer))
                        else:
                            future.set_result(answer)
                case _:
                    return

    def _lose(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerLost())

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end of a worker that has closed its pipe; most are dead already, and must not be signalled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_MOMENT):
                await process.wait()
        if process.returncode is None:
            self._kill(process)
            await process.wait()

    def _kill(self, process: asyncio.subprocess.Process) -> None:
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
