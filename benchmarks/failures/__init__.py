"""Small runs that fail in known ways, and small runs that do not: what the guard is measured on (guard.py).

Pairs are invented (`towns`), networks are tiny and runs take seconds (`case`). A fault is put into an otherwise healthy
recipe (`faults`): a setting that failed elsewhere, or a change halfway through. `cases` lists them all; `back` spoils
whole runs in a folder.
"""

from failures.back import BACK, BACK_FAULT, spoiling
from failures.case import Case, Result, run
from failures.cases import FAILING, HEALTHY, WARN
from failures.faults import HALF, exchange_labels
from failures.towns import write_pairs

__all__ = [
    "BACK", "BACK_FAULT", "FAILING", "HALF", "HEALTHY", "WARN", "Case", "Result", "exchange_labels", "run", "spoiling",
    "write_pairs",
]  # fmt: skip
