"""How far a plan is, for people, programs and Prometheus; read from the plan's files alone, while it runs."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sat2map.batch.journal import read_standing
from sat2map.batch.plan import read_cells, read_plan

RECENT = 600.0  # seconds over which the rate is taken


@dataclass(frozen=True)
class Status:
    """Counts and times of a plan."""

    cells: int
    done: int  # with pixels or without
    empty: int
    trying: int  # failed once, to be tried again
    quarantined: dict[str, str]  # cell -> why
    cells_per_second: float  # of the last ten minutes; 0 if nothing ended
    seconds_left: float | None  # by cost; None if nobody is at work
    compute_seconds: float  # of all finished cells, added up

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that a run would take up."""
        return self.done + len(self.quarantined) >= self.cells

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def status_of(folder: Path, now: float | None = None) -> Status:
    """Sum up a plan. Raises what `read_plan`, `read_cells` and `read_standing` raise."""
    plan = read_plan(folder)
    cells, standing = read_cells(folder, plan), read_standing(folder)
    now = time.time() if now is None else now
    cost = {cell.id: cell.cost for cell in cells}
    finished = standing.finished.values()
    recent = [outcome for outcome in finished if now - outcome.at < RECENT]
    span = max(now - min((o.at - o.seconds for o in recent), default=now), 1e-3)
    speed = sum(cost.get(outcome.cell, 0.0) for outcome in recent) / span
    aside = standing.quarantined
    left = sum(cell.cost for cell in cells if cell.id not in standing.finished and cell.id not in aside)
    return Status(
        cells=len(cells),
        done=len(standing.finished),
        empty=sum(outcome.state == "empty" for outcome in finished),
        trying=len(standing.strikes) - len(aside),
        quarantined={cell: outcome.why for cell, outcome in aside.items()},
        cells_per_second=round(len(recent) / span, 4) if recent else 0.0,
        seconds_left=round(left / speed, 1) if speed else None,
        compute_seconds=round(sum(outcome.seconds for outcome in finished), 1),
    )


def table(status: Status) -> str:
    """For people."""
    lines = [
        f"{status.done:,} of {status.cells:,} cells done ({status.done / max(status.cells, 1):.1%}), "
        f"{status.empty:,} empty"
    ]
    if status.cells_per_second:
        lines.append(f"{status.cells_per_second:.3g} cells per second in the last ten minutes")
    if status.seconds_left and status.done < status.cells:
        lines.append(f"about {status.seconds_left / 60:,.0f} minutes left")
    if status.trying:
        lines.append(f"{status.trying} failed once and will be tried again")
    lines += [f"in quarantine: {cell}: {why}" for cell, why in status.quarantined.items()]
    return "\n".join(lines)


def prometheus_text(status: Status) -> str:
    """In the text format of Prometheus, version 0.0.4."""
    gauges: dict[str, tuple[str, float]] = {
        "cells": ("cells of the plan", status.cells),
        "cells_done": ("cells that are finished", status.done),
        "cells_empty": ("finished cells without a pixel", status.empty),
        "cells_quarantined": ("cells that failed too often", len(status.quarantined)),
        "cells_per_second": ("rate of the last ten minutes", status.cells_per_second),
        "compute_seconds": ("time spent on finished cells", status.compute_seconds),
    }
    if status.seconds_left is not None:
        gauges["seconds_left"] = ("time left at that rate", status.seconds_left)
    lines = []
    for name, (text, value) in gauges.items():
        lines += [
            f"# HELP sat2map_batch_{name} {text}",
            f"# TYPE sat2map_batch_{name} gauge",
            f"sat2map_batch_{name} {value:g}",
        ]
    return "\n".join(lines)
