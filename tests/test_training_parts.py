"""The parts of training by themselves: schedules, the average, optimisers, losses, batches."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from torch import nn  # noqa: E402

from pairs import toy_pair  # noqa: E402
from sat2map import losses  # noqa: E402
from sat2map.data.augment import Light  # noqa: E402
from sat2map.data.batches import BatchMaker  # noqa: E402
from sat2map.models import build_generator  # noqa: E402
from sat2map.palette import MAPS  # noqa: E402
from sat2map.training.optimise import Average, Optimiser, rate_factor  # noqa: E402
from sat2map.training.recipe import OptimiserPart  # noqa: E402


class MemoryStore:
    """Toy pairs in memory."""

    def __init__(self, count: int, side: int = 80) -> None:
        self.pairs = [toy_pair(i, side) for i in range(count)]

    def __len__(self) -> int:
        return len(self.pairs)

    def sat(self, number: int) -> np.ndarray:
        return self.pairs[number][0]

    def street(self, number: int) -> np.ndarray:
        return self.pairs[number][1]

    def index(self, number: int) -> np.ndarray:
        return MAPS.encode(self.pairs[number][1])


def maker(**settings) -> BatchMaker:
    defaults = {"seed": 3, "batch": 2, "crop": 32, "palette": True, "turns": True, "light": Light(gain=0.2)}
    return BatchMaker(MemoryStore(5), range(5), **(defaults | settings))


def test_a_batch_is_a_function_of_the_images_seen():
    one, other = maker(), maker()
    other(0)
    for seen in (40, 0, 14):
        for a, b in zip(one(seen), other(seen), strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_samples_do_not_depend_on_how_they_are_grouped():
    by_one = [maker(batch=1)(i).source for i in range(6)]
    by_three = [maker(batch=3)(i).source for i in (0, 3)]
    assert torch.equal(torch.cat(by_one), torch.cat(by_three))


def test_every_epoch_shows_every_pair_once():
    names = [name for seen in range(20) for name in maker(batch=1)(seen).names]
    for epoch in range(4):
        assert sorted(names[5 * epoch : 5 * epoch + 5]) == list(range(5))


def test_all_layers_of_a_pair_are_cut_alike():
    for seen in range(0, 20, 2):
        batch = maker(light=Light())(seen)
        street = ((batch.target + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        assert (MAPS.encode(street) == batch.palette_index.numpy()).all()


def test_the_reverse_direction_swaps_source_and_target():
    forth, back = maker(), maker(direction="map2sat")
    assert torch.equal(forth(4).source, back(4).target) and torch.equal(forth(4).target, back(4).source)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_schedules_start_at_one_and_fall_to_final(schedule):
    part = OptimiserPart(schedule=schedule, decay_from=0.25, final=0.1)
    factors = [rate_factor(part, seen, 1000) for seen in range(0, 1001, 10)]
    assert factors[0] == factors[25] == 1 and all(a >= b for a, b in pairwise(factors))
    assert factors[-1] == pytest.approx(1 if schedule == "constant" else 0.1)


def test_warmup_rises_to_one():
    part = OptimiserPart(warmup=100)
    factors = [rate_factor(part, seen, 1000) for seen in range(120)]
    assert factors[0] == pytest.approx(0.01) and factors[99] == 1 and factors == sorted(factors)


def test_the_average_converges_to_constant_weights_with_its_half_life():
    network = nn.Conv2d(1, 1, 1)
    average = Average(network, half_life=50.0)
    with torch.no_grad():
        start = average.weights["weight"].clone()
        network.weight.add_(1.0)
    for seen in range(10_001, 10_051):
        average.update(network, seen, 1)
    assert torch.allclose(average.weights["weight"], start + 0.5, atol=1e-3)


def quadratic(kind: str, steps: int = 60) -> float:
    """Loss left after fitting one random kernel to another."""
    torch.manual_seed(0)
    network = build_generator("carto", 4, {"widths": [8], "encoder": [1], "decoder": [], "head": 8})
    network = network.to(memory_format=torch.channels_last)
    optimiser = Optimiser(network, OptimiserPart(kind=kind, rate=1e-2, matrix_rate=0.05))
    image, goal = torch.randn(2, 3, 16, 16), torch.randn(2, 4, 16, 16)
    first = float("nan")
    for step in range(steps):
        loss = (network(image) - goal).square().mean()
        first = loss.item() if step == 0 else first
        loss.backward()
        optimiser.step(step, steps)
    return loss.item() / first


@pytest.mark.parametrize("kind", ["adam", "adamw", "muon"])
def test_every_optimiser_learns(kind):
    assert quadratic(kind) < 0.9


@pytest.mark.parametrize("kind", ["adam", "muon"])
def test_a_backbone_is_trained_by_adam_at_a_rate_of_its_own_and_does_not_decay(kind):
    network = build_generator("carto", 2, {"backbone": True, "widths": [8] * 4, "head": 8})
    for join in network.join:
        torch.nn.init.normal_(join.conv.weight)
    torch.nn.init.normal_(network.decoder[2][0].second.weight)
    part = OptimiserPart(kind=kind, rate=0.1, backbone_rate=1e-3, decay=0.5)
    optimiser = Optimiser(network.to(memory_format=torch.channels_last), part)
    before = {name: value.detach().clone() for name, value in network.backbone.named_parameters()}
    network(torch.rand(2, 3, 64, 64)).square().sum().backward()  # gradients far above Adam's epsilon
    optimiser.step(0, 100)
    for name, value in network.backbone.named_parameters():
        change = (value - before[name]).abs().max()
        if name.startswith(("stem", "stages.0", "stages.1")):
            assert change == 0
        else:  # the first step of Adam is the rate itself, in the sign of the gradient
            torch.testing.assert_close(change, torch.tensor(1e-3), rtol=0.02, atol=0)


def test_muon_moves_the_kernels_themselves():
    network = build_generator("carto", 4, {"widths": [8], "encoder": [1], "decoder": [], "head": 8})
    network = network.to(memory_format=torch.channels_last)
    optimiser = Optimiser(network, OptimiserPart(kind="muon"))
    before = {name: value.clone() for name, value in network.named_parameters()}
    network(torch.randn(1, 3, 16, 16)).square().sum().backward()
    optimiser.step(0, 10)
    kernel = "encoder.0.0.second.weight"
    moved = (dict(network.named_parameters())[kernel] - before[kernel]).reshape(8, -1)
    # an orthogonalised update has singular values near one: no direction is left out, none dominates
    values = torch.linalg.svdvals(moved)
    assert values.min() > 0.3 * values.max()


def test_optimiser_state_survives_a_round_trip():
    def play(optimiser: Optimiser, network: nn.Module, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            network(torch.randn(1, 3, 16, 16)).square().mean().backward()
            optimiser.step(step, 20)

    def fresh() -> tuple[nn.Module, Optimiser]:
        torch.manual_seed(1)
        network = build_generator("carto", 4, {"widths": [8], "encoder": [1], "decoder": [], "head": 8})
        network = network.to(memory_format=torch.channels_last)
        return network, Optimiser(network, OptimiserPart(kind="muon", schedule="linear", decay=0.1))

    one, optimiser = fresh()
    play(optimiser, one, range(6))
    weights = {name: value.clone() for name, value in one.state_dict().items()}
    state = {name: value.clone() for name, value in optimiser.state().items()}
    play(optimiser, one, range(6, 12))
    other, second = fresh()
    with torch.no_grad():
        for name, value in other.state_dict().items():
            value.copy_(weights[name])
    second.restore(state)
    play(second, other, range(6, 12))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["bce", "lsgan", "hinge"])
def test_adversarial_losses_pull_apart(kind):
    real = torch.tensor([0.3], requires_grad=True)
    fake = torch.tensor([0.1], requires_grad=True)
    losses.adversarial_discriminator(kind, real, fake).backward()
    assert real.grad.item() < 0 < fake.grad.item()
    opinion = torch.tensor([0.1], requires_grad=True)
    losses.adversarial_generator(kind, opinion).backward()
    assert opinion.grad.item() < 0


def test_balanced_weights_keep_the_mean_and_favour_the_rare():
    shares = torch.tensor([0.7, 0.25, 0.05, 0.0])
    weights = losses.balanced_weights(shares, 0.5)
    assert (weights * shares).sum().item() == pytest.approx(1) and (weights[:-1].diff() > 0).all()
    assert torch.equal(losses.balanced_weights(shares, 0.0), torch.ones(4))


def test_feature_matching_is_zero_on_itself_only():
    features = [torch.randn(1, 2, 3, 3), torch.randn(1, 4, 2, 2)]
    assert losses.feature_matching(features, features).item() == 0
    assert losses.feature_matching(features, [f + 1 for f in features]).item() == pytest.approx(1, rel=1e-5)
