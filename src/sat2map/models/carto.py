"""`carto`: the default generator. Seam-free, palette head, compact.

A U-Net without window statistics. The image is folded into a grid of stride 4 (pixel-unshuffle), widened while the
grid is halved down to the last level, and brought back with additive skips; a small per-position perceptron then
paints each 4×4 square with class scores (pixel-shuffle). Work at full resolution is thus limited to the softmax.
Context comes from the coarse levels, where a 3×3 convolution reaches stride pixels and costs next to nothing; how far
the whole network looks is `receptive_radius`, which decides the halo of scenes.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.backbone import CHANNELS, Backbone
from sat2map.models.layers import ChannelNorm, Down, ResBlock, Up, through
from sat2map.models.planes import ClassPlanes
from sat2map.models.receptive import Span

FOLD = 4  # px per side of the squares that the stem folds and the head paints
PERIOD = 128  # px after which the fixed noise of a finished model repeats


class Carto(nn.Module):
    """Image to `outputs` channels: palette scores (softmax to come) or RGB.

    `widths[i]` channels at stride 4·2^i; `encoder[i]` and `decoder[i]` residual blocks there (the last level has only
    `encoder`); `head` hidden channels of the painting perceptron.

    `noise` channels of normal noise may join the folded image, for maps that allow more than one picture. In training
    they are drawn anew; in evaluation they are one pattern drawn from `noise_seed` and repeated every PERIOD px, so
    that a picture has one answer and, as the stride is then a multiple of PERIOD, windows still join exactly.

    With `planes` the input is a map, and what its colours mean joins them (`ClassPlanes`); `smooth` is for painters
    of texture (`Up`).

    With `backbone` the features of a pretrained network join: those of stride 4 and 8 before the encoder's blocks,
    those of stride 16 before the decoder's, since the coarse levels would carry them beyond a halo of 256 px.
    """

    pattern: Tensor  # (1, noise, PERIOD / FOLD, PERIOD / FOLD)

    windowing: Literal["exact", "blend"] = "exact"

    def __init__(
        self,
        outputs: int,
        widths: Sequence[int] = (64, 128, 192, 256),
        encoder: Sequence[int] = (1, 1, 2, 1),
        decoder: Sequence[int] = (2, 1, 1),
        head: int = 128,
        inputs: int = 3,
        noise: int = 0,
        noise_seed: int = 0,
        planes: bool = False,
        smooth: bool = False,
        backbone: bool = False,
    ) -> None:
        super().__init__()
        if not len(widths) == len(encoder) == len(decoder) + 1:
            raise ValueError(f"widths {widths}, encoder {encoder} and decoder {decoder} do not fit")
        if backbone and (len(widths) <= len(CHANNELS) or inputs != 3):
            raise ValueError(
                f"a backbone needs {len(CHANNELS) + 1} widths or more and pictures of 3 channels"
            )
        if noise < 0:
            raise ValueError(f"noise {noise} must not be negative")
        stride = FOLD << (len(widths) - 1)
        self.stride = math.lcm(stride, PERIOD) if noise else stride
        self.outputs, self.noise = outputs, noise
        self.backbone = Backbone() if backbone else None
        joined = zip(CHANNELS, widths, strict=False) if backbone else ()
        self.join = nn.ModuleList(Join(channels, width) for channels, width in joined)
        self.planes = ClassPlanes() if planes else None
        inputs = ClassPlanes.channels(inputs) if planes else inputs
        self.stem = nn.Conv2d(inputs * FOLD**2 + noise, widths[0], 3, padding=1)
        if noise:
            self.register_buffer("pattern", noise_pattern(noise, noise_seed))
        levels = range(len(widths))
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResBlock(widths[i]) for _ in range(encoder[i]))) for i in levels
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(*(ResBlock(widths[i]) for _ in range(decoder[i]))) for i in levels[:-1]
        )
        self.down = nn.ModuleList(Down(widths[i], widths[i + 1]) for i in levels[:-1])
        self.up = nn.ModuleList(Up(widths[i + 1], widths[i], smooth) for i in levels[:-1])
        self.head_norm = ChannelNorm(widths[0])
        self.head_hidden = nn.Conv2d(widths[0], head, 1)
        self.head = nn.Conv2d(head, outputs * FOLD**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [-1, 1], sides multiples of `stride` -> (N, outputs, H, W) scores."""
        return F.pixel_shuffle(self.folded(image), FOLD)

    def folded(self, image: Tensor) -> Tensor:
        """Scores before the last pixel-shuffle: (N, outputs·16, H/4, W/4), channel = class·16 + row·4 + column."""
        features = [] if self.backbone is None else self.backbone(image)
        x = F.pixel_unshuffle(image if self.planes is None else self.planes(image), FOLD)
        if self.noise:
            x = torch.cat([x, self._noise_for(x)], 1)
        x = self.stem(x)  # (N, w0, H/4, W/4)
        skips: list[Tensor] = []
        for i, blocks in enumerate(self.encoder):
            if i < len(features) - 1:
                x = x + self.join[i](features[i])
            x = blocks(x)
            if i < len(self.down):
                skips.append(x)
                x = self.down[i](x)  # (N, w[i+1], H/(8·2^i), ...)
        for i in reversed(range(len(self.up))):
            x = self.up[i](x) + skips[i]
            if i == len(features) - 1:
                x = x + self.join[i](features[i])
            x = self.decoder[i](x)
        return self.head(F.silu(self.head_hidden(self.head_norm(x))))  # type: ignore[no-any-return]

    def _noise_for(self, folded: Tensor) -> Tensor:
        count, _, height, width = folded.shape
        if self.training:
            return torch.randn(count, self.noise, height, width, device=folded.device, dtype=folded.dtype)
        side = PERIOD // FOLD
        rows = torch.arange(height, device=folded.device) % side
        cols = torch.arange(width, device=folded.device) % side
        pattern = self.pattern.to(folded.dtype)[:, :, rows][:, :, :, cols]
        return pattern.expand(count, -1, -1, -1)

    def reach(self, span: Span) -> Span:
        """Input pixels that the output pixels in `span` depend on."""
        span = span.coarser(FOLD)
        skips: list[Span] = []
        for i in range(len(self.up)):
            span = through(self.decoder[i], span)
            skips.append(span)
            span = self.up[i].reach(span)  # type: ignore[operator]
        heard = skips[: len(self.join)]  # where features of the backbone come in
        for i in reversed(range(len(self.encoder))):
            span = through(self.encoder[i], span)
            if i < len(heard) - 1:
                heard[i] = span
            if i:
                span = self.down[i - 1].reach(span).union(skips[i - 1])  # type: ignore[operator]
        span = span.conv(3, padding=1).finer(FOLD)
        return span if self.backbone is None else span.union(self.backbone.reach(heard))

    def receptive_radius(self) -> int:
        """Pixels that an output can depend on beyond its own stride-aligned square."""
        return self.reach(Span(0, self.stride - 1)).radius(self.stride)


class Join(nn.Module):
    """Features of the backbone for a level of `carto`: norm, then a 1×1 convolution that starts at zero.

    A trained network thus says at first what it said without them.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv = nn.Conv2d(channels, width, 1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        return self.conv(self.norm(x))  # type: ignore[no-any-return]


def noise_pattern(channels: int, seed: int) -> Tensor:
    """The fixed noise of one seed, (1, channels, PERIOD / FOLD, PERIOD / FOLD)."""
    side = PERIOD // FOLD
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(seed))


def initialise(network: Carto, prior: Tensor | None = None) -> None:
    """Set the last bias to the log of the class shares, so that training starts from the base rates.

    Lin et al. 2017 (focal loss, section 4.1) show why rare classes need it. `prior`: (outputs,) shares summing to 1.
    """
    nn.init.normal_(network.head.weight, std=0.02)
    if prior is not None:
        with torch.no_grad():
            bias = prior.clamp_min(1e-4).log().repeat_interleave(FOLD**2)
            network.head.bias.copy_(bias)  # type: ignore[union-attr]
