"""Tiles per second: a bundle in ONNX Runtime and in PyTorch bf16, beside the reference networks in eager PyTorch.

    python benchmarks/inference.py [--model ID|DIR] [--rounds 5] [--json FILE]

Every contestant translates 256×256 tiles, one at a time, on all cores. `seam-free` is what `sat2map translate` does:
cells with their halo, counted in 256×256 tiles of finished map; it computes pixels that it throws away, and is what
a scene costs. Without a trained model the default network with random weights takes its place, which is as fast.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

import reference
from measuring import Contestant, arguments, finish, interleaved, report_rates
from sat2map.bundle import DEFAULT, Bundle, ModelCard, Training, find, write_bundle
from sat2map.errors import UnknownModel
from sat2map.models import build_generator
from sat2map.palette import MAPS
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.pictures import translate_image
from sat2map.training.graph import Deployed, export

UNET, RESNET = "U-Net-256, eager fp32", "ResNet-9, eager fp32"


def stand_in(folder: Path) -> Bundle:
    """A bundle of the default network with random weights."""
    network = build_generator("carto", len(MAPS), {}).eval()
    radius, stride = network.receptive_radius(), network.stride
    halo = -(-radius // stride) * stride
    card = ModelCard(
        id="stand-in",
        title="carto with random weights",
        direction="sat2map",
        kind="palette",
        architecture="carto",
        parameters={},
        parameter_count=reference.parameters(network),
        metres_per_pixel=1.0,
        palette=MAPS,
        stride=stride,
        receptive_radius=radius,
        halo=halo,
        cell=-(-608 // stride) * stride,
        training=Training("none", "none", 0, {}, 0, 0.0, {}),
        licence="Apache-2.0",
        created="2026-01-01T00:00:00Z",
    )
    return write_bundle(folder / "stand-in", card, export(Deployed(network, MAPS, 1.0), 8 * stride), b"none")


def find_or_stand_in(model: str, folder: Path) -> Bundle:
    """The model asked for; a stand-in for the default one where it is not shipped yet."""
    try:
        return find(model)
    except UnknownModel:
        if model != DEFAULT:
            raise
        print(f"no model {model!r} is shipped: measuring its network with random weights")
        return stand_in(folder)


def network_of(bundle: Bundle) -> nn.Module:
    """The bundle's network in PyTorch; its weights do not matter for speed."""
    outputs = len(bundle.card.palette) if bundle.card.palette else 3
    return build_generator(bundle.card.architecture, outputs, bundle.card.parameters).eval()


def in_torch(network: nn.Module, precision: torch.dtype) -> Callable[[], object]:
    """One tile through a network in evaluation mode; bf16 weights in channels-last memory, fp32 as it comes."""
    tile = torch.zeros(1, 3, 256, 256)
    if precision != torch.float32:
        network = network.to(precision).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        tile = tile.to(precision).to(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return network(tile)

    return run


def contestants(bundle: Bundle) -> list[Contestant]:
    """The bundle in its three forms, and the references."""
    tile = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3)).astype(np.uint8)
    scene = (
        np.random.default_rng(0)
        .integers(0, 256, (bundle.card.cell, 2 * bundle.card.cell, 3))
        .astype(np.uint8)
    )
    all_cores, single = OnnxTranslator(bundle, threads=None), OnnxTranslator(bundle)
    name = bundle.card.id
    return [
        Contestant(f"{name}, ONNX Runtime", 1, lambda: all_cores(tile, ("colour",))),
        Contestant(f"{name}, torch bf16", 1, in_torch(network_of(bundle), torch.bfloat16)),
        Contestant(
            f"{name}, seam-free scene", scene.size / 3 / 256**2, lambda: translate_image(single, scene)
        ),
        Contestant(UNET, 1, in_torch(reference.unet_256().eval(), torch.float32)),
        Contestant(RESNET, 1, in_torch(reference.resnet_9().eval(), torch.float32)),
    ]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default=DEFAULT, help=f"id or folder of a bundle (default {DEFAULT})")
    parser.add_argument("--seconds", type=float, default=1.0, help="per contestant and round (default 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = find_or_stand_in(options.model, Path(folder))
        rates = interleaved(contestants(bundle), options.rounds, options.seconds)
        found = report_rates(rates, "tiles/s", [UNET, RESNET])
    finish(options.json, {"model": bundle.card.id, "inference": found})


if __name__ == "__main__":
    main()
