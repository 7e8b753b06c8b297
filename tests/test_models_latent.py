"""Networks with a latent: the seed's sizes and definitions, ours, and the encoder before a painter."""

import pytest

torch = pytest.importorskip("torch", reason="networks need the [train] extra")

from torch import nn  # noqa: E402

from sat2map.errors import BadRecipe, UnknownModel  # noqa: E402
from sat2map.models import build_discriminator, build_encoder, build_painter  # noqa: E402
from sat2map.models.encoder import Encoded  # noqa: E402
from sat2map.training.recipe import load_recipe  # noqa: E402


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_seeds_networks_have_the_seeds_sizes() -> None:
    recipe = load_recipe("landscape-dcgan")
    generator = build_painter(recipe.generator.name, recipe.generator.parameters)
    judge = build_discriminator(recipe.discriminator.name, 3, recipe.discriminator.parameters)  # type: ignore[union-attr]
    encoder = build_encoder("satellite", {}, 4)
    assert (size(generator), size(judge), size(encoder)) == (11_213_696, 11_164_416, 714_436)
    pictures = generator.eval()(torch.randn(2, 4))
    assert pictures.shape == (2, 3, 128, 128) and pictures.abs().max() <= 1
    score, features = judge(pictures)
    assert score.shape == (2, 1, 1, 1)
    assert [tuple(f.shape[1:]) for f in features] == [
        (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4),
    ]  # fmt: skip
    assert encoder.eval()(pictures).shape == (2, 4)
    assert [stage.weight.shape[:2] for stage in encoder.stages] == [
        (16, 3), (32, 16), (64, 32), (128, 64), (256, 128),
    ]  # fmt: skip
    assert not any(name.endswith("bias") for name, p in generator.named_parameters() if p.ndim == 4)


def plain_generator() -> nn.Sequential:
    """The generator as the paper's words have it."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(4, 64, 4, 1, 0, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for wide in (64, 32):
        layers += [
            nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(wide // 2),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False), nn.Tanh())


def plain_encoder() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for wide in (4, 8, 16, 32):
        layers += [
            nn.Conv2d(wide, 2 * wide, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * wide),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 4))


def by_kind(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, kind)]


@pytest.mark.parametrize("train", [True, False])
def test_generator_and_encoder_compute_what_their_description_says(train: bool) -> None:
    torch.manual_seed(1)
    cases = [
        (build_painter("dcgan", {"side": 32, "width": 16}), plain_generator(), torch.randn(3, 4), True),
        (
            build_encoder("satellite", {"side": 32, "width": 4}, 4),
            plain_encoder(),
            torch.randn(3, 3, 32, 32),
            False,
        ),
    ]
    for ours, plain, given, as_picture in cases:
        for kind in (nn.ConvTranspose2d, nn.Conv2d, nn.BatchNorm2d, nn.Linear):
            for one, other in zip(by_kind(ours, kind), by_kind(plain, kind), strict=True):
                other.load_state_dict(one.state_dict())
        expected = plain.train(train)(given[:, :, None, None] if as_picture else given)
        assert torch.allclose(ours.train(train)(given), expected, atol=1e-5)


def test_our_landscapes_do_not_depend_on_one_another_nor_on_the_latents_length() -> None:
    network = build_painter("landscape", {"latent": 6, "side": 32, "widths": [12, 8], "head": 8})
    latent = torch.randn(4, 6)
    whole = network(latent)
    assert whole.shape == (4, 3, 32, 32) and whole.abs().max() <= 1
    assert torch.allclose(network(latent[1:2]), whole[1:2], atol=1e-5)
    assert torch.allclose(network(3 * latent), whole, atol=1e-4)
    judge = build_discriminator("landscape", 3, {"side": 32, "widths": [4, 8]})
    score, _ = judge(whole)
    assert score.shape == (4, 1, 1, 1)
    assert torch.allclose(judge(whole[2:3])[0], score[2:3], atol=1e-4)


def test_a_bound_holds_latents_and_none_leaves_them() -> None:
    crop = torch.randn(4, 3, 32, 32)
    torch.manual_seed(0)
    free = build_encoder("satellite", {"side": 32, "width": 2}, 5)
    torch.manual_seed(0)
    held = build_encoder("satellite", {"side": 32, "width": 2, "bound": 0.5}, 5)
    for network in (free, held):
        network.head.weight.data *= 500
    assert held(crop).abs().max() <= 0.5 < free(crop).abs().max()
    assert torch.allclose(held(crop), 0.5 * torch.tanh(free(crop) / 0.5), atol=1e-5)


def test_a_painter_behind_an_encoder_does_not_move() -> None:
    torch.manual_seed(2)
    painter = build_painter("dcgan", {"side": 32, "width": 4})
    network = Encoded(build_encoder("satellite", {"side": 32, "width": 2}, 4), painter).train()
    before = {name: value.clone() for name, value in painter.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 1.0)
    moved = network.encoder.head.weight.detach().clone()
    network(torch.randn(4, 3, 32, 32)).square().mean().backward()
    optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in painter.state_dict().items())
    assert not torch.equal(network.encoder.head.weight, moved)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: build_painter("dcgan", {"side": 100}), "side 100"),
        (lambda: build_painter("dcgan", {"latent": 0}), "latent 0"),
        (lambda: build_painter("landscape", {"side": 64, "widths": [8, 8]}), "32 px a side, not 64"),
        (lambda: build_discriminator("landscape", 3, {"side": 128, "widths": [8, 8]}), "not 128"),
        (lambda: build_encoder("satellite", {"side": 40}, 4), "side 40"),
        (lambda: build_encoder("satellite", {"bound": -1.0}, 4), "bound"),
    ],
)
def test_numbers_that_make_no_network_are_refused_in_words(build, said) -> None:
    with pytest.raises(BadRecipe, match=said):
        build()
    with pytest.raises(UnknownModel, match="dcgan"):
        build_painter("unet", {})
