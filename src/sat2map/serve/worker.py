"""The process that opens files and runs networks: `python -m sat2map.serve.worker`, requests in, answers out.

Its death harms nobody but those who wait for it. It ends when its input does, so it never outlives the server. Tiles
are made by the main thread; uploads by another, which gives way to tiles between two cells (`gate.py`); a third one
listens, so that work can be cancelled.
"""

import io
import os
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from sat2map.errors import DownloadFailed, Sat2MapError
from sat2map.mercator import Tile
from sat2map.serve import messages
from sat2map.serve.drawn import drawn
from sat2map.serve.extract import extract
from sat2map.serve.gate import Gate
from sat2map.serve.messages import (
    Answer,
    Bring,
    Brought,
    Cancel,
    Done,
    Extract,
    Failed,
    Invent,
    Look,
    Made,
    Open,
    Tiles,
    Work,
)
from sat2map.serve.names import UPLOAD
from sat2map.serve.opening import Opened, opened
from sat2map.serve.uploaded import Cancelled, Report, translate_upload

TOWN = 512  # px
NICENESS = 4  # where both share a core, the server answers first: refusals and health take no time, tiles do
BRINGERS = 16  # threads that wait for tile sources


class Worker:
    """Answers requests until there are no more."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._writing = threading.Lock()
        self._gate = Gate()
        self._tiles: queue.SimpleQueue[Tiles] = queue.SimpleQueue()
        self._work: queue.SimpleQueue[Work | Extract | Invent] = queue.SimpleQueue()
        self._cancelled: set[int] = set()

    def run(self) -> None:
        """Open what the first request names, then answer."""
        first = messages.read_request(self._requests)
        if not isinstance(first, Open):
            return
        with ExitStack() as stack:
            try:
                open_ = opened(first, self._gate, stack)
            except Exception as error:
                self._say(failure(0, error))
                return
            self._say(open_.ready)
            self._lookers = stack.enter_context(ThreadPoolExecutor(1, "look"))
            self._bringers = stack.enter_context(ThreadPoolExecutor(BRINGERS, "bring"))
            threading.Thread(target=self._listen, args=(open_,), daemon=True).start()
            threading.Thread(target=self._work_on, args=(open_,), daemon=True).start()
            while True:
                self._make(open_, self._tiles.get())

    def _listen(self, open_: Opened) -> None:
        while True:
            request = messages.read_request(self._requests)
            match request:
                case Tiles():
                    self._tiles.put(request)
                case Bring():
                    self._bringers.submit(self._bring, open_, request, time.monotonic())
                case Look():
                    self._lookers.submit(self._look, open_, request)
                case Work() | Extract() | Invent():
                    self._work.put(request)
                case Cancel():
                    self._cancelled.add(request.id)
                case _:  # the server is gone: nobody is interested in what goes on here
                    os._exit(0)

    def _make(self, open_: Opened, request: Tiles) -> None:
        start = time.perf_counter()
        try:
            view = open_.views[request.view]
            with self._gate.first():
                made = tuple(view.file(Tile(w.z, w.x, w.y), w.product, w.format) for w in request.wanted)
            self._say(Made(request.id, made, time.perf_counter() - start))
        except Exception as error:
            self._say(failure(request.id, error))

    def _look(self, open_: Opened, request: Look) -> None:
        """Draw a view from the ground; uploads, which may take minutes, are worked on elsewhere."""
        try:
            if request.id not in self._cancelled:
                self._say(Made(request.id, (drawn(request, open_.views, open_.viewers),), 0.0))
        except Exception as error:
            self._say(failure(request.id, error))
        finally:
            self._cancelled.discard(request.id)

    def _bring(self, open_: Opened, request: Bring, asked: float) -> None:
        """Bring what a tile needs; several at a time, since nobody but a network is busy with it."""
        try:
            view, left = open_.views[request.view], asked + request.seconds - time.monotonic()
            spent = view.bring(
                Tile(*request.tile), request.product, left, lambda: request.id not in self._cancelled
            )
            self._say(Brought(request.id, spent))
        except Exception as error:
            self._say(failure(request.id, error))
        finally:
            self._cancelled.discard(request.id)

    def _work_on(self, open_: Opened) -> None:
        while True:
            work = self._work.get()
            if isinstance(work, Invent):
                if work.id in self._cancelled:
                    continue
                try:
                    self._say(Made(work.id, painted(work), 0.0))
                except Exception as error:
                    self._say(failure(work.id, error))
                continue

            def report(done: int, total: int, note: str, number: int = work.id) -> None:
                if number in self._cancelled:
                    raise Cancelled
                self._say(messages.Progress(number, done, total, note))

            try:
                report(0, 0, "reading")
                self._say(self._worked(open_, work, report))
            except Exception as error:
                self._say(_nameless(failure(work.id, error), work))
            finally:
                self._cancelled.difference_update([n for n in list(self._cancelled) if n <= work.id])

    def _worked(self, open_: Opened, work: Work | Extract, report: Report) -> Done:
        if isinstance(work, Extract):
            return extract(work, open_.views[work.view], self._gate, report)
        return translate_upload(work, open_.yielding[work.model], open_.limits, report)

    def _say(self, answer: Answer) -> None:
        with self._writing:
            try:
                self._answers.write(messages.framed(answer))
                self._answers.flush()
            except OSError:
                os._exit(0)


def painted(town: Invent) -> tuple[bytes, bytes]:
    """Return the street map of a town and its imagery as PNG files of `TOWN` px a side."""
    from sat2map.grid import Window
    from sat2map.images import encode_png
    from sat2map.worlds import Town, World, paint

    half = TOWN // 2
    pictures = paint(World(Town(seed=town.seed, style=town.style)), Window(-half, -half, TOWN, TOWN))  # type: ignore[arg-type]
    return encode_png(pictures.street), encode_png(pictures.sat)


def failure(number: int, error: Exception) -> Failed:
    """Return what the server is told of an error: all of those that a user can fix, the kind of the others."""
    if isinstance(error, DownloadFailed):
        return Failed(number, "DownloadFailed", error.what, error.remedy, error.wait or 0.0)
    if isinstance(error, Sat2MapError):
        return Failed(number, type(error).__name__, error.what, error.remedy)
    if isinstance(error, Cancelled):
        return Failed(number, "Cancelled", "the work was cancelled", "Send it again if you want it after all")
    text = " ".join(str(error).split())[:200]
    return Failed(number, "", f"unexpected {type(error).__name__}: {text}", "This is a fault in sat2map")


def _nameless(failed: Failed, work: Work | Extract) -> Failed:
    """Take the places of our files out of a message for people elsewhere."""

    folder = work.folder if isinstance(work, Extract) else str(Path(work.path).parent)

    def without(text: str) -> str:
        return text.replace(f"{folder}/{UPLOAD}", "the upload").replace(folder, "")

    return Failed(failed.id, failed.kind, without(failed.what), without(failed.remedy))


def main() -> None:
    """Serve standard input and output; whatever else writes to standard output lands in standard error."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    answers = io.BufferedWriter(io.FileIO(os.dup(1), "w"))  # the pipe to the server
    os.dup2(2, 1)
    Worker(sys.stdin.buffer, answers).run()
    os._exit(0)  # threads of libraries must not keep a worker alive whose server has gone


if __name__ == "__main__":
    main()
