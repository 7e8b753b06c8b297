"""One small run with a fault in it, under a guard that only warns."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from failures.towns import Pairs
from sat2map import losses
from sat2map.data.batches import Batch, BatchMaker, to_tensor
from sat2map.training.guard.watch import Alarm, guard_of
from sat2map.training.pix2pix import Objective, Pix2Pix
from sat2map.training.player import Player
from sat2map.training.recipe import Recipe, load_recipe, override
from sat2map.training.systems import build_players

LOOK_EVERY = 64  # images


@dataclass
class Lab:
    """A run as a fault may change it."""

    recipe: Recipe
    system: Pix2Pix
    stack: ExitStack
    noted: dict[str, Any] = field(default_factory=dict)

    @property
    def generator(self) -> Player:
        """The generator with its optimiser."""
        return self.system.players["generator"]

    def last_layer(self) -> torch.nn.Module:
        """The convolution that paints."""
        kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
        return [part for part in self.generator.network.modules() if isinstance(part, kinds)][-1]


Fault = Callable[[Lab, Batch, int], Batch | None]  # called before each step with the images seen


@dataclass(frozen=True)
class Case:
    """A recipe, changes to it, and a fault; `caught_by` are the signs that fit it (empty for healthy runs)."""

    recipe: str | Path
    settings: Sequence[str]
    fault: Fault | None = None
    caught_by: tuple[str, ...] = ()
    after: str = ""  # go on from the weights that this case ends with


@dataclass
class Result:
    """What became of a run."""

    alarms: list[Alarm]
    errors: list[float]  # development distance from the truth (0 to 2), at every look
    figures: dict[str, float]  # of the guard, at the end
    weights: dict[str, dict[str, torch.Tensor]]
    trace: list[dict[str, float]]  # the guard's figures at every look


def run(case: Case, seed: int, weights: dict[str, dict[str, torch.Tensor]] | None = None) -> Result:
    """Train a case to its end (or until a number is no longer finite) under a guard that only warns."""
    recipe = override(load_recipe(case.recipe), [*case.settings, f"run.seed={seed}"])
    store, held = Pairs(), Pairs(8, 1000, 32)
    shares = _shares(store) if recipe.objective.palette else None
    with ExitStack() as stack:
        system = Pix2Pix(build_players(recipe, shares), _objective(recipe, store, shares), torch.float32)
        for name, state in (weights or {}).items():
            system.players[name].network.load_state_dict(state)
        guard = guard_of(recipe, store.palette if shares is not None else None)
        guard.memory.fresh = weights is None
        lab, part = Lab(recipe, system, stack), recipe.data
        draw = BatchMaker(
            store, range(len(store)), seed=seed, batch=part.batch, crop=part.crop, direction=part.direction,
            palette=bool(recipe.objective.palette),
        )  # fmt: skip
        result, seen, step = Result([], [], {}, {}, []), 0, 0
        while seen < recipe.run.images:
            torch.manual_seed(seed * 1_000_003 + seen)
            batch = draw(seen)
            if case.fault is not None:
                batch = case.fault(lab, batch, seen) or batch
            outcome = system.step(batch, seen, recipe.run.images)
            step, seen = step + 1, seen + part.batch
            alarms = [guard.judge(step, seen, part.batch, *outcome)]
            if seen % LOOK_EVERY < part.batch:
                result.errors.append(_distance(system, held, recipe))
                result.trace.append(guard.figures() | {"seen": seen})
                alarms.append(guard.consider(step, seen, [-error for error in result.errors]))
            result.alarms += [alarm for alarm in alarms if alarm is not None]
            if any(alarm.kind == "not finite" for alarm in result.alarms):
                break
        result.figures = guard.figures()
        result.weights = {
            name: {key: value.clone() for key, value in player.network.state_dict().items()}
            for name, player in system.players.items()
        }
    return result


def _shares(store: Pairs) -> torch.Tensor:
    counts = sum(np.bincount(store.index(n).ravel(), minlength=len(store.palette)) for n in range(len(store)))
    return torch.from_numpy(np.asarray(counts) / np.sum(counts)).float()


def _objective(recipe: Recipe, store: Pairs, shares: torch.Tensor | None) -> Objective:
    if shares is None:
        return Objective(recipe.objective)
    colours = torch.tensor(store.palette.colours).float().div(127.5).sub(1)
    return Objective(
        recipe.objective, colours, losses.balanced_weights(shares, recipe.objective.class_balance)
    )


@torch.no_grad()
def _distance(system: Pix2Pix, held: Pairs, recipe: Recipe) -> float:
    network = system.players["generator"].network
    network.eval()
    sat, street = (
        to_tensor(np.stack([side(n) for n in range(len(held))])) for side in (held.sat, held.street)
    )
    source, target = (sat, street) if recipe.data.direction == "sat2map" else (street, sat)
    picture = system.objective.paint(network, network(source))
    network.train()
    error = float((picture - target).abs().mean())
    return error if math.isfinite(error) else 2.0
