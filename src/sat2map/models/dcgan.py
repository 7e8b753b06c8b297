"""The landscape networks of the fourth seed: a DCGAN with a latent of a few numbers (Radford et al. 2016).

    generator = DcganGenerator()                    # (N, 4) -> (N, 3, 128, 128), 11,213,696 numbers
    score, features = DcganDiscriminator(inputs=3)(pictures)    # its mirror image, 11,164,416 numbers

Transposed 4×4 convolutions without bias, batch norm and ReLU between them, tanh at the end: 1024 channels at 4×4, then
512, 256, 128, 64 at twice the side each, 3 at 128×128.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.norms import initialise_normal

SMALLEST = 4  # px a side of the first grid
SLOPE = 0.2


def doublings(side: int) -> int:
    """How often 4 px are doubled up to `side`; raises ValueError for other sides than 8, 16, 32 …"""
    count = round(math.log2(side / SMALLEST)) if side >= 2 * SMALLEST else 0
    if count < 1 or SMALLEST << count != side:
        raise ValueError(f"side {side} must be 8, 16, 32, 64, 128, 256 …")
    return count


class DcganGenerator(nn.Module):
    """Numbers to a picture; `width` channels at half the side, twice as many at each grid below."""

    def __init__(self, latent: int = 4, side: int = 128, width: int = 64) -> None:
        super().__init__()
        if latent < 1 or width < 1:
            raise ValueError(f"latent {latent} and width {width} must be at least 1")
        self.latent, self.side = latent, side
        count = doublings(side)
        widths = [width << n for n in reversed(range(count))]
        self.stem = nn.ConvTranspose2d(latent, widths[0], SMALLEST, 1, 0, bias=False)
        self.stages = nn.ModuleList(
            nn.ConvTranspose2d(widths[n], widths[n + 1], 4, 2, 1, bias=False) for n in range(count - 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for wide in widths)
        self.head = nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1, bias=False)
        initialise_normal(self)

    def forward(self, latent: Tensor) -> Tensor:
        """(N, latent) -> (N, 3, side, side) in [-1, 1]."""
        x = F.relu(self.norms[0](self.stem(latent[:, :, None, None])))
        for stage, norm in zip(self.stages, list(self.norms)[1:], strict=True):
            x = F.relu(norm(stage(x)))
        return torch.tanh(self.head(x))


class DcganDiscriminator(nn.Module):
    """The generator's mirror image; one score per picture, before any sigmoid.

    High scores mean real, as everywhere in this package. The seed says of its own that it gives the probability that a
    picture is generated; that is 1 - sigmoid(score) and makes the same game, since cross-entropy does not change when
    both labels do.
    """

    def __init__(self, inputs: int = 3, side: int = 128, width: int = 64) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width {width} must be at least 1")
        self.side = side
        widths = [width << n for n in range(doublings(side))]
        self.stem = nn.Conv2d(inputs, widths[0], 4, 2, 1, bias=False)
        self.stages = nn.ModuleList(
            nn.Conv2d(widths[n], widths[n + 1], 4, 2, 1, bias=False) for n in range(len(widths) - 1)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for wide in widths[1:])
        self.head = nn.Conv2d(widths[-1], 1, SMALLEST, 1, 0, bias=False)
        initialise_normal(self)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, C, side, side) -> scores (N, 1, 1, 1) and the output of each layer."""
        x = F.leaky_relu(self.stem(pictures), SLOPE)
        features = [x]
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = F.leaky_relu(norm(stage(x)), SLOPE)
            features.append(x)
        return self.head(x), features

    def receptive_field(self) -> int:
        """Side of what one score judges, in px: the whole picture."""
        return self.side
