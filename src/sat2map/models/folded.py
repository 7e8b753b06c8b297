"""The discriminator that trains `carto`: it folds the picture first, so that no layer works at full resolution.

Four by four pixels become one position of sixteen times the channels (pixel-unshuffle, as in `carto`'s own stem),
and 3×3 convolutions go on from there at stride 4, 8 and, if wanted, 16. The 70 px PatchGAN does most of its work in
one wide layer at stride 8; this one has narrower layers and costs less than a quarter (a test counts the operations).

Aerial pictures are dark and their texture is weak beside their level, so inner layers have a norm: without one, sixty
steps did not tell blurred pictures from true ones, with batch norm thirty did (docs/LOG.md, 2026-11-20). Spectral norm
(Miyato et al. 2018) can bound the slope instead.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.norms import Norm, normalisation
from sat2map.models.patch import bounded_slope
from sat2map.models.planes import ClassPlanes
from sat2map.models.receptive import Span

FOLD = 4  # px per side of the squares that become one position
SLOPE = 0.2  # of the leaky ReLU


class FoldedDiscriminator(nn.Module):
    """Scores at stride 8, and with `coarse` > 0 also at stride 16.

    `widths`: channels at stride 4 and 8; `depth` convolutions at stride 8 before the scores; `coarse` channels at
    stride 16, where one more convolution follows. `norm` follows every convolution but the first and the scores, and
    `spectral` bounds every kernel. With batch or instance norm, scores also depend on the statistics of their picture.
    With `planes` the condition is a map, and what its colours mean joins them (`ClassPlanes`).
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int] = (64, 128),
        depth: int = 3,
        coarse: int = 0,
        norm: Norm = "batch",
        spectral: bool = False,
        planes: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != 2 or min(widths) < 1 or depth < 0 or coarse < 0:
            raise ValueError(
                f"widths {list(widths)} must be two numbers above 0, depth {depth} and coarse {coarse} not negative"
            )
        fine, wide = widths

        def conv(width: int, wider: int, stride: int = 1) -> nn.Module:
            kernel = nn.Conv2d(width, wider, 3, stride, 1)
            nn.init.kaiming_normal_(kernel.weight, SLOPE)
            nn.init.zeros_(kernel.bias)  # type: ignore[arg-type]
            return bounded_slope(kernel, spectral)

        def layer(width: int, wider: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(conv(width, wider, stride), normalisation(norm, wider))

        self.planes = ClassPlanes() if planes else None
        self.stem = conv((ClassPlanes.channels(inputs) if planes else inputs) * FOLD**2, fine)
        self.down = layer(fine, wide, 2)
        self.stages = nn.ModuleList(layer(wide, wide) for _ in range(depth))
        self.head = conv(wide, 1)
        self.coarse = nn.ModuleList([layer(wide, coarse, 2), layer(coarse, coarse)] if coarse else [])
        self.head_coarse = conv(coarse, 1) if coarse else None

    def forward(self, pair: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, C, H, W) condition and picture, sides multiples of 4 -> scores (N, 1 or 2, H/8, W/8), features.

        The second channel holds the scores of stride 16, each repeated over the 2×2 positions that it covers, so that
        a mean over everything weighs both scales alike.
        """
        if pair.shape[-2] % FOLD or pair.shape[-1] % FOLD:
            raise ValueError(f"sides of {tuple(pair.shape[-2:])} px must be multiples of {FOLD}")
        x = F.pixel_unshuffle(pair if self.planes is None else self.planes(pair), FOLD)  # (N, 16C, H/4, W/4)
        features: list[Tensor] = []
        for layer in (self.stem, self.down, *self.stages):
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        scores = self.head(x)  # (N, 1, H/8, W/8)
        if self.head_coarse is None:
            return scores, features
        for layer in self.coarse:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        second = F.interpolate(self.head_coarse(x), size=scores.shape[-2:], mode="nearest")
        return torch.cat([scores, second], 1), features

    def reach(self, span: Span) -> Span:
        """Input pixels that the scores in `span` depend on; positions are those of the finest score map."""
        deepest = span.conv(3, padding=1)
        if self.head_coarse is not None:
            coarse = span.coarser(2).conv(3, padding=1).conv(3, padding=1).conv(3, 2, 1)
            deepest = deepest.union(coarse)
        for _ in self.stages:
            deepest = deepest.conv(3, padding=1)
        return deepest.conv(3, 2, 1).conv(3, padding=1).finer(FOLD)

    def receptive_field(self) -> int:
        """Side of the patch that one position of the score map judges, in pixels."""
        first, last = self.reach(Span(0, 0))
        return last - first + 1
