"""Building blocks of the seam-free networks: every one sees a bounded neighbourhood and no statistic of the window."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.receptive import Span


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel alone (Ba et al. 2016, as ConvNeXt places it).

    Unlike batch, instance and group norm it takes no statistic over space, so a pixel's value does not depend on
    the window it was computed in.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same. Channels-last input needs no copy: the permuted view is contiguous."""
        rows = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        normed = F.layer_norm(rows, (self.width,), self.weight.to(x.dtype), self.bias.to(x.dtype), 1e-5)
        return normed.permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """Pre-norm residual block of two 3×3 convolutions; the second starts at zero, so the block starts as identity."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = ChannelNorm(width)
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        change: Tensor = self.second(F.silu(self.first(F.silu(self.norm(x)))))
        return x + change

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return span.conv(3, padding=1).conv(3, padding=self.dilation, dilation=self.dilation)


class Down(nn.Module):
    """Halve the grid: norm, then 2×2 convolution with stride 2 (aligned, no overlap, no aliasing of the grid)."""

    def __init__(self, width: int, wider: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv = nn.Conv2d(width, wider, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/2, W/2)."""
        return self.conv(self.norm(x))  # type: ignore[no-any-return]

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return span.finer(2)


class Up(nn.Module):
    """Double the grid: 1×1 convolution to four times the channels, then pixel-shuffle (Shi et al. 2016).

    With `smooth`, a binomial 3×3 filter follows: the four places of a square come from different weights, and what
    has to invent texture otherwise invents it on their grid (the upsampling of StyleGAN, Karras et al. 2019).
    """

    blur: Tensor  # (C', 1, 3, 3)

    def __init__(self, width: int, narrower: int, smooth: bool = False) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv = nn.Conv2d(width, 4 * narrower, 1)
        self.smooth = smooth
        if smooth:
            line = torch.tensor([1.0, 2.0, 1.0]) / 4
            kernel = torch.outer(line, line).expand(narrower, 1, 3, 3).contiguous()
            self.register_buffer("blur", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        x = F.pixel_shuffle(self.conv(self.norm(x)), 2)
        return F.conv2d(x, self.blur.to(x.dtype), padding=1, groups=x.shape[1]) if self.smooth else x

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return (span.conv(3, padding=1) if self.smooth else span).coarser(2)


def through(blocks: nn.Module, span: Span) -> Span:
    """Inputs of a sequence of blocks that its outputs in `span` depend on."""
    for block in reversed(list(blocks.children())):
        span = block.reach(span)  # type: ignore[operator]
    return span
