"""Training in processes that are forked from one that has loaded torch already: a kill costs milliseconds.

As a program it reads jobs from standard input, one JSON object a line, and answers each with a line. A job trains,
`{"recipe": FILE, "data": DIR, "run": DIR, "resume": bool, "kill_after": seconds or null}`, and is answered by the exit
code; or it trains until a checkpoint is to be saved (`"pause_at": step`), and from then on every line is a folder, a
copy of the run, into which a process forked from there saves that checkpoint once it is told to (see `Paused`).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GO = signal.SIGUSR1


class Forking:
    """The other end: starts the program and gives it jobs."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def say(self, line: str) -> str:
        """One line there, one line back."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer, "the process that forks others is gone"
        return answer

    def train(self, job: dict[str, Any], kill_after: float | None = None) -> int:
        """Exit code of a training process, -SIGKILL where it was killed in time."""
        return int(self.say(json.dumps({**job, "kill_after": kill_after})))

    def close(self) -> None:
        """End the program."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def serve() -> None:
    """Answer jobs until standard input ends."""
    load_all()
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            pause_or_train(job)
        if "pause_at" not in job:
            print(ended(child, job["kill_after"]), flush=True)  # noqa: T201
        else:
            os.waitpid(child, 0)


def load_all() -> None:
    """Load once for all children what training loads and makes on its way."""
    import numpy as np
    import torch
    import torch.utils.tensorboard

    from sat2map.palette import MAPS
    from sat2map.training import loop, recipe  # noqa: F401

    torch.use_deterministic_algorithms(True, warn_only=True)  # brings half of torch with it
    MAPS.encode(np.zeros((1, 1, 3), np.uint8))  # a table that it then has


def ended(child: int, kill_after: float | None) -> int:
    """Wait for a child, at most so many seconds before it is killed; its exit code."""
    deadline = time.monotonic() + (kill_after if kill_after is not None else float("inf"))
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.001)


def pause_or_train(job: dict[str, Any]) -> None:
    """In a child: train, or train and pause; never returns."""
    from sat2map.training import loop
    from sat2map.training.recipe import parse

    code = 1
    try:
        if "pause_at" in job:
            loop.Run.save = pausing(loop.Run.save, job["pause_at"])  # type: ignore[method-assign]
        recipe = parse(Path(job["recipe"]).read_text(), "recipe")
        loop.train(recipe, Path(job["data"]), Path(job["run"]), resume=job["resume"])
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def pausing(save: Any, step: int) -> Any:
    """`Run.save` that at a step serves copies of the run instead."""

    def save_or_serve(work: Any) -> None:
        if work.step != step:
            save(work)
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, {GO})
        print("paused", flush=True)  # noqa: T201
        for line in sys.stdin:
            child = os.fork()
            if child == 0:
                work.folder = Path(line.strip())
                signal.sigwait({GO})
                os._exit(outcome(save, work))
            print(child, flush=True)  # noqa: T201
            sys.stdin.readline()  # whoever looks on is ready
            os.kill(child, GO)
            print(ended(child, 600), flush=True)  # noqa: T201
        os._exit(0)

    return save_or_serve


def outcome(save: Any, work: Any) -> int:
    """0 for a save that went well, 3 for one that failed in a way that a user is told of, 4 for any other."""
    from sat2map.errors import Sat2MapError

    try:
        save(work)
    except Sat2MapError:
        return 3
    except BaseException:
        import traceback

        traceback.print_exc()
        return 4
    return 0


if __name__ == "__main__":
    serve()
