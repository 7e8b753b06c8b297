"""Objectives as free functions: tensors in, scalar out. No networks, no weights, no state."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def adversarial_discriminator(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises on its score maps of real and of generated pairs (any equal shape).

    bce: Goodfellow et al. 2014, halved as in pix2pix (Isola et al. 2017, section 3.3). lsgan: Mao et al. 2017.
    hinge: Lim and Ye 2017.
    """
    if kind == "bce":
        ones = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        zeros = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        return 0.5 * (ones + zeros)
    if kind == "lsgan":
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())
    assert kind == "hinge", f"unknown adversarial objective {kind}"
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def adversarial_generator(kind: str, fake: Tensor) -> Tensor:
    """What the generator minimises on the discriminator's scores of its pictures (the non-saturating forms)."""
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    if kind == "lsgan":
        return (fake - 1).square().mean()
    assert kind == "hinge", f"unknown adversarial objective {kind}"
    return -fake.mean()


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean L1 distance of discriminator features (Wang et al. 2018, pix2pixHD, equation 4)."""
    distances = [F.l1_loss(b, a.detach()) for a, b in zip(real, fake, strict=True)]
    return torch.stack(distances).mean()


def balanced_weights(shares: Tensor, power: float) -> Tensor:
    """Weights share^-power of K classes, scaled so that the mean over pixels is 1. `shares` (K,) sum to 1.

    Shares below 1e-4 count as 1e-4: a colour of a few stray pixels must not dominate.
    """
    weights = shares.clamp_min(1e-4) ** -power
    return weights / (weights * shares).sum()


def palette_cross_entropy(scores: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of palette scores (N, K, H, W) against palette indices (N, H, W)."""
    return F.cross_entropy(scores.float(), index, weights)
