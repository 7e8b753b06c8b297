"""Whole pictures through a network in training: for development figures, samples and calibration."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from sat2map.data.batches import UInt8, to_tensor
from sat2map.models import paint
from sat2map.palette import Palette


@contextmanager
def weights_of(network: nn.Module, weights: dict[str, Tensor] | None) -> Iterator[None]:
    """Lend a network other weights, in evaluation mode; its own come back bit-equal."""
    own = {name: value.clone() for name, value in network.state_dict().items()}
    training = network.training
    network.eval()
    try:
        _copy(network, weights or own)
        yield
    finally:
        _copy(network, own)
        network.train(training)


def _copy(network: nn.Module, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in network.state_dict().items():
            value.copy_(weights[name])


@torch.no_grad()
def scores_of(
    network: nn.Module, picture: UInt8, *, margin: int, stride: int, precision: torch.dtype
) -> Tensor:
    """(H, W, 3) uint8 -> (K, H, W) float32 scores, read with `margin` reflected pixels around the picture.

    `margin` is a multiple of `stride`; the right and bottom margins grow until the sides are multiples too.
    """
    height, width = picture.shape[:2]
    below, right = -height % stride, -width % stride
    padding = ((margin, margin + below), (margin, margin + right), (0, 0))
    padded = np.pad(picture, padding, "reflect")
    device = next(network.parameters()).device
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        scores = network(to_tensor(padded[None]).to(device))
    inside: Tensor = scores[0, :, margin : margin + height, margin : margin + width]
    return inside.float().cpu()


def paint_picture(network: nn.Module, scores: Tensor, palette: Palette | None) -> UInt8:
    """(K, H, W) scores -> (H, W, 3) uint8 picture: the likeliest palette colour, or the RGB output itself."""
    if palette is not None:
        return palette.decode(scores.argmax(0).numpy().astype(np.uint8))
    levels = paint(network, scores).permute(1, 2, 0).add(1).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).numpy()
