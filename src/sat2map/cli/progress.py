"""A progress bar on standard error that is silent wherever nobody would see it move."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, str], None]
"""Called with (done, total, note): `done` of `total` units of work, and a short text on the latest of them."""


def _silent(done: int, total: int, note: str) -> None:
    """Take a report and show nothing."""


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show a bar called `what` while the block runs and yield the function that moves it.

    The bar is off with `quiet` and where standard error is no terminal. `total` may change from call to call; 0 or
    less means that it is unknown.
    """
    if quiet or not sys.stderr.isatty():
        yield _silent
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[note]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=None, note="")

        def move(done: int, total: int, note: str) -> None:
            shown.update(task, completed=done, total=total if total > 0 else None, note=note)

        yield move
