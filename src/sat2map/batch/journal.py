"""What became of the cells: one line for each attempt, appended by the one process that drives the plan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from sat2map import storage
from sat2map.batch.plan import JOURNAL, RASTERS, PlannedCell
from sat2map.errors import CorruptFile

STRIKES = 2  # attempts that may end badly before a cell is put aside


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of one attempt."""

    cell: str
    state: Literal["done", "empty", "failed", "died"]
    files: dict[str, str] = {}  # name -> SHA-256
    why: str = ""
    seconds: float = 0.0  # of the attempt
    at: float = 0.0  # seconds since 1970, when it ended


@dataclass
class Standing:
    """Where a plan stands: the sum of its journal."""

    finished: dict[str, Outcome] = field(default_factory=dict)
    strikes: dict[str, list[Outcome]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count an attempt. One that fails after one that was done says that the earlier one's files were lost."""
        if outcome.state in ("done", "empty"):
            self.finished[outcome.cell] = outcome
            self.strikes.pop(outcome.cell, None)
        else:
            self.finished.pop(outcome.cell, None)
            self.strikes.setdefault(outcome.cell, []).append(outcome)

    @property
    def quarantined(self) -> dict[str, Outcome]:
        """Cells that were put aside, with their last attempt."""
        return {cell: tries[-1] for cell, tries in self.strikes.items() if len(tries) >= STRIKES}

    def missing(self, cells: Iterable[PlannedCell], *, retry: bool = False) -> list[PlannedCell]:
        """Cells that are still to be computed; with `retry` also those in quarantine, whose strikes are forgotten."""
        if retry:
            self.strikes.clear()
        aside = self.quarantined
        return [cell for cell in cells if cell.id not in self.finished and cell.id not in aside]


def record(folder: Path, outcome: Outcome) -> None:
    """Append an attempt, durably. Raises StorageFailed."""
    storage.append_line(folder / JOURNAL, msgspec.json.encode(outcome).decode(), sync=True)


def read_standing(folder: Path) -> Standing:
    """Sum up the journal; a torn last line is no attempt. Raises CorruptFile."""
    standing = Standing()
    if not (folder / JOURNAL).is_file():
        return standing
    for number, line in enumerate(storage.read_lines(folder / JOURNAL), 1):
        try:
            standing.add(msgspec.json.decode(line, type=Outcome))
        except msgspec.DecodeError as error:
            raise CorruptFile(
                f"line {number} of {folder / JOURNAL} cannot be read: {error}",
                "Remove that line; its cell is done again",
            ) from error
    return standing


def forget_damaged(folder: Path, standing: Standing, cells: Sequence[PlannedCell]) -> list[str]:
    """Take back what is journalled as done but whose files are gone or other than they were; returns the cells."""
    lost = []
    for cell in cells:
        outcome = standing.finished.get(cell.id)
        if outcome is None:
            continue
        for name, expected in outcome.files.items():
            path = folder / RASTERS / name
            if not path.is_file() or storage.sha256(path) != expected:
                lost.append(cell.id)
                del standing.finished[cell.id]
                break
    return lost
