"""Bounds on the slope of a discriminator: R1 at real pictures, R2 at generated ones (Mescheder et al. 2018).

Both forms estimate the same number, the mean over all scores of the squared gradient of a score with respect to the
picture. It does not change with the size of the crop, and for a discriminator with a single score it is the
published penalty. Both are to be computed in float32: squares of small differences vanish in bfloat16.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Scores = Callable[[Tensor], Tensor]  # (N, C, H, W) pictures -> scores of any shape

STEP = 0.01  # length of the finite difference, in units of [-1, 1] per channel


def gradient_penalty(judge: Scores, pictures: Tensor) -> Tensor:
    """Mean squared gradient, by differentiating twice.

    A map of scores is summed with random signs first: the mixed terms of neighbouring scores then cancel on average,
    and one backward pass serves them all.
    """
    pictures = pictures.detach().requires_grad_(True)
    scores = judge(pictures)
    signs = torch.randint(0, 2, scores.shape, device=scores.device).to(scores.dtype) * 2 - 1
    (slope,) = torch.autograd.grad((scores * signs).sum(), pictures, create_graph=True)
    return slope.square().sum() / scores.numel()


def difference_penalty(judge: Scores, pictures: Tensor) -> Tensor:
    """Mean squared gradient, from the change of the scores along one random direction.

    The square of a derivative along a normal direction is the squared gradient on average. It needs no second
    derivative, so it is cheaper, and noisier.
    """
    pictures = pictures.detach()
    moved = judge(pictures + STEP * torch.randn_like(pictures))
    return ((moved - judge(pictures)) / STEP).square().mean()
