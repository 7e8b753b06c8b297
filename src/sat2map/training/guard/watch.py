"""The guard of a run: takes in steps and looks, and tells what fails, since when, and by which figures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
import torch
from torch import Tensor

from sat2map.palette import Palette
from sat2map.training.guard import signs
from sat2map.training.guard.glance import Float, distance, glance, thin
from sat2map.training.guard.means import Mean, Means
from sat2map.training.guard.settings import KINDS, Action, GuardPart
from sat2map.training.recipe import Recipe


class Alarm(msgspec.Struct, frozen=True):
    """What fails (a key of KINDS), where the run stood, the evidence, and what the recipe wants done about it."""

    kind: str
    action: Action
    step: int
    seen: int
    evidence: str
    since: int  # images after which the sign appeared in the running means

    def __str__(self) -> str:
        return f"{self.kind} after {self.seen:,} images (step {self.step}): {self.evidence}"

    def on(self, names: Sequence[str], unsound: Sequence[int]) -> "Alarm":
        """Name the pairs of the step, if it matters; pairs that are themselves unsound would fail again and again."""
        if self.kind != "not finite":
            return self
        if not unsound:
            return msgspec.structs.replace(self, evidence=f"{self.evidence} on the pairs {', '.join(names)}")
        broken = ", ".join(names[number] for number in unsound)
        evidence = f"{self.evidence}; the pixels of {broken} are not finite numbers"
        return msgspec.structs.replace(self, action="stop", evidence=evidence)


class Memory(msgspec.Struct):
    """Everything that the guard remembers, as it travels in a checkpoint."""

    means: dict[str, Mean] = {}
    since: dict[str, int] = {}  # kind -> images seen when its sign appeared
    told: list[str] = []  # kinds warned about whose sign still stands
    retries: int = 0
    rate_factor: float = 1.0  # of all learning rates, lowered at each roll back
    judged_from: int = 0  # images; after a roll back signs get time to go
    alive: list[str] = []  # generators that have begun to paint: only they can collapse
    fresh: bool = True  # the generator began untrained, so that `stalled` means something


class Pictures(Protocol):
    """The pictures of one generator in one step, detached: (N, C, H, W) each, values in [-1, 1]."""

    @property
    def source(self) -> Tensor:
        """What it was given."""

    @property
    def output(self) -> Tensor:
        """What it made: pictures, or scores (N, K, H, W) over a palette."""

    @property
    def target(self) -> Tensor:
        """The truth; without pairs, other pictures of the wanted kind."""


class Game(NamedTuple):
    """The adversarial objective of a run and its weight; `objective` is "none" where there is no adversary."""

    objective: str = "none"
    weight: float = 1.0


NO_GAME = Game()
LATE = 3  # periods of grace after which pictures that show nothing are no beginning any more


class Guard:
    """Watches one run. A run that goes on from trained weights says so with `memory.fresh = False`."""

    def __init__(
        self, part: GuardPart, game: Game = NO_GAME, *, paired: bool = True, colours: Tensor | None = None
    ) -> None:
        """`paired` says that targets belong to inputs; `colours` (K, 3) in [-1, 1] are those of a palette painter."""
        self.part, self.game, self.paired, self.colours = part, game, paired, colours
        self.memory = Memory()
        self._means = Means(part.memory)

    def restore(self, memory: Memory, seen: int) -> None:
        """Go on from what a checkpoint at `seen` images remembers.

        One that remembers nothing (from before there was a guard) begins a new period of grace, and nobody knows from
        where its generator began.
        """
        self.memory = memory
        if not memory.means and seen:
            memory.fresh, memory.judged_from = False, seen + self.part.grace
        self._means = Means(self.part.memory, memory.means)

    # -- taking in ------------------------------------------------------------------------------------------------

    def judge(
        self, step: int, seen: int, images: int, terms: Mapping[str, float], shown: Mapping[str, Pictures]
    ) -> Alarm | None:
        """Take in the step that ended at `seen` images with these terms and pictures; tell what fails."""
        wrong = [f"{name} {value:.3g}" for name, value in terms.items() if not math.isfinite(value)]
        if wrong:  # nothing of such a step enters the means
            return self._alarm("not finite", step, seen, ", ".join(wrong))
        for name, pictures in shown.items():
            self._means.add(self._numbers(name.removeprefix("generator"), pictures), images)
        self._means.add(terms, images)
        self.memory.means = self._means.stored
        if seen < self.part.grace or seen < self.memory.judged_from:
            return None
        for kind, evidence in self._signs(seen):
            found = self._hold(kind, evidence, step, seen)
            if found is not None:
                return found
        return None

    def consider(self, step: int, seen: int, scores: Sequence[float]) -> Alarm | None:
        """Judge all development scores so far, oldest first, higher is better: is the run past its peak?"""
        best = max(scores)
        late = scores[-self.part.looks :]
        limit = best - self.part.tolerance * abs(best)
        evidence = ""
        if len(scores) > self.part.looks and max(late) < limit:
            shown = ", ".join(f"{value:.3f}" for value in late)
            evidence = f"the last development scores are {shown}, the best was {best:.3f}"
        return self._settle("past peak", evidence, step, seen)

    def figures(self) -> dict[str, float]:
        """The figures that signs are read from, for the log and its curves."""
        found: dict[str, float] = {}
        for who in self._directions():
            figures = signs.picture_figures(self._means, who) | self._game(who)
            found |= {f"guard.{name}{who}": value for name, value in figures.items()}
        return found

    # -- judging --------------------------------------------------------------------------------------------------

    def _directions(self) -> list[str]:
        names = [name for name in self._means.stored if name.startswith("level.out")]
        return [name.removeprefix("level.out") for name in names] or [""]

    def _game(self, who: str) -> dict[str, float]:
        return signs.game_figures(self._means, who, self.game.objective, self.game.weight)

    def _stalled(self, who: str, pictures: dict[str, float], seen: int) -> str:
        """No nearer to the truth than it began, or still no pictures after LATE times the period of grace."""
        late = seen >= LATE * self.part.grace and who not in self.memory.alive
        return signs.stalled(self._means, who) or (signs.lifeless(pictures) if late else "")

    def _signs(self, seen: int) -> Iterator[tuple[str, str]]:
        """(kind, evidence or "") of every sign that this run can show."""
        for who in self._directions():
            pictures, game = signs.picture_figures(self._means, who), self._game(who)
            label = f"generator{who}: " if who else ""
            alive = who in self.memory.alive
            if not alive and signs.is_alive(self._means, who, pictures):
                self.memory.alive.append(who)
            found = {
                "no convergence": signs.no_convergence(
                    self._means, who, self.game.objective, self.game.weight, game
                ),
                "collapse": signs.collapse(pictures) if alive else "",
                "divergence": signs.divergence(self._means, who),
                "stalled": self._stalled(who, pictures, seen) if self.memory.fresh else "",
            }
            for kind, evidence in found.items():
                yield f"{kind} of generator{who}", label + evidence if evidence else ""

    def _hold(self, sign: str, evidence: str, step: int, seen: int) -> Alarm | None:
        """An alarm once a sign has held for the recipe's patience."""
        if not evidence:
            self.memory.since.pop(sign, None)
            return self._settle(sign, "", step, seen)
        since = self.memory.since.setdefault(sign, seen)
        return self._settle(sign, evidence, step, seen, since) if seen - since >= self.part.patience else None

    def _settle(
        self, sign: str, evidence: str, step: int, seen: int, since: int | None = None
    ) -> Alarm | None:
        """An alarm for new evidence; none again while the same sign stands, none where the recipe wants none."""
        if not evidence:
            self.memory.told = [other for other in self.memory.told if other != sign]
            return None
        if sign in self.memory.told:
            return None
        self.memory.told.append(sign)
        kind = sign.partition(" of ")[0]
        return None if self.part.action(kind) == "ignore" else self._alarm(kind, step, seen, evidence, since)

    def _alarm(self, kind: str, step: int, seen: int, evidence: str, since: int | None = None) -> Alarm:
        assert kind in KINDS, kind
        return Alarm(kind, self.part.action(kind), step, seen, evidence, seen if since is None else since)

    def _numbers(self, who: str, pictures: Pictures) -> dict[str, float | Float]:
        """What the running means are made of, as means over the pictures of a step."""
        picture, target = self._paint(thin(pictures.output)), thin(pictures.target)
        shown, truth, given = glance(picture), glance(target), glance(thin(pictures.source))
        values: dict[str, float | Float] = {
            f"level.out{who}": float(shown.level.mean()),
            f"level.target{who}": float(truth.level.mean()),
            f"deviation.out{who}": float(shown.deviation.mean()),
            f"deviation.target{who}": float(truth.deviation.mean()),
            f"deviation.source{who}": float(given.deviation.mean()),
            f"out{who}": shown.thumbnail.mean(0),
            f"out²{who}": (shown.thumbnail**2).mean(0),
            f"target{who}": truth.thumbnail.mean(0),
            f"target²{who}": (truth.thumbnail**2).mean(0),
        }
        if self.paired:
            values[f"both{who}"] = (shown.thumbnail * truth.thumbnail).mean(0)
            values[f"error{who}"] = distance(picture, target)
        return values

    def _paint(self, output: Tensor) -> Tensor:
        """Scores of a palette painter -> the picture that they stand for; pictures stay as they are."""
        if self.colours is None or output.shape[1] == 3:
            return output.float()
        shares = torch.softmax(output.float(), 1)
        return torch.einsum("nkhw,kc->nchw", shares, self.colours.to(output.device))


def guard_of(recipe: Recipe, palette: Palette | None) -> Guard:
    """The guard that a recipe asks for; `palette` is that of a palette painter."""
    goal = recipe.objective
    colours = None if palette is None else torch.tensor(palette.colours).float().div(127.5).sub(1)
    game = Game(goal.adversarial, goal.adversarial_weight)
    return Guard(recipe.guard, game, paired=recipe.system in {"pix2pix", "encoder"}, colours=colours)
