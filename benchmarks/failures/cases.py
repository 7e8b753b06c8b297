"""The runs: which settings and faults fail, by which sign each is to be caught, and which runs are healthy."""

import math
from pathlib import Path

from failures.case import Case
from failures.faults import (
    IMAGES,
    darken,
    exchange_labels,
    faster,
    flatten,
    mismatch,
    outweigh,
    poison,
    wear,
)

TESTS = Path(__file__).parents[2] / "tests" / "recipes"
GUARD = [f"guard.memory={IMAGES // 16}", f"guard.grace={IMAGES // 4}", f"guard.patience={IMAGES // 16}"]
WARN = [f"guard.{kind}=warn" for kind in ("no_convergence", "collapse", "divergence", "stalled", "past_peak")]
SMALL = [
    "data.load=null", "data.crop=32", "data.batch=2", "data.finish=null", f"run.images={IMAGES}", "run.precision=fp32",
    *GUARD, *WARN,
]  # fmt: skip
CLASSIC = [
    *SMALL,
    "generator.parameters={levels: 3, width: 8, norm: instance}",
    "discriminator.parameters={layers: 1, width: 8, norm: instance}",
    "optimiser.rate=0.001",
    "discriminator_optimiser.rate=0.0005",
]
POOLED = [
    *SMALL, "data.batch=4",
    "generator.parameters={levels: 3, width: 4, dropout: 0.5, norm: batch}",
    "discriminator.parameters={levels: 3, width: 8, norm: batch}",
]  # fmt: skip
PALETTE = [
    *SMALL,
    "generator.parameters={widths: [8, 16], encoder: [1, 1], decoder: [1], head: 8}",
    "objective.palette=5",
    "optimiser.warmup=40",
]
HINGE = [
    *PALETTE,
    "discriminator={name: folded, parameters: {widths: [8, 16], depth: 1}}",
    "objective.adversarial=hinge",
    "objective.adversarial_weight=0.1",
]

LONGER = [*POOLED, "run.images=1200"]  # the seeds' failures come with time
ANY = ("no convergence", "collapse", "divergence", "stalled", "past peak")
LOST_GAME = ("no convergence", "collapse", "divergence", "past peak")
FAILING: dict[str, Case] = {
    "rate 0.01": Case(TESTS / "fails-rate-0.01.yaml", LONGER, None, ANY),
    "rate 0.001 continued": Case(
        TESTS / "fails-rate-0.001-continued.yaml", LONGER, None, ANY, after="rate 0.01"
    ),
    "spread 0.2": Case(TESTS / "fails-spread-0.2.yaml", LONGER, None, ANY),
    "NaN in a target": Case("pix2pix-paper", CLASSIC, poison(math.nan, "target"), ("not finite",)),
    "infinity in an input": Case("pix2pix-paper", CLASSIC, poison(math.inf, "source"), ("not finite",)),
    "rates x 300": Case("pix2pix-paper", CLASSIC, faster(300.0), ANY),
    "palette, rates x 100": Case("carto", PALETTE, faster(100.0), ANY),
    "discriminator far too strong": Case(
        "pix2pix-paper",
        [
            *CLASSIC,
            "optimiser.rate=1e-6",
            "discriminator_optimiser.rate=0.01",
            "discriminator.parameters={layers: 2, width: 32, norm: instance}",
        ],
        None,
        ("no convergence", "stalled"),
    ),
    "generator frozen": Case(
        "pix2pix-paper", [*CLASSIC, "optimiser.rate=1e-12"], None, ("no convergence", "stalled")
    ),
    "dark pictures": Case("pix2pix-paper", CLASSIC, darken, ("collapse", "divergence")),
    "constant pictures": Case("pix2pix-paper", CLASSIC, flatten, ("collapse", "divergence")),
    "palette, constant pictures": Case("carto", PALETTE, flatten, ("collapse", "divergence")),
    "labels exchanged": Case(
        "pix2pix-paper",
        [*CLASSIC, "objective.reconstruction_weight=1"],
        exchange_labels,
        ("no convergence", "collapse"),
    ),
    "adversary outweighs": Case("pix2pix-paper", CLASSIC, outweigh, ANY),
    "targets of other inputs": Case(
        "pix2pix-paper", CLASSIC, mismatch, ("collapse", "stalled", "divergence")
    ),
    "worn kernels": Case("pix2pix-paper", CLASSIC, wear, ("past peak", "divergence")),
}
HEALTHY: dict[str, Case] = {
    "pix2pix": Case("pix2pix-paper", CLASSIC),
    "pix2pix, map to imagery": Case("pix2pix-paper", [*CLASSIC, "data.direction=map2sat"]),
    "pix2pix, least squares": Case("pix2pix-paper", [*CLASSIC, "objective.adversarial=lsgan"]),
    "pix2pix stable": Case("pix2pix-stable", CLASSIC),
    "max-pool": Case(
        "unet-maxpool-512", [*POOLED, "optimiser.rate=0.002", "discriminator_optimiser.rate=0.001"]
    ),
    "relativistic": Case(
        "pix2pix-paper",
        [*CLASSIC, "objective.adversarial=relativistic", "objective.r1=1.0", "objective.r2=1.0"],
    ),
    "palette": Case("carto", PALETTE),
    "palette, hinge": Case("carto", HINGE),
    "likeness alone": Case("pix2pix-paper", [*CLASSIC, "objective.adversarial=none", "discriminator=null"]),
}
