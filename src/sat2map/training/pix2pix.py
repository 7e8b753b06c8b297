"""The paired training step: generator and discriminator objectives, with no logging, data or device code in it.

The objective is pix2pix's (Isola et al. 2017, equation 4) with its parts exchangeable: an adversarial term, a
reconstruction term for RGB painters or a cross-entropy for palette painters, and discriminator feature matching.
For a palette painter the discriminator sees expected colours: the palette mixed by the predicted probabilities.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map import losses
from sat2map.data.batches import Batch
from sat2map.models import paint
from sat2map.training.phases import Phases, Request, forgetful, learn, run_whole, together
from sat2map.training.player import Outcome, Player, Shown, Terms, autocast, frozen
from sat2map.training.recipe import ObjectivePart
from sat2map.training.view import View, draw_view


@dataclass(frozen=True)
class Objective:
    """The weights of the parts, and what palette painters need: colours (K, 3) in [-1, 1] and class weights (K,)."""

    part: ObjectivePart
    colours: Tensor | None = None
    weights: Tensor | None = None

    def paint(self, generator: nn.Module, scores: Tensor) -> Tensor:
        """Generator output -> (N, 3, H, W) picture in [-1, 1], differentiable."""
        if self.colours is None:
            return paint(generator, scores.float())
        shares = F.softmax(scores.float(), 1)  # (N, K, H, W)
        return torch.einsum("nkhw,kc->nchw", shares, self.colours)

    def needs_picture(self, adversary: bool) -> bool:
        """Tell whether any term looks at colours rather than at scores."""
        return adversary or self.part.reconstruction != "none" or self.part.gradient > 0

    def emphasised(self, batch: Batch) -> Generator[Request, Any, Batch]:
        """Tell a part how its colours' weights compare with an even share: they divide the cross-entropy's mean."""
        if batch.parts == 1 or batch.palette_index is None or self.weights is None:
            return batch
        own = self.weights[batch.palette_index].sum((1, 2))  # (n,)
        shares = yield from together(lambda every: every / every.sum(), own)
        return batch._replace(emphasis=batch.parts * float(shares.sum()))

    def likeness(self, scores: Tensor, picture: Tensor | None, batch: Batch) -> dict[str, Tensor]:
        """The terms that compare with the true target, each already weighted."""
        terms: dict[str, Tensor] = {}
        if self.part.cross_entropy:
            assert batch.palette_index is not None and self.weights is not None, (
                "palette training needs an index"
            )
            entropy = losses.palette_cross_entropy(scores, batch.palette_index, self.weights)
            terms["cross_entropy"] = self.part.cross_entropy * batch.emphasis * entropy
        if self.part.reconstruction == "l1":
            assert picture is not None, "reconstruction compares pictures"
            terms["l1"] = self.part.reconstruction_weight * F.l1_loss(picture, batch.target)
        if self.part.gradient:
            assert picture is not None, "edges are compared between pictures"
            terms["gradient"] = self.part.gradient * losses.gradient_difference(picture, batch.target)
        return terms


def discriminator_gradients(judge: nn.Module, goal: ObjectivePart, real: Tensor, fake: Tensor) -> Terms:
    """Accumulate the discriminator's gradients on what it is shown of real and of (detached) generated pictures."""
    score_real, _ = judge(real)
    score_fake, _ = judge(fake)
    loss = losses.adversarial_discriminator(
        goal.adversarial, score_real.float(), score_fake.float(), goal.smoothing
    )
    loss.backward()  # type: ignore[no-untyped-call]
    return {
        "d": loss.item(),
        "d_real": score_real.float().mean().item(),
        "d_fake": score_fake.float().mean().item(),
    }


def slope_gradients(
    judge: nn.Module, goal: ObjectivePart, real: Tensor, fake: Tensor, weight: float = 1.0
) -> Terms:
    """Accumulate the gradients of the penalties on the discriminator's slope (R1, R2), in float32.

    The slope is taken with respect to the examined picture, the last three channels; the condition is held.
    """
    estimate = losses.gradient_penalty if goal.penalty == "exact" else losses.difference_penalty
    terms: Terms = {}
    for name, gamma, shown in (("r1", goal.r1, real), ("r2", goal.r2, fake)):
        if gamma:
            condition, examined = shown[:, :-3].detach().float(), shown[:, -3:].detach().float()
            with torch.autocast(shown.device.type, enabled=False):
                slope = estimate(lambda p, c=condition: judge(torch.cat([c, p], 1))[0], examined)  # type: ignore[misc]
                (0.5 * weight * gamma * slope).backward()  # type: ignore[no-untyped-call]
            terms[name] = slope.item()
    return terms


def generator_gradients(
    scores: Tensor,
    picture: Tensor | None,
    judge: nn.Module | None,
    objective: Objective,
    batch: Batch,
    view: View,
) -> Terms:
    """Accumulate the generator's gradients; `judge` is None where the run has no adversary (yet)."""
    goal = objective.part
    terms = objective.likeness(scores, picture, batch)
    if judge is not None and picture is not None:
        score, features = judge(view(batch.source, picture))
        real, wanted = None, []
        if goal.feature_matching or goal.adversarial == "relativistic":
            with torch.no_grad():
                real, wanted = judge(view(batch.source, batch.target))
                real = real.float()
        game = losses.adversarial_generator(goal.adversarial, score.float(), real)
        terms["adversarial"] = goal.adversarial_weight * game
        if goal.feature_matching:
            terms["matching"] = goal.feature_matching * losses.feature_matching(wanted, features)
    loss = torch.stack(list(terms.values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    return {"g": loss.item()} | {name: term.item() for name, term in terms.items()}


class Pix2Pix:
    """Paired training: a generator and, if the recipe has one, the discriminator of its pictures."""

    def __init__(
        self,
        players: dict[str, Player],
        objective: Objective,
        precision: torch.dtype,
        *,
        thrifty: bool = False,
    ) -> None:
        """`thrifty` keeps no activations of the generator while the discriminator learns, for batches in parts."""
        self.players, self.objective, self.precision = players, objective, precision
        self.thrifty = thrifty

    def step(self, batch: Batch, seen: int, total: int) -> Outcome:
        """Train on a whole batch."""
        return run_whole(self.phases(batch, seen, total), seen, total)

    def phases(self, batch: Batch, seen: int, total: int) -> Phases:
        """The discriminator learns first, then the generator, both on one generated picture.

        `seen` of `total` images decide the learning rates and whether the adversary has joined yet.
        """
        generator, goal = self.players["generator"], self.objective.part
        joined = seen >= goal.adversarial_from * total
        judge = self.players.get("discriminator") if joined else None
        view = draw_view(goal, batch.target, seen, total) if judge else View()
        batch = yield from self.objective.emphasised(batch)
        with autocast(self.precision, batch):
            network, thrifty = generator.network, self.thrifty and judge is not None
            scores = forgetful(network, batch.source) if thrifty else network(batch.source)
        needed = self.objective.needs_picture(judge is not None)
        picture = self.objective.paint(generator.network, scores) if needed else None
        terms: Terms = {}
        if judge is not None and picture is not None:
            shown = view(batch.source, batch.target), view(batch.source, picture.detach())
            with autocast(self.precision, batch):
                terms |= discriminator_gradients(judge.network, goal, *shown)
            terms |= slope_gradients(judge.network, goal, *shown)
            terms["d_norm"] = yield from learn(judge)
        critic = judge.network if judge else None
        with frozen(critic), autocast(self.precision, batch):
            terms |= generator_gradients(scores, picture, critic, self.objective, batch, view)
        terms["g_norm"] = yield from learn(generator)
        output = scores if picture is None else picture
        return Outcome(terms, {"generator": Shown(batch.source, output.detach(), batch.target)})

    def memory(self) -> dict[str, Tensor]:
        """Nothing: all that lasts is in the players."""
        return {}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Nothing to take up."""
