"""The paired training step: generator and discriminator objectives, with no logging, data or device code in it.

The objective is pix2pix's (Isola et al. 2017, equation 4) with its parts exchangeable: an adversarial term, a
reconstruction term for RGB painters or a cross-entropy for palette painters, and discriminator feature matching.
For a palette painter the discriminator sees expected colours: the palette mixed by the predicted probabilities.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map import losses
from sat2map.data.batches import Batch
from sat2map.models import Discriminator, Generator, paint
from sat2map.training.optimise import Optimiser
from sat2map.training.recipe import ObjectivePart


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
        return adversary or self.part.reconstruction != "none"

    def likeness(self, scores: Tensor, picture: Tensor | None, batch: Batch) -> dict[str, Tensor]:
        """The terms that compare with the true target, each already weighted."""
        terms: dict[str, Tensor] = {}
        if self.part.cross_entropy:
            assert batch.palette_index is not None and self.weights is not None, (
                "palette training needs an index"
            )
            entropy = losses.palette_cross_entropy(scores, batch.palette_index, self.weights)
            terms["cross_entropy"] = self.part.cross_entropy * entropy
        if self.part.reconstruction == "l1":
            assert picture is not None, "reconstruction compares pictures"
            terms["l1"] = self.part.reconstruction_weight * F.l1_loss(picture, batch.target)
        return terms


Terms = dict[str, float]


def discriminator_gradients(judge: nn.Module, goal: ObjectivePart, batch: Batch, picture: Tensor) -> Terms:
    """Accumulate the discriminator's gradients on a real and a (detached) generated pair."""
    real, _ = judge(torch.cat([batch.source, batch.target], 1))
    fake, _ = judge(torch.cat([batch.source, picture.detach()], 1))
    loss = losses.adversarial_discriminator(goal.adversarial, real.float(), fake.float())
    loss.backward()  # type: ignore[no-untyped-call]
    return {"d": loss.item(), "d_real": real.float().mean().item(), "d_fake": fake.float().mean().item()}


def generator_gradients(
    scores: Tensor, picture: Tensor | None, judge: nn.Module | None, objective: Objective, batch: Batch
) -> Terms:
    """Accumulate the generator's gradients; `judge` is None where the run has no adversary (yet)."""
    goal = objective.part
    terms = objective.likeness(scores, picture, batch)
    if judge is not None and picture is not None:
        score, features = judge(torch.cat([batch.source, picture], 1))
        terms["adversarial"] = goal.adversarial_weight * losses.adversarial_generator(
            goal.adversarial, score.float()
        )
        if goal.feature_matching:
            with torch.no_grad():
                _, wanted = judge(torch.cat([batch.source, batch.target], 1))
            terms["matching"] = goal.feature_matching * losses.feature_matching(wanted, features)
    loss = torch.stack(list(terms.values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    return {"g": loss.item()} | {name: term.item() for name, term in terms.items()}


@dataclass
class Players:
    """What a run trains: the generator, its adversary if the recipe has one, and their optimisers."""

    generator: Generator
    optimiser: Optimiser
    judge: Discriminator | None = None
    judge_optimiser: Optimiser | None = None


def step(
    players: Players, objective: Objective, batch: Batch, seen: int, total: int, *, precision: torch.dtype
) -> Terms:
    """One pix2pix step: the discriminator learns first, then the generator, both on one generated picture.

    `seen` of `total` images decide the learning rates and whether the adversary has joined yet. Returns the terms
    as plain numbers for the log.
    """
    joined = seen >= objective.part.adversarial_from * total
    judge = players.judge if joined else None
    with torch.autocast(batch.source.device.type, precision, enabled=precision != torch.float32):
        scores = players.generator(batch.source)
    needed = objective.needs_picture(judge is not None)
    picture = objective.paint(players.generator, scores) if needed else None
    terms: Terms = {}
    if judge is not None and picture is not None:
        assert players.judge_optimiser is not None, "an adversary comes with its optimiser"
        with torch.autocast(batch.source.device.type, precision, enabled=precision != torch.float32):
            terms |= discriminator_gradients(judge, objective.part, batch, picture)
        terms["d_norm"] = players.judge_optimiser.step(seen, total)
    judge_frozen = judge.requires_grad_(False) if judge is not None else None
    with torch.autocast(batch.source.device.type, precision, enabled=precision != torch.float32):
        terms |= generator_gradients(scores, picture, judge_frozen, objective, batch)
    if judge is not None:
        judge.requires_grad_(True)
    terms["g_norm"] = players.optimiser.step(seen, total)
    return terms
