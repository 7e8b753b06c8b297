"""Objectives against what is known of them: closed forms, numerical derivatives, where they are zero."""

import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from sat2map import losses  # noqa: E402

KINDS = ["bce", "lsgan", "hinge", "relativistic"]


def scores(seed: int) -> Tensor:
    return torch.randn(2, 1, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_players_pull_in_opposite_directions(kind):
    real, fake = (scores(seed).sigmoid().requires_grad_() for seed in (0, 1))
    losses.adversarial_discriminator(kind, real, fake).backward()
    assert real.grad.sum() < 0 < fake.grad.sum()
    fake.grad = None
    losses.adversarial_generator(kind, fake, real.detach()).backward()
    assert fake.grad.sum() < 0


def test_the_forms_are_those_of_their_papers():
    real, fake = scores(0), scores(1)
    log = math.log
    bce = [
        -0.5 * (log(1 / (1 + math.exp(-r))) + log(1 - 1 / (1 + math.exp(-f)))) for r, f in pairs(real, fake)
    ]
    lsgan = [0.5 * ((r - 1) ** 2 + f**2) for r, f in pairs(real, fake)]
    hinge = [max(0, 1 - r) + max(0, 1 + f) for r, f in pairs(real, fake)]
    relativistic = [log(1 + math.exp(-(r - f))) for r, f in pairs(real, fake)]
    for kind, values in zip(KINDS, (bce, lsgan, hinge, relativistic), strict=True):
        found = losses.adversarial_discriminator(kind, real, fake).item()
        assert found == pytest.approx(sum(values) / len(values), rel=1e-9), kind


def pairs(one: Tensor, other: Tensor) -> list[tuple[float, float]]:
    return list(zip(one.flatten().tolist(), other.flatten().tolist(), strict=True))


def test_the_relativistic_game_looks_at_differences_alone():
    real, fake = scores(0), scores(1)
    for loss in (losses.adversarial_discriminator, lambda k, r, f: losses.adversarial_generator(k, f, r)):
        assert loss("relativistic", real + 7, fake + 7).item() == pytest.approx(
            loss("relativistic", real, fake).item()
        )
    swapped = losses.adversarial_discriminator("relativistic", fake, real)
    assert losses.adversarial_generator("relativistic", fake, real).item() == pytest.approx(swapped.item())


@pytest.mark.parametrize(("kind", "best"), [("bce", math.log(0.9 / 0.1)), ("lsgan", 0.9)])
def test_smoothing_moves_the_goal_for_real_pictures_and_no_other(kind, best):
    def slope(real: float) -> float:
        given = torch.tensor([real], dtype=torch.float64, requires_grad=True)
        losses.adversarial_discriminator(kind, given, torch.zeros(1, dtype=torch.float64), 0.1).backward()
        return given.grad.item()

    assert slope(best) == pytest.approx(0, abs=1e-9) and slope(best - 0.1) < 0 < slope(best + 0.1)
    fake = scores(3).requires_grad_()
    grads = []
    for smoothing in (0.0, 0.1):
        fake.grad = None
        losses.adversarial_discriminator(kind, scores(4), fake, smoothing).backward()
        grads.append(fake.grad)
    assert torch.equal(*grads)


@pytest.mark.parametrize("penalty", [losses.gradient_penalty, losses.difference_penalty])
def test_penalties_of_a_linear_judge_are_the_squared_length_of_its_kernel(penalty):
    torch.manual_seed(0)
    kernel = torch.randn(1, 3, 3, 3, dtype=torch.float64)
    pictures = torch.randn(8, 3, 34, 34, dtype=torch.float64)
    found = [penalty(lambda p: F.conv2d(p, kernel), pictures).item() for _ in range(40)]
    assert sum(found) / len(found) == pytest.approx(kernel.square().sum().item(), rel=0.05)


def test_the_penalty_of_a_judge_with_one_score_is_the_published_one():
    torch.manual_seed(0)
    weight = torch.randn(12, dtype=torch.float64)

    def judge(pictures: Tensor) -> Tensor:
        return (pictures.flatten(1) ** 2 @ weight)[:, None]  # gradient 2 w x

    pictures = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    published = (2 * weight * pictures.flatten(1)).square().sum(1).mean()
    assert losses.gradient_penalty(judge, pictures).item() == pytest.approx(published.item())


@pytest.mark.parametrize("penalty", [losses.gradient_penalty, losses.difference_penalty])
def test_a_penalty_lowers_the_slope_of_a_real_discriminator(penalty):
    torch.manual_seed(0)
    judge = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3))
    optimiser = torch.optim.Adam(judge.parameters(), 1e-2)
    pictures = torch.randn(4, 3, 16, 16)
    before = losses.gradient_penalty(judge, pictures).item()
    for _ in range(40):
        optimiser.zero_grad()
        penalty(judge, pictures).backward()
        optimiser.step()
    assert losses.gradient_penalty(judge, pictures).item() < 0.2 * before


def test_edges_count_and_levels_do_not():
    picture = torch.rand(1, 3, 6, 8)
    assert losses.gradient_difference(picture + 0.3, picture).item() == pytest.approx(0, abs=1e-6)
    ramp = picture + torch.arange(8) * 0.1  # each step to the right is 0.1 higher
    assert losses.gradient_difference(ramp, picture).item() == pytest.approx(0.1, rel=1e-4)
