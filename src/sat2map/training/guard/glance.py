"""A glance at the pictures of a step: a few numbers each, from a thin grid of their pixels.

One pixel in 64 is looked at, so that a glance costs far less than a hundredth of a step (benchmarks/guard.py
measures it).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Float = npt.NDArray[np.float64]
STRIDE = 8  # px between the pixels looked at, less in small pictures
LEAST = 16  # pixels a side that are looked at, where there are so many
BLOCKS = 4  # a thumbnail is BLOCKS x BLOCKS means of each channel


class Glance(NamedTuple):
    """Numbers of N pictures with values in [-1, 1]."""

    level: Float  # (N,) mean
    deviation: Float  # (N,) standard deviation over the pixels, mean of the channels
    thumbnail: Float  # (N, 3 * BLOCKS ** 2) mean colours of a coarse grid of blocks


def thin(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> a view of about (N, C, H / STRIDE, W / STRIDE): every STRIDE-th pixel each way."""
    side = min(pictures.shape[-2:])
    stride = max(1, min(STRIDE, side // LEAST))
    return pictures[..., stride // 2 :: stride, stride // 2 :: stride]


@torch.no_grad()
def glance(thinned: Tensor) -> Glance:
    """Numbers of (N, 3, h, w) thinned pictures; one transfer from the device that they are on."""
    small = thinned.detach().float()
    blocks = torch.nn.functional.adaptive_avg_pool2d(small, BLOCKS).flatten(1)
    deviation = small.flatten(2).std(2, correction=0).mean(1, keepdim=True)
    level = small.mean((1, 2, 3))[:, None]
    numbers = torch.cat([level, deviation, blocks], 1).cpu().double().numpy()
    return Glance(numbers[:, 0], numbers[:, 1], numbers[:, 2:])


@torch.no_grad()
def distance(picture: Tensor, target: Tensor) -> float:
    """Mean absolute difference of thinned pictures, 0 to 2."""
    return float((picture.float() - target.float()).abs().mean())


@torch.no_grad()
def unsound(*tensors: Tensor) -> list[int]:
    """Positions in a batch where one of the tensors (N, ...) holds something that is not a finite number."""
    if all(bool(torch.isfinite(tensor.sum())) for tensor in tensors):
        return []
    whole = [torch.isfinite(tensor).flatten(1).all(1) for tensor in tensors]
    return [n for n, sound in enumerate(torch.stack(whole).all(0).tolist()) if not sound]
