"""Training an encoder through a generator that is finished: crop -> latent -> picture, compared with the photo.

As the fourth seed has it: the discriminator is not used, the generator does not learn, and the photo taken at the
place is all there is to learn from. `latent.loss` chooses how pictures are compared. `latent.prior` adds the mean
square of the latent: the generator has only ever been shown normal draws, and says nothing sensible far out.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sat2map.data.batches import Batch
from sat2map.losses.views import VIEW_LOSSES, at_one_size
from sat2map.models.encoder import Encoded
from sat2map.training.phases import Phases, learn, run_whole
from sat2map.training.player import Outcome, Player, Shown, autocast
from sat2map.training.recipe import LatentPart


class ThroughGenerator:
    """One player, `generator`: the encoder before the generator through which it learns."""

    def __init__(self, players: dict[str, Player], part: LatentPart, precision: torch.dtype) -> None:
        self.players, self.part, self.precision = players, part, precision
        self._loss: Callable[[Tensor, Tensor], Tensor] = VIEW_LOSSES[part.loss]

    @property
    def network(self) -> Encoded:
        """Encoder and generator."""
        network = self.players["generator"].network
        assert isinstance(network, Encoded), f"{type(network).__name__} has no encoder"
        return network

    def step(self, batch: Batch, seen: int, total: int) -> Outcome:
        """Train on a whole batch."""
        return run_whole(self.phases(batch, seen, total), seen, total)

    def phases(self, batch: Batch, seen: int, total: int) -> Phases:
        """One pass and one step."""
        with autocast(self.precision, batch):
            latent = self.network.encoder(batch.source).float()
            picture = self.network.painter(latent).float()
        # photos come at the size of the crops, whatever the generator paints
        picture, target = at_one_size(picture, batch.target)
        likeness = self._loss(picture, target)
        size = latent.square().mean()
        loss = likeness + self.part.prior * size
        loss.backward()
        terms = {"g": loss.item(), self.part.loss: likeness.item(), "latent": size.sqrt().item()}
        terms["g_norm"] = yield from learn(self.players["generator"])
        return Outcome(terms, {"generator": Shown(batch.source, picture.detach(), target)})

    def memory(self) -> dict[str, Tensor]:
        """Nothing but the players."""
        return {}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Nothing to remember."""
