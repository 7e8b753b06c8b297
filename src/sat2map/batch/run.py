"""Drive a plan: hand out what is missing, write down what became of it, put aside what fails again and again."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from sat2map import storage
from sat2map.batch.cell import PLAIN
from sat2map.batch.engine import Engine
from sat2map.batch.journal import STRIKES, Outcome, Standing, forget_damaged, read_standing, record
from sat2map.batch.plan import RASTERS, PlannedCell, read_cells, read_plan
from sat2map.errors import CellsMissing, DownloadFailed

Progress = Callable[[int, int, str], None]

UNFETCHED = 8  # cells in a row for which tiles did not come, before a run gives up


def run_plan(
    folder: Path,
    make_engine: Callable[[], Engine],
    *,
    shuffle: int | None = None,
    retry: bool = False,
    on_progress: Progress | None = None,
) -> Standing:
    """Compute all missing cells of a plan and return where it stands.

    Can be killed and run again at any time. `shuffle` is a seed for another order than the plan's, `retry` also takes
    up cells in quarantine. `make_engine` is called only if there is anything to do.
    Raises what `read_plan` and `read_cells` raise, RunLocked if another process drives the plan, StorageFailed,
    DownloadFailed if a tile service is gone, CellsMissing if cells ended in quarantine.
    """
    plan = read_plan(folder)
    with storage.locked(folder):
        cells = read_cells(folder, plan)
        standing = read_standing(folder)
        forget_damaged(folder, standing, cells)
        _tidy(folder)
        missing = standing.missing(cells, retry=retry)
        if shuffle is not None:
            random.Random(shuffle).shuffle(missing)
        if missing:
            engine = make_engine()
            try:
                _drive(folder, engine, missing, standing, len(cells), on_progress)
            finally:
                engine.close()
                _tidy(folder)
    _complain(standing)
    return standing


def _tidy(folder: Path) -> None:
    """Remove what killed workers have left; while the plan is locked and no engine runs, nobody else writes there."""
    rasters = storage.make_folder(folder / RASTERS)
    storage.sweep(rasters, exclusive=True)
    for path in rasters.glob(PLAIN.format("*", "*")):
        path.unlink(missing_ok=True)


def _drive(
    folder: Path, engine: Engine, missing: Sequence[PlannedCell], standing: Standing, total: int,
    on_progress: Progress | None,
) -> None:  # fmt: skip
    waiting, out, unfetched = deque(missing), dict[str, PlannedCell](), 0
    while waiting or out:
        while waiting and len(out) < engine.capacity:
            cell = waiting.popleft()
            out[cell.id] = cell
            engine.start(cell)
        for outcome in engine.wait():
            cell = out.pop(outcome.cell)
            record(folder, outcome)
            standing.add(outcome)
            unfetched = _unfetched(unfetched, outcome, standing)
            if outcome.state in ("failed", "died") and len(standing.strikes[cell.id]) < STRIKES:
                waiting.append(cell)  # at the end: what killed it may have passed by then
            if on_progress:
                on_progress(len(standing.finished), total, _note(standing, outcome))


def _unfetched(before: int, outcome: Outcome, standing: Standing) -> int:
    """Count the cells in a row that failed, the first time each, because tiles did not come.

    Raises DownloadFailed when they are too many: a server that is gone is not to be asked for every cell of a plan.
    """
    if outcome.state != "failed" or not outcome.why.startswith(DownloadFailed.__name__):
        return 0
    count = before + (len(standing.strikes[outcome.cell]) == 1)
    if count >= UNFETCHED:
        raise DownloadFailed(
            f"{count} cells in a row could not be fetched, the last one: {outcome.why.partition(': ')[2]}",
            "What is done is kept, and so are tiles. When the service is back: sat2map batch run --retry",
        )
    return count


def _note(standing: Standing, outcome: Outcome) -> str:
    aside = len(standing.quarantined)
    return f"{outcome.cell} {outcome.state}" + (f", {aside} in quarantine" if aside else "")


def _complain(standing: Standing) -> None:
    aside = standing.quarantined
    if aside:
        first = next(iter(aside.values()))
        raise CellsMissing(
            f"{len(aside)} of the cells failed {STRIKES} times, e.g. {first.cell}: {first.why}",
            "All others are done. Mend the cause, then run again with --retry; batch status lists them",
        )
