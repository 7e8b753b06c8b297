"""A classic U-Net that halves by max-pooling, and the small discriminator of the same make.

Ronneberger et al. 2015 in the form that a project on satellite imagery and maps trained at 512 px (recipe
`unet-maxpool-512`): widths from 32 to 2048, bilinear upsampling, 2×2 convolutions. Two things differ from that
project: it shared one norm between the two convolutions of a block, by mistake, and its output passed a sigmoid;
here each convolution has its norm, and the picture in [-1, 1] comes from a tanh, as all pictures here do. Bilinear
upsampling places pixels by their centres, so that no weight depends on the size of the window.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.norms import SPATIAL_STATISTICS, Norm, Windowing, check_sides, normalisation, windowing_of
from sat2map.models.patch import JudgeNorm, bounded_slope
from sat2map.models.receptive import UNBOUNDED, Span

DROPPING = 3  # contracting blocks with dropout, counted from the outside


class Contract(nn.Module):
    """Two 3×3 convolutions to twice the channels, each with norm, dropout and leaky ReLU; then 2×2 max-pooling."""

    def __init__(
        self, width: int, wider: int, norm: Norm, dropout: float = 0.0, *, spectral: bool = False
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            bounded_slope(nn.Conv2d(w, wider, 3, padding=1), spectral) for w in (width, wider)
        )
        self.norms = nn.ModuleList(normalisation(norm, wider) for _ in range(2))
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/2, W/2)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(self.drop(norm(conv(x))), 0.2)
        return F.max_pool2d(x, 2)

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return span.finer(2).conv(3, padding=1).conv(3, padding=1)


class Expand(nn.Module):
    """Double the grid bilinearly, halve the channels (2×2), join the skip, and halve again (3×3, 2×2, norm, ReLU).

    Without padding the first 2×2 convolution loses a row and a column, the last with a padding of one gains
    them back; the skip is cropped in between.
    """

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        half = width // 2
        self.first = nn.Conv2d(width, half, 2)
        self.second = nn.Conv2d(width, half, 3, padding=1)
        self.third = nn.Conv2d(half, half, 2, padding=1)
        self.norm = normalisation(norm, half)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, C, H, W) and skip (N, C/2, 2H, 2W) -> (N, C/2, 2H, 2W)."""
        x = self.first(F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
        x = torch.cat([x, skip[..., :-1, :-1]], 1)
        return F.relu(self.norm(self.third(self.second(x))))

    def inner(self, span: Span) -> Span:
        """Positions of the joined grid that the outputs in `span` depend on: those of the skip."""
        return span.conv(2, padding=1).conv(3, padding=1)

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on, the skip aside."""
        return self.inner(span).conv(2).bilinear()


class MaxPoolUNet(nn.Module):
    """Image to `outputs` channels: with 3 outputs an RGB picture in [-1, 1] (tanh), otherwise raw scores.

    `levels` halvings, from `width` channels at full size to width·2^levels at the bottom.
    """

    def __init__(
        self,
        outputs: int,
        inputs: int = 3,
        levels: int = 6,
        width: int = 32,
        dropout: float = 0.5,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if levels < 1 or width < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"levels {levels} >= 1, width {width} >= 1 and 0 <= dropout {dropout} < 1 must hold"
            )
        self.stride, self.outputs, self.norm = 2**levels, outputs, norm
        self.windowing: Windowing = windowing_of(norm)
        self.stem = nn.Conv2d(inputs, width, 1)
        self.contract = nn.ModuleList(
            Contract(width << i, width << i + 1, norm, dropout if i < DROPPING else 0.0)
            for i in range(levels)
        )
        self.expand = nn.ModuleList(Expand(width << i + 1, norm) for i in range(levels))
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1] -> (N, outputs, H, W). Raises ValueError unless sides are multiples of `stride`."""
        check_sides(image, self.stride, self.stride)
        x = self.stem(image)
        skips: list[Tensor] = []
        for block in self.contract:
            skips.append(x)  # (N, w·2^i, H/2^i, ...)
            x = block(x)
        for i in reversed(range(len(skips))):
            x = self.expand[i](x, skips[i])
        x = self.head(x)
        return torch.tanh(x) if self.outputs == 3 else x

    def reach(self, span: Span) -> Span:
        """Input pixels that the output pixels in `span` depend on through convolutions; norms are not counted."""
        skips: list[Span] = []
        for block in self.expand:
            skips.append(block.inner(span))  # type: ignore[operator]
            span = block.reach(span)  # type: ignore[operator]
        for block, skip in zip(reversed(self.contract), reversed(skips), strict=True):
            span = block.reach(span).union(skip)  # type: ignore[operator]
        return span

    def receptive_radius(self) -> int:
        """Pixels that an output can depend on beyond its own stride-aligned square; UNBOUNDED with spatial norms."""
        if self.norm in SPATIAL_STATISTICS:
            return UNBOUNDED
        return self.reach(Span(0, self.stride - 1)).radius(self.stride)


class MaxPoolDiscriminator(nn.Module):
    """`levels` contracting blocks from `width` channels on, the first without norm, between 1×1 convolutions.

    With the defaults it has 0.29 million parameters, four hundred times fewer than the generator.
    """

    def __init__(
        self, inputs: int, levels: int = 4, width: int = 8, norm: JudgeNorm = "batch", spectral: bool = False
    ) -> None:
        super().__init__()
        if levels < 1 or width < 1:
            raise ValueError(f"levels {levels} and width {width} must be at least 1")
        self.stem = bounded_slope(nn.Conv2d(inputs, width, 1), spectral)
        self.contract = nn.ModuleList(
            Contract(width << i, width << i + 1, norm if i else "none", spectral=spectral)
            for i in range(levels)
        )
        self.head = bounded_slope(nn.Conv2d(width << levels, 1, 1), spectral)

    def forward(self, pair: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, C, H, W) condition and picture -> scores (N, 1, h, w) before any sigmoid, and each block's output."""
        x = self.stem(pair)
        features: list[Tensor] = []
        for block in self.contract:
            x = block(x)
            features.append(x)
        return self.head(x), features

    def reach(self, span: Span) -> Span:
        """Input pixels that the scores in `span` depend on through convolutions; norms are not counted."""
        for block in reversed(self.contract):
            span = block.reach(span)  # type: ignore[operator]
        return span

    def receptive_field(self) -> int:
        """Side of the patch that one score judges, in pixels."""
        first, last = self.reach(Span(0, 0))
        return last - first + 1
