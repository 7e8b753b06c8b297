"""Stabilisers one by one: what the discriminator is shown, how weights begin, how rates move, which pool is kept."""

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from torch import nn  # noqa: E402

from sat2map.models import build_discriminator  # noqa: E402
from sat2map.models.initial import KINDS, initialise  # noqa: E402
from sat2map.training.optimise import Optimiser, plateau_factor, rate_factor  # noqa: E402
from sat2map.training.pool import Pool  # noqa: E402
from sat2map.training.recipe import ObjectivePart, OptimiserPart  # noqa: E402
from sat2map.training.view import View, draw_view, noise_level, recolour, shifted  # noqa: E402


def pictures(seed: int = 0, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 32, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def view(**part) -> View:
    torch.manual_seed(5)
    return draw_view(ObjectivePart(adversarial="bce", **part), pictures(), 0, 100)


def test_without_stabilisers_the_discriminator_sees_the_pictures_and_no_random_number_is_drawn():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    shown = draw_view(ObjectivePart(), pictures(), 0, 100)(pictures(0), pictures(1))
    assert torch.equal(shown, torch.cat([pictures(0), pictures(1)], 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_falls_linearly_to_nothing():
    part = ObjectivePart(noise=0.2, noise_until=0.5)
    assert [noise_level(part, seen, 100) for seen in (0, 25, 50, 99)] == pytest.approx([0.2, 0.1, 0, 0])


def test_noise_is_on_the_examined_picture_alone_and_fresh_each_time():
    seen = view(noise=0.3)
    one, other = seen(pictures(0), pictures(1)), seen(pictures(0), pictures(1))
    assert torch.equal(one[:, :3], pictures(0))
    assert (one[:, 3:] - pictures(1)).std().item() == pytest.approx(0.3, rel=0.05)
    assert not torch.equal(one[:, 3:], other[:, 3:])


@pytest.mark.parametrize("kind", ["colour", "translation", "cutout"])
def test_augmentation_is_the_same_for_real_and_generated_pairs_and_lets_gradients_through(kind):
    seen = view(augment=(kind,))
    assert torch.equal(seen(pictures(0), pictures(1)), seen(pictures(0), pictures(1)))
    assert not torch.equal(seen(pictures(0), pictures(1))[:, 3:], pictures(1))
    generated = pictures(1).requires_grad_()
    seen(pictures(0), generated).square().sum().backward()
    assert generated.grad.abs().amax() > 0


@pytest.mark.parametrize("kind", ["translation", "cutout"])
def test_places_of_a_pair_stay_together(kind):
    """The pair shows the same picture twice: it must still do so afterwards."""
    shown = view(augment=(kind,))(pictures(0), pictures(0))
    assert torch.equal(shown[:, :3], shown[:, 3:])
    kept = shown.ne(0).float().mean()
    assert 0.5 < kept < 1


def test_half_way_draws_change_no_colour_and_others_do_what_they_say():
    half = torch.full((3, 3), 0.5)
    torch.testing.assert_close(recolour(pictures(), half), pictures(), rtol=0, atol=1e-6)
    grey = recolour(pictures(), torch.tensor([[0.5, 0.0, 0.5]] * 3))
    torch.testing.assert_close(grey[:, 0], grey[:, 2])
    brighter = recolour(pictures(), torch.tensor([[0.75, 0.5, 0.5]] * 3))
    torch.testing.assert_close(brighter, pictures() + 0.25, rtol=0, atol=1e-6)


def test_shifts_move_and_fill_with_zeros():
    moved = shifted(pictures(count=1), [(2, -3)])
    assert torch.equal(moved[:, :, 2:, :-3], pictures(count=1)[:, :, :-2, 3:])
    assert not moved[:, :, :2].any() and not moved[:, :, :, -3:].any()


# -- beginnings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spectral", [False, True])
def test_kernels_begin_as_asked_under_spectral_norm_too(kind, spectral):
    torch.manual_seed(0)
    network = build_discriminator(
        "patch", 6, {"layers": 2, "width": 32, "spectral": spectral, "norm": "none"}
    )
    initialise(network, kind, 0.2)
    conv = network.stages[0].conv
    kernel = (conv.parametrizations.weight.original if spectral else conv.weight).detach().flatten(1)
    fan_in, fan_out = kernel.shape[1], kernel.numel() // 32
    expected = {
        "normal": 0.2,
        "xavier": 0.2 * math.sqrt(2 / (fan_in + fan_out)),
        "kaiming": math.sqrt(2 / fan_in),
        "orthogonal": 0.2 / math.sqrt(fan_in),
    }[kind]
    assert kernel.std().item() == pytest.approx(expected, rel=0.05)
    if kind == "orthogonal":
        torch.testing.assert_close(kernel @ kernel.T, 0.04 * torch.eye(64), rtol=0, atol=1e-5)
    assert not conv.bias.any()


# -- rates ------------------------------------------------------------------------------------------------------


def test_one_cycle_rises_quickly_and_falls_slowly():
    part = OptimiserPart(schedule="onecycle", begin=0.04, rise=0.1, final=0.01)
    factors = [rate_factor(part, seen, 1000) for seen in range(1001)]
    assert factors[0] == pytest.approx(0.04) and factors[1000] == pytest.approx(0.01)
    assert max(factors) == factors[100] == 1
    assert all(a < b for a, b in pairwise(factors[:101])) and all(a > b for a, b in pairwise(factors[100:]))


def test_one_cycle_is_torchs_own():
    """torch.optim.lr_scheduler.OneCycleLR with cosines: an independent reference."""
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([weight], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        1.0,
        total_steps=201,
        pct_start=41 / 201,
        div_factor=25,
        final_div_factor=4,
        cycle_momentum=False,
    )
    theirs = []
    for _ in range(201):
        theirs.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    part = OptimiserPart(schedule="onecycle", begin=0.04, rise=0.2, final=0.01)
    assert [rate_factor(part, seen, 200) for seen in range(201)] == pytest.approx(theirs, abs=1e-6)


def test_steps_drop_by_their_factor():
    part = OptimiserPart(schedule="step", drop=0.5, drop_every=100)
    assert [rate_factor(part, seen, 1000) for seen in (0, 99, 100, 250, 999)] == [1, 1, 0.5, 0.25, 0.5**9]


def test_a_plateau_drops_after_so_many_looks_without_a_record():
    part = OptimiserPart(schedule="plateau", drop=0.1, patience=2)
    assert plateau_factor(part, []) == plateau_factor(part, [1, 2, 3]) == plateau_factor(part, [3, 1]) == 1
    assert plateau_factor(part, [3, 1, 2]) == pytest.approx(0.1)
    assert plateau_factor(part, [3, 1, 2, 4, 4]) == pytest.approx(0.1)
    assert plateau_factor(part, [3, 1, 2, 4, 4, 4]) == pytest.approx(0.01)
    assert plateau_factor(OptimiserPart(schedule="constant"), [3, 1, 2, 1, 1]) == 1


def test_a_plateau_is_torchs_own():
    """torch.optim.lr_scheduler.ReduceLROnPlateau: an independent reference on random scores."""
    part = OptimiserPart(schedule="plateau", drop=0.3, patience=3)
    scores = torch.rand(60, generator=torch.Generator().manual_seed(2)).cumsum(0).sin().tolist()
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.3, patience=2, threshold=0.0, eps=0.0
    )
    for i, score in enumerate(scores):
        schedule.step(score)
        assert plateau_factor(part, scores[: i + 1]) == pytest.approx(optimiser.param_groups[0]["lr"])


def test_each_player_has_rates_of_its_own_and_the_scale_moves_them():
    network = nn.Conv2d(1, 1, 1, bias=False)
    moved = []
    for rate, scale in ((1e-3, 1.0), (4e-3, 1.0), (4e-3, 0.25)):
        nn.init.ones_(network.weight)
        optimiser = Optimiser(network, OptimiserPart(rate=rate))
        optimiser.scale = scale
        network.weight.grad = torch.ones_like(network.weight)
        optimiser.step(0, 10)
        moved.append(1 - network.weight.item())
    assert moved == pytest.approx([1e-3, 4e-3, 1e-3], rel=1e-3)  # Adam's first step is the rate


def test_clipping_bounds_the_gradient_and_reports_what_it_was():
    network = nn.Conv2d(1, 1, 1, bias=False)
    steps = []
    for clip in (0.0, 1e-12):
        nn.init.ones_(network.weight)
        optimiser = Optimiser(network, OptimiserPart(rate=1e-2, clip=clip))
        network.weight.grad = torch.full_like(network.weight, 3.0)
        assert optimiser.step(0, 10) == pytest.approx(3.0)
        steps.append(1 - network.weight.item())
    assert steps[1] < 1e-3 * steps[0]  # below Adam's epsilon nothing moves


# -- pool -------------------------------------------------------------------------------------------------------


def play(pool: Pool, rounds: range) -> list[float]:
    shown = []
    for i in rounds:
        torch.manual_seed(i)
        shown += pool.exchange(torch.full((2, 1, 1, 1), float(i))).flatten().tolist()
    return shown


def test_a_pool_shows_the_new_or_an_old_picture_half_of_the_time_each():
    pool = Pool(10)
    shown = play(pool, range(500))
    new = [value == i // 2 for i, value in enumerate(shown)]
    assert all(new[:10])
    assert sum(new[10:]) / len(new[10:]) == pytest.approx(0.5, abs=0.05)
    assert all(value <= i // 2 for i, value in enumerate(shown))
    assert len(pool.pictures) == 10


def test_a_pool_goes_on_from_its_tensors_as_if_nothing_had_happened():
    whole = play(Pool(4), range(60))
    first, second = Pool(4), Pool(4)
    begin = play(first, range(23))
    second.fill(first.tensors())
    assert begin + play(second, range(23, 60)) == whole


def test_an_empty_pool_gives_back_what_it_gets():
    pool = Pool(0)
    assert play(pool, range(9)) == [i // 2 for i in range(18)] and pool.tensors() is None
