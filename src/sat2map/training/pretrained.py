"""Weights that a network does not begin without: those of `carto`'s backbone, which were learned from photographs.

`backbones/efficientnet-lite0.safetensors` holds `models.backbone.folded_weights` of the checkpoint that Google
published (tensorflow/tpu, Apache-2.0; 75.1 % of ImageNet), in half precision.
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sat2map.models.backbone import Backbone

FILE = Path(__file__).parents[1] / "backbones" / "efficientnet-lite0.safetensors"


def load_pretrained(network: nn.Module) -> None:
    """Fill every backbone inside `network` with its published weights; there need not be one."""
    for part in network.modules():
        if isinstance(part, Backbone):
            part.load_state_dict(_published())


@cache
def _published() -> dict[str, Tensor]:
    from safetensors.torch import load

    return {name: value.to(torch.float32) for name, value in load(FILE.read_bytes()).items()}
