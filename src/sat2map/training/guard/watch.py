"""The guard of a run: takes in steps and looks, and tells what fails, since when, and by which figures."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from torch import Tensor

from sat2map.training.guard import signs
from sat2map.training.guard.glance import Float, distance, glance, thin
from sat2map.training.guard.means import Mean, Means
from sat2map.training.guard.settings import KINDS, Action, GuardPart


class Alarm(msgspec.Struct, frozen=True):
    """What fails (a key of KINDS), where the run stood, the evidence, and what the recipe wants done about it."""

    kind: str
    action: Action
    step: int
    seen: int
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind} after {self.seen:,} images (step {self.step}): {self.evidence}"


class Memory(msgspec.Struct):
    """Everything that the guard remembers, as it travels in a checkpoint."""

    means: dict[str, Mean] = {}
    since: dict[str, int] = {}  # kind -> images seen when its sign appeared
    told: list[str] = []  # kinds warned about whose sign still stands
    scores: list[float] = []  # development scores, oldest first
    retries: int = 0
    rate_factor: float = 1.0  # of all learning rates, lowered at each roll back
    judged_from: int = 0  # images; after a roll back signs get time to go
    fresh: bool = True  # the generator began untrained, so that `stalled` means something


class Game(NamedTuple):
    """The adversarial objective of a run and its weight; `objective` is "none" where there is no adversary."""

    objective: str = "none"
    weight: float = 1.0


class Guard:
    """Watches one run. A run that goes on from trained weights says so with `memory.fresh = False`."""

    def __init__(self, part: GuardPart, game: Game = Game()) -> None:
        self.part, self.game = part, game
        self.memory = Memory()
        self._means = Means(part.memory)
        self._pending: list[_Seen] = []

    def restore(self, memory: Memory) -> None:
        """Go on from what a checkpoint remembers."""
        self.memory = memory
        self._means = Means(self.part.memory, memory.means)

    # -- taking in ------------------------------------------------------------------------------------------------

    def see(self, source: Tensor, picture: Tensor, target: Tensor, who: str = "", *, paired: bool = True) -> None:
        """Take in the pictures of a step: (N, 3, H, W) in [-1, 1], whole or thinned alike. `who` names a direction.

        Without `paired`, `target` is any true pictures of the kind that is generated. Nothing is judged before
        `judge`, so that pictures that are not numbers leave the means alone.
        """
        self._pending.append(_Seen(who, thin(source), thin(picture.detach()), thin(target), paired))

    def judge(self, step: int, seen: int, images: int, terms: Mapping[str, float], names: str = "") -> Alarm | None:
        """Take in the step that ended at `seen` images with these terms, on the pairs `names`; tell what fails."""
        pending, self._pending = self._pending, []
        if not all(math.isfinite(value) for value in terms.values()):
            wrong = ", ".join(f"{name} {value:.3g}" for name, value in terms.items() if not math.isfinite(value))
            return self._alarm("not finite", step, seen, f"{wrong} on the pairs {names}")
        for glimpse in pending:
            self._means.add(_numbers(glimpse), images)
        self._means.add(terms, images)
        self.memory.means = self._means.stored
        if seen < self.part.grace or seen < self.memory.judged_from:
            return None
        for kind, evidence in self._signs():
            found = self._hold(kind, evidence, step, seen)
            if found is not None:
                return found
        return None

    def consider(self, step: int, seen: int, score: float) -> Alarm | None:
        """Take in a development score (higher is better); tell whether the run is past its peak."""
        scores = self.memory.scores
        scores.append(score)
        best = max(scores)
        after = scores[len(scores) - 1 - scores[::-1].index(best) + 1 :]
        limit = best - self.part.tolerance * abs(best)
        late = after[-self.part.looks :]
        evidence = ""
        if len(late) == self.part.looks and max(late) < limit:
            shown = ", ".join(f"{value:.3f}" for value in late)
            evidence = f"the last development scores are {shown}, the best was {best:.3f}"
        return self._settle("past peak", evidence, step, seen)

    def figures(self) -> dict[str, float]:
        """The figures that signs are read from, for the log and its curves."""
        found: dict[str, float] = {}
        for who in self._directions():
            figures = signs.picture_figures(self._means, who) | self._game(who)
            found |= {f"guard.{who}{name}": value for name, value in figures.items()}
        return found

    # -- judging --------------------------------------------------------------------------------------------------

    def _directions(self) -> list[str]:
        names = [name.removesuffix("level.out") for name in self._means.stored if name.endswith("level.out")]
        return names or [""]

    def _game(self, who: str) -> dict[str, float]:
        return signs.game_figures(self._means, who, self.game.objective, self.game.weight)

    def _signs(self) -> Iterator[tuple[str, str]]:
        """(kind, evidence or "") of every sign that this run can show."""
        for who in self._directions():
            pictures, game = signs.picture_figures(self._means, who), self._game(who)
            label = f"{who.rstrip('.')}: " if who else ""
            found = {
                "no convergence": signs.no_convergence(
                    self._means, who, self.game.objective, self.game.weight, game
                ),
                "collapse": signs.collapse(self._means, who, pictures),
                "divergence": signs.divergence(self._means, who),
                "stalled": signs.stalled(self._means, who) if self.memory.fresh else "",
            }
            for kind, evidence in found.items():
                yield f"{kind}{' of ' + who.rstrip('.') if who else ''}", label + evidence if evidence else ""

    def _hold(self, sign: str, evidence: str, step: int, seen: int) -> Alarm | None:
        """An alarm once a sign has held for the recipe's patience."""
        if not evidence:
            self.memory.since.pop(sign, None)
            return self._settle(sign, "", step, seen)
        since = self.memory.since.setdefault(sign, seen)
        return self._settle(sign, evidence, step, seen) if seen - since >= self.part.patience else None

    def _settle(self, sign: str, evidence: str, step: int, seen: int) -> Alarm | None:
        """An alarm for new evidence; none again while the same sign stands, none where the recipe wants none."""
        if not evidence:
            self.memory.told = [other for other in self.memory.told if other != sign]
            return None
        if sign in self.memory.told:
            return None
        self.memory.told.append(sign)
        kind = sign.partition(" of ")[0]
        return None if self.part.action(kind) == "off" else self._alarm(kind, step, seen, evidence)

    def _alarm(self, kind: str, step: int, seen: int, evidence: str) -> Alarm:
        assert kind in KINDS, kind
        return Alarm(kind, self.part.action(kind), step, seen, evidence)


class _Seen(NamedTuple):
    """The thinned pictures of one direction of one step."""

    who: str
    source: Tensor
    picture: Tensor
    target: Tensor
    paired: bool


def _numbers(seen: _Seen) -> dict[str, float | Float]:
    """What the running means are made of, as means over the pictures of a step."""
    who = seen.who
    shown, truth, given = glance(seen.picture), glance(seen.target), glance(seen.source)
    values: dict[str, float | Float] = {
        f"{who}level.out": float(shown.level.mean()),
        f"{who}level.target": float(truth.level.mean()),
        f"{who}deviation.out": float(shown.deviation.mean()),
        f"{who}deviation.target": float(truth.deviation.mean()),
        f"{who}deviation.source": float(given.deviation.mean()),
        f"{who}out": shown.thumbnail.mean(0),
        f"{who}out²": (shown.thumbnail**2).mean(0),
        f"{who}target": truth.thumbnail.mean(0),
        f"{who}target²": (truth.thumbnail**2).mean(0),
    }
    if seen.paired:
        values[f"{who}both"] = (shown.thumbnail * truth.thumbnail).mean(0)
        values[f"{who}error"] = distance(seen.picture, seen.target)
    return values
