"""What the classic networks share: their norms, what these mean for windows, and how weights begin."""

from typing import Literal

import torch
from torch import Tensor, nn

from sat2map.models.layers import ChannelNorm

Norm = Literal["batch", "instance", "channel", "none"]
Windowing = Literal["exact", "blend"]

SPATIAL_STATISTICS: tuple[Norm, ...] = ("batch", "instance")  # norms that average over pixels


class InstanceNorm(nn.GroupNorm):
    """Group norm with groups of one channel, computed in the default memory layout.

    In channels-last memory torch's kernel on CPUs loses digits wherever a channel is nearly constant, as under the flat
    colours of maps: pictures came out 0.02 off on a scale of 2 (docs/LOG.md, 2026-11-20).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return super().forward(x.contiguous())


def normalisation(norm: Norm, width: int, *, affine: bool = True) -> nn.Module:
    """Normalise `width` channels; `affine=False` leaves out the learned scale and shift of batch and instance norm.

    At batch 1, which is the paper's, instance norm computes what the paper calls batch norm: it takes the
    statistics of the test batch, not running ones. It says so itself in section 3.3.
    """
    if norm == "batch":
        return nn.BatchNorm2d(width, affine=affine)
    if norm == "instance":  # groups of one channel are instance norm, and export without torch's warning
        return InstanceNorm(width, width, affine=affine)
    return ChannelNorm(width) if norm == "channel" else nn.Identity()


def windowing_of(norm: Norm) -> Windowing:
    """How a scene is put together from windows of a network with this norm."""
    return "blend" if norm in SPATIAL_STATISTICS else "exact"


def initialise_normal(network: nn.Module, std: float = 0.02) -> None:
    """Draw kernels from normal(0, std) and norm scales from normal(1, std), biases zero (paper, section 3.3).

    Channel norms keep their scale of one: they are not the paper's.
    """
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, std)
        elif isinstance(part, nn.BatchNorm2d | nn.GroupNorm) and part.affine:
            nn.init.normal_(part.weight, 1.0, std)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def check_sides(image: Tensor, stride: int, smallest: int) -> None:
    """Raise ValueError unless the sides of (N, C, H, W) are multiples of `stride` and at least `smallest` px.

    Not while an export traces the network: it would freeze the sides of the example into the graph.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return
    height, width = image.shape[-2:]
    if height % stride or width % stride or min(height, width) < smallest:
        raise ValueError(
            f"a picture of {height}x{width} px does not fit this network: pad it to multiples of {stride} px, "
            f"at least {smallest}"
        )
