"""A training step that may be done in parts: it pauses wherever it needs more than its own part of the batch.

A step is a generator function. Where an optimiser has to move it says `norm = yield from learn(player)`, and where
something depends on all samples of the batch, `rows = yield from together(function, rows)`. Whoever runs the step
(`training.parts`) answers: for one part at once, for several when all of them have come to the same place. So a step
reads as if it saw the whole batch, and knows nothing of parts, processes or devices.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sat2map.training.draws import same_rows
from sat2map.training.player import Outcome, Player


class Together(NamedTuple):
    """A request: apply `function` to the rows of the whole batch, once, and give me my rows of the result."""

    function: Callable[[Tensor], Tensor]  # (N, ...) -> (N, ...)
    rows: Tensor  # (n, ...) of this part


Request = Player | Together
Phases = Generator[Request, Any, Outcome]


def learn(player: Player) -> Generator[Request, Any, float]:
    """All gradients of this part are in the player's network: its optimiser may step. Returns their norm."""
    norm: float = yield player
    return norm


def together(function: Callable[[Tensor], Tensor], rows: Tensor) -> Generator[Request, Any, Tensor]:
    """What `function` makes of the whole batch: the rows (n, ...) that belong to this part."""
    result: Tensor = yield Together(function, rows)
    return result


def run_whole(phases: Phases, seen: int, total: int) -> Outcome:
    """Run a step on a batch that is in one piece."""
    answer: float | Tensor | None = None
    while True:
        try:
            request = phases.send(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if isinstance(request, Together):
            answer = request.function(request.rows)
        else:
            answer = request.optimiser.step(seen, total)


def forgetful(network: nn.Module, source: Tensor) -> Tensor:
    """The network's output without what a backward pass needs: that is computed again when it comes to it.

    Activations of one part at a time are then in memory (Chen et al. 2016), for one more forward pass. Draws are
    repeated, and running means of batch norms are moved once only.
    """
    from torch.utils.checkpoint import checkpoint

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _again(network, same_rows())

    result: Tensor = checkpoint(network, source, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _again(network: nn.Module, rows: AbstractContextManager[None]) -> Iterator[None]:
    """Draw for the same samples, and keep the running means of batch norms where they are."""
    norms = [part for part in network.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        with rows:
            yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
