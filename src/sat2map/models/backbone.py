"""A pretrained eye for `carto`: EfficientNet-Lite0 up to stride 16, without its statistics.

EfficientNet-Lite (Google 2020; Tan and Le 2019 without squeeze-and-excitation and with ReLU6) has no layer that looks
at a whole window: its squeezes, which do, were left out for small devices. With the batch norms folded into the kernels
before them, every output depends on a bounded neighbourhood and nothing else, which `carto` needs. The last two stages
are left out: they hold two thirds of the parameters and would double the receptive field.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.layers import through
from sat2map.models.receptive import Span

STRIDES = (4, 8, 16)  # of the three outputs
CHANNELS = (24, 40, 112)
STEM = 32


class Stage(NamedTuple):
    """Blocks of one kind; only the first of them has the stride."""

    blocks: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)
# Stages that stay as published: edges and spots look alike everywhere, and training them costs most.
FIXED = 2
OUTPUTS = (1, 2, 4)  # stages after which an output is taken, one for each of STRIDES


class Backbone(nn.Module):
    """Pictures (N, 3, H, W) in [-1, 1], sides multiples of 16, to features (N, CHANNELS[i], H/STRIDES[i], ...)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Same(3, STEM, 3, 2, fixed=True)
        self.stages = nn.ModuleList()
        width = STEM
        for number, stage in enumerate(STAGES):
            blocks = []
            for n in range(stage.blocks):
                blocks.append(Inverted(width, stage, stage.stride if n == 0 else 1, number < FIXED))
                width = stage.channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class. Not in half precision, which makes depthwise convolutions slower on CPUs."""
        found = []
        with torch.autocast(image.device.type, enabled=False):
            x = F.relu6(self.stem(image), inplace=True)
            for number, blocks in enumerate(self.stages):
                x = blocks(x)
                if number in OUTPUTS:
                    found.append(x)
        return found

    def reach(self, spans: Sequence[Span]) -> Span:
        """Pixels of the image that the outputs in `spans` depend on, one span for each output."""
        wanted = dict(zip(OUTPUTS, spans, strict=True))
        span = spans[-1]
        for number in reversed(range(len(self.stages))):
            span = span.union(wanted.get(number, span))
            span = through(self.stages[number], span)
        return self.stem.reach(span)


class Inverted(nn.Module):
    """Inverted residual block (Sandler et al. 2018): widen, look around within each channel, narrow."""

    def __init__(self, width: int, stage: Stage, stride: int, fixed: bool) -> None:
        super().__init__()
        wide = width * stage.expand
        self.expand = Same(width, wide, 1, fixed=fixed) if stage.expand > 1 else None
        self.depthwise = Same(wide, wide, stage.kernel, stride, wide, fixed)
        self.project = Same(wide, stage.channels, 1, fixed=fixed)
        self.residual = stride == 1 and width == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/stride, W/stride)."""
        wide = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y: Tensor = self.project(F.relu6(self.depthwise(wide), inplace=True))
        return x + y if self.residual else y

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return self.depthwise.reach(span).union(span) if self.residual else self.depthwise.reach(span)


class Same(nn.Conv2d):
    """Convolution with TensorFlow's padding, which with stride 2 is one pixel more below and to the right.

    There the kernel has another row above and column to the left, which begin as zeros, so that equal padding on all
    sides does: padding a picture costs more than all of its depthwise convolution. A `fixed` one passes gradients on
    and has none itself.
    """

    def __init__(
        self, width: int, channels: int, kernel: int, stride: int = 1, groups: int = 1, fixed: bool = False
    ) -> None:
        super().__init__(width, channels, kernel + stride - 1, stride, kernel // 2, groups=groups)
        self.fixed = fixed

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/stride, W/stride)."""
        if not self.fixed:
            return super().forward(x)
        bias = None if self.bias is None else self.bias.detach()
        return F.conv2d(x, self.weight.detach(), bias, self.stride, self.padding, 1, self.groups)

    def reach(self, span: Span) -> Span:
        """Inputs that the outputs in `span` depend on."""
        return span.conv(self.kernel_size[0], self.stride[0], int(self.padding[0]))


def folded_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a `Backbone` from those of the published network (names of lukemelas' EfficientNet-PyTorch).

    Raises KeyError where `published` lacks one.
    """
    found: dict[str, Tensor] = {}

    def fold(name: str, conv: str, norm: str, stride: int = 1) -> None:
        scale = published[f"{norm}.weight"] * (published[f"{norm}.running_var"] + 1e-3).rsqrt()
        kernel = published[f"{conv}.weight"] * scale[:, None, None, None]
        found[f"{name}.weight"] = F.pad(kernel, (stride - 1, 0, stride - 1, 0))  # see `Same`
        found[f"{name}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0", 2)
    block = 0
    for number, stage in enumerate(STAGES):
        for n in range(stage.blocks):
            theirs, ours = f"_blocks.{block}", f"stages.{number}.{n}"
            if stage.expand > 1:
                fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1", 1 if n else stage.stride)
            fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
            block += 1
    return found
