"""Training without inputs: a generator from a latent, and the discriminator of its pictures.

The batch's photos are what the discriminator knows of the world; the latents of a step are drawn from torch's global
state, which the loop sets from the seed and the images seen.
"""

import torch
from torch import Tensor

from sat2map import losses
from sat2map.data.batches import Batch
from sat2map.models import Painter
from sat2map.training.phases import Phases, learn, run_whole
from sat2map.training.pix2pix import discriminator_gradients, slope_gradients
from sat2map.training.player import Outcome, Player, Shown, Terms, autocast, frozen
from sat2map.training.recipe import ObjectivePart
from sat2map.training.view import draw_view


class Landscape:
    """An unconditional game of `generator` and `discriminator`."""

    def __init__(self, players: dict[str, Player], goal: ObjectivePart, precision: torch.dtype) -> None:
        self.players, self.goal, self.precision = players, goal, precision

    @property
    def painter(self) -> Painter:
        """The generator, of which we know that it paints latents."""
        network = self.players["generator"].network
        assert isinstance(network, Painter), f"{type(network).__name__} is no painter"
        return network

    def step(self, batch: Batch, seen: int, total: int) -> Outcome:
        """Train on a whole batch."""
        return run_whole(self.phases(batch, seen, total), seen, total)

    def phases(self, batch: Batch, seen: int, total: int) -> Phases:
        """The discriminator learns first, then the generator, both on the same generated pictures.

        Slopes are measured at every `penalty_every`-th step and weigh as many times as much (Karras et al. 2020,
        "lazy regularisation").
        """
        goal, judge = self.goal, self.players["discriminator"]
        photos = batch.target
        view = draw_view(goal, photos, seen, total)
        latent = torch.randn(len(photos), self.painter.latent, device=photos.device)
        with autocast(self.precision, batch):
            picture = self.painter(latent).float()
            shown = view(photos), view(picture.detach())
            terms = discriminator_gradients(judge.network, goal, *shown)
        whole = len(photos) * batch.parts
        if seen // whole % goal.penalty_every == 0:
            terms |= slope_gradients(judge.network, goal, *shown, weight=goal.penalty_every)
        terms["d_norm"] = yield from learn(judge)
        with frozen(judge.network), autocast(self.precision, batch):
            terms |= self._generator(picture, view(photos), view(picture))
        terms["g_norm"] = yield from learn(self.players["generator"])
        return Outcome(terms, {"generator": Shown(photos, picture.detach(), photos)})

    def _generator(self, picture: Tensor, real: Tensor, fake: Tensor) -> Terms:
        goal, judge = self.goal, self.players["discriminator"].network
        score, _ = judge(fake)
        truth = None
        if goal.adversarial == "relativistic":
            with torch.no_grad():
                truth = judge(real)[0].float()
        loss = goal.adversarial_weight * losses.adversarial_generator(goal.adversarial, score.float(), truth)
        loss.backward()  # type: ignore[no-untyped-call]
        return {"g": loss.item(), "adversarial": loss.item()}

    def memory(self) -> dict[str, Tensor]:
        """Nothing but the players."""
        return {}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Nothing to remember."""
