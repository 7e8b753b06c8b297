"""One step of a system on a batch that is divided: over ranks, each of which may do its rows in several parts.

The result is that of the whole batch, up to the order of sums: losses are means over samples, so that gradients of
equal parts have the whole one's as their mean; random draws are those of the whole batch (`training.draws`); what
depends on all samples is asked for (`training.phases`). Batch norm is the exception: its statistics are those of a
part, as with DistributedDataParallel. Spectral norm moves on by one power iteration for each part.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sat2map.data.batches import Batch
from sat2map.errors import BadRecipe
from sat2map.training.draws import random_state, rows_of, set_random_state
from sat2map.training.phases import Request, Together, run_whole
from sat2map.training.player import Outcome, Player, Shown, System
from sat2map.training.recipe import Recipe
from sat2map.training.team import Team, mean_terms


def check_divisible(recipe: Recipe, ranks: int) -> None:
    """Raises BadRecipe where a batch of the recipe cannot be divided evenly."""
    parts, data = ranks * recipe.run.accumulate, recipe.data
    batches = [("data.batch", data.batch)]
    batches += [("data.finish.batch", data.finish.batch)] if data.finish else []
    for field, batch in batches:
        if batch % parts:
            raise BadRecipe(
                f"{field}={batch} cannot be divided evenly among {ranks} ranks and run.accumulate="
                f"{recipe.run.accumulate}",
                f"Set {field}={-(-batch // parts) * parts}, or use fewer ranks or parts",
            )


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Copy the pixels to where the networks are; from pinned memory without waiting."""
    source, target, index = (
        None if layer is None else layer.to(device, non_blocking=True)
        for layer in (batch.source, batch.target, batch.palette_index)
    )
    assert source is not None and target is not None, "a batch has two halves"
    return batch._replace(source=source, target=target, palette_index=index)


def divided(batch: Batch, parts: int) -> list[Batch]:
    """Equal parts of a batch, in the order of its samples. A single part is the batch itself."""
    if parts == 1:
        return [batch]
    size = len(batch.source) // parts
    found = []
    for first in range(0, size * parts, size):
        rows = slice(first, first + size)
        index = None if batch.palette_index is None else batch.palette_index[rows]
        found.append(Batch(batch.source[rows], batch.target[rows], index, batch.names, batch.parts * parts))
    return found


def take_step(
    system: System, parts: Sequence[Batch], seen: int, total: int, team: Team, device: torch.device
) -> Outcome:
    """A step after `seen` of `total` images on this rank's parts; terms and pictures are those of the whole batch."""
    if len(parts) == team.size == 1:
        return run_whole(system.phases(parts[0], seen, total), seen, total)
    size = len(parts[0].source)
    whole = size * len(parts) * team.size
    firsts = [size * (team.rank * len(parts) + n) for n in range(len(parts))]
    lanes = [system.phases(part, seen, total) for part in parts]
    answers: list[float | Tensor | None] = [None] * len(lanes)
    while True:
        state, requests, outcomes = random_state(device), [], []
        for first, lane, answer in zip(firsts, lanes, answers, strict=True):
            set_random_state(state, device)  # every part draws what the whole batch would
            with rows_of(first, size, whole):
                try:
                    requests.append(lane.send(answer))
                except StopIteration as end:
                    outcomes.append(end.value)
        if outcomes:
            return team.outcome(_joined(outcomes))
        answers = _answers(requests, firsts, seen, total, team)


def _answers(
    requests: list[Request], firsts: list[int], seen: int, total: int, team: Team
) -> list[float | Tensor | None]:
    """What all parts have asked for in common."""
    if isinstance(requests[0], Player):
        team.average(requests[0].network, len(requests))
        return [requests[0].optimiser.step(seen, total)] * len(requests)
    asked = [request for request in requests if isinstance(request, Together)]
    result = asked[0].function(team.gather(torch.cat([request.rows for request in asked])))
    size = len(asked[0].rows)
    return [result[first : first + size] for first in firsts]


def _joined(outcomes: list[Outcome]) -> Outcome:
    """The parts of one rank as one: means of figures, all pictures."""
    if len(outcomes) == 1:
        return outcomes[0]
    shown = {
        name: Shown(*(torch.cat(layers) for layers in zip(*(o.shown[name] for o in outcomes), strict=True)))
        for name in outcomes[0].shown
    }
    return Outcome(mean_terms([outcome.terms for outcome in outcomes]), shown)
