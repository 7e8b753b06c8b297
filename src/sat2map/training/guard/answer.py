"""What follows an alarm: a line in the log, an end with a verdict, or the way back to the best checkpoint.

Going back changes several files: newer checkpoints go, the one returned to learns of the lower rates, the log is
shortened. So the intention is written first (`going-back.json`), every part can be repeated, and a run that was killed
in between finishes it when it is resumed: interrupted or not, the same bits follow.
"""

import shutil
from pathlib import Path
from typing import Protocol

import msgspec

from sat2map import storage
from sat2map.errors import CorruptFile, Sat2MapError, TrainingDiverged, TrainingFailed
from sat2map.training import checkpoint
from sat2map.training.checkpoint import State
from sat2map.training.development import score
from sat2map.training.guard.settings import KINDS
from sat2map.training.guard.watch import Alarm, Guard
from sat2map.training.journal import Journal

INTENTION = "going-back.json"


class Guarded(Protocol):
    """What an answer needs of a run."""

    folder: Path
    guard: Guard
    step: int
    seen: int

    def take_up(self, folder: Path) -> None:
        """Put the run where a checkpoint of it stands."""

    def set_rates(self) -> None:
        """Make the optimisers follow `guard.memory.rate_factor`."""

    def save(self) -> None:
        """Commit a checkpoint."""


class Intention(msgspec.Struct, frozen=True):
    """To which step a run goes back, with what it shall remember, and what the log says of it."""

    step: int
    retries: int
    rate_factor: float
    alarm: str
    answer: str


def answer(work: Guarded, log: Journal, alarm: Alarm) -> bool:
    """Do what the recipe wants done about an alarm; tell whether the run stands elsewhere now.

    Raises TrainingDiverged or TrainingFailed where the run is to end.
    """
    if alarm.action == "warn":
        log.tell(alarm.step, alarm.seen, {"alarm": str(alarm), "answer": "warned"})
        return False
    part, memory = work.guard.part, work.guard.memory
    target = _way_back(work, alarm) if alarm.action == "roll back" else None
    if target is None or memory.retries >= part.retries:
        log.tell(alarm.step, alarm.seen, {"alarm": str(alarm), "answer": "stopped"})
        if alarm.kind != "not finite":
            work.save()  # whoever knows better resumes, and is not stopped again while the sign stands
        raise _verdict(work, alarm, target)
    factor = memory.rate_factor * part.rate_factor
    said = f"back to step {target}, rates times {factor:g} (retry {memory.retries + 1} of {part.retries})"
    intention = Intention(target, memory.retries + 1, factor, str(alarm), said)
    storage.write_json(work.folder / INTENTION, msgspec.to_builtins(intention))
    finish_going_back(work, log)
    return True


def _way_back(work: Guarded, alarm: Alarm) -> int | None:
    """Step of the sound checkpoint to go back to, or None: the newest after one bad step, otherwise the best.

    Signs are read off running means, so what was saved less than their half-life before a sign appeared may be spoilt,
    however well it scores by chance; where there is nothing older, the oldest must do.
    """
    sound: list[State] = []
    for folder in sorted((work.folder / "checkpoints").glob("step-*")):
        try:
            storage.verify(folder)
            sound.append(checkpoint.read_state(folder))
        except CorruptFile:
            continue
    if not sound:
        return None
    if alarm.kind == "not finite":
        return sound[-1].step
    limit = alarm.since - (0 if alarm.kind == "past peak" else work.guard.part.memory)
    unspoilt = [state for state in sound if state.seen <= limit] or sound[:1]
    scored = [state for state in unspoilt if state.figures]
    return max(scored, key=lambda state: score(state.figures)).step if scored else unspoilt[-1].step


def finish_going_back(work: Guarded, log: Journal) -> None:
    """Carry out a written intention, if there is one; doing it twice is doing it once."""
    path = work.folder / INTENTION
    try:
        intention = msgspec.json.decode(path.read_bytes(), type=Intention)
    except FileNotFoundError:
        return
    for folder in (work.folder / "checkpoints").glob("step-*"):
        if int(folder.name.removeprefix("step-")) > intention.step:
            shutil.rmtree(folder)
    _forget_later_best(work.folder, intention.step)
    work.take_up(checkpoint.folder_of(work.folder, intention.step))
    memory = work.guard.memory
    memory.retries, memory.rate_factor = intention.retries, intention.rate_factor
    memory.judged_from = work.seen + work.guard.part.patience
    memory.since, memory.told = {}, []
    work.set_rates()
    work.save()
    log.rewind(work.step)
    log.tell(work.step, work.seen, {"alarm": intention.alarm, "answer": intention.answer})
    path.unlink()


def _forget_later_best(run: Path, step: int) -> None:
    path = run / "best.json"
    if path.exists() and msgspec.json.decode(path.read_bytes())["step"] > step:
        path.unlink()


def _verdict(work: Guarded, alarm: Alarm, target: int | None) -> Sat2MapError:
    """The error that ends a run: what failed, when, by which figures, what was tried, and what to try."""
    kind = TrainingDiverged if alarm.kind == "not finite" else TrainingFailed
    meaning, remedy = KINDS[alarm.kind]
    tried = work.guard.memory.retries
    history = f" {tried} times it went back to its best and tried with lower rates." if tried else ""
    kept = f" Checkpoint step {target} is sound." if target is not None else ""
    return kind(f"{alarm}. {meaning}{history}{kept}".rstrip("."), f"{remedy}. The report shows the curves")
