"""The unpaired training step (Zhu, Park, Isola, Efros 2017): two generators, each undoing the other.

`generator` goes in the recipe's direction and `generator_back` in the other one; `discriminator` judges what the first
paints and `discriminator_back` what the second does, both without a condition.
"""

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sat2map import losses
from sat2map.data.batches import Batch
from sat2map.models import paint
from sat2map.training.phases import Phases, Request, learn, run_whole, together
from sat2map.training.pix2pix import discriminator_gradients, slope_gradients
from sat2map.training.player import Outcome, Player, Shown, Terms, autocast, frozen
from sat2map.training.pool import Pool
from sat2map.training.recipe import ObjectivePart
from sat2map.training.view import View, draw_view

BACK = "_back"  # ending of the names of the other direction


class CycleGan:
    """Unpaired training. A batch's source and target have nothing to do with each other."""

    def __init__(self, players: dict[str, Player], goal: ObjectivePart, precision: torch.dtype) -> None:
        self.players, self.goal, self.precision = players, goal, precision
        self.pools = {"": Pool(goal.pool), BACK: Pool(goal.pool)}

    def step(self, batch: Batch, seen: int, total: int) -> Outcome:
        """Train on a whole batch."""
        return run_whole(self.phases(batch, seen, total), seen, total)

    def phases(self, batch: Batch, seen: int, total: int) -> Phases:
        """Both generators learn first, then each discriminator on pictures from its pool."""
        view = draw_view(self.goal, batch.target, seen, total)
        judges = [self.players[f"discriminator{side}"].network for side in self.pools]
        with frozen(*judges), autocast(self.precision, batch):
            terms, painted = self._generators(batch, view)
        for side in self.pools:
            terms[f"g_norm{side}"] = yield from learn(self.players[f"generator{side}"])
        for side, real in (("", batch.target), (BACK, batch.source)):
            terms |= yield from self._discriminator(side, real, painted[side], view, batch)
        shown = {
            "generator": Shown(batch.source, painted[""], batch.target),
            "generator_back": Shown(batch.target, painted[BACK], batch.source),
        }
        return Outcome(terms, shown)

    def _generators(self, batch: Batch, view: View) -> tuple[Terms, dict[str, Tensor]]:
        """Accumulate the gradients of both generators; returns the terms and what each painted, detached."""
        goal, terms, painted = self.goal, {}, {}
        for side, other, here, there in (
            ("", BACK, batch.source, batch.target),
            (BACK, "", batch.target, batch.source),
        ):
            picture = self._paint(side, here)
            score, _ = self.players[f"discriminator{side}"].network(view(picture))
            game = losses.adversarial_generator(goal.adversarial, score.float())
            terms[f"adversarial{side}"] = goal.adversarial_weight * game
            terms[f"cycle{side}"] = goal.cycle * F.l1_loss(self._paint(other, picture), here)
            if goal.identity:
                terms[f"identity{side}"] = goal.identity * F.l1_loss(self._paint(side, there), there)
            painted[side] = picture.detach()
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return {"g": loss.item()} | {name: term.item() for name, term in terms.items()}, painted

    def _paint(self, side: str, picture: Tensor) -> Tensor:
        network = self.players[f"generator{side}"].network
        return paint(network, network(picture))

    def _discriminator(
        self, side: str, real: Tensor, painted: Tensor, view: View, batch: Batch
    ) -> Generator[Request, Any, Terms]:
        player = self.players[f"discriminator{side}"]
        known = yield from together(self.pools[side].exchange, painted)
        shown = view(real), view(known)
        with autocast(self.precision, batch):
            terms = discriminator_gradients(player.network, self.goal, *shown)
        terms |= slope_gradients(player.network, self.goal, *shown)
        terms["d_norm"] = yield from learn(player)
        return {f"{name}{side}": value for name, value in terms.items()}

    def memory(self) -> dict[str, Tensor]:
        """The pools' pictures."""
        found = {f"pool{side}": pool.tensors() for side, pool in self.pools.items()}
        return {name: pictures for name, pictures in found.items() if pictures is not None}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Fill the pools as they were."""
        for side, pool in self.pools.items():
            if f"pool{side}" in memory:
                device = next(self.players["generator"].network.parameters()).device
                pool.fill(memory[f"pool{side}"].to(device))
