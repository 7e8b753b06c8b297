"""The generators: published sizes, seam-freeness where it is claimed, and what norms and dropout do."""

from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from torch import nn

from sat2map.models import Generator, build_generator
from sat2map.models.carto import Carto, initialise
from sat2map.models.receptive import UNBOUNDED
from sat2map.training.graph import Deployed, export

CARTO = {"widths": [8, 8, 8], "encoder": [1, 1, 1], "decoder": [1, 1], "head": 8}
EXACT: list[tuple[str, dict[str, Any]]] = [
    ("carto", CARTO),
    ("carto", {"widths": [6, 8], "encoder": [0, 2], "decoder": [1], "head": 8}),
    ("unet", {"levels": 3, "width": 8, "norm": "channel"}),
    ("unet", {"levels": 3, "width": 8, "norm": "none", "upsample": "nearest"}),
    ("resnet", {"blocks": 2, "width": 8, "norm": "channel"}),
    ("unet-maxpool", {"levels": 2, "width": 4, "norm": "channel"}),
    ("unet-maxpool", {"levels": 3, "width": 4, "norm": "none"}),
    ("carto", CARTO | {"noise": 2}),
    ("carto", CARTO | {"planes": True, "smooth": True}),
]
BLENDED: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"levels": 3, "width": 8, "norm": "batch"}),
    ("unet", {"levels": 3, "width": 8, "norm": "instance"}),
    ("resnet", {"blocks": 1, "width": 8, "norm": "instance"}),
    ("unet-maxpool", {"levels": 2, "width": 8, "norm": "batch"}),
]


def awake(name: str, outputs: int, parameters: dict[str, Any]) -> Generator:
    """A generator none of whose blocks is still the identity."""
    torch.manual_seed(1)
    network = build_generator(name, outputs, parameters)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return network.eval()


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("unet", {}, 54_413_955),  # published as 54.41 M
        ("unet", {"norm": "instance"}, 54_413_955),
        ("unet", {"levels": 7}, 41_828_995),
        ("resnet", {}, 11_378_179),  # published as 11.38 M
        ("resnet", {"blocks": 6}, 7_837_699),
        ("unet-maxpool", {}, 117_446_339),  # "about 117.4 M" (seed project)
    ],
)
def test_sizes_are_the_published_ones(name: str, parameters: dict[str, Any], expected: int) -> None:
    assert count(build_generator(name, 3, parameters)) == expected


@pytest.mark.parametrize(("name", "parameters"), EXACT)
@torch.no_grad()
def test_a_window_with_its_halo_gives_the_pixels_of_the_whole(name: str, parameters: dict[str, Any]) -> None:
    network = awake(name, 5, parameters)
    assert network.windowing == "exact"
    stride, radius = network.stride, network.receptive_radius()
    halo = -(-radius // stride) * stride
    whole = torch.rand(1, 3, 2 * halo + 5 * stride, 2 * halo + 4 * stride) * 2 - 1
    expected = network(whole)
    for row, col, height, width in ((0, 0, 1, 1), (1, 2, 3, 1), (2, 0, 2, 4)):
        top, left, tall, wide = (n * stride for n in (row, col, height, width))
        window = whole[:, :, top : top + tall + 2 * halo, left : left + wide + 2 * halo]
        inner = (slice(None), slice(None), slice(halo, halo + tall), slice(halo, halo + wide))
        place = (..., slice(top + halo, top + halo + tall), slice(left + halo, left + halo + wide))
        torch.testing.assert_close(network(window)[inner], expected[place], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "parameters"), EXACT)
@torch.no_grad()
def test_a_halo_one_stride_too_small_would_show(name: str, parameters: dict[str, Any]) -> None:
    """The control of the test above: the tolerance is not what makes it pass."""
    network = awake(name, 5, parameters).double()
    stride, radius = network.stride, network.receptive_radius()
    halo = -(-radius // stride) * stride
    whole = torch.rand(1, 3, 2 * halo + stride, 2 * halo + stride, dtype=torch.float64) * 2 - 1
    less = halo - stride
    window = whole[:, :, stride:-stride, stride:-stride]
    found = network(window)[:, :, less : less + stride, less : less + stride]
    expected = network(whole)[:, :, halo : halo + stride, halo : halo + stride]
    assert (found - expected).abs().amax() > 1e-13


@pytest.mark.parametrize("parameters", [CARTO, EXACT[1][1]])
@torch.no_grad()
def test_carto_shifts_with_its_picture_in_steps_of_the_stride(parameters: dict[str, Any]) -> None:
    network = awake("carto", 5, parameters)
    stride, radius = network.stride, network.receptive_radius()
    halo = -(-radius // stride) * stride
    image = torch.rand(1, 3, 2 * halo + 4 * stride, 2 * halo + 4 * stride)
    expected = network(image)[:, :, halo + stride : -halo, halo + 2 * stride : -halo]
    moved = network(image.roll((-stride, -2 * stride), (2, 3)))[
        :, :, halo : -halo - stride, halo : -halo - 2 * stride
    ]
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-5)
    odd = network(image.roll(-1, 2))[:, :, halo:-halo, halo:-halo]  # control: between strides it does not
    assert (odd[:, :, :-1] - network(image)[:, :, halo + 1 : -halo, halo:-halo]).abs().amax() > 1e-3


@pytest.mark.parametrize(("name", "parameters"), BLENDED)
def test_norms_over_space_reach_across_the_whole_window(name: str, parameters: dict[str, Any]) -> None:
    network = awake(name, 3, parameters).train()
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    assert network.receptive_radius() == UNBOUNDED
    assert network.windowing == "blend"
    image = torch.rand(1, 3, 16, 256, requires_grad=True)
    network(image)[:, :, :, :8].square().sum().backward()
    assert image.grad is not None
    assert image.grad[:, :, :, -8:].abs().amax() > 0


def test_palette_scores_of_a_fresh_carto_start_at_the_prior() -> None:
    torch.manual_seed(0)
    network = build_generator("carto", 4, CARTO)
    assert isinstance(network, Carto)
    prior = torch.tensor([0.7, 0.2, 0.09, 0.01])
    initialise(network, prior)
    shares = network(torch.rand(1, 3, 64, 64)).softmax(1).mean((0, 2, 3))
    torch.testing.assert_close(shares, prior, rtol=0.1, atol=0)


# -- U-Net and ResNet -------------------------------------------------------------------------------------------


def test_the_unet_trains_at_batch_one_down_to_a_single_pixel() -> None:
    torch.manual_seed(0)
    network = build_generator("unet", 3, {"width": 4}).train()
    image, target = torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = (network(image) - target).abs().mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.75 * losses[0]


def test_at_batch_one_batch_norm_in_training_is_instance_norm() -> None:
    torch.manual_seed(0)
    parameters = {"levels": 5, "width": 8, "dropout": 0.0}
    batch = build_generator("unet", 3, parameters | {"norm": "batch"}).train()
    instance = build_generator("unet", 3, parameters | {"norm": "instance"}).eval()
    weights = {name: value for name, value in batch.state_dict().items() if name in instance.state_dict()}
    instance.load_state_dict(weights)
    image = torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(instance(image), batch(image), rtol=1e-4, atol=1e-5)


def test_dropout_sits_in_the_three_innermost_stages_and_sleeps_in_eval() -> None:
    torch.manual_seed(0)
    network: Any = build_generator("unet", 3, {"levels": 6, "width": 4})
    assert [isinstance(part, nn.Dropout) for part in network.drop] == [False, False, True, True, True]
    image = torch.rand(1, 3, 64, 64)
    network.train()
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


class Nested(nn.Module):
    """The paper's U-Net as published: each level wraps the next one, and the skip goes around it."""

    def __init__(
        self, outer: int, inner: int, inside: nn.Module | None, *, outermost: bool, drop: float
    ) -> None:
        super().__init__()
        self.outermost = outermost
        down = nn.Conv2d(outer, inner, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(2 * inner if inside else inner, outer, 4, 2, 1, bias=outermost)
        self.layers = nn.Sequential()
        if not outermost:
            self.layers.append(nn.LeakyReLU(0.2))
        self.layers.append(down)
        if inside is not None:
            if not outermost:
                self.layers.append(nn.BatchNorm2d(inner))
            self.layers.append(inside)
        self.layers.extend([nn.ReLU(), up])
        self.layers.extend([nn.Tanh()] if outermost else [nn.BatchNorm2d(outer), nn.Dropout(drop)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return y if self.outermost else torch.cat([x, y], 1)


def test_the_unet_is_the_papers_network() -> None:
    network: Any = awake("unet", 3, {"levels": 6, "width": 4})
    widths = [3, 4, 8, 16, 32, 32, 32]
    nested: nn.Module | None = None
    for level in reversed(range(6)):
        drop = 0.5 if level >= 3 else 0.0  # the three stages next to the bottleneck
        nested = Nested(widths[level], widths[level + 1], nested, outermost=level == 0, drop=drop)
    assert nested is not None
    nested.eval()
    level_of: Any = nested
    downs: list[nn.Module] = [network.stem, *(part.conv for part in network.encoder)]
    ups: list[nn.Module] = [network.head.conv, *(part.conv for part in network.grow)]
    for number, (down, up) in enumerate(zip(downs, ups, strict=True)):
        layers = list(level_of.layers)
        (conv,) = (part for part in layers if isinstance(part, nn.Conv2d))
        (transposed,) = (part for part in layers if isinstance(part, nn.ConvTranspose2d))
        conv.load_state_dict(down.state_dict())
        transposed.load_state_dict(up.state_dict())
        norms = [part for part in layers if isinstance(part, nn.BatchNorm2d)]
        ours = [network.encoder[number - 1].norm] if 0 < number < 5 else []
        ours += [network.grown[number - 1]] if number else []
        for theirs, own in zip(norms, ours, strict=True):
            theirs.load_state_dict(own.state_dict())
        level_of = next((part for part in layers if isinstance(part, Nested)), None)
    image = torch.rand(1, 3, 64, 128) * 2 - 1
    torch.testing.assert_close(network(image), nested(image), rtol=1e-5, atol=1e-6)
    torch.manual_seed(7)
    noisy = network.train()(image)
    torch.manual_seed(7)
    torch.testing.assert_close(noisy, nested.train()(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "side", "said"),
    [("unet", {"levels": 4, "width": 4}, 40, "16"), ("resnet", {"blocks": 1, "width": 4}, 30, "4")],
)
def test_sides_that_do_not_fit_are_refused_with_what_would(
    name: str, parameters: dict[str, Any], side: int, said: str
) -> None:
    network = build_generator(name, 3, parameters)
    with pytest.raises(ValueError, match=f"48x{side} px .* multiples of {said} px"):
        network(torch.rand(1, 3, 48, side))


def test_the_resnet_refuses_what_reflection_cannot_pad() -> None:
    network = build_generator("resnet", 3, {"blocks": 1, "width": 4, "norm": "none"})
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    with pytest.raises(ValueError, match="at least 8"):
        network(torch.rand(1, 3, 4, 8))


def test_kernels_start_as_the_paper_draws_them() -> None:
    torch.manual_seed(0)
    network = build_generator("unet", 3, {"levels": 5, "width": 32})
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            assert part.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert part.bias is None or not part.bias.any()
        elif isinstance(part, nn.BatchNorm2d):
            assert part.weight.mean().item() == pytest.approx(1, abs=0.02)


@pytest.mark.filterwarnings("ignore:Constant folding")  # torch on its own reflection padding
@pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning"
)  # torch on its own group norm; silent outside tests
@pytest.mark.parametrize(("name", "parameters"), [*EXACT, *BLENDED])
def test_the_exported_graph_computes_the_same_at_sides_it_was_not_traced_with(
    name: str, parameters: dict[str, Any]
) -> None:
    network = awake(name, 3, parameters)
    graph = export(Deployed(network, None, 1.0), 64, 64)
    image = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8)
    (found,) = InferenceSession(graph).run(None, {"image": image.numpy()})
    with torch.no_grad():
        (expected,) = Deployed(network, None, 1.0).eval()(image)
    assert expected.float().std() > 1
    assert np.abs(found.astype(int) - expected.numpy().astype(int)).max() <= 1  # of 255, by rounding
