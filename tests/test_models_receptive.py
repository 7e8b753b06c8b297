"""How far networks look: what `Span` computes is what gradients show, to the pixel. And what the layers promise."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sat2map.models import build_generator
from sat2map.models.layers import ChannelNorm, Down, ResBlock, Up
from sat2map.models.receptive import Span

CARTOS = {
    "default depth": {"widths": [4, 4, 4, 4], "head": 8},
    "two levels": {"widths": [6, 4], "encoder": [0, 1], "decoder": [1], "head": 8},
    "no blocks": {"widths": [4, 4, 4], "encoder": [0, 0, 0], "decoder": [0, 0], "head": 8},
    "backbone": {"widths": [4, 4, 4, 4], "head": 8, "backbone": True},
    "deep bottleneck": {"widths": [4, 4, 4], "encoder": [1, 0, 4], "decoder": [0, 2], "head": 8},
}
NETWORKS = {
    **{f"carto, {label}": ("carto", parameters) for label, parameters in CARTOS.items()},
    **{
        f"unet {levels} {norm} {upsample}": (
            "unet",
            {"levels": levels, "width": 4, "norm": norm, "upsample": upsample},
        )
        for levels, norm, upsample in [
            (2, "none", "transposed"),
            (4, "none", "transposed"),
            (3, "none", "nearest"),
            (3, "channel", "transposed"),
        ]
    },
    "resnet none": ("resnet", {"blocks": 2, "width": 4, "norm": "none"}),
    "resnet channel": ("resnet", {"blocks": 3, "width": 16, "norm": "channel"}),
}


def alive(network: nn.Module, *, positive: bool) -> nn.Module:
    """Random float64 weights under which every path carries a gradient; all positive where a ReLU could close one."""
    torch.manual_seed(3)
    for weight in network.parameters():
        fan_in = max(weight[0].numel(), 1)
        noise = torch.rand_like(weight) if positive else torch.randn_like(weight)
        weight.data.copy_(noise / (fan_in if positive else fan_in**0.5))
    return network.double().eval()


def support(look: Callable[[torch.Tensor], torch.Tensor], size: int, side: int, channels: int) -> Span:
    """First and last row of a (size, side) picture that what `look` returns depends on, by gradients."""
    torch.manual_seed(4)
    image = torch.rand(1, channels, size, side, dtype=torch.float64, requires_grad=True)
    seen = look(image)
    torch.autograd.backward((seen * torch.rand_like(seen)).sum())
    assert image.grad is not None
    rows = image.grad.abs().amax((0, 1, 3)).nonzero().flatten().tolist()
    return Span(rows[0], rows[-1])


@pytest.mark.parametrize("label", NETWORKS)
def test_the_computed_reach_of_a_generator_is_the_support_of_its_gradient(label: str) -> None:
    name, parameters = NETWORKS[label]
    network = build_generator(name, 2, parameters)
    stride = network.stride
    before = -(-network.receptive_radius() // stride) + 1  # squares of one stride, with room to spare
    start, size = before * stride, (2 * before + 1) * stride
    alive(network, positive=name != "carto" and "none" in label)
    cell = Span(start, start + stride - 1)
    rows = {start, start + 1, start + stride // 2, start + stride - 1}
    found = {}
    for part in (cell, *(Span(row, row) for row in sorted(rows))):
        expected = network.reach(part)
        assert expected.first > 0
        assert expected.last < size - 1
        found[part] = support(
            lambda x, p=part: network(x)[:, :, p.first : p.last + 1],  # type: ignore[misc]
            size,
            max(stride, 8),
            3,
        )
        assert found[part] == expected
    assert network.receptive_radius() == max(start - found[cell].first, found[cell].last - cell.last)


@pytest.mark.parametrize("label", NETWORKS)
def test_reach_is_alike_at_every_multiple_of_the_stride(label: str) -> None:
    network = build_generator(NETWORKS[label][0], 2, NETWORKS[label][1])
    first, last = network.reach(Span(0, network.stride - 1))
    for number in (-3, 5):
        shift = number * network.stride
        moved = network.reach(Span(shift, shift + network.stride - 1))
        assert moved == Span(first + shift, last + shift)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_span_of_a_convolution(kernel: int, stride: int, dilation: int) -> None:
    layer = alive(nn.Conv2d(1, 1, (kernel, 1), (stride, 1), (kernel // 2, 0), (dilation, 1)), positive=True)
    expected = Span(8, 9).conv(kernel, stride, kernel // 2, dilation)
    assert support(lambda x: layer(x)[:, :, 8:10], 60, 1, 1) == expected


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (4, 2, 1), (4, 4, 0), (5, 3, 1)]
)
@pytest.mark.parametrize("first", [8, 9, 10, 11])
def test_span_of_a_transposed_convolution(kernel: int, stride: int, padding: int, first: int) -> None:
    layer = alive(nn.ConvTranspose2d(1, 1, (kernel, 1), (stride, 1), (padding, 0)), positive=True)
    expected = Span(first, first + 1).transposed(kernel, stride, padding)
    assert support(lambda x: layer(x)[:, :, first : first + 2], 20, 1, 1) == expected


@pytest.mark.parametrize("first", [0, 5, 7])
def test_span_of_folding_and_unfolding(first: int) -> None:
    folded = support(lambda x: F.pixel_unshuffle(x, 4)[:, :, first : first + 2], 48, 4, 1)
    assert folded == Span(first, first + 1).finer(4)
    unfolded = support(lambda x: F.pixel_shuffle(x, 4)[:, :, first : first + 2], 12, 4, 16)
    assert unfolded == Span(first, first + 1).coarser(4)


def test_channel_norm_is_layer_norm_over_the_channels_of_each_pixel() -> None:
    torch.manual_seed(0)
    ours, theirs = ChannelNorm(6), nn.LayerNorm(6)
    theirs.weight.data.uniform_()
    theirs.bias.data.uniform_()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 5, 7)
    expected = theirs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours(x), expected)
    nearer = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(nearer), expected)


def test_down_reads_one_square_and_up_writes_one_square() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 4, 8, 8)
    touched = x.clone()
    touched[:, :, 2:4, 6:8] += torch.randn(1, 4, 2, 2)
    down = Down(4, 6)
    moved = (down(x) != down(touched)).any(1)[0].nonzero().tolist()
    assert moved == [[1, 3]]
    touched = x.clone()
    touched[:, :, 2, 6] += torch.randn(4)
    up = Up(4, 6)
    moved = (up(x) != up(touched)).any(1)[0].nonzero().tolist()
    assert moved == [[4, 12], [4, 13], [5, 12], [5, 13]]


def test_a_fresh_residual_block_is_the_identity_and_a_trained_one_is_not() -> None:
    block = ResBlock(4)
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)
    nn.init.normal_(block.second.weight)
    assert (block(x) - x).abs().amax() > 0.01
