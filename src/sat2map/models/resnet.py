"""The residual generator of Johnson et al. 2016 in the form that CycleGAN gave it (Zhu et al. 2017, appendix 7.2).

Two halvings, 6 or 9 residual blocks at a quarter of the size, two doublings; reflection padding, instance norm. It
is much slower than the U-Net per pixel, but all its work happens on a grid fine enough to keep small things.
"""

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

SMALLEST = 8  # px: reflection by one pixel needs two of them at a quarter of the size


def _reflected(width: int, wider: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(width, wider, kernel, padding=kernel // 2, padding_mode="reflect")


class Residual(nn.Module):
    """x + two 3×3 convolutions, each with its norm, a ReLU between them and none after."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.first, self.first_norm = _reflected(width, width, 3), normalisation(norm, width, affine=False)
        self.second, self.second_norm = _reflected(width, width, 3), normalisation(norm, width, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return x + self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Image to `outputs` channels: with 3 outputs an RGB picture in [-1, 1] (tanh), otherwise raw scores.

    The paper's network for 256 px and more has 9 `blocks`, the one for 128 px has 6. `width` channels at full size.
    """

    stride = 4

    def __init__(
        self, outputs: int, inputs: int = 3, blocks: int = 9, width: int = 64, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        if blocks < 0 or width < 1:
            raise ValueError(f"blocks {blocks} >= 0 and width {width} >= 1 must hold")
        self.outputs, self.norm = outputs, norm
        self.windowing: Windowing = windowing_of(norm)
        widths = (width, 2 * width, 4 * width)
        self.stem = _reflected(inputs, widths[0], 7)
        self.down = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, 2, 1) for i in range(2))
        self.down_norm = nn.ModuleList(normalisation(norm, wide, affine=False) for wide in widths)
        self.blocks = nn.ModuleList(Residual(widths[2], norm) for _ in range(blocks))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(widths[i + 1], widths[i], 3, 2, 1, output_padding=1) for i in range(2)
        )
        self.up_norm = nn.ModuleList(normalisation(norm, wide, affine=False) for wide in widths[:2])
        self.head = _reflected(widths[0], outputs, 7)
        initialise_normal(self)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, outputs, H, W). Raises ValueError unless sides are multiples of 4, from 8."""
        check_sides(image, self.stride, SMALLEST)
        x = F.relu(self.down_norm[0](self.stem(image)))
        for i in range(2):
            x = F.relu(self.down_norm[i + 1](self.down[i](x)))  # (N, 2w, H/2, ...), (N, 4w, H/4, ...)
        for block in self.blocks:
            x = block(x)
        for i in (1, 0):
            x = F.relu(self.up_norm[i](self.up[i](x)))
        x = self.head(x)
        return torch.tanh(x) if self.outputs == 3 else x

    def reach(self, span: Span) -> Span:
        """Input pixels that the output pixels in `span` depend on through convolutions; norms are not counted.

        Reflection only moves what is read beyond the edge back inside, so it reaches no further than padding does.
        """
        span = span.conv(7, padding=3).transposed(3, 2, 1).transposed(3, 2, 1)
        for _ in self.blocks:
            span = span.conv(3, padding=1).conv(3, padding=1)
        return span.conv(3, 2, 1).conv(3, 2, 1).conv(7, padding=3)

    def receptive_radius(self) -> int:
        """Pixels that an output can depend on beyond its own stride-aligned square; UNBOUNDED with spatial norms."""
        if self.norm in SPATIAL_STATISTICS:
            return UNBOUNDED
        return self.reach(Span(0, self.stride - 1)).radius(self.stride)
