"""The folder of a run before training begins: new, to be replaced, or to go on with."""

import shutil
from pathlib import Path

from sat2map import storage
from sat2map.errors import NothingToResume, RunExists
from sat2map.training.recipe import NetworkPart, Recipe, parse


def prepare_folder(recipe: Recipe, run: Path, *, resume: bool, overwrite: bool) -> None:
    """Make room for a run, or see that the one there can go on under this recipe; what is refused stays untouched.

    Raises RunExists, NothingToResume, RunLocked, StorageFailed.
    """
    started = (run / "recipe.yaml").exists()
    if started and overwrite:
        with storage.locked(run):
            for name in ("checkpoints", "samples"):
                shutil.rmtree(run / name, ignore_errors=True)
            for name in ("*.json", "*.jsonl", "report.html", "recipe.yaml", "events.out.*", "*.gif"):
                for file in run.glob(name):
                    file.unlink()
    elif started and not resume:
        raise RunExists(
            f"{run} already holds a run", "Add --resume to go on with it, or --overwrite to replace it"
        )
    elif resume and not started:
        raise NothingToResume(f"{run} holds no run", "Leave --resume out to start one")
    elif resume:
        before = parse((run / "recipe.yaml").read_text(encoding="utf-8"), str(run / "recipe.yaml"))
        for was, wanted in (
            (before.generator, recipe.generator),
            (before.discriminator, recipe.discriminator),
        ):
            if was != wanted:
                raise NothingToResume(
                    f"{run} trains {_said(was)}, the recipe asks for {_said(wanted)}",
                    f"Resume with the run's own recipe: sat2map train {run / 'recipe.yaml'} ... --resume",
                )
    storage.make_folder(run / "checkpoints")


def _said(part: NetworkPart | None) -> str:
    return f"{part.name} {part.parameters}" if part else "no discriminator"
