"""Images per second of training: the `carto` recipe's step beside the reference pix2pix step, and how busy it keeps us.

    python benchmarks/training.py [--recipe carto] [--rounds 5] [--json FILE]

The reference step is U-Net-256 against PatchGAN 70, batches of 1 and of 4, fp32, BCE + 100 × L1. Arithmetic is
counted by torch.utils.flop_counter (multiplications and additions, of networks and optimiser alike); the achieved
FLOP/s are given as a share of those of one large matrix product of the same precision, measured in the same rounds.
"""

import math
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from measuring import Contestant, arguments, finish, interleaved, report_rates
from reference import Pix2pix
from sat2map.data.batches import Batch
from sat2map.losses import balanced_weights
from sat2map.palette import MAPS
from sat2map.training import pix2pix
from sat2map.training.pix2pix import Objective
from sat2map.training.recipe import Recipe, load_recipe
from sat2map.training.systems import build_players

REFERENCE = "pix2pix reference, batch 1, fp32"
REFERENCE_4 = (
    "pix2pix reference, batch 4, fp32"  # images/s of large batches are higher: both are fair to ask for
)
MATRIX = 2048  # side of the matrix product


def random_batch(count: int, side: int, colours: int) -> Batch:
    """Noise in the shape of a batch, channels-last as training has it; speed does not depend on what is seen."""
    source, target = (torch.rand(count, 3, side, side).mul(2).sub(1) for _ in range(2))
    index = torch.randint(colours, (count, side, side)) if colours else None
    layout = torch.channels_last
    return Batch(source.to(memory_format=layout), target.to(memory_format=layout), index, tuple(range(count)))


def recipe_step(recipe: Recipe, batch: int) -> Callable[[], object]:
    """One step of a recipe, generator and optimisers and all, with the palette of the `maps` table."""
    colours = recipe.objective.palette
    shares = torch.full((colours,), 1 / colours) if colours else None
    players = build_players(recipe, shares)
    objective = Objective(recipe.objective)
    if shares is not None:
        table = [MAPS.colours[i % len(MAPS)] for i in range(colours)]
        levels = torch.tensor(table).float().div(127.5).sub(1)
        objective = Objective(
            recipe.objective, levels, balanced_weights(shares, recipe.objective.class_balance)
        )
    given = random_batch(batch, recipe.data.crop, colours)
    precision = torch.bfloat16 if recipe.run.precision == "bf16" else torch.float32
    total = recipe.run.images  # late in the run, so that everything that joins has joined

    system = pix2pix.Pix2Pix(players, objective, precision)
    return lambda: system.step(given, total - 1, total)


def reference_step(batch: int) -> Callable[[], object]:
    """One step of the reference."""
    players, given = Pix2pix.build(), random_batch(batch, 256, 0)
    source, target = given.source.contiguous(), given.target.contiguous()
    return lambda: players.step(source, target)


def matrix_product(precision: torch.dtype) -> Callable[[], object]:
    """One large matrix product: about the best that the machine can do."""
    a, b = (torch.rand(MATRIX, MATRIX).to(precision) for _ in range(2))
    return lambda: a @ b


def backward_flop(grad: Any, x: Any, kernel: Any, *rest: Any, **_: Any) -> int:
    """Of `aten.convolution_backward`, from shapes: once the forward product for each of the two gradients wanted.

    torch's own count takes grouped kernels for whole ones on the way back.
    """
    transposed, wanted = rest[4], rest[7]
    return 2 * math.prod(x if transposed else grad) * math.prod(kernel[1:]) * sum(wanted[:2])


def gigaflop(run: Callable[[], object]) -> float:
    """Arithmetic of one run, in 10⁹ multiplications or additions."""
    mapping = {torch.ops.aten.convolution_backward: backward_flop}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        run()
    return counter.get_total_flops() / 1e9


def utilisation(rates: dict[str, list[float]], steps: dict[str, tuple[float, str]]) -> dict[str, Any]:
    """Print and return the achieved GFLOP/s of each step and its share of the matrix product."""
    out = {}
    for name, (per_image, product) in steps.items():
        achieved = [per_image * value for value in rates[name]]
        peak = [2 * MATRIX**3 / 1e9 * value for value in rates[product]]
        share = statistics.median(a / b for a, b in zip(achieved, peak, strict=True))
        print(
            f"{name}: {per_image:.1f} GFLOP per image, {statistics.median(achieved):.0f} GFLOP/s, "
            f"{share:.0%} of a {MATRIX}² {product} ({statistics.median(peak):.0f} GFLOP/s)"
        )
        out[name] = {"gigaflop_per_image": per_image, "gigaflops": achieved, "share": share}
    return out


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--recipe", default="carto", help="name or file of a recipe (default carto)")
    parser.add_argument("--seconds", type=float, default=3.0, help="per contestant and round (default 3)")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    product = "fp32 product" if recipe.run.precision == "fp32" else "bf16 product"
    precisions = {"fp32 product": torch.float32, "bf16 product": torch.bfloat16}
    sizes = sorted({1, recipe.data.batch})
    names = {f"{recipe.name}, batch {size}, {recipe.run.precision}": size for size in sizes}
    ours = [Contestant(name, size, recipe_step(recipe, size)) for name, size in names.items()]
    theirs = {REFERENCE: 1, REFERENCE_4: 4}
    steps = [*ours, *(Contestant(name, size, reference_step(size)) for name, size in theirs.items())]
    products = [Contestant(name, 1, matrix_product(kind)) for name, kind in precisions.items()]
    work = {
        c.name: (gigaflop(c.run) / c.items, "fp32 product" if c.name in theirs else product) for c in steps
    }
    rates = interleaved([*steps, *products], options.rounds, options.seconds)
    found = report_rates({c.name: rates[c.name] for c in steps}, "images/s", list(theirs))
    finish(options.json, {"recipe": recipe.name, "training": found, "utilisation": utilisation(rates, work)})


if __name__ == "__main__":
    main()
