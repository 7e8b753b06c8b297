"""How the benchmarks measure: contestants take turns in every round, and only ratios within a round are compared.

A machine is faster in one minute than in the next; two things measured in the same second share its mood. So every
round measures each contestant once, for a fixed time, and gives one ratio; what is reported is the median ratio and
the range over the rounds.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Contestant(NamedTuple):
    """Something to be timed: `run()` does `items` items of work."""

    name: str
    items: float
    run: Callable[[], object]


class Ratio(NamedTuple):
    """How many times as fast, over the rounds."""

    median: float
    low: float
    high: float


def rate(contestant: Contestant, seconds: float) -> float:
    """Items per second, measured for at least `seconds` and at least one run."""
    runs, start = 0, time.perf_counter()
    while True:
        contestant.run()
        runs += 1
        spent = time.perf_counter() - start
        if spent >= seconds:
            return runs * contestant.items / spent


def interleaved(contestants: Sequence[Contestant], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Rates of each contestant in each round, after one warm-up run of each."""
    for contestant in contestants:
        contestant.run()
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        # the order turns, so that nobody always runs behind the same neighbour
        for contestant in (
            *contestants[number % len(contestants) :],
            *contestants[: number % len(contestants)],
        ):
            rates[contestant.name].append(rate(contestant, seconds))
    return rates


def ratio(rates: Mapping[str, Sequence[float]], one: str, other: str) -> Ratio:
    """How many times as fast `one` is as `other`, round by round."""
    each = [a / b for a, b in zip(rates[one], rates[other], strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def machine() -> dict[str, Any]:
    """Where this was measured, and how busy it was with other things."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "onnxruntime", "numpy")},
    }


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def version(package: str) -> str | None:
    """Installed version of a package, None without it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    return parser


def report_rates(
    rates: Mapping[str, Sequence[float]], unit: str, references: Sequence[str]
) -> dict[str, Any]:
    """Print a table of rates and of ratios to each reference; return the same for JSON."""
    width = max(map(len, rates))
    head = "".join(f"  {'× ' + reference:>30}" for reference in references)
    print(f"{'':{width}}  {unit:>12}{head}")
    out: dict[str, Any] = {}
    for name, values in rates.items():
        ratios = {reference: ratio(rates, name, reference) for reference in references}
        shown = "".join(f"  {f'{r.median:.2f} ({r.low:.2f} to {r.high:.2f})':>30}" for r in ratios.values())
        print(f"{name:{width}}  {statistics.median(values):12.3f}{shown}")
        out[name] = {"rates": list(values), "ratios": {key: r._asdict() for key, r in ratios.items()}}
    return out


def finish(path: Path | None, content: Mapping[str, Any]) -> None:
    """Print where this was measured; write `content` with it if a file was named."""
    where = machine()
    print(", ".join(f"{key} {value}" for key, value in where.items() if value is not None))
    if path:
        path.write_text(json.dumps({"machine": where, **content}, indent=1) + "\n")
