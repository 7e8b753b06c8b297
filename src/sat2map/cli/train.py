"""`sat2map train` and `sat2map export`: from a recipe and images to a run folder, and from there to a bundle."""

import json
import signal
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sat2map.cli.progress import Progress, progress

if TYPE_CHECKING:
    from sat2map.data.pairs import Direction
    from sat2map.training.recipe import Recipe


class Stopped(SystemExit):
    """SIGTERM or SIGINT arrived and the step in hand is finished; the code is what a shell expects, 128 + signal."""


@contextmanager
def stopping_between_steps(report: Progress) -> Iterator[Progress]:
    """Turn SIGTERM and Ctrl-C into `Stopped`, raised by the yielded callback, hence never in the middle of a step.

    A second signal acts at once, as if nobody listened: whoever is in a hurry loses the steps since the last
    checkpoint and nothing else.
    """
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note_signal(number: int, frame: types.FrameType | None) -> None:
        arrived.append(number)
        for known, handler in before.items():
            signal.signal(known, handler)

    def report_or_stop(done: int, total: int, note: str) -> None:
        report(done, total, note)
        if arrived:  # not in the handler, which may run in the middle of a step
            raise Stopped(128 + arrived[0])

    for number in before:
        signal.signal(number, note_signal)
    try:
        yield report_or_stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command(short_help="Train a model on images, paired or not.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY.KEY=VALUE]...")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Folder of paired images, of views, or of photos; or of trainA/ and trainB/; or given twice, imagery first "
    "and maps second.",
)
@click.option("--run", type=click.Path(path_type=Path), help="Folder for checkpoints, samples and logs.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in RUN.")
@click.option(
    "--from",
    "start_from",
    metavar="BUNDLE",
    help="Start from the weights of a bundle: its folder, or the id of a shipped model.",
)
@click.option(
    "--through",
    metavar="BUNDLE",
    help="view-encoder: the landscape model through which it learns (latent.through=BUNDLE).",
)
@click.option(
    "--epochs",
    metavar="N|+N",
    help="Length in epochs; with --resume, +N goes on for N more than the run had.",
)
@click.option(
    "--quarantine",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Leave these pairs out (see `data check`); quarantine.jsonl beside the pairs is honoured unasked.",
)
@click.option("--overwrite", is_flag=True, help="Replace a run that is already in RUN.")
@click.option("--print-config", is_flag=True, help="Print the recipe with all overrides, and stop.")
@click.option("--dry-run", is_flag=True, help="Check the recipe and the folders, and stop.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def train(
    recipe: str,
    overrides: tuple[str, ...],
    data: tuple[Path, ...],
    run: Path | None,
    resume: bool,
    start_from: str | None,
    through: str | None,
    epochs: str | None,
    quarantine: Path | None,
    overwrite: bool,
    print_config: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train a model on images of the same places as seen from above and as a map; or on images without pairs.

    RECIPE is the name of a shipped recipe or a YAML file; any field of it can be set with KEY.KEY=VALUE. The result of
    `train` is the folder RUN: recipe, logs, TensorBoard events, samples, checkpoints and a report in HTML.

    A guard looks on: where the run fails in a known way, it goes back to the best checkpoint with lower rates, or stops
    with a verdict and exit code 1, as guard.* in the recipe says.

    Ctrl-C and SIGTERM write a checkpoint before leaving. With --resume, a run that was stopped anyhow ends in the
    weights of one that was not.

    \b
    Recipes (docs/recipes.md; all but carto go both ways with data.direction=map2sat or sat2map):
      carto             satellite to map in map colours, without seams; the default
      carto-reverse     map to satellite, without seams
      pix2pix-paper     U-Net-256 and 70 px patches, as published
      pix2pix-keras     142 px patches, no augmentation, 100 epochs
      pix2pix-unet7     seven levels
      pix2pix-stable    low rates, smoothed labels, noise on both kinds of picture
      pix2pix-onecycle  80 more epochs for a trained model, with one cycle of the rate
      pix2pix-resnet9   residual generator with nine blocks
      unet-maxpool-512  max-pool U-Net at 512 px, tiny discriminator
      cyclegan          without pairs: two folders that have nothing to do with each other
      view-geo          satellite to the view from the ground, projected into it
      landscape         from photos alone: landscapes that do not exist
      landscape-dcgan   the same as others trained it: a latent of 4 numbers
      view-encoder      satellite to the view from the ground, through a landscape model

    \b
    Examples:
      sat2map train carto --data maps --run runs/first
      sat2map train carto --data maps --run runs/first --resume
      sat2map train pix2pix-keras --data maps --run runs/back data.direction=map2sat
      sat2map train pix2pix-keras --data maps --run runs/back data.direction=map2sat --resume --epochs +100
      sat2map train cyclegan --data imagery --data maps --run runs/unpaired
      sat2map train carto --data othercity --run runs/second --from runs/first/bundle
      sat2map train landscape --data photos --run runs/landscape
      sat2map train view-encoder --data views --run runs/view --through landscape
      sat2map train carto --print-config
      torchrun --nproc-per-node=2 -m -- sat2map train carto --data maps --run runs/third
    """
    from sat2map.training.recipe import load_recipe, override, to_yaml

    told = [f"latent.through={json.dumps(through)}"] if through is not None else []
    resolved = override(load_recipe(recipe), [*overrides, *told])
    if epochs is not None:
        from sat2map.training.length import with_epochs

        resolved = with_epochs(resolved, epochs, run if resume else None)
    if print_config:
        click.echo(to_yaml(resolved), nl=False)
        return
    if not data or run is None:
        raise click.UsageError("train needs --data DIR and --run DIR (only --print-config does without)")
    if len(data) > 2:
        raise click.UsageError("--data is one folder, or two: imagery and maps")
    if resume and overwrite:
        raise click.UsageError("--resume keeps the run and --overwrite replaces it: give one of them")
    if resume and start_from is not None:
        raise click.UsageError("--resume has its own weights; leave --from out")
    if dry_run:
        _say_what_would_happen(resolved, data, run, resume=resume, overwrite=overwrite)
        return
    from sat2map.training import loop
    from sat2map.training.team import rank_and_size

    leads = rank_and_size()[0] == 0
    quiet = quiet or not leads  # under torchrun one process speaks for all
    try:
        with progress("training", quiet=quiet) as bar, stopping_between_steps(bar) as report:
            loop.train(
                resolved,
                data[0] if len(data) == 1 else data,
                run,
                resume=resume,
                overwrite=overwrite,
                start_from=start_from,
                quarantine=quarantine,
                on_progress=report,
            )
    except Stopped:
        if leads:
            click.echo(f"{run}: stopped; the same command with --resume goes on", err=True)
        raise
    if not quiet:
        from sat2map.training.journal import remarks

        for remark in remarks(run):
            click.echo(remark, err=True)
        click.echo(f"{run}: trained. Next: sat2map export {run} BUNDLE")


def _say_what_would_happen(
    recipe: "Recipe", data: tuple[Path, ...], run: Path, *, resume: bool, overwrite: bool
) -> None:
    """Open the data and look at the run folder, as `train` would; print what it would do."""
    from sat2map.data.pairs import PairedSet
    from sat2map.data.unpaired import UnpairedSet, is_unpaired

    if recipe.latent is not None or recipe.view is not None:
        _say_what_views(recipe, data[0])
    elif len(data) == 2 or is_unpaired(data[0]):
        heaps = UnpairedSet.of(data[0], data[1]) if len(data) == 2 else UnpairedSet.open(data[0])
        click.echo(f"{data[0]}: {len(heaps.sat)} pictures and {len(heaps.street)} maps, no pairs")
    else:
        click.echo(f"{data[0]}: {len(PairedSet.open(data[0]))} pairs")
    if (run / "recipe.yaml").exists():
        does = (
            "go on with it"
            if resume
            else "replace it"
            if overwrite
            else "refuse without --resume or --overwrite"
        )
        click.echo(f"{run}: holds a run; train would {does}")
    else:
        click.echo(f"{run}: new; train would start {recipe.name}")


def _say_what_views(recipe: "Recipe", folder: Path) -> None:
    from sat2map.data.views import is_view_folder, open_views

    if recipe.system == "landscape" and not is_view_folder(folder):
        from sat2map.training.photos import photos_in

        click.echo(f"{folder}: {len(photos_in(folder))} photos")
        return
    found = open_views(folder)
    headings = sum(pair.known.heading is not None for pair in found)
    click.echo(f"{folder}: {len(found)} views of {found.places} places, {headings} with a heading")
    if recipe.system == "encoder":
        from sat2map.training.latent import with_painter

        with_painter(recipe)


def _next_with(made: Path) -> str:
    """Say what a bundle is good for."""
    from sat2map.bundle import find

    card = find(made).card
    if card.latent:
        return f"sat2map train view-encoder --data VIEWS --run RUN --through {made}"
    if card.ground:
        return f"sat2map view LON,LAT VIEW.png --scene SCENE.tif --model {made}"
    return f"sat2map translate IMAGE MAP --model {made}"


@click.command(short_help="Turn a run into a model bundle.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--step", type=click.IntRange(min=0), help="Checkpoint to take; the best one if not given.")
@click.option(
    "--direction",
    type=click.Choice(["sat2map", "map2sat"]),
    help="Which of its two generators, for a run that goes both ways; that of the recipe if not given.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Pairs on which probabilities are calibrated; those of the run if not given.",
)
@click.option("--id", "model_id", help="Name of the model; that of the folder BUNDLE if not given.")
@click.option("--overwrite", is_flag=True, help="Replace BUNDLE.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def export(
    run: Path,
    bundle: Path,
    step: int | None,
    direction: "Direction | None",
    data: tuple[Path, ...],
    model_id: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Turn a checkpoint of RUN into a model bundle.

    The result of `export` is the folder BUNDLE: ONNX model, safetensors weights and a card. The ONNX model is compared
    with the PyTorch network; where the two disagree, there is no bundle.

    \b
    Examples:
      sat2map export runs/first mymodel
      sat2map export runs/unpaired back --direction map2sat
      sat2map translate photo.png map.png --model mymodel
    """
    from sat2map.training.export import export_run

    made = export_run(
        run,
        bundle,
        step=step,
        model_id=model_id or bundle.resolve().name,
        direction=direction,
        data=data[0] if len(data) == 1 else data or None,
        overwrite=overwrite,
    )
    if not quiet:
        click.echo(f"{made}: exported. Next: {_next_with(made)}")
