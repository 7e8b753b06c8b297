"""One training step, taken apart: penalties in float32, the game of each form, what a step shows of itself."""

import pytest

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from sat2map.data.batches import Batch  # noqa: E402
from sat2map.errors import BadRecipe  # noqa: E402
from sat2map.training.cyclegan import CycleGan  # noqa: E402
from sat2map.training.pix2pix import Objective, Pix2Pix  # noqa: E402
from sat2map.training.player import Outcome  # noqa: E402
from sat2map.training.recipe import Recipe, override  # noqa: E402
from sat2map.training.systems import build_cycle, build_players  # noqa: E402
from test_training_recipes import tiny  # noqa: E402


def batch(side: int = 128) -> Batch:
    generator = torch.Generator().manual_seed(4)
    source, target = (torch.rand(2, 3, side, side, generator=generator) * 2 - 1 for _ in range(2))
    return Batch(source, target, None, (0, 1))


def first_step(recipe: Recipe, precision: torch.dtype = torch.float32) -> Outcome:
    system = Pix2Pix(build_players(recipe), Objective(recipe.objective), precision)
    torch.manual_seed(0)
    return system.step(batch(), 0, 100)


@pytest.mark.parametrize("form", ["exact", "difference"])
def test_penalties_are_computed_in_float32_when_all_else_is_not(form):
    recipe = tiny("carto-reverse", f"objective.penalty={form}", "objective.r1=1", "objective.r2=1")
    full, half = first_step(recipe), first_step(recipe, torch.bfloat16)
    assert full.terms["r1"] == half.terms["r1"] > 0
    assert full.terms["d_fake"] != half.terms["d_fake"]


def test_penalties_weigh_by_their_gamma():
    """After one step of plain gradient ascent on everything else being equal, only the discriminator's step differs."""
    norms = [
        first_step(tiny("carto-reverse", f"objective.r1={gamma}", "objective.r2=0")).terms["d_norm"]
        for gamma in (0, 1e-3, 1e3)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-2) and norms[2] > 10 * norms[0]


@pytest.mark.parametrize("kind", ["bce", "lsgan", "hinge", "relativistic"])
def test_the_discriminator_wins_against_a_generator_that_stands_still(kind):
    smoothing = "objective.smoothing=0"
    recipe = tiny(
        "pix2pix-stable", f"objective.adversarial={kind}", smoothing, "discriminator_optimiser.rate=0.01"
    )
    players = build_players(recipe)
    players["generator"].optimiser.scale = 0.0
    system = Pix2Pix(players, Objective(recipe.objective), torch.float32)
    gaps = []
    for i in range(25):
        torch.manual_seed(i)
        terms = system.step(batch(48), i, 100).terms
        gaps.append(terms["d_real"] - terms["d_fake"])
    assert gaps[-1] > gaps[0] + 0.3


def test_a_step_shows_the_pictures_that_it_was_about():
    outcome = first_step(tiny("pix2pix-paper"))
    shown = outcome.shown["generator"]
    assert torch.equal(shown.source, batch().source) and torch.equal(shown.target, batch().target)
    assert shown.output.shape == (2, 3, 128, 128) and not shown.output.requires_grad
    assert shown.output.abs().amax() <= 1


def test_a_cycle_shows_both_ways_and_leaves_no_gradient_behind():
    recipe = tiny("cyclegan")
    system = CycleGan(build_cycle(recipe), recipe.objective, torch.float32)
    outcome = system.step(batch(48), 0, 100)
    assert set(outcome.shown) == {"generator", "generator_back"}
    assert torch.equal(outcome.shown["generator_back"].source, batch(48).target)
    for player in system.players.values():
        assert all(weight.requires_grad and weight.grad is None for weight in player.network.parameters())


def test_a_cycle_that_is_the_identity_costs_nothing_but_the_game():
    recipe = override(tiny("cyclegan"), ["objective.identity=1"])
    system = CycleGan(build_cycle(recipe), recipe.objective, torch.float32)
    system._paint = lambda side, picture: picture.requires_grad_()  # type: ignore[method-assign]
    terms, _ = system._generators(batch(48), lambda picture: picture)
    assert terms["cycle"] == terms["cycle_back"] == terms["identity"] == terms["identity_back"] == 0
    assert terms["g"] == pytest.approx(terms["adversarial"] + terms["adversarial_back"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["objective.adversarial=hinge", "objective.smoothing=0.1"], "smoothing has no meaning"),
        (["objective.adversarial=none", "objective.reconstruction=none"], "asks for nothing"),
        (["objective.adversarial=none", "objective.r1=1"], "concern a discriminator"),
        (["objective.cross_entropy=1"], "needs objective.palette"),
        (["objective.augment=[blur]"], "blur"),
        (["objective.noise_until=0"], "noise_until"),
    ],
)
def test_stabilisers_that_do_not_fit_together_are_refused(settings, said):
    with pytest.raises(BadRecipe, match=said):
        tiny("pix2pix-paper", *settings)
