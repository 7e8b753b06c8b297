"""The training loop: draw a batch, step, average, now and then look, write, and keep.

A run that is killed at any instant and resumed ends in the same bits as one that was not (on a CPU with equal
threads): the data of a step are a function of the seed and the images seen, torch's random state is set from them
at every step, and all the rest is in the checkpoint.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from sat2map import storage
from sat2map.data.quarantine import QUARANTINE, write_quarantine
from sat2map.errors import NothingToResume, TrainingDiverged, TrainingFailed
from sat2map.training import checkpoint, development, journal, setup
from sat2map.training.about import ABOUT, describe
from sat2map.training.adapt import start_from_bundle
from sat2map.training.checkpoint import State
from sat2map.training.device import choose_device, settle
from sat2map.training.feed import feed_of
from sat2map.training.folder import prepare_folder
from sat2map.training.follow import follow, order_of
from sat2map.training.guard.answer import answer, finish_going_back
from sat2map.training.guard.glance import unsound
from sat2map.training.guard.watch import Alarm, guard_of
from sat2map.training.optimise import plateau_factor
from sat2map.training.parts import check_divisible, divided, on_device, take_step
from sat2map.training.player import Terms
from sat2map.training.recipe import Recipe, to_yaml
from sat2map.training.report import write_report
from sat2map.training.systems import CPU, build_system
from sat2map.training.team import Team, rank_and_size, team

Progress = Callable[[int, int, str], None]
SAMPLES = 4  # rows of a sample sheet


class Run:
    """One training run in its folder: what is trained, on what, and how far it is."""

    def __init__(
        self, data: setup.Data, folder: Path, team: Team | None = None, device: torch.device = CPU
    ) -> None:
        self.recipe, self.data, self.folder = data.recipe, data, folder
        self.team, self.device = team or Team(), device
        self.system = build_system(data.recipe, data, device)
        self.feed = feed_of(data, self.team, device)
        self.guard = guard_of(data.recipe, data.palette)
        self.step = 0
        self.seen = 0  # images
        self.best: tuple[float, int] | None = None
        self.figures: dict[str, float] = {}  # of the last look
        self.scores: list[float] = []  # of all looks
        self.looked = -1  # the step it was at
        self.seconds = 0.0

    def advance(self) -> tuple[Terms, Alarm | None]:
        """One step; everything random in it follows from (seed, seen). The guard looks on."""
        before, count, part = self.seen, self.data.batch_size(self.seen), self.recipe.run
        torch.manual_seed(part.seed * 1_000_003 + before)
        with self.team.in_step():
            parts = divided(on_device(self.feed(before), self.device), part.accumulate)
            outcome = take_step(self.system, parts, before, part.images, self.team, self.device)
        self.step += 1
        self.seen += count
        for player in self.system.players.values():
            if player.average is not None:
                player.average.update(player.network, self.seen, count)
        alarm = self.guard.judge(self.step, self.seen, count, *outcome) if self.team.leads else None
        if alarm is None:
            return outcome.terms, None
        batch = self.data.batch(before)  # all of it, whoever computed which part
        names = [self.data.store.names[i] for i in batch.names]
        return outcome.terms, alarm.on(names, unsound(batch.source, batch.target))

    def look(self, log: journal.Journal) -> Alarm | None:
        """Score the averaged weights on development pairs."""
        self.figures = development.look(self.system, self.data)
        self.looked = self.step
        self.scores.append(development.score(self.figures))
        self.set_rates()
        log.write("development", self.step, self.seen, self.figures)
        return self.guard.consider(self.step, self.seen, self.scores)

    def set_rates(self) -> None:
        """Pass on what past looks and the guard say of the learning rates."""
        for player in self.system.players.values():
            plateau = plateau_factor(player.optimiser.part, self.scores)
            player.optimiser.scale = plateau * self.guard.memory.rate_factor

    def sample(self) -> None:
        """Write a sheet of the same development pairs as ever: source, generated, target."""
        rows = development.panels(self.system, self.data, SAMPLES)
        journal.write_sample(self.folder, self.step, journal.sample_sheet(rows))

    def contact(self) -> None:
        """Write a sheet of many development pictures, small."""
        rows = development.panels(self.system, self.data, journal.CONTACT_ROWS)
        journal.write_contact(self.folder, self.step, rows)

    def save(self) -> None:
        """Commit a checkpoint, remember the best, thin out the rest."""
        state = State(
            step=self.step,
            seen=self.seen,
            recipe=msgspec.to_builtins(self.recipe),
            data=self.data.key,
            folder=self.data.folder,
            pairs=self.data.epoch,
            threads=torch.get_num_threads(),
            seconds=self.seconds,
            figures=self.figures if self.looked == self.step else {},
            scores=self.scores,
            guard=self.guard.memory,
            palette=None if self.data.palette is None else msgspec.to_builtins(self.data.palette),
        )
        checkpoint.save(self.folder, self.system, state)
        self._remember_best(state)
        checkpoint.thin_out(self.folder, self.recipe.run.keep, self.best[1] if self.best else None)

    def _remember_best(self, state: State) -> None:
        if (
            self.team.leads
            and state.figures
            and (self.best is None or development.score(state.figures) > self.best[0])
        ):
            self.best = (development.score(state.figures), state.step)
            storage.write_json(self.folder / "best.json", {"step": state.step, "figures": state.figures})

    def start_from(self, id_or_dir: str | Path) -> None:
        """Begin with the weights of a bundle. Raises BadBundle, UnknownModel."""
        start_from_bundle(self.system, id_or_dir, self.recipe.data.direction, self.data.palette)
        self.guard.memory.fresh = False

    def resume(self) -> None:
        """Take up the newest valid checkpoint. Raises NothingToResume."""
        folder = checkpoint.newest(self.folder)
        if folder is None:
            return  # killed before the first checkpoint: the beginning is where the run stands
        state = checkpoint.read_state(folder)
        if state.data != self.data.key:
            raise NothingToResume(
                f"{self.folder} was trained on other data than it is resumed with",
                "Name the same folder of pairs, unchanged, or start a new run with `--from` a bundle",
            )
        self.take_up(folder)

    def take_up(self, folder: Path) -> None:
        """Put the run where a checkpoint of it stands. Raises CorruptFile, NothingToResume."""
        state = checkpoint.restore(folder, self.system)
        self.step, self.seen = state.step, state.seen
        self.seconds, self.figures = state.seconds, state.figures
        self.looked = self.step if state.figures else -1
        self.scores = list(state.scores)
        self.guard.restore(state.guard, state.seen)
        self.set_rates()
        self.best = _best_of(self.folder)
        self._remember_best(state)  # a kill may have come between the checkpoint and best.json


def _best_of(run: Path) -> tuple[float, int] | None:
    try:
        best = msgspec.json.decode((run / "best.json").read_bytes())
    except FileNotFoundError:
        return None
    return development.score(best["figures"]), int(best["step"])


def train(
    recipe: Recipe,
    data: setup.Folders,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    start_from: str | Path | None = None,
    quarantine: Path | None = None,
    on_progress: Progress = lambda done, total, note: None,
) -> None:
    """Train `recipe` on the pictures below `data` (one folder, or imagery and maps), in the folder `run`.

    With `resume` the run goes on from its newest valid checkpoint, under the recipe given, which must describe the same
    networks. `on_progress(images, total, note)` may raise to stop between two steps; a checkpoint is then written
    first. `quarantine` lists pairs to leave out (see `data.quarantine`); a resumed run has its own list.
    Under torchrun every process calls this, and rank 0 alone writes.
    Raises RunExists, RunLocked, NothingToResume, BadDataset, BadRecipe, NoDevice, RankLost, TrainingDiverged,
    TrainingFailed, StorageFailed.
    """
    check_divisible(recipe, rank_and_size()[1])
    device = choose_device(recipe.run)
    settle(recipe.run, device)

    def open_run(listed: Path | None) -> Run:
        return Run(setup.open_data(recipe, data, on_progress, listed), run, ranks, device)

    def follower() -> Run:
        work = open_run(run / QUARANTINE)
        if start_from is not None:
            work.start_from(start_from)
        return work

    with team(recipe.run.timeout) as ranks:
        if ranks.leads:
            _lead(recipe, run, open_run, on_progress, resume, overwrite, start_from, quarantine)
        else:
            follow(ranks, follower, on_progress)


def _lead(
    recipe: Recipe,
    run: Path,
    open_run: Callable[[Path | None], Run],
    on_progress: Progress,
    resume: bool,
    overwrite: bool,
    start_from: str | Path | None,
    quarantine: Path | None,
) -> None:
    """What rank 0 does, or the only process: everything."""
    prepare_folder(recipe, run, resume=resume, overwrite=overwrite)
    with storage.locked(run):
        own = run / QUARANTINE
        listed = own if resume and quarantine is None and own.exists() else quarantine
        work = open_run(listed)
        write_quarantine(own, work.data.quarantined, overwrite=True)
        for folder in (run, run / "samples", run / "checkpoints"):
            storage.sweep(folder, exclusive=True)
        if resume:
            work.resume()
        else:  # what an earlier start left that was killed before it had a recipe
            shutil.rmtree(checkpoint.folder_of(run, 0), ignore_errors=True)
        if start_from is not None:
            work.start_from(start_from)
            work.save()  # a resumed run begins there too, however early it was stopped
        storage.write_text(run / "recipe.yaml", to_yaml(work.recipe))
        about = describe(work.data, work.system.players["generator"])
        storage.write_json(run / ABOUT, about)
        log = journal.Journal(run)
        try:
            log.rewind(work.step)
            finish_going_back(work, log)
            work.team.tell(order_of(work, with_data=True))
            work.team.meet()
            with work.feed:
                _loop(work, log, on_progress)
            write_report(run, work.recipe, work.seconds)  # also of a run that was killed just before it
        except (TrainingDiverged, TrainingFailed):
            write_report(run, work.recipe, work.seconds)  # with the verdict
            raise
        finally:
            log.close()


def _loop(work: Run, log: journal.Journal, on_progress: Progress) -> None:
    """Steps until the recipe's length is reached; a stop from outside leaves a checkpoint behind."""
    part, total = work.recipe.run, work.recipe.run.images
    while work.seen < total:
        begin, before = time.monotonic(), work.seen
        work.team.tell(order_of(work))
        terms, alarm = work.advance()
        work.seconds += time.monotonic() - begin

        def due(every: int, before: int = before) -> bool:
            return work.seen // every > before // every or work.seen >= total

        if alarm is not None and answer(work, log, alarm):
            continue
        if due(part.log_every):
            log.write("train", work.step, work.seen, terms | work.guard.figures())
        if due(part.sample_every):
            work.sample()
            work.contact()
        if due(part.checkpoint_every):
            alarm = work.look(log)
            if alarm is not None and answer(
                work, log, alarm
            ):  # before the save: a kill in between must not lose it
                continue
            work.save()
            write_report(work.folder, work.recipe, work.seconds)
        try:
            on_progress(min(work.seen, total), total, _note(work, terms))
            work.team.heed()
        except BaseException:
            if not due(part.checkpoint_every):
                work.save()
            raise


def _note(work: Run, terms: Terms) -> str:
    parts = [f"loss {terms['g']:.3f}", f"{work.seen / max(work.seconds, 1e-9):.1f} images/s"]
    if "miou6" in work.figures:
        parts.append(f"dev mIoU6 {work.figures['miou6']:.3f}, road F1 {work.figures['road_f1_3px']:.3f}")
    return ", ".join(parts)
