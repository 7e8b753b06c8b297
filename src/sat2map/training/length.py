"""How long a run is: lengths in epochs become images seen, in which everything else is counted."""

from pathlib import Path

import msgspec

from sat2map.errors import BadRecipe, NothingToResume
from sat2map.training import checkpoint
from sat2map.training.recipe import Recipe, override, parse


def in_images(recipe: Recipe, pairs: int) -> Recipe:
    """The recipe with `run.images` set from `run.epochs`, if it has any; an epoch shows `pairs` training pairs once."""
    if recipe.run.epochs is None:
        return recipe
    images = max(1, round(recipe.run.epochs * pairs))
    return msgspec.structs.replace(recipe, run=msgspec.structs.replace(recipe.run, images=images))


def with_epochs(recipe: Recipe, epochs: str, run: Path | None = None) -> Recipe:
    """Apply `--epochs N`, or `--epochs +N` to go on with the run in the folder `run`.

    Raises BadRecipe for anything else than a number above zero, and NothingToResume where +N has nothing to add to.
    """
    try:
        number = float(epochs)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise BadRecipe(f"--epochs {epochs!r} is no length", "Write a number above 0, or +N to add N epochs")
    if not epochs.startswith("+"):
        return override(recipe, [f"run.epochs={number}", "run.added=0"])
    if run is None:
        raise NothingToResume(f"--epochs {epochs} adds to a run", "Give --resume and the run with --run")
    return _longer(recipe, number, run)


def _longer(recipe: Recipe, added: float, run: Path) -> Recipe:
    """The recipe with the length of the run in its folder, `added` epochs longer.

    The same command given again after a stop on the way must not add once more: an unfinished run to which so many
    epochs were added last goes on to the length that it has.
    """
    try:
        before = parse((run / "recipe.yaml").read_text(encoding="utf-8"), str(run / "recipe.yaml")).run
    except OSError:
        raise NothingToResume(f"{run} holds no run", "Start one first, without +") from None
    newest = checkpoint.newest(run)
    if newest is None:
        raise NothingToResume(
            f"{run} has no checkpoint yet, so nothing can be added",
            "Finish it with --resume first, without +",
        )
    state = checkpoint.read_state(newest)
    repeated = before.added == added and state.seen < before.images
    images = before.images if repeated else before.images + round(added * state.pairs)
    return override(recipe, [f"run.images={images}", f"run.added={added}"])
