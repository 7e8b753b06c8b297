"""Objectives that compare with the true picture or with what a discriminator makes of it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


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


def gradient_difference(picture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the steps between neighbouring pixels, down and across, of (N, C, H, W) pictures.

    It asks for edges where the target has them, whatever the level on either side (the gradient difference of
    Mathieu et al. 2016, with the signs of the steps kept).
    """
    change = picture - target
    return change.diff(dim=-2).abs().mean() + change.diff(dim=-1).abs().mean()
