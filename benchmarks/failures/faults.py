"""What goes wrong in a run: a change of a network, its optimiser, a batch or a loss, usually halfway through."""

import msgspec
import numpy as np
import torch

from failures.case import Fault, Lab
from failures.towns import PAIRS, Pairs
from sat2map import losses
from sat2map.data.batches import Batch, to_tensor
from sat2map.training import pix2pix
from sat2map.training.pix2pix import Objective

IMAGES = 640  # of a run
HALF = IMAGES // 2  # images after which a fault sets in


def poison(value: float, side: str) -> Fault:
    """One pair of the set holds a value that is no number."""

    def fault(lab: Lab, batch: Batch, seen: int) -> Batch | None:
        if seen < HALF or 7 not in batch.names:
            return None
        pixels = getattr(batch, side).clone()
        pixels[batch.names.index(7), 0, 3, 5] = value
        return batch._replace(**{side: pixels})

    return fault


@torch.no_grad()
def darken(lab: Lab, batch: Batch, seen: int) -> None:
    """The painting layer drifts towards black."""
    if seen >= HALF:
        layer = lab.last_layer()
        layer.weight.mul_(0.97)
        layer.bias.sub_(0.1)


@torch.no_grad()
def flatten(lab: Lab, batch: Batch, seen: int) -> None:
    """The painting layer forgets what it is told."""
    if seen >= HALF:
        lab.last_layer().weight.mul_(0.8)


@torch.no_grad()
def wear(lab: Lab, batch: Batch, seen: int) -> None:
    """Kernels get noisier and noisier: the development figure gets worse bit by bit."""
    if seen >= HALF:
        for kernel in lab.generator.network.parameters():
            kernel.add_(torch.randn_like(kernel) * 0.008)


def faster(factor: float) -> Fault:
    """All learning rates jump."""

    def fault(lab: Lab, batch: Batch, seen: int) -> None:
        if seen == HALF:
            for player in lab.system.players.values():
                player.optimiser.scale = factor

    return fault


def outweigh(lab: Lab, batch: Batch, seen: int) -> None:
    """The adversarial term gets ten thousand times its weight."""
    if seen == HALF:
        part = lab.system.objective.part
        lab.system.objective = Objective(
            msgspec.structs.replace(part, adversarial_weight=1e4 * part.adversarial_weight),
            lab.system.objective.colours,
            lab.system.objective.weights,
        )


def exchange_labels(lab: Lab, batch: Batch, seen: int) -> None:
    """The discriminator is told that generated pictures are the real ones."""
    if seen == 0:
        straight = losses.adversarial_discriminator

        def crossed(
            kind: str, real: torch.Tensor, fake: torch.Tensor, smoothing: float = 0.0
        ) -> torch.Tensor:
            return straight(kind, fake, real, smoothing)

        pix2pix.losses.adversarial_discriminator = crossed
        lab.stack.callback(setattr, pix2pix.losses, "adversarial_discriminator", straight)


def mismatch(lab: Lab, batch: Batch, seen: int) -> Batch:
    """Targets belong to other inputs."""
    random = np.random.default_rng((lab.recipe.run.seed, 9, seen))
    others = lab.noted.setdefault("others", Pairs(PAIRS, 5000, lab.recipe.data.crop))
    chosen = [others.street(int(n)) for n in random.integers(0, PAIRS, len(batch.source))]
    return batch._replace(target=to_tensor(np.stack(chosen)))
