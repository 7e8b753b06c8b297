"""Whole runs in a folder whose weights are spoilt halfway: how good are they once the guard has taken them back?"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from failures.cases import CLASSIC, GUARD
from sat2map.training import loop
from sat2map.training.guard.watch import Alarm

BACK_FAULT = 330  # images after which weights are spoilt
BACK = [
    *CLASSIC[:4], "run.images=640", *GUARD, *CLASSIC[-4:], "data.development=0.1", "run.checkpoint_every=64",
    "run.sample_every=640", "run.log_every=32", "run.threads=1",
]  # fmt: skip


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
