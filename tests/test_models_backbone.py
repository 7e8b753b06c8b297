"""The pretrained part of `carto`: folded weights say what the published network says, and training leaves its root."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models import build_generator
from sat2map.models.backbone import CHANNELS, FIXED, STAGES, STRIDES, Backbone, folded_weights
from sat2map.training.pretrained import FILE, load_pretrained

PUBLISHED = "SAT2MAP_PUBLISHED_BACKBONE"  # path of efficientnet-lite0-57934424.pth
SMALL = {"widths": [8, 8, 8, 8], "head": 8, "backbone": True}


def published_like() -> dict[str, Tensor]:
    """Random weights by the published names, with the statistics of batch norms that have seen something."""
    torch.manual_seed(5)
    found: dict[str, Tensor] = {}

    def conv(name: str, shape: tuple[int, ...]) -> None:
        found[f"{name}.weight"] = torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = torch.rand(width) + 0.5, torch.randn(width)
        found[f"{name}.running_mean"] = torch.randn(width) / 4
        found[f"{name}.running_var"] = torch.rand(width) + 0.2

    conv("_conv_stem", (32, 3, 3, 3))
    norm("_bn0", 32)
    width, block = 32, 0
    for stage in STAGES:
        for _ in range(stage.blocks):
            wide, name = width * stage.expand, f"_blocks.{block}"
            if stage.expand > 1:
                conv(f"{name}._expand_conv", (wide, width, 1, 1))
                norm(f"{name}._bn0", wide)
            conv(f"{name}._depthwise_conv", (wide, 1, stage.kernel, stage.kernel))
            norm(f"{name}._bn1", wide)
            conv(f"{name}._project_conv", (stage.channels, wide, 1, 1))
            norm(f"{name}._bn2", stage.channels)
            width, block = stage.channels, block + 1
    return found


def unfolded(weights: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """The published network up to stride 16, step by step: convolutions, then batch norms, TensorFlow's padding."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        side, groups = kernel.shape[-1], x.shape[1] // kernel.shape[1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + side - x.shape[-1], 0)
        pads = (total // 2, total - total // 2)
        return F.conv2d(F.pad(x, pads * 2), kernel, stride=stride, groups=groups)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-3)

    x = F.relu6(norm(conv(image, "_conv_stem", 2), "_bn0"))
    block, found = 0, {}
    for stage in STAGES:
        for n in range(stage.blocks):
            name, before = f"_blocks.{block}", x
            if stage.expand > 1:
                x = F.relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
            x = F.relu6(
                norm(conv(x, f"{name}._depthwise_conv", stage.stride if n == 0 else 1), f"{name}._bn1")
            )
            x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + before if n else x
            block += 1
        found[image.shape[-1] // x.shape[-1]] = x  # the last of each stride
    return [found[stride] for stride in STRIDES]


@torch.no_grad()
def test_folded_weights_say_what_the_network_with_batch_norms_says() -> None:
    weights = published_like()
    backbone = Backbone()
    backbone.load_state_dict(folded_weights(weights))
    image = torch.rand(2, 3, 96, 96) * 2 - 1
    for ours, theirs, width, stride in zip(
        backbone(image), unfolded(weights, image), CHANNELS, STRIDES, strict=True
    ):
        assert ours.shape == (2, width, 96 // stride, 96 // stride)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_weights_without_a_layer_are_refused() -> None:
    weights = published_like()
    del weights["_blocks.3._bn1.running_var"]
    with pytest.raises(KeyError, match=r"_blocks\.3\._bn1\.running_var"):
        folded_weights(weights)


@pytest.mark.skipif(PUBLISHED not in os.environ, reason=f"{PUBLISHED} does not name the published checkpoint")
def test_the_shipped_file_is_the_published_checkpoint_in_half_precision() -> None:
    from safetensors.torch import load

    published = torch.load(Path(os.environ[PUBLISHED]), weights_only=True)
    ours = load(FILE.read_bytes())
    theirs = {name: value.half() for name, value in folded_weights(published).items()}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_new_carto_begins_with_the_published_features_and_does_not_hear_them_yet() -> None:
    network = build_generator("carto", 4, SMALL)
    load_pretrained(network)
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    assert network.backbone is not None
    with torch.no_grad():
        features, before = network.backbone(image), network(image)
        network.backbone.load_state_dict(Backbone().state_dict())
        after = network(image)
    assert torch.equal(before, after), "the joins start at zero"
    assert all(0.5 < float(level.std()) < 50 for level in features), "features of a trained network"


def test_training_moves_the_later_stages_and_leaves_the_first() -> None:
    network = build_generator("carto", 4, SMALL)
    load_pretrained(network)
    for join in network.join:
        nn.init.normal_(join.conv.weight, std=0.1)
    for block in [*network.encoder, *network.decoder]:
        nn.init.normal_(block[0].second.weight, std=0.1)
    network(torch.rand(1, 3, 128, 128) * 2 - 1).square().mean().backward()
    assert network.backbone is not None
    moved = {name for name, weight in network.backbone.named_parameters() if weight.grad is not None}
    fixed = ("stem", *(f"stages.{number}." for number in range(FIXED)))
    everything = {name for name, _ in network.backbone.named_parameters()}
    assert moved == {name for name in everything if not name.startswith(fixed)}
    assert moved


@pytest.mark.parametrize("wrong", [{"widths": [8, 8], "encoder": [1, 1], "decoder": [1]}, {"inputs": 4}])
def test_a_network_that_a_backbone_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    from sat2map.models.carto import Carto

    with pytest.raises(ValueError, match="backbone needs"):
        Carto(4, **{**SMALL, **wrong})
