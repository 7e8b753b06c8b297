"""Keeps one worker at work: listens to it, ends it when it hangs, and has the next take over when it is gone."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from sat2map.serve import messages
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Failed, Made, Open, Ready
from sat2map.serve.nursery import Nursery, Raised, end, kill

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
        self._limits, self._nursery = limits, Nursery(open_, limits)
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reports: dict[int, Callable[[messages.Progress], None]] = {}
        self._number = 0
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a worker is there that has opened everything."""
        return self._ready.is_set()

    @property
    def has_spare(self) -> bool:
        """Whether a second worker is ready to take over."""
        return self._nursery.has_spare

    @property
    def starts(self) -> int:
        """Workers started."""
        return self._nursery.starts

    @property
    def pid(self) -> int | None:
        """The process number of the worker."""
        return self._process.pid if self._process else None

    async def start(self) -> Ready:
        """Start the first worker and return what it has opened; raises what it raised."""
        first = await self._nursery.first()
        self._process = first.process
        self._ready.set()
        self._keeper = asyncio.create_task(self._keep(first))
        return first.facts

    async def ready(self) -> None:
        """Wait until a worker is there."""
        await self._ready.wait()

    async def call(
        self,
        request: messages.Tiles
        | messages.Bring
        | messages.Work
        | messages.Extract
        | messages.Invent
        | messages.Look,
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
                    kill(process)
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
        self._ready.clear()
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._nursery.close()
        for ending in (self._ending, self._process and end(self._process)):
            if ending:
                await ending
        self._lose()

    async def _keep(self, worker: Raised) -> None:
        """Listen to worker after worker."""
        while True:
            self._process = worker.process
            self._ready.set()
            began = time.monotonic()
            await self._listen(worker.pipe)
            self._ready.clear()
            self._lose()
            # Most are dead already and must not be signalled; the next need not wait for that.
            self._ending = asyncio.create_task(end(worker.process, _LAST_MOMENT))
            has_settled = time.monotonic() - began > self._limits.settled
            worker = await self._nursery.next(has_settled=has_settled)

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
