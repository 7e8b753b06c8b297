"""The U-Net of pix2pix (Isola et al. 2017, appendix 6.1.1), with its depth, width and normalisation as parameters.

Why it is here: it is what most published work on satellite imagery and maps compares with. Two remarks decide how
it is used. Norms that take statistics over space make a pixel depend on the whole window, so scenes are blended
from overlapping windows (`windowing`). And it should meet windows of the size it was trained at: with crops of
2^levels px the bottleneck is one pixel, most taps of the kernels around it only ever saw padding, and in larger
windows those untrained taps would see data.

The paper leaves dropout on at inference as its source of noise. Here `eval()` switches it off, so that one picture
has one answer.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.norms import (
    SPATIAL_STATISTICS,
    Norm,
    Windowing,
    check_sides,
    initialise_normal,
    normalisation,
    windowing_of,
)
from sat2map.models.receptive import UNBOUNDED, Span

Upsample = Literal["transposed", "nearest"]

DROPPING = 3  # decoder stages with dropout, counted from the bottleneck


class Shrink(nn.Module):
    """Halve the grid: leaky ReLU, 4×4 convolution with stride 2, norm."""

    def __init__(self, width: int, wider: int, norm: Norm, *, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, wider, 4, 2, 1, bias=bias)
        self.norm = normalisation(norm, wider)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/2, W/2)."""
        return self.norm(self.conv(F.leaky_relu(x, 0.2)))  # type: ignore[no-any-return]


class Grow(nn.Module):
    """Double the grid: ReLU, transposed 4×4 convolution with stride 2 (or nearest neighbour and 3×3 convolution).

    The second form draws no checkerboards (Odena et al. 2016).
    """

    def __init__(self, width: int, narrower: int, upsample: Upsample, *, bias: bool) -> None:
        super().__init__()
        self.nearest = upsample == "nearest"
        self.conv: nn.Module = (
            nn.Conv2d(width, narrower, 3, padding=1, bias=bias)
            if self.nearest
            else nn.ConvTranspose2d(width, narrower, 4, 2, 1, bias=bias)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        x = F.relu(x)
        if self.nearest:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.conv(x)  # type: ignore[no-any-return]

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on, by the convolution alone."""
        return span.conv(3, padding=1).coarser(2) if self.nearest else span.transposed(4, 2, 1)


class UNet(nn.Module):
    """Image to `outputs` channels: with 3 outputs an RGB picture in [-1, 1] (tanh), otherwise raw scores.

    `levels` halvings (8 and width 64 are the paper's U-Net-256, 7 the shallower form in use), `width` channels after
    the first, doubled up to eight times that; `dropout` in the three decoder stages next to the bottleneck. The
    innermost level has no norm: at 1×1 px a norm over space would leave nothing but its shift.
    """

    def __init__(
        self,
        outputs: int,
        inputs: int = 3,
        levels: int = 8,
        width: int = 64,
        dropout: float = 0.5,
        norm: Norm = "batch",
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        if levels < 2 or width < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"levels {levels} >= 2, width {width} >= 1 and 0 <= dropout {dropout} < 1 must hold"
            )
        widths = [
            width * min(2**i, 8) for i in range(levels)
        ]  # after the i-th halving, the first being number 0
        self.stride, self.outputs, self.norm = 2**levels, outputs, norm
        self.windowing: Windowing = windowing_of(norm)
        norms: list[Norm] = [norm] * (levels - 2) + ["none"]
        bias = norm in ("none", "channel")
        self.stem = nn.Conv2d(inputs, widths[0], 4, 2, 1, bias=bias)
        self.encoder = nn.ModuleList(
            Shrink(widths[i], widths[i + 1], norms[i], bias=bias) for i in range(levels - 1)
        )
        # grow[i] goes from level i + 1 to level i; every level but the innermost brings its skip as a first half.
        doubled = [2 * w for w in widths[:-1]] + widths[-1:]
        self.grow = nn.ModuleList(
            Grow(doubled[i + 1], widths[i], upsample, bias=bias) for i in range(levels - 1)
        )
        self.grown = nn.ModuleList(normalisation(norm, widths[i]) for i in range(levels - 1))
        dropping = [dropout if i >= levels - 1 - DROPPING else 0.0 for i in range(levels - 1)]
        self.drop = nn.ModuleList(nn.Dropout(share) if share else nn.Identity() for share in dropping)
        self.head = Grow(doubled[0], outputs, upsample, bias=True)
        initialise_normal(self)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, outputs, H, W). Raises ValueError unless sides are multiples of `stride`."""
        check_sides(image, self.stride, self.stride)
        x = self.stem(image)  # (N, width, H/2, W/2)
        skips: list[Tensor] = []
        for shrink in self.encoder:
            skips.append(x)
            x = shrink(x)
        for i in reversed(range(len(self.grow))):
            x = self.drop[i](self.grown[i](self.grow[i](x)))
            x = torch.cat([skips[i], x], 1)
        x = self.head(x)
        return torch.tanh(x) if self.outputs == 3 else x

    def reach(self, span: Span) -> Span:
        """Input pixels that the output pixels in `span` depend on through convolutions; norms are not counted."""
        skips: list[Span] = []
        for grow in (self.head, *self.grow):
            span = grow.reach(span)
            skips.append(span)
        for skip in reversed(skips):
            span = span.union(skip).conv(4, 2, 1)
        return span

    def receptive_radius(self) -> int:
        """Pixels that an output can depend on beyond its own stride-aligned square; UNBOUNDED with spatial norms."""
        if self.norm in SPATIAL_STATISTICS:
            return UNBOUNDED
        return self.reach(Span(0, self.stride - 1)).radius(self.stride)
