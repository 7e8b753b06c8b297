"""What the guard catches, what it flags without cause, how good a run is after going back, and what it all costs.

    python benchmarks/guard.py [--seeds 0,1,2] [--only TEXT] [--json FILE]
    python benchmarks/guard.py --back [--seeds 0,1,2]
    python benchmarks/guard.py --cost [--recipe carto]
    python benchmarks/guard.py --log RUN/log.jsonl
    python benchmarks/guard.py --whole pix2pix-paper --data maps [--images 300]

The first form trains every case of `failures`. A failing run counts as caught when a sign that fits it is raised after
its fault set in; a healthy one as flagged when any sign is raised. `--back` spoils the weights of runs halfway, lets
the guard take them back, and compares the end with the best before. `--cost` times the guard beside a step. `--log`
replays what a real log has of the guard's input. `--whole` trains a recipe at its full size on real pairs, once as it
is and once with all rates at 0.01, under a guard that only warns and whose lengths are shares of the few images.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import failures
from failures import FAILING, HALF, HEALTHY, Case, Result
from sat2map.training.guard.settings import GuardPart
from sat2map.training.guard.watch import Game, Guard
from sat2map.training.recipe import load_recipe


def caught(case: Case, result: Result) -> bool:
    """Tell whether a fitting sign was raised, and not before the fault was there."""
    begin = HALF if case.fault is not None and case.fault is not failures.exchange_labels else 0
    return any(alarm.kind in case.caught_by and alarm.seen >= begin for alarm in result.alarms)


def study(seeds: list[int], only: str) -> dict[str, Any]:
    """Train every case with every seed; prints a line for each case."""
    rows: dict[str, Any] = {}
    ended: dict[tuple[str, int], Any] = {}
    for group, cases in (("failing", FAILING), ("healthy", HEALTHY)):
        for name, case in cases.items():
            if only not in f"{group}: {name}":
                continue
            ends, kinds, errors, right = [], [], [], 0
            for seed in seeds:
                weights = None
                if case.after:
                    weights = ended[case.after, seed]
                result = failures.run(case, seed, weights)
                ended[name, seed] = result.weights
                right += caught(case, result) if group == "failing" else not result.alarms
                kinds.append([f"{alarm.kind} at {alarm.seen}" for alarm in result.alarms])
                errors.append(round(min(result.errors), 4))
                ends.append(round(result.errors[-1], 4))
            rows[name] = {
                "group": group,
                "right": right,
                "n": len(seeds),
                "signs": kinds,
                "best": errors,
                "end": ends,
            }
            word = "caught" if group == "failing" else "left alone"
            print(f"{name}: {right} of {len(seeds)} {word}; best {errors}, end {ends}; {kinds}", flush=True)
    for group in ("failing", "healthy"):
        of_group = [row for row in rows.values() if row["group"] == group]
        right, total = sum(row["right"] for row in of_group), sum(row["n"] for row in of_group)
        if total:
            print(f"{group}: {right} of {total} right ({right / total:.1%}), {len(of_group)} kinds")
    return rows


def go_back(seeds: list[int]) -> dict[str, Any]:
    """Runs in a folder, spoilt halfway: the development figure at the end over the best before it failed."""
    from sat2map.training import checkpoint, loop
    from sat2map.training.journal import read_log
    from sat2map.training.recipe import override

    rows = {}
    for fault in ("once", "while rates are high"):
        for seed in seeds:
            with tempfile.TemporaryDirectory() as scratch:
                data, run = Path(scratch) / "data", Path(scratch) / "run"
                failures.write_pairs(data)
                recipe = override(load_recipe("pix2pix-paper"), [*failures.BACK, f"run.seed={seed}"])
                with failures.spoiling(fault):
                    loop.train(recipe, data, run)
                log = read_log(run)
                said = [entry for entry in log if entry["kind"] == "guard"]
                looks = [entry for entry in log if entry["kind"] == "development"]
                before = min(float(e["l1"]) for e in looks if float(e["seen"]) <= failures.BACK_FAULT)
                state = checkpoint.read_state(checkpoint.newest(run) or run)
                end = state.figures["l1"]
            rows[f"{fault}, seed {seed}"] = {
                "before": before,
                "end": end,
                "answers": [e["answer"] for e in said],
            }
            answers = [entry["answer"] for entry in said]
            print(
                f"{fault}, seed {seed}: l1 {before:.2f} before, {end:.2f} at the end; {answers}", flush=True
            )
    return rows


def cost(name: str, rounds: int = 7, steps: int = 3) -> dict[str, float]:
    """Median share of a step's time that the guard takes, over alternating rounds."""
    from training import recipe_step

    recipe = load_recipe(name)
    take_step = recipe_step(recipe, recipe.data.batch)
    colours = torch.rand(recipe.objective.palette, 3) if recipe.objective.palette else None
    guard = Guard(recipe.guard, Game(recipe.objective.adversarial), colours=colours)
    take_step()
    shares = []
    for step in range(rounds):
        begin = time.process_time()
        for _ in range(steps):
            outcome = take_step()
        middle = time.process_time()
        for number in range(20):
            guard.judge(step, 100_000 + number, recipe.data.batch, *outcome)
        end = time.process_time()
        shares.append((end - middle) / 20 / ((middle - begin) / steps))
    found = {"median": statistics.median(shares), "low": min(shares), "high": max(shares)}
    print(
        f"{name}: the guard takes {found['median']:.2%} ({found['low']:.2%} to {found['high']:.2%}) of a step"
    )
    return found


def replay(log: Path) -> list[str]:
    """Alarms of a guard that is shown what a log has: terms, and development scores."""
    guard, alarms, scores = Guard(GuardPart()), [], []
    before = 0
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        kind, step, seen = entry.pop("kind"), entry.pop("step"), entry.pop("seen")
        if kind == "train":
            terms = {key: value for key, value in entry.items() if not key.startswith("guard.")}
            alarms.append(guard.judge(step, seen, max(seen - before, 1), terms, {}))
            before = seen
        elif kind == "development" and "miou6" in entry:
            scores.append(0.5 * (entry["miou6"] + entry["road_f1_3px"]))
            alarms.append(guard.consider(step, seen, scores))
    found = [str(alarm) for alarm in alarms if alarm is not None]
    print(f"{log}: {len(found)} alarms over {before:,} images, {len(scores)} looks: {found}")
    return found


def whole(name: str, data: Path, images: int) -> dict[str, Any]:
    """Full size, few images: what the guard says of a healthy run and of one with the rate that failed elsewhere."""
    from sat2map.training import loop
    from sat2map.training.journal import read_log
    from sat2map.training.recipe import override

    part = max(images // 10, 1)
    common = [
        f"run.images={images}", f"run.checkpoint_every={part}", f"run.sample_every={images}", f"run.log_every={part}",
        f"guard.memory={part}", f"guard.grace={3 * part}", f"guard.patience={part}", "run.keep=2",
        "optimiser.schedule=constant", "discriminator_optimiser.schedule=constant", *failures.WARN,
    ]  # fmt: skip
    rows = {}
    for label, settings in (
        ("as it is", []),
        ("rates 0.01", ["optimiser.rate=0.01", "discriminator_optimiser.rate=0.01"]),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            begin = time.process_time()
            loop.train(override(load_recipe(name), [*common, *settings]), data, Path(scratch) / "run")
            log = read_log(Path(scratch) / "run")
        looks = [round(float(e["l1"]), 1) for e in log if e["kind"] == "development"]
        last = [entry for entry in log if entry["kind"] == "train"][-1]
        rows[label] = {
            "l1": looks,
            "alarms": [entry["alarm"] for entry in log if entry["kind"] == "guard"],
            "figures": {key: value for key, value in last.items() if key.startswith("guard.")},
            "seconds": round(time.process_time() - begin),
        }
        print(f"{name}, {label}, {images} images: {json.dumps(rows[label])}", flush=True)
    return rows


def main() -> None:
    """Print, and write as JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--back", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--recipe", default="carto")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--whole", metavar="RECIPE")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=300)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    found: Any
    if chosen.log:
        found = replay(chosen.log)
    elif chosen.whole:
        found = whole(chosen.whole, chosen.data, chosen.images)
    elif chosen.cost:
        found = cost(chosen.recipe)
    elif chosen.back:
        found = go_back(seeds)
    else:
        found = study(seeds, chosen.only)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
