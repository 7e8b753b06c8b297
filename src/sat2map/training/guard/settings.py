"""What a recipe asks of its guard: how long it looks before it judges, and what it does then."""

from typing import Annotated, Literal

import msgspec

Action = Literal["ignore", "warn", "stop", "roll back"]
Images = Annotated[int, msgspec.Meta(ge=1)]

# Kind of failure -> (what it is, what to try). The order is the order in which they are judged.
KINDS: dict[str, tuple[str, str]] = {
    "not finite": (
        "A loss, a gradient or a pair of the batch is no longer a finite number.",
        "Set optimiser.rate lower or optimiser.clip=1, or remove the named pairs if they are broken",
    ),
    "no convergence": (
        "The discriminator's loss has gone to zero and the generator's surges: the game is lost for the generator.",
        "Set discriminator_optimiser.rate and optimiser.rate lower (1e-4), smooth the discriminator's labels or add "
        "noise to what it sees (recipe pix2pix-stable), or give the discriminator fewer layers",
    ),
    "collapse": (
        "Generated pictures are dark, nearly empty, or the same whatever the input shows.",
        "Go back to an earlier checkpoint with a lower discriminator_optimiser.rate, raise "
        "objective.reconstruction_weight, and look for empty pairs with `sat2map data check`",
    ),
    "divergence": (
        "Generated pictures are farther from the truth than they were, by far.",
        "Set optimiser.rate lower or optimiser.clip=1, and check the weights of the objective",
    ),
    "stalled": (
        "The generator has learned nothing since it began.",
        "Check optimiser.rate (0 or far too high?), the generator's initialisation, and whether inputs and targets "
        "belong together (`sat2map data check`)",
    ),
    "past peak": (
        "Development figures have been below their best for several looks.",
        "Use the best checkpoint (`sat2map export` takes it), or go on from it with a lower optimiser.rate",
    ),
}


class GuardPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The guard of a recipe. Lengths are images seen; an action answers to each kind of failure.

    `roll back` goes to the best checkpoint with all rates times `rate_factor`, at most `retries` times, and then stops;
    where there is no checkpoint yet, it stops at once.
    """

    memory: Images = 1000  # half-life of running means
    grace: Images = 3000  # nothing but `not finite` is judged before
    patience: Images = 1000  # a sign must hold for so long
    not_finite: Literal["stop", "roll back"] = "roll back"
    no_convergence: Action = "roll back"
    collapse: Action = "roll back"
    divergence: Action = "roll back"
    stalled: Action = "stop"
    past_peak: Action = "warn"
    looks: Images = 3  # development figures in a row below the best
    tolerance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05  # share of the best that they may lose
    retries: Annotated[int, msgspec.Meta(ge=0)] = 2
    rate_factor: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5

    def action(self, kind: str) -> Action:
        """What to do about a kind of failure (a key of KINDS)."""
        found: Action = getattr(self, kind.replace(" ", "_"))
        return found
