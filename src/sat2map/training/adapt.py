"""A bundle's weights as the beginning of another run, whose maps may have other colours.

A palette painter's last layer has one group of rows for each colour of the palette that was learned from its training
maps. Maps of another city have their own palette: other shades, another number, another order. So each new colour
begins with the rows of the old colour that is nearest to it; colours that share one begin with equal parts of its
probability. What was learned of shapes is kept, and the first pictures are those of the bundle, in the new colours.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sat2map.errors import BadBundle
from sat2map.palette import Palette
from sat2map.training.cyclegan import BACK
from sat2map.training.player import System


def start_from_bundle(
    system: System, id_or_dir: str | Path, direction: str, palette: Palette | None = None
) -> None:
    """Fill a generator with a bundle's weights, to go on training on other pictures; `palette` is that of the run.

    A system that goes both ways fills the generator of the bundle's own direction, where that is not `direction`.
    Raises BadBundle, UnknownModel.
    """
    from safetensors.torch import load

    from sat2map import bundle

    found = bundle.find(id_or_dir)
    back = system.players.get("generator" + BACK)
    player = back if back and found.card.direction != direction else system.players["generator"]
    weights = load(found.weights.read_bytes())
    if palette is not None and found.card.palette is not None:
        weights = recoloured(player.network, weights, found.card.palette, palette)
    own = player.network.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [
        name for name in own if own[name].shape != weights[name].shape
    ]
    if wrong:
        raise BadBundle(
            f"the bundle {found.card.id} ({found.card.architecture} {found.card.parameters}) does not fit the recipe's "
            f"generator (first difference: {wrong[0]})",
            "Set generator.name and generator.parameters as the bundle's card has them, and objective.palette=0 "
            "where it has no palette",
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(weights[name])
    if player.average is not None:
        player.average.weights = {name: value.detach().clone() for name, value in own.items()}


def recoloured(
    network: nn.Module, weights: Mapping[str, Tensor], old: Palette, new: Palette
) -> dict[str, Tensor]:
    """Weights whose last layer scores the colours of `new`, made of rows that scored those of `old`.

    Equal palettes change nothing. Weights that are not those of such a network come back as they are.
    """
    name, layer = _last_layer(network)
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    kernel = weights.get(f"{name}.weight")
    if old.colours == new.colours or kernel is None or kernel.shape[axis] % len(old):
        return dict(weights)
    each = kernel.shape[axis] // len(old)  # outputs of a colour: one, or those of a square of pixels
    source = torch.from_numpy(old.encode(np.asarray(new.colours, np.uint8)).astype(np.int64))  # (K,)
    rows = (source[:, None] * each + torch.arange(each)).flatten()
    found = dict(weights) | {f"{name}.weight": kernel.index_select(axis, rows)}
    if f"{name}.bias" in weights:
        sharing = torch.bincount(source, minlength=len(old))[source].log()  # softmax: halves are log 2 less
        bias = weights[f"{name}.bias"].float().index_select(0, rows) - sharing.repeat_interleave(each)
        found[f"{name}.bias"] = bias
    return found


def _last_layer(network: nn.Module) -> tuple[str, nn.Module]:
    """The convolution that gives the scores: all generators call it, or what holds it, `head`."""
    layers = [
        (name, part)
        for name, part in network.named_modules()
        if name.partition(".")[0] == "head" and isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert layers, f"{type(network).__name__} has no head"
    return layers[-1]
