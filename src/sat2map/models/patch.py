"""Discriminators that judge patches: PatchGAN and its 1×1 special case (Isola et al. 2017, appendix 6.1.2).

    score, features = PatchDiscriminator(inputs=6)(torch.cat([condition, picture], 1))

One score says how real one patch looks, given the condition; a loss averages the scores of the map. The side of
the patch follows from the layers and is computed: 70 px with three halvings, 142 px with four, 1 px without kernels.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from sat2map.models.norms import initialise_normal, normalisation
from sat2map.models.receptive import Span

JudgeNorm = Literal["batch", "instance", "none"]


def bounded_slope(conv: nn.Conv2d, spectral: bool) -> nn.Module:
    """Divide the kernel by its largest singular value if `spectral` (Miyato et al. 2018), else leave it."""
    return parametrizations.spectral_norm(conv) if spectral else conv


class _Layer(nn.Module):
    """Convolution, norm, leaky ReLU."""

    def __init__(
        self, width: int, wider: int, kernel: int, stride: int, norm: JudgeNorm, *, spectral: bool
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, (kernel - 1) // 2
        conv = nn.Conv2d(width, wider, kernel, stride, self.padding, bias=norm == "none")
        initialise_normal(conv)
        self.conv = bounded_slope(conv, spectral)
        self.norm = normalisation(norm, wider)
        initialise_normal(self.norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return F.leaky_relu(self.norm(self.conv(x)), 0.2)

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return span.conv(self.kernel, self.stride, self.padding)


class _Judge(nn.Module):
    """Stem, stages and head of one kernel size; with kernels above 1 all layers but the last two halve the grid."""

    def __init__(
        self, inputs: int, widths: list[int], kernel: int, norm: JudgeNorm, *, spectral: bool
    ) -> None:
        super().__init__()
        self.kernel = kernel
        strides = [2] * (len(widths) - 1) + [1] if kernel > 1 else [1] * len(widths)
        self.stem = _Layer(inputs, widths[0], kernel, strides[0], "none", spectral=spectral)
        self.stages = nn.ModuleList(
            _Layer(widths[i - 1], widths[i], kernel, strides[i], norm, spectral=spectral)
            for i in range(1, len(widths))
        )
        head = nn.Conv2d(widths[-1], 1, kernel, padding=(kernel - 1) // 2)
        initialise_normal(head)
        self.head = bounded_slope(head, spectral)

    def forward(self, pair: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, C, H, W) condition and picture -> scores (N, 1, h, w) before any sigmoid, and each layer's output."""
        x = self.stem(pair)
        features = [x]
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return self.head(x), features

    def reach(self, span: Span) -> Span:
        """Input pixels that the scores in `span` depend on through convolutions; norms are not counted."""
        span = span.conv(self.kernel, padding=(self.kernel - 1) // 2)
        for stage in reversed([self.stem, *self.stages]):
            span = stage.reach(span)
        return span

    def receptive_field(self) -> int:
        """Side of the patch that one score judges, in pixels."""
        first, last = self.reach(Span(0, 0))
        return last - first + 1


class PatchDiscriminator(_Judge):
    """`layers` convolutions of 4×4 with stride 2, one with stride 1, one to a single score.

    Widths go from `width` up to eight times that. Patches of 16, 34, 70, 142, 286 px for 1 to 5 `layers`; 3 is the
    paper's default. The first layer has no norm. With a `norm` other than "none", scores also depend on the statistics
    of the whole window; the patch counts convolutions only.
    """

    def __init__(
        self,
        inputs: int,
        layers: int = 3,
        width: int = 64,
        norm: JudgeNorm = "batch",
        spectral: bool = False,
    ) -> None:
        if layers < 1 or width < 1:
            raise ValueError(f"layers {layers} and width {width} must be at least 1")
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        super().__init__(inputs, widths, 4, norm, spectral=spectral)


class PixelDiscriminator(_Judge):
    """Judge every pixel by its own colour and condition: three 1×1 convolutions (`width`, twice that, 1)."""

    def __init__(
        self, inputs: int, width: int = 64, norm: JudgeNorm = "batch", spectral: bool = False
    ) -> None:
        if width < 1:
            raise ValueError(f"width {width} must be at least 1")
        super().__init__(inputs, [width, 2 * width], 1, norm, spectral=spectral)
