"""Networks by name: what fits is built, what does not is refused with the name of what is wrong, and weights travel."""

from typing import Any

import pytest
import torch
from torch import nn

from sat2map.errors import BadRecipe, UnknownModel
from sat2map.models import DISCRIMINATORS, GENERATORS, build_discriminator, build_generator, paint
from sat2map.training.recipe import load_recipe, parse, recipe_names, to_yaml

SMALL: dict[str, dict[str, Any]] = {
    "carto": {"widths": [8, 8, 8], "encoder": [1, 1, 1], "decoder": [1, 1], "head": 8},
    "unet": {"levels": 4, "width": 8},
    "resnet": {"blocks": 2, "width": 8},
    "unet-maxpool": {"levels": 2, "width": 8},
    "patch": {"layers": 2, "width": 8, "spectral": True},
    "pixel": {"width": 8},
    "folded": {"widths": [8, 8], "coarse": 8},
    "maxpool": {"levels": 2, "width": 8, "spectral": True},
}


def small(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A small network of this name whose weights all matter, and pictures for it (two, neither square)."""
    torch.manual_seed(5)
    network: nn.Module
    if name in GENERATORS:
        network, channels = build_generator(name, 3, SMALL[name]), 3
    else:
        network, channels = build_discriminator(name, 6, SMALL[name]), 6
    for weight in network.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return network.eval(), torch.rand(2, channels, 48, 80) * 2 - 1


def run(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Picture or score map of `image`."""
    result = network(image)
    answer = result[0] if isinstance(result, tuple) else result
    assert isinstance(answer, torch.Tensor)
    return answer


NAMES = [*GENERATORS, *DISCRIMINATORS]


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_keep_the_size_and_say_what_a_scene_needs(name: str) -> None:
    network = build_generator(name, 5, SMALL[name])
    assert network.outputs == 5
    assert network.windowing in ("exact", "blend")
    assert (network.receptive_radius() >= 0) == (network.windowing == "exact")
    for height, width in ((2, 3), (3, 2), (2, 2)):
        image = torch.rand(1, 3, height * network.stride, width * network.stride)
        assert network(image).shape == (1, 5, *image.shape[2:])


@pytest.mark.parametrize("name", ["unet", "resnet"])
def test_classic_generators_paint_with_three_outputs_and_score_with_others(name: str) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32) * 200
    for outputs, bounded in ((3, True), (4, False)):
        network = build_generator(name, outputs, SMALL[name] | {"norm": "none"})
        for weight in network.head.parameters():
            weight.data *= 1e6
        assert (network(image).abs().amax() <= 1) == bounded


def test_paint_bounds_the_scores_of_carto_and_leaves_pictures_alone() -> None:
    for name in GENERATORS:
        network, image = small(name)
        out = network(image)
        expected = out.tanh() if name == "carto" else out
        torch.testing.assert_close(paint(network, out), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_weights_travel_through_a_state_dict_exactly(name: str) -> None:
    network, image = small(name)
    other, _ = small(name)
    for weight in other.parameters():
        weight.data.uniform_(-1, 1)
    before = run(network, image)
    assert not torch.equal(run(other, image), before)
    other.load_state_dict(network.state_dict())
    assert torch.equal(run(other, image), before)


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_and_precision_change_the_result_only_by_rounding(name: str) -> None:
    network, image = small(name)
    with torch.no_grad():
        expected = run(network, image)
        with torch.autocast("cpu", torch.bfloat16):
            rough = run(network, image).float()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        nearer = run(network, image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(nearer, expected, rtol=1e-4, atol=1e-5)
    assert (rough - expected).abs().mean() < 0.15 * expected.std()
    assert not torch.equal(rough, expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns_from_one_picture_in_bf16(name: str) -> None:
    network, image = small(name)
    network.train()
    with torch.autocast("cpu", torch.bfloat16):
        result = run(network, image[:1])
    torch.autograd.backward(result.float().square().mean())
    for label, weight in network.named_parameters():
        assert weight.grad is not None, label
        assert torch.isfinite(weight.grad).all(), label
        assert weight.grad.abs().amax() > 0, label


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_a_wrong_name_is_answered_with_the_known_ones(build: Any) -> None:
    names = GENERATORS if build is build_generator else DISCRIMINATORS
    with pytest.raises(UnknownModel) as caught:
        build("u-net", 3, {})
    assert all(name in str(caught.value) for name in ["'u-net'", *names])


@pytest.mark.parametrize(
    ("name", "parameters", "named"),
    [
        ("unet", {"levls": 7, "width": 64}, "levls"),
        ("unet", {"levels": "7"}, "levels"),
        ("unet", {"levels": 7.5}, "levels"),
        ("unet", {"levels": 1}, "levels 1"),
        ("unet", {"width": 0}, "width 0"),
        ("unet", {"dropout": 1.0}, "dropout 1"),
        ("unet", {"norm": "layer"}, "norm"),
        ("unet", {"outputs": 3}, "outputs"),
        ("resnet", {"blocks": -1}, "blocks -1"),
        ("resnet", {"width": True}, "width"),
        ("carto", {"widths": [8, 8]}, "widths [8, 8]"),
        ("carto", {"widths": 8}, "widths"),
        ("carto", {"head": 0}, "head"),
        ("carto", {"head": -1}, "head"),
        ("patch", {"layers": 0}, "layers 0"),
        ("patch", {"norm": "channel"}, "norm"),
        ("pixel", {"layers": 3}, "layers"),
        ("pixel", {"width": -1}, "width -1"),
        ("folded", {"widths": [8]}, "widths [8]"),
        ("folded", {"depth": -1}, "depth -1"),
        ("folded", {"inputs": 6}, "inputs"),
    ],
)
def test_parameters_that_do_not_fit_are_named(name: str, parameters: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        if name in GENERATORS:
            build_generator(name, 3, parameters)
        else:
            build_discriminator(name, 6, parameters)
    assert name in str(caught.value)
    assert named in str(caught.value)


def test_the_networks_of_every_shipped_recipe_can_be_built() -> None:
    assert "pix2pix-paper" in recipe_names()
    for name in recipe_names():
        recipe = load_recipe(name)
        assert parse(to_yaml(recipe), name) == recipe
        if recipe.latent is not None:  # see test_models_latent.py
            continue
        network = build_generator(
            recipe.generator.name, recipe.objective.palette or 3, recipe.generator.parameters, recipe.inputs
        )
        assert recipe.data.crop % network.stride == 0
        if recipe.discriminator:
            build_discriminator(recipe.discriminator.name, recipe.inputs + 3, recipe.discriminator.parameters)


def test_the_papers_recipe_has_the_papers_numbers() -> None:
    recipe = load_recipe("pix2pix-paper")
    generator = build_generator("unet", 3, recipe.generator.parameters)
    judge = build_discriminator("patch", 6, recipe.discriminator.parameters)  # type: ignore[union-attr]
    assert sum(p.numel() for p in generator.parameters()) == 54_413_955
    assert judge.receptive_field() == 70
    assert (recipe.data.load, recipe.data.crop, recipe.data.batch, recipe.data.mirror) == (286, 256, 1, True)
    goal = recipe.objective
    assert (goal.adversarial, goal.reconstruction, goal.reconstruction_weight) == ("bce", "l1", 100)
    for part in (recipe.optimiser, recipe.discriminator_optimiser):
        assert (part.kind, part.rate, part.betas) == ("adam", 2e-4, (0.5, 0.999))
        assert (part.schedule, part.decay_from, part.final) == ("linear", 0.5, 0)
    assert recipe.run.images == 200 * 1096
