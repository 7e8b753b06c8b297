"""Landscapes from a latent, our networks: residual blocks without statistics over pictures, painted in squares.

As in `carto`, no layer works at full resolution: the last grid has a quarter of the picture's side, and each of its
positions paints 4×4 px, so that a CPU can train it. Blocks are pre-norm residual ones whose second convolution begins
at zero; R3GAN (Huang et al. 2024) shows that such plain blocks suffice where the game is relativistic and both slopes
are bounded. The discriminator has no norm at all, since a norm would change what its slope means.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.dcgan import SLOPE, SMALLEST, doublings
from sat2map.models.layers import ResBlock

FOLD = 4  # px per side of the squares that one position paints or sees


class LandscapeGenerator(nn.Module):
    """`widths[i]` channels at 4·2^i positions a side; the last grid has a quarter of the picture's side.

    Each of its positions gives one colour, which is enlarged smoothly, and 4×4 px of detail on top, which begins as
    nothing: pictures are blurred first, and never made of squares.
    """

    def __init__(
        self, latent: int = 64, side: int = 128, widths: Sequence[int] = (256, 192, 128, 96), head: int = 128
    ) -> None:
        super().__init__()
        _check(side, widths)
        if latent < 1 or head < 1:
            raise ValueError(f"latent {latent} and head {head} must be at least 1")
        self.latent, self.side = latent, side
        self.stem = nn.Linear(latent, widths[0] * SMALLEST**2)
        self.blocks = nn.ModuleList(ResBlock(width) for width in widths)
        self.widen = nn.ModuleList(nn.Conv2d(widths[n], widths[n + 1], 1) for n in range(len(widths) - 1))
        self.head_hidden = nn.Conv2d(widths[-1], head, 3, padding=1)
        self.colour = nn.Conv2d(head, 3, 1)
        self.head = nn.Conv2d(head, 3 * FOLD**2, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, latent: Tensor) -> Tensor:
        """(N, latent) -> (N, 3, side, side) in [-1, 1]."""
        # a latent's length says nothing (Karras et al. 2018): what counts is its direction
        latent = latent * torch.rsqrt(latent.square().mean(1, keepdim=True) + 1e-6)
        x = self.stem(latent).reshape(latent.shape[0], -1, SMALLEST, SMALLEST)
        for n, block in enumerate(self.blocks):
            if n:
                x = F.interpolate(self.widen[n - 1](x), scale_factor=2.0, mode="nearest")
            x = block(x)
        x = F.silu(self.head_hidden(F.silu(x)))
        smooth = F.interpolate(self.colour(x), scale_factor=float(FOLD), mode="bilinear", align_corners=False)
        return torch.tanh(smooth + F.pixel_shuffle(self.head(x), FOLD))


class LandscapeDiscriminator(nn.Module):
    """One score per picture; `widths[i]` channels at a quarter of the side, an eighth …, down to 4 × 4."""

    def __init__(self, inputs: int = 3, side: int = 128, widths: Sequence[int] = (64, 96, 128, 192)) -> None:
        super().__init__()
        _check(side, widths)
        self.side = side
        self.stem = _drawn(nn.Conv2d(inputs * FOLD**2, widths[0], 3, padding=1))
        self.stages = nn.ModuleList(
            _drawn(nn.Conv2d(widths[n], widths[n], 3, padding=1)) for n in range(len(widths))
        )
        self.down = nn.ModuleList(
            _drawn(nn.Conv2d(widths[n], widths[n + 1], 1)) for n in range(len(widths) - 1)
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
