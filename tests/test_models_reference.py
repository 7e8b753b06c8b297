"""The classic networks compute what their authors' definitions compute, with the same weights.

To 1e-5 in float32 with weights as training begins with, and to 1e-9 in float64 with weights and statistics of any
size: the first is what a user sees, the second says that the formulas are the same and not just alike.

Each network is built a second time from the words of its paper's appendix, as plain lists of layers. Where
SAT2MAP_REFERENCE_NETWORKS names a copy of the authors' `models/networks.py` (junyanz/pytorch-CycleGAN-and-pix2pix),
its classes are compared as well; and where their `pix2pix_model.py` lies beside it, so are weights after some steps of
training, theirs and ours.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from sat2map.data.batches import Batch  # noqa: E402
from sat2map.models import build_discriminator, build_generator  # noqa: E402
from sat2map.models.norms import initialise_normal  # noqa: E402
from sat2map.training.pix2pix import Objective, Pix2Pix  # noqa: E402
from sat2map.training.recipe import load_recipe, override  # noqa: E402
from sat2map.training.systems import build_players  # noqa: E402

WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d)


def begun(network: nn.Module) -> nn.Module:
    """Weights as the papers begin with; running statistics as they are after some steps."""
    torch.manual_seed(1)
    initialise_normal(network, 0.02)
    for name, value in network.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 2)
        elif "running_mean" in name:
            value.normal_(0, 0.1)
    return network


def lively(network: nn.Module) -> nn.Module:
    """Give all weights and running statistics values that matter."""
    torch.manual_seed(2)
    for name, value in network.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and value.ndim > 1:
            value.normal_(0, 0.05)
        elif value.is_floating_point():
            value.uniform_(-0.5, 1.5)
    return network


def copy(ours: Sequence[nn.Module], theirs: Sequence[nn.Module]) -> None:
    """Give their layers the weights of ours, layer by layer in the order of the data."""
    ours = [layer for layer in ours if isinstance(layer, WEIGHTED)]
    assert [type(a) for a in ours] == [type(b) for b in theirs]
    for a, b in zip(ours, theirs, strict=True):
        b.load_state_dict(a.state_dict())


def weighted(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, WEIGHTED)]


def agree(ours: Tensor, theirs: Tensor) -> None:
    """Largest difference on a scale of 2 (generators) or in units of scores."""
    assert ours.std() > 0.02, "a constant would agree with anything"
    tolerance = 1e-9 if ours.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def millions(network: nn.Module) -> float:
    return round(sum(weight.numel() for weight in network.parameters()) / 1e6, 2)


# -- ours, in the order of the data -------------------------------------------------------------------------------


def unet_down(network: Any) -> Iterator[nn.Module]:
    yield network.stem
    for shrink in network.encoder:
        yield from (shrink.conv, shrink.norm)


def unet_up(network: Any) -> Iterator[nn.Module]:
    for grow, norm in zip(reversed(network.grow), reversed(network.grown), strict=True):
        yield from (grow.conv, norm)
    yield network.head.conv


def resnet_layers(network: Any) -> list[nn.Module]:
    inner = [conv for block in network.blocks for conv in (block.first, block.second)]
    return [network.stem, *network.down, *inner, *reversed(network.up), network.head]


def patch_layers(network: Any) -> list[nn.Module]:
    stages = [layer for stage in network.stages for layer in (stage.conv, stage.norm)]
    return [network.stem.conv, *stages, network.head]


# -- theirs, from the appendices ----------------------------------------------------------------------------------


class PaperUNet(nn.Module):
    """Isola et al. 2017, 6.1.1: C64-C128-C256-C512-C512-C512-C512-C512, CD512-CD512-CD512-C512-C256-C128-C64, skips.

    All 4x4 with stride 2; batch norm but in the first, the innermost and the last layer; leaky ReLU down, ReLU up.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 64, 128, 256, 512, 512, 512, 512, 512]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i in range(8):
            plain = i in (0, 7)
            self.down.append(nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1, bias=False))
            self.down.append(nn.Identity() if plain else nn.BatchNorm2d(widths[i + 1]))
        for i in range(8):
            given = 512 if i == 0 else 2 * widths[8 - i]
            self.up.append(nn.ConvTranspose2d(given, widths[7 - i], 4, 2, 1, bias=i == 7))
            self.up.append(nn.Identity() if i == 7 else nn.BatchNorm2d(widths[7 - i]))

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for i in range(0, 16, 2):
            x = self.down[i + 1](self.down[i](x if i == 0 else F.leaky_relu(x, 0.2)))
            kept.append(x)
        kept.pop()
        for i in range(0, 16, 2):
            x = self.up[i + 1](self.up[i](F.relu(x)))
            if kept:
                x = torch.cat([kept.pop(), x], 1)
        return torch.tanh(x)


class Around(nn.Module):
    """A residual block: what goes around is added."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def paper_resnet() -> nn.Sequential:
    """Zhu et al. 2017, 7.2: c7s1-64, d128, d256, R256 nine times, u128, u64, c7s1-3; instance norm, reflection."""

    def k(width: int, kernel: int) -> list[nn.Module]:
        return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(width, width, kernel), nn.InstanceNorm2d(width)]

    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, 64, 7), nn.InstanceNorm2d(64), nn.ReLU()]
    for width in (64, 128):
        layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width), nn.ReLU()]
    layers += [Around(*k(256, 3), nn.ReLU(), *k(256, 3)) for _ in range(9)]
    for width in (128, 64):
        layers += [nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), nn.InstanceNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(64, 3, 7), nn.Tanh())


def paper_patch() -> nn.Sequential:
    """Isola et al. 2017, 6.1.2: C64-C128-C256-C512, one score; stride 2 but in the last two, no norm in the first."""
    layers: list[nn.Module] = [nn.Conv2d(6, 64, 4, 2, 1), nn.LeakyReLU(0.2)]
    for width, stride in ((64, 2), (128, 2), (256, 1)):
        conv = nn.Conv2d(width, 2 * width, 4, stride, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 1))


# -- comparisons --------------------------------------------------------------------------------------------------


def ours_and_layers(name: str) -> tuple[nn.Module, list[nn.Module]]:
    if name == "unet":
        network: Any = build_generator("unet", 3, {"dropout": 0.0})
        return network, [*unet_down(network), *unet_up(network)]
    if name == "resnet":
        network = build_generator("resnet", 3, {})
        return network, resnet_layers(network)
    network = build_discriminator("patch", 6, {})
    return network, patch_layers(network)


PAPERS = {"unet": (PaperUNet, 54.41), "resnet": (paper_resnet, 11.38), "patch": (paper_patch, 2.77)}
INPUTS = {"unet": (1, 3, 256, 256), "resnet": (1, 3, 64, 80), "patch": (2, 6, 128, 96)}


def compare(name: str, theirs: nn.Module, shape: tuple[int, ...]) -> None:
    ours, layers = ours_and_layers(name)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for weights, precision in ((begun, torch.float32), (lively, torch.float64)):
        weights(ours)
        copy(layers, weighted(theirs))
        ours.to(precision), theirs.to(precision)
        for mode in (False, True):  # with running statistics, and with those of the batch
            ours.train(mode), theirs.train(mode)
            with torch.no_grad():
                found = ours(image.to(precision))
                agree(found[0] if isinstance(found, tuple) else found, theirs(image.to(precision)))


@pytest.mark.parametrize("name", PAPERS)
def test_our_network_is_the_papers(name):
    build, size = PAPERS[name]
    theirs = build()
    assert millions(theirs) == millions(ours_and_layers(name)[0]) == size
    compare(name, theirs, INPUTS[name])


def authors() -> Any:
    path = os.environ.get("SAT2MAP_REFERENCE_NETWORKS")
    if not path:
        pytest.skip("SAT2MAP_REFERENCE_NETWORKS names no file with the authors' networks")
    spec = importlib.util.spec_from_file_location("reference_networks", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "kind", "arguments"),
    [
        ("unet", "UnetGenerator", {"input_nc": 3, "output_nc": 3, "num_downs": 8}),
        (
            "resnet",
            "ResnetGenerator",
            {"input_nc": 3, "output_nc": 3, "norm_layer": nn.InstanceNorm2d, "n_blocks": 9},
        ),
        ("patch", "NLayerDiscriminator", {"input_nc": 6}),
    ],
)
def test_our_network_is_the_authors_own(name, kind, arguments):
    module = authors()
    if not hasattr(module, kind):
        pytest.skip(f"the file has no {kind}")
    theirs = getattr(module, kind)(**arguments)
    for part in theirs.modules():
        if isinstance(part, nn.ReLU | nn.LeakyReLU):
            part.inplace = False
    assert millions(theirs) == PAPERS[name][1]
    compare(name, theirs, (1, INPUTS[name][1], 256, 256))


# -- a step of training -------------------------------------------------------------------------------------------

THEIR_OPTIONS = {
    "isTrain": True, "checkpoints_dir": ".", "name": "unused", "preprocess": "none", "direction": "AtoB",
    "gpu_ids": [], "device": torch.device("cpu"), "input_nc": 3, "output_nc": 3, "ngf": 64, "ndf": 64,
    "netG": "unet_256", "netD": "basic", "n_layers_D": 3, "norm": "batch", "no_dropout": True, "init_type": "normal",
    "init_gain": 0.02, "gan_mode": "vanilla", "pool_size": 0, "lambda_L1": 100.0, "lr": 2e-4, "beta1": 0.5,
}  # fmt: skip


@pytest.fixture
def their_model(monkeypatch) -> Any:
    """The authors' Pix2PixModel as their own defaults make it (they print what they initialise)."""
    networks = os.environ.get("SAT2MAP_REFERENCE_NETWORKS")
    if not networks or not Path(networks).with_name("pix2pix_model.py").is_file():
        pytest.skip("SAT2MAP_REFERENCE_NETWORKS names no file with the authors' pix2pix_model.py beside it")
    monkeypatch.syspath_prepend(str(Path(networks).parents[1]))
    yield importlib.import_module("models.pix2pix_model").Pix2PixModel(SimpleNamespace(**THEIR_OPTIONS))
    for name in [name for name in sys.modules if name.split(".")[0] in {"models", "util"}]:
        del sys.modules[name]


def test_our_training_step_is_the_authors_own(their_model):
    """From the same weights on the same pictures: equal losses in three steps, equal gradients in the first.

    Later weights are no measure: Adam's first step is a sign, and rounding decides that of a gradient of nearly
    nothing. In float64, because norms over the four pixels of the innermost grid make much of rounding. Without
    dropout, because its draws follow the memory layout, which is not theirs.
    """
    settings = ["generator.parameters.norm=batch", "generator.parameters.dropout=0.0"]
    recipe = override(load_recipe("pix2pix-paper"), settings)
    players = build_players(recipe)
    ours = Pix2Pix(players, Objective(recipe.objective), torch.float32)
    generator: Any = players["generator"].network
    judge: Any = players["discriminator"].network
    copy([*unet_down(generator), *unet_up(generator)], weighted(their_model.netG))
    copy(patch_layers(judge), weighted(their_model.netD))
    for network in (generator, judge, their_model.netG, their_model.netD, their_model.criterionGAN):
        network.double()
    for n in range(3):
        random = torch.Generator().manual_seed(n)
        source, target = (torch.rand(1, 3, 256, 256, generator=random).double() * 2 - 1 for _ in range(2))
        terms = ours.step(Batch(source, target, None, (0,)), n, recipe.run.images).terms
        their_model.set_input({"A": source, "B": target, "A_paths": "", "B_paths": ""})
        their_model.optimize_parameters()
        theirs = {
            name: float(getattr(their_model, f"loss_{name}").detach()) for name in their_model.loss_names
        }
        expected = {
            "l1": theirs["G_L1"],
            "adversarial": theirs["G_GAN"],
            "d": (theirs["D_real"] + theirs["D_fake"]) / 2,
        }
        assert {name: terms[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        if n == 0:
            compare_moments([*unet_down(generator), *unet_up(generator)], players["generator"], their_model.netG,
                            their_model.optimizer_G)  # fmt: skip
            compare_moments(
                patch_layers(judge), players["discriminator"], their_model.netD, their_model.optimizer_D
            )


def compare_moments(layers: Sequence[nn.Module], player: Any, network: nn.Module, optimiser: Any) -> None:
    """After one step the first moments of Adam are half of the gradients."""
    ours = player.optimiser.parts["adam"].state
    mine = [layer for layer in layers if isinstance(layer, WEIGHTED)]
    compared = 0
    for one, other in zip(mine, weighted(network), strict=True):
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            found, expected = ours[a]["exp_avg"], optimiser.state[b]["exp_avg"]
            assert expected.norm() > 0
            assert (found - expected).norm() <= 1e-4 * expected.norm(), tuple(a.shape)
            compared += a.numel()
    assert compared == sum(weight.numel() for weight in network.parameters())
