"""Small runs that fail in known ways, and small runs that do not: what the guard is measured on (guard.py).

Pairs are invented, networks are tiny and runs take seconds. A fault is put into an otherwise healthy recipe: a
setting that failed elsewhere, or a change of a network, its optimiser, a batch or a loss halfway through.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from sat2map import losses, palette
from sat2map.data.batches import Batch, BatchMaker, to_tensor
from sat2map.images import write_image
from sat2map.palette import MAPS, Palette
from sat2map.training import loop, pix2pix
from sat2map.training.guard.watch import Alarm, guard_of
from sat2map.training.pix2pix import Objective, Pix2Pix
from sat2map.training.player import Player
from sat2map.training.recipe import Recipe, load_recipe, override
from sat2map.training.systems import build_players

UInt8 = NDArray[np.uint8]
IMAGES, LOOK_EVERY, PAIRS, SIDE = 640, 64, 160, 48
HALF = IMAGES // 2  # images after which a fault sets in
TESTS = Path(__file__).parents[1] / "tests" / "recipes"
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


def invented_pair(seed: int, side: int = SIDE) -> tuple[UInt8, UInt8]:
    """(sat, street) uint8 (side, side, 3): water, green and buildings on land, cut by two roads; and a view of it."""
    random = np.random.default_rng(seed)
    index = np.zeros((side, side), np.uint8)
    for colour in (2, 7, 10):
        row, col = random.integers(0, side // 2, 2)
        index[row : row + side // 2, col : col + side // 3] = colour
    index[:, (at := int(random.integers(side - 5))) : at + 4] = 3
    index[(at := int(random.integers(side - 5))) : at + 4] = 3
    grey = np.array([90, 80, 130, 60, 0, 0, 0, 40, 0, 0, 25])[index][..., None]
    sat = grey + np.array([0, 6, -4]) + random.normal(0, 6, (side, side, 3))
    return sat.clip(0, 255).astype(np.uint8), MAPS.decode(index)


class Pairs:
    """Invented pairs in memory, as a `BatchMaker` wants them."""

    def __init__(self, count: int = PAIRS, first: int = 0, side: int = SIDE) -> None:
        self._pairs = [invented_pair(first + number, side) for number in range(count)]
        self._palette: Palette | None = None

    @property
    def palette(self) -> Palette:
        """Five colours, learned when first asked for."""
        if self._palette is None:
            self._palette = palette.learn((street for _, street in self._pairs[:40]), 5)
        return self._palette

    def __len__(self) -> int:
        return len(self._pairs)

    def sat(self, number: int) -> UInt8:
        """(H, W, 3)."""
        return self._pairs[number][0]

    def street(self, number: int) -> UInt8:
        """(H, W, 3)."""
        return self._pairs[number][1]

    def index(self, number: int) -> UInt8:
        """(H, W) palette index."""
        return self.palette.encode(self.street(number))


@dataclass
class Lab:
    """A run as a fault may change it."""

    recipe: Recipe
    system: Pix2Pix
    stack: ExitStack
    noted: dict[str, Any] = field(default_factory=dict)

    @property
    def generator(self) -> Player:
        """The generator with its optimiser."""
        return self.system.players["generator"]

    def last_layer(self) -> torch.nn.Module:
        """The convolution that paints."""
        kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
        return [part for part in self.generator.network.modules() if isinstance(part, kinds)][-1]


Fault = Callable[[Lab, Batch, int], Batch | None]  # called before each step with the images seen


@dataclass(frozen=True)
class Case:
    """A recipe, changes to it, and a fault; `caught_by` are the signs that fit it (empty for healthy runs)."""

    recipe: str | Path
    settings: Sequence[str]
    fault: Fault | None = None
    caught_by: tuple[str, ...] = ()
    after: str = ""  # go on from the weights that this case ends with


@dataclass
class Result:
    """What became of a run."""

    alarms: list[Alarm]
    errors: list[float]  # development distance from the truth (0 to 2), at every look
    figures: dict[str, float]  # of the guard, at the end
    weights: dict[str, dict[str, torch.Tensor]]
    trace: list[dict[str, float]]  # the guard's figures at every look


def run(case: Case, seed: int, weights: dict[str, dict[str, torch.Tensor]] | None = None) -> Result:
    """Train a case to its end (or until a number is no longer finite) under a guard that only warns."""
    recipe = override(load_recipe(case.recipe), [*case.settings, f"run.seed={seed}"])
    store, held = Pairs(), Pairs(8, 1000, 32)
    shares = _shares(store) if recipe.objective.palette else None
    with ExitStack() as stack:
        system = Pix2Pix(build_players(recipe, shares), _objective(recipe, store, shares), torch.float32)
        for name, state in (weights or {}).items():
            system.players[name].network.load_state_dict(state)
        guard = guard_of(recipe, store.palette if shares is not None else None)
        guard.memory.fresh = weights is None
        lab, part = Lab(recipe, system, stack), recipe.data
        draw = BatchMaker(
            store, range(len(store)), seed=seed, batch=part.batch, crop=part.crop, direction=part.direction,
            palette=bool(recipe.objective.palette),
        )  # fmt: skip
        result, seen, step = Result([], [], {}, {}, []), 0, 0
        while seen < recipe.run.images:
            torch.manual_seed(seed * 1_000_003 + seen)
            batch = draw(seen)
            if case.fault is not None:
                batch = case.fault(lab, batch, seen) or batch
            outcome = system.step(batch, seen, recipe.run.images)
            step, seen = step + 1, seen + part.batch
            alarms = [guard.judge(step, seen, part.batch, *outcome)]
            if seen % LOOK_EVERY < part.batch:
                result.errors.append(_distance(system, held, recipe))
                result.trace.append(guard.figures() | {"seen": seen})
                alarms.append(guard.consider(step, seen, [-error for error in result.errors]))
            result.alarms += [alarm for alarm in alarms if alarm is not None]
            if any(alarm.kind == "not finite" for alarm in result.alarms):
                break
        result.figures = guard.figures()
        result.weights = {
            name: {key: value.clone() for key, value in player.network.state_dict().items()}
            for name, player in system.players.items()
        }
    return result


def _shares(store: Pairs) -> torch.Tensor:
    counts = sum(np.bincount(store.index(n).ravel(), minlength=len(store.palette)) for n in range(len(store)))
    return torch.from_numpy(np.asarray(counts) / np.sum(counts)).float()


def _objective(recipe: Recipe, store: Pairs, shares: torch.Tensor | None) -> Objective:
    if shares is None:
        return Objective(recipe.objective)
    colours = torch.tensor(store.palette.colours).float().div(127.5).sub(1)
    return Objective(
        recipe.objective, colours, losses.balanced_weights(shares, recipe.objective.class_balance)
    )


@torch.no_grad()
def _distance(system: Pix2Pix, held: Pairs, recipe: Recipe) -> float:
    network = system.players["generator"].network
    network.eval()
    sat, street = (
        to_tensor(np.stack([side(n) for n in range(len(held))])) for side in (held.sat, held.street)
    )
    source, target = (sat, street) if recipe.data.direction == "sat2map" else (street, sat)
    picture = system.objective.paint(network, network(source))
    network.train()
    error = float((picture - target).abs().mean())
    return error if math.isfinite(error) else 2.0


# -- faults -------------------------------------------------------------------------------------------------------


def poison(value: float, side: str) -> Fault:
    """One pair of the set holds a value that is no number."""

    def fault(lab: Lab, batch: Batch, seen: int) -> Batch | None:
        if seen < HALF or 7 not in batch.names:
            return None
        pixels = getattr(batch, side).clone()
        pixels[batch.names.index(7), 0, 3, 5] = value
        return batch._replace(**{side: pixels})

    return fault


@torch.no_grad()
def darken(lab: Lab, batch: Batch, seen: int) -> None:
    """The painting layer drifts towards black."""
    if seen >= HALF:
        layer = lab.last_layer()
        layer.weight.mul_(0.97)
        layer.bias.sub_(0.1)


@torch.no_grad()
def flatten(lab: Lab, batch: Batch, seen: int) -> None:
    """The painting layer forgets what it is told."""
    if seen >= HALF:
        lab.last_layer().weight.mul_(0.8)


@torch.no_grad()
def wear(lab: Lab, batch: Batch, seen: int) -> None:
    """Kernels get noisier and noisier: the development figure gets worse bit by bit."""
    if seen >= HALF:
        for kernel in lab.generator.network.parameters():
            kernel.add_(torch.randn_like(kernel) * 0.008)


def faster(factor: float) -> Fault:
    """All learning rates jump."""

    def fault(lab: Lab, batch: Batch, seen: int) -> None:
        if seen == HALF:
            for player in lab.system.players.values():
                player.optimiser.scale = factor

    return fault


def outweigh(lab: Lab, batch: Batch, seen: int) -> None:
    """The adversarial term gets ten thousand times its weight."""
    if seen == HALF:
        part = lab.system.objective.part
        lab.system.objective = Objective(
            msgspec.structs.replace(part, adversarial_weight=1e4 * part.adversarial_weight),
            lab.system.objective.colours,
            lab.system.objective.weights,
        )


def exchange_labels(lab: Lab, batch: Batch, seen: int) -> None:
    """The discriminator is told that generated pictures are the real ones."""
    if seen == 0:
        straight = losses.adversarial_discriminator

        def crossed(
            kind: str, real: torch.Tensor, fake: torch.Tensor, smoothing: float = 0.0
        ) -> torch.Tensor:
            return straight(kind, fake, real, smoothing)

        pix2pix.losses.adversarial_discriminator = crossed
        lab.stack.callback(setattr, pix2pix.losses, "adversarial_discriminator", straight)


def mismatch(lab: Lab, batch: Batch, seen: int) -> Batch:
    """Targets belong to other inputs."""
    random = np.random.default_rng((lab.recipe.run.seed, 9, seen))
    others = lab.noted.setdefault("others", Pairs(PAIRS, 5000, lab.recipe.data.crop))
    chosen = [others.street(int(n)) for n in random.integers(0, PAIRS, len(batch.source))]
    return batch._replace(target=to_tensor(np.stack(chosen)))


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

# -- going back ---------------------------------------------------------------------------------------------------

BACK_FAULT = 330  # images after which weights are spoilt
BACK = [
    *CLASSIC[:4], "run.images=640", *GUARD, *CLASSIC[-4:], "data.development=0.1", "run.checkpoint_every=64",
    "run.sample_every=640", "run.log_every=32", "run.threads=1",
]  # fmt: skip


def write_pairs(folder: Path, count: int = PAIRS) -> None:
    """Invented pairs as a set in the `maps` layout, for runs with a folder."""
    (folder / "train").mkdir(parents=True)
    for number in range(count):
        write_image(
            folder / "train" / f"{number}.png", np.concatenate(invented_pair(number), 1), overwrite=False
        )


@contextmanager
def spoiling(fault: str) -> Iterator[None]:
    """Noise on all weights of a run's generator: `once`, or in every step while rates are what the recipe says."""
    straight, spoilt = loop.Run.advance, []

    def advance(self: loop.Run) -> tuple[dict[str, float], Alarm | None]:
        generator = self.system.players["generator"]
        again = fault != "once" and generator.optimiser.scale == 1.0
        if self.seen >= BACK_FAULT and (again or not spoilt):
            spoilt.append(self.seen)
            with torch.no_grad():
                for kernel in generator.network.parameters():
                    kernel.add_(torch.randn_like(kernel) * (0.5 if fault == "once" else 0.05))
        return straight(self)

    loop.Run.advance = advance  # type: ignore[method-assign]
    try:
        yield
    finally:
        loop.Run.advance = straight  # type: ignore[method-assign]
