"""How weights begin, where a recipe does not leave that to the network."""

import torch
from torch import nn
from torch.nn.utils import parametrize

KINDS = ("normal", "xavier", "kaiming", "orthogonal")


@torch.no_grad()
def initialise(network: nn.Module, kind: str, spread: float) -> None:
    """Draw all kernels anew from torch's global random state; biases become zero.

    normal: deviation `spread`, norm scales around 1 with the same (pix2pix, section 3.3, with 0.02). xavier: Glorot and
    Bengio 2010 with gain `spread`. kaiming: He et al. 2015, for ReLU. orthogonal: Saxe et al. 2014 with gain `spread`.
    """
    assert kind in KINDS, f"unknown initialisation {kind}"
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fresh = _drawn(part.weight.detach().clone(), kind, spread)
            if parametrize.is_parametrized(
                part, "weight"
            ):  # spectral norm: this sets the kernel under the bound
                part.weight = fresh
            else:
                part.weight.copy_(fresh)
        elif kind == "normal" and isinstance(part, nn.BatchNorm2d | nn.GroupNorm) and part.affine:
            nn.init.normal_(part.weight, 1.0, spread)
        else:
            continue
        if part.bias is not None:
            nn.init.zeros_(part.bias)


def _drawn(kernel: torch.Tensor, kind: str, spread: float) -> torch.Tensor:
    if kind == "normal":
        return nn.init.normal_(kernel, 0.0, spread)
    if kind == "xavier":
        return nn.init.xavier_normal_(kernel, spread)
    if kind == "orthogonal":
        return nn.init.orthogonal_(kernel, spread)
    return nn.init.kaiming_normal_(kernel, nonlinearity="relu")
