"""Where the time of a training step goes: data, forward, backward, optimiser; and the dearest operators.

    python benchmarks/steptime.py [--recipe carto] [--steps 3] [--operators 12] [--set KEY.KEY=VALUE]... [--json FILE]

Batches are drawn as in training, from pictures of noise held in memory, so that no disk is in the figures. The shares
are those of torch.profiler's own clock, with its overhead in them: compare shares, not seconds, with other figures.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from measuring import arguments, finish
from sat2map.palette import MAPS
from sat2map.training.dataset import Data
from sat2map.training.optimise import Optimiser
from sat2map.training.recipe import load_recipe, override
from sat2map.training.systems import build_system

SIDE, PICTURES = (
    600,
    8,
)  # px and number of the pictures that batches are cut from: those of `maps` have 600 px
PARTS = ("data", "forward", "backward", "optimiser")


class Noise:
    """Pairs of noise in memory."""

    names = tuple(str(i) for i in range(PICTURES))

    def __init__(self) -> None:
        dice = np.random.default_rng(0)
        self._sat, self._street = dice.integers(0, 256, (2, PICTURES, SIDE, SIDE, 3), np.uint8)
        self._index = dice.integers(0, len(MAPS), (PICTURES, SIDE, SIDE), np.uint8)

    def __len__(self) -> int:
        return PICTURES

    def sat(self, number: int) -> np.ndarray:
        """(H, W, 3)."""
        return self._sat[number]

    def street(self, number: int) -> np.ndarray:
        """(H, W, 3)."""
        return self._street[number]

    def index(self, number: int) -> np.ndarray:
        """(H, W)."""
        return self._index[number]


@contextmanager
def labelled(network: torch.nn.Module) -> Iterator[None]:
    """Name the parts of a step in the profile; `forward` is that of the generator."""

    def named(name: str, straight: Any) -> Any:
        def call(*given: Any, **options: Any) -> Any:
            with record_function(name):
                return straight(*given, **options)

        return call

    with ExitStack() as stack:
        for owner, method, name in (
            (Optimiser, "step", "optimiser"),
            (torch.Tensor, "backward", "backward"),
            (network, "forward", "forward"),
        ):
            stack.enter_context(mock.patch.object(owner, method, named(name, getattr(owner, method))))
        yield


def main() -> None:
    """Profile, print the shares and torch's table."""
    parser = arguments(__doc__)
    parser.add_argument("--recipe", default="carto", help="name or file of a recipe (default carto)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.KEY=VALUE", help="as in `train`")
    parser.add_argument("--steps", type=int, default=3, help="after one to warm up (default 3)")
    parser.add_argument(
        "--operators", type=int, default=12, help="rows of the table of operators (default 12)"
    )
    options = parser.parse_args()
    recipe = override(load_recipe(options.recipe), options.set)
    colours = recipe.objective.palette
    numbers = tuple(range(PICTURES))
    shares = torch.full((len(MAPS),), 1 / len(MAPS)) if colours else None
    recipe = override(recipe, [f"objective.palette={len(MAPS)}"]) if colours else recipe
    data = Data(
        Noise(), "", "", numbers, numbers, numbers, numbers, MAPS if colours else None, shares, recipe
    )  # type: ignore[arg-type]
    system = build_system(recipe, data)
    total = recipe.run.images
    seen = total // 2  # whatever joins late may have joined, larger crops have not
    system.step(data.batch(seen), seen, total)
    with labelled(system.players["generator"].network), profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(options.steps):
            with record_function("step"):
                with record_function("data"):
                    batch = data.batch(seen)
                system.step(batch, seen, total)
            seen += len(batch.source)
    averages = found.key_averages()
    spent = {event.key: event.cpu_time_total / 1e3 for event in averages if event.key in (*PARTS, "step")}
    whole = spent["step"]
    print(
        f"{recipe.name}, batch {recipe.data.batch}, crop {recipe.data.crop}, {recipe.run.precision}, "
        f"n = {options.steps} steps"
    )
    spent["rest"] = whole - sum(spent[part] for part in PARTS)
    for part in (*PARTS, "rest"):
        print(f"{part:10} {spent[part] / options.steps:9.1f} ms per step {spent[part] / whole:6.1%}")
    print(
        averages.table(sort_by="self_cpu_time_total", row_limit=options.operators, max_name_column_width=40)
    )
    finish(options.json, {"recipe": recipe.name, "steps": options.steps, "milliseconds": spent})


if __name__ == "__main__":
    main()
