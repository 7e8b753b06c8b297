"""The discriminators: published sizes and patches, patches confirmed by gradients, features, spectral norm."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sat2map.models import Discriminator, build_discriminator
from sat2map.models.receptive import Span
from test_models_receptive import alive, support

ALL: list[tuple[str, dict[str, Any], int]] = [
    ("patch", {"layers": 1}, 16),
    ("patch", {"layers": 2}, 34),
    ("patch", {}, 70),
    ("patch", {"layers": 3, "norm": "none", "spectral": True}, 70),
    ("patch", {"layers": 4}, 142),
    ("pixel", {}, 1),
    ("folded", {}, 84),
    ("folded", {"depth": 1}, 52),
    ("folded", {"depth": 2, "coarse": 16}, 132),
    ("folded", {"depth": 0, "coarse": 8, "spectral": False}, 100),
    ("maxpool", {}, 76),
    ("maxpool", {"levels": 2, "norm": "none"}, 16),
]


def narrow(name: str, parameters: dict[str, Any]) -> Discriminator:
    size = {"widths": [4, 4]} if name == "folded" else {"width": 4}
    return build_discriminator(name, 6, size | parameters)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("patch", {}, 2_768_705),
        ("patch", {"layers": 4}, 6_964_033),
        ("pixel", {}, 9_025),
        ("maxpool", {}, 295_321),
    ],
)
def test_sizes_are_the_published_ones(name: str, parameters: dict[str, Any], expected: int) -> None:
    assert count(build_discriminator(name, 6, parameters)) == expected


@pytest.mark.parametrize(("name", "parameters", "side"), ALL)
def test_a_score_judges_a_patch_of_the_promised_side_and_nothing_else(
    name: str, parameters: dict[str, Any], side: int
) -> None:
    network = narrow(name, parameters)
    assert network.receptive_field() == side
    alive(network, positive=False)
    for position in (12, 13):  # scores of a coarser map come in pairs: an even and an odd one
        expected = network.reach(Span(position, position))
        size = -(-(expected.last + 8) // 16) * 16
        assert expected.first > 0
        found = support(lambda x, p=position: network(x)[0][:, :, p], size, 64, 6)  # type: ignore[misc]
        assert found == expected
        assert found.last - found.first + 1 == side


@pytest.mark.parametrize(("name", "parameters", "side"), ALL)
def test_scores_and_features_cover_the_picture(name: str, parameters: dict[str, Any], side: int) -> None:
    network = narrow(name, parameters)
    scores, features = network(torch.rand(2, 6, 96, 160))
    channels = 2 if parameters.get("coarse") else 1
    assert scores.shape[:2] == (2, channels)
    assert scores.shape[2] < scores.shape[3]
    assert len(features) >= 2
    assert all(feature.shape[0] == 2 and feature.shape[2] <= 96 for feature in features)
    if name == "folded":
        assert scores.shape[2:] == (12, 20)


@pytest.mark.parametrize("name", ["patch", "pixel", "folded"])
def test_the_condition_matters_as_well_as_the_picture(name: str) -> None:
    network = narrow(name, {}).eval()
    pair = torch.rand(1, 6, 64, 64)
    for half in (slice(0, 3), slice(3, 6)):
        changed = pair.clone()
        changed[:, half] = 0
        assert not torch.equal(network(changed)[0], network(pair)[0])


def test_both_scales_weigh_alike_in_a_mean() -> None:
    network = narrow("folded", {"coarse": 8})
    scores, _ = network(torch.rand(1, 6, 64, 96))
    fine, coarse = scores[0]
    squares = coarse.reshape(4, 2, 6, 2)
    assert torch.equal(
        squares, squares[:, :1, :, :1].expand(4, 2, 6, 2)
    )  # each coarse score covers 2×2 positions
    assert coarse.unique().numel() == 24
    torch.testing.assert_close(scores.mean(), (fine.mean() + squares[:, 0, :, 0].mean()) / 2)


@pytest.mark.parametrize(
    ("name", "parameters"), [("patch", {"spectral": True}), ("folded", {"coarse": 8, "spectral": True})]
)
def test_spectral_norm_holds_every_kernel_at_slope_one(name: str, parameters: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = narrow(name, parameters).train()
    for _ in range(60):
        network(torch.rand(1, 6, 64, 64))
    kernels = [part.weight for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert len(kernels) > 3
    for kernel in kernels:
        assert torch.linalg.matrix_norm(kernel.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("name", "parameters"), [("patch", {"spectral": True}), ("folded", {})])
def test_a_real_and_a_generated_pair_can_share_one_backward_pass(
    name: str, parameters: dict[str, Any]
) -> None:
    network = narrow(name, parameters).train()
    real, _ = network(torch.rand(1, 6, 64, 64))
    fake, _ = network(torch.rand(1, 6, 64, 64))
    (real.mean() - fake.mean()).backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("patch", {"width": 8, "layers": 1, "norm": "none"}),
        ("folded", {"widths": [16, 16], "norm": "none"}),
    ],
)
def test_a_judge_learns_to_tell_two_textures_apart(name: str, parameters: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build_discriminator(name, 6, parameters)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3, (0.5, 0.999))
    for _ in range(40):
        noise = torch.randn(2, 6, 64, 64)
        smooth = 3 * nn.functional.avg_pool2d(noise, 3, 1, 1)  # of the same contrast
        real, fake = network(smooth)[0], network(noise)[0]
        loss = (1 - real).relu().mean() + (1 + fake).relu().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1  # 2 is guessing


def operations(network: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 6, 256, 256))
    return int(counter.get_total_flops())


def test_folding_makes_a_judge_several_times_cheaper() -> None:
    assert operations(build_discriminator("patch", 6, {})) > 4 * operations(
        build_discriminator("folded", 6, {})
    )


def test_sides_that_cannot_be_folded_are_refused() -> None:
    with pytest.raises(ValueError, match="64, 66"):
        narrow("folded", {})(torch.rand(1, 6, 64, 66))
