"""Landscapes from a latent, our networks: residual blocks without statistics over pictures, enlarged smoothly.

Most layers work on grids of a quarter of the picture's side or less, so that a CPU can train them; the last two
doublings are narrow. Whatever is enlarged is smoothed at once (`Up`): squares filled by weights of their own stay
visible as squares, and a discriminator that is shown photos does not take them away (docs/LOG.md, 2026-11-20). Blocks
are pre-norm residual ones whose second convolution begins at zero, as plain as those of R3GAN (Huang et al. 2024).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.dcgan import SLOPE, SMALLEST, doublings
from sat2map.models.layers import ResBlock, Up
from sat2map.models.norms import Norm, normalisation

FOLD = 4  # px per side of the squares that one position of the discriminator sees, and of the last grid with blocks


class LandscapeGenerator(nn.Module):
    """`widths[i]` channels at 4·2^i positions a side, up to a quarter of the picture's side.

    `head` channels at half the side, half as many at the whole.
    """

    def __init__(
        self, latent: int = 64, side: int = 128, widths: Sequence[int] = (256, 192, 128, 96), head: int = 32
    ) -> None:
        super().__init__()
        _check(side, widths)
        if latent < 1 or head < 2:
            raise ValueError(f"latent {latent} must be at least 1, head {head} at least 2")
        self.latent, self.side = latent, side
        self.stem = nn.Linear(latent, widths[0] * SMALLEST**2)
        self.blocks = nn.ModuleList(ResBlock(width) for width in widths)
        self.up = nn.ModuleList(Up(widths[n], widths[n + 1], smooth=True) for n in range(len(widths) - 1))
        self.to_half = Up(widths[-1], head, smooth=True)
        self.refine = nn.Conv2d(head, head, 3, padding=1)
        self.to_whole = Up(head, head // 2, smooth=True)
        self.colour = nn.Conv2d(head // 2, 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """(N, latent) -> (N, 3, side, side) in [-1, 1]."""
        # a latent's length says nothing (Karras et al. 2018): what counts is its direction
        latent = latent * torch.rsqrt(latent.square().mean(1, keepdim=True) + 1e-6)
        x = self.stem(latent).reshape(latent.shape[0], -1, SMALLEST, SMALLEST)
        for n, block in enumerate(self.blocks):
            x = block(self.up[n - 1](x) if n else x)
        x = self.to_half(x)
        x = x + F.silu(self.refine(x))
        return torch.tanh(self.colour(F.silu(self.to_whole(x))))


class LandscapeDiscriminator(nn.Module):
    """One score per picture; `widths[i]` channels at a quarter of the side, an eighth …, down to 4 × 4.

    `norm` follows every convolution but the first and the score. Without one, its slope means what penalties on it
    take it for; with batch norm, it sees differences that are weak beside the level of its pictures (`folded.py`).
    """

    def __init__(
        self,
        inputs: int = 3,
        side: int = 128,
        widths: Sequence[int] = (64, 96, 128, 192),
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        _check(side, widths)
        self.side = side
        self.stem = _drawn(nn.Conv2d(inputs * FOLD**2, widths[0], 3, padding=1))
        self.stages = nn.ModuleList(
            nn.Sequential(_drawn(nn.Conv2d(wide, wide, 3, padding=1)), normalisation(norm, wide))
            for wide in widths
        )
        self.down = nn.ModuleList(
            nn.Sequential(_drawn(nn.Conv2d(widths[n], widths[n + 1], 1)), normalisation(norm, widths[n + 1]))
            for n in range(len(widths) - 1)
        )
        self.head = nn.Conv2d(widths[-1], 1, SMALLEST)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, C, side, side) -> scores (N, 1, 1, 1) and the output of each stage."""
        x = self.stem(F.pixel_unshuffle(pictures, FOLD))
        features = []
        for n, stage in enumerate(self.stages):
            if n:
                x = F.avg_pool2d(self.down[n - 1](x), 2)
            x = x + F.leaky_relu(stage(F.leaky_relu(x, SLOPE)), SLOPE)
            features.append(x)
        return self.head(F.leaky_relu(x, SLOPE)), features

    def receptive_field(self) -> int:
        """Side of what one score judges, in px: the whole picture."""
        return self.side


def _drawn(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(conv.weight, SLOPE)
    assert conv.bias is not None, "these have one"
    nn.init.zeros_(conv.bias)
    return conv


def _check(side: int, widths: Sequence[int]) -> None:
    if len(widths) < 2 or min(widths) < 1 or side != FOLD * SMALLEST << (len(widths) - 1):
        grid = FOLD * SMALLEST << max(len(widths) - 1, 1)
        raise ValueError(f"{len(widths)} widths {list(widths)} paint {grid} px a side, not {side}")
    doublings(side)
