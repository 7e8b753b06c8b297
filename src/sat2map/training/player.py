"""A network in training with all that belongs to it, and the protocol by which the loop knows a training system."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sat2map.data.batches import Batch
from sat2map.models import Generator
from sat2map.training.optimise import Average, Optimiser

if TYPE_CHECKING:
    from sat2map.training.phases import Phases

Terms = dict[str, float]  # figures of one step, for the log


@dataclass
class Player:
    """A network, its optimiser, and the running mean of its weights if the recipe wants one."""

    network: nn.Module
    optimiser: Optimiser
    average: Average | None = None

    @property
    def generator(self) -> Generator:
        """The network, of which we know that it is a generator."""
        assert isinstance(self.network, Generator), f"{type(self.network).__name__} is no generator"
        return self.network

    @property
    def best_weights(self) -> dict[str, Tensor] | None:
        """The averaged weights, or None where the network's own are all there is."""
        return None if self.average is None else self.average.weights


class Shown(NamedTuple):
    """What a generator was given in a step and what it made of it, detached."""

    source: Tensor  # (N, 3, H, W) in [-1, 1]
    output: (
        Tensor  # (N, outputs, H, W): an RGB picture, or scores where a palette painter was not asked for one
    )
    target: Tensor  # (N, 3, H, W) in [-1, 1]: the truth; without pairs, another picture of the wanted kind


class Outcome(NamedTuple):
    """A step as seen from outside: figures, and the pictures of each generator by its name among the players."""

    terms: Terms
    shown: dict[str, Shown]


class System(Protocol):
    """Networks that are trained together. Whatever decides the next step is in `players` and `memory`."""

    players: dict[str, Player]  # by the names under which checkpoints keep them; "generator" is always there

    def step(self, batch: Batch, seen: int, total: int) -> Outcome:
        """Train on a batch after `seen` of `total` images. All randomness comes from torch's global state."""

    def phases(self, batch: Batch, seen: int, total: int) -> "Phases":
        """The same step on a part of a batch, pausing where it needs the others (see `training.phases`)."""

    def memory(self) -> dict[str, Tensor]:
        """What has to survive a stop beside the players; may be empty."""

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Inverse of `memory`."""


@contextmanager
def frozen(*networks: nn.Module | None) -> Iterator[None]:
    """Let gradients pass through networks without leaving any in them."""
    present = [network for network in networks if network is not None]
    for network in present:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in present:
            network.requires_grad_(True)


def autocast(precision: torch.dtype, batch: Batch) -> torch.autocast:
    """Mixed precision where the recipe asks for it, on the device that holds the batch."""
    return torch.autocast(batch.source.device.type, precision, enabled=precision != torch.float32)
