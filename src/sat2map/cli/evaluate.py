"""`sat2map evaluate` and `sat2map compare`: figures and reports, always beside the trivial baselines."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sat2map.cli.progress import progress

if TYPE_CHECKING:
    from sat2map.evaluation.protocol import Protocol
    from sat2map.evaluation.result import Result
    from sat2map.evaluation.systems import Folder, Model, Prediction

_PATH = click.Path(path_type=Path)
_PROTOCOLS = ("maps-600", "maps-256", "reverse-600", "reverse-256", "native", "reverse-native")


@click.command(short_help="Score a model, beside the trivial baselines.")
@click.option("--model", metavar="ID|DIR", help="Model to score; the shipped default if not given.")
@click.option("--predictions", type=_PATH, metavar="DIR", help="Score finished pictures instead of a model.")
@click.option("--data", type=_PATH, required=True, metavar="DIR", help="Folder of paired images.")
@click.option("--split", default="val", show_default=True, help="Which pairs of it.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pairs.")
@click.option(
    "--protocol", type=click.Choice(_PROTOCOLS), help="The headline of the model's direction if not given."
)
@click.option(
    "--losses",
    is_flag=True,
    help="View model and views: match each drawn view with every photo, by three losses.",
)
@click.option("--report", type=_PATH, metavar="HTML", help="Write a page with pictures and figures.")
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="Write all figures, also per image.")
@click.option(
    "--beside", type=_PATH, multiple=True, metavar="JSON", help="Result to show in the table too; repeatable."
)
@click.option("--save", type=_PATH, metavar="DIR", help="Keep the predictions as PNG.")
@click.option(
    "--features", type=_PATH, metavar="FILE", help="Realism on the features of this .npz or .onnx network."
)
@click.option(
    "--inception", type=_PATH, metavar="FILE", help="FID and KID: the standard Inception weights as .onnx."
)
@click.option("--cycle-model", metavar="ID|DIR", help="Map to satellite: model that maps the result back.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Pairs at a time."
)
@click.option("--on-card", is_flag=True, help="Write the figures into the card of the model that was scored.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that are already there.")
@click.option("-q", "--quiet", is_flag=True, help="No table and no progress bar.")
def evaluate(
    model: str | None,
    predictions: Path | None,
    data: Path,
    split: str,
    limit: int | None,
    protocol: str | None,
    losses: bool,
    report: Path | None,
    json_file: Path | None,
    beside: tuple[Path, ...],
    save: Path | None,
    features: Path | None,
    inception: Path | None,
    cycle_model: str | None,
    jobs: int,
    on_card: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Score a model on paired images.

    The result of `evaluate` is a table of figures beside those of a blank picture, of the unchanged input and of the
    mean training map; with --report a page that leads with pictures, with --json everything for machines. Figures and
    protocols: docs/EVALUATION.md.

    With --losses, the data are views and the model draws them. The result is how often a drawn view fits the photo of
    its own place better than those of all others, by MSE, SSIM and a loss of colour layout and texture, beside chance
    (docs/ground-view.md).

    \b
    Examples:
      sat2map evaluate --data maps --report report.html
      sat2map evaluate --model runs/mine --data maps --json mine.json
      sat2map evaluate --predictions pix2pix/results --data maps --protocol maps-256
      sat2map evaluate --losses --model runs/view/bundle --data views --report losses.html
    """
    if losses:
        from sat2map.cli.losses import run_study

        _refuse_with_losses(predictions, protocol, beside, save, features, inception, cycle_model, on_card)
        run_study(model, data, split, limit, report, json_file, _command(), overwrite=overwrite, quiet=quiet)
        return
    _refuse_contradictions(model, predictions, features, inception, on_card)
    from sat2map.bundle import DEFAULT, find
    from sat2map.data.pairs import PairedSet
    from sat2map.evaluation import protocol as protocols
    from sat2map.evaluation.comparison import require_comparable
    from sat2map.evaluation.features import open_extractor
    from sat2map.evaluation.result import read_result, to_json
    from sat2map.storage import refuse_existing, write_bytes

    for output in (report, json_file, save):
        if output:
            refuse_existing(output, overwrite=overwrite)
    others = [read_result(path) for path in beside]
    system, chosen = _subject(model, predictions, protocol)
    weights = inception or features
    extractor = open_extractor(weights, inception=inception is not None) if weights else None
    cycle = _model(cycle_model) if cycle_model else None
    pairs = PairedSet.open(data)
    with progress("evaluating", quiet=quiet) as bar:
        result = protocols.evaluate(
            system,
            pairs,
            protocol=chosen,
            split=split,
            limit=limit,
            jobs=jobs,
            extractor=extractor,
            cycle=cycle,
            on_prediction=_saver(save),
            on_progress=bar,
            command=_command(),
        )
    if json_file:
        write_bytes(json_file, to_json(result), overwrite=overwrite)
    require_comparable([result, *others])
    if report:
        from sat2map.evaluation.report import write_report

        write_report(report, result, system, pairs, beside=others, overwrite=overwrite)
    if on_card:
        from sat2map.evaluation.oncard import put_on_card

        put_on_card(find(model or DEFAULT).folder, result)
    if not quiet:
        _print_table([result, *others])
        for output in (report, json_file, save):
            if output:
                click.echo(f"{output}: written")


def _refuse_with_losses(*others: object) -> None:
    if any(others):
        raise click.UsageError("--losses goes with --model, --data, --split, --limit, --report and --json")


def _refuse_contradictions(
    model: str | None, predictions: Path | None, features: Path | None, inception: Path | None, on_card: bool
) -> None:
    if model and predictions:
        raise click.UsageError("--model and --predictions exclude each other: one thing is scored at a time")
    if on_card and predictions:
        raise click.UsageError("--on-card needs a model: finished pictures have no card")
    if features and inception:
        raise click.UsageError("--features and --inception exclude each other: give one network")


@click.command(short_help="Put several evaluations side by side.")
@click.argument("subjects", nargs=-1, required=True, metavar="A [B]...")
@click.option(
    "--data", type=_PATH, metavar="DIR", help="Paired images for models and predictions among A B …."
)
@click.option("--split", default="val", show_default=True, help="Which pairs of it.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N pairs.")
@click.option(
    "--protocol", type=click.Choice(_PROTOCOLS), help="The headline of the first model if not given."
)
@click.option("--report", type=_PATH, metavar="HTML", help="Write the table as a page.")
@click.option("--json", "json_file", type=_PATH, metavar="FILE", help="Write the table for machines.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Pairs at a time."
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that are already there.")
@click.option("-q", "--quiet", is_flag=True, help="No table and no progress bar.")
def compare(
    subjects: tuple[str, ...],
    data: Path | None,
    split: str,
    limit: int | None,
    protocol: str | None,
    report: Path | None,
    json_file: Path | None,
    jobs: int,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Put several evaluations side by side.

    A, B … are results of `evaluate --json`, models, or folders of predictions; the last two are scored now and need
    --data. The result of `compare` is one table with the same baselines, and the differences to A with the interval
    that the choice of images leaves.

    \b
    Examples:
      sat2map compare carto.json pix2pix.json --report compare.html
      sat2map compare carto mymodel other/results --data maps
    """
    from sat2map.evaluation import comparison
    from sat2map.evaluation.result import read_result
    from sat2map.storage import refuse_existing, write_bytes, write_text

    for output in (report, json_file):
        if output:
            refuse_existing(output, overwrite=overwrite)
    results = [read_result(Path(s)) if s.endswith(".json") else None for s in subjects]
    if data is None and None in results:
        raise click.UsageError(f"{subjects[results.index(None)]} must be scored first: --data DIR is needed")
    ready = [result for result in results if result]
    protocol = protocol or (ready[0].protocol if ready else None)
    found: list[Result] = []
    for subject, result in zip(subjects, results, strict=True):
        if result is None and data is not None:
            result = _score_now(subject, data, split, limit, protocol, jobs, quiet)
        assert result is not None, "either read or scored"
        protocol = result.protocol
        found.append(result)
    comparison.require_comparable(found)
    if json_file:
        write_bytes(json_file, comparison.to_json(found), overwrite=overwrite)
    if report:
        write_text(report, comparison.render(found), overwrite=overwrite)
    if not quiet:
        _print_table(found)
        for line in comparison.differences(found):
            click.echo(f"{line.other} - {line.one}: {comparison.sentence(line)}")


def _score_now(
    subject: str, data: Path, split: str, limit: int | None, protocol: str | None, jobs: int, quiet: bool
) -> "Result":
    from sat2map.data.pairs import PairedSet
    from sat2map.evaluation import protocol as protocols

    folder = Path(subject)
    is_folder = folder.is_dir() and not (folder / "card.json").exists()
    system, chosen = _subject(None if is_folder else subject, folder if is_folder else None, protocol)
    with progress(f"evaluating {subject}", quiet=quiet) as bar:
        return protocols.evaluate(
            system,
            PairedSet.open(data),
            protocol=chosen,
            split=split,
            limit=limit,
            jobs=jobs,
            on_progress=bar,
            command=_command(),
        )


def _model(id_or_dir: str | None) -> "Model":
    """Open a model of the user's, or the shipped default."""
    from sat2map.bundle import DEFAULT, find
    from sat2map.evaluation.systems import Model
    from sat2map.runtime import OnnxTranslator
    from sat2map.storage import sha256

    bundle = find(id_or_dir or DEFAULT)
    return Model(OnnxTranslator(bundle), sha256(bundle.onnx))


def _subject(
    model: str | None, predictions: Path | None, protocol: str | None
) -> "tuple[Model | Folder, Protocol]":
    """What is scored, and by which protocol; refuses a model of the other direction."""
    from sat2map.evaluation.protocol import PROTOCOLS, default_protocol
    from sat2map.evaluation.systems import Folder

    if predictions:
        return Folder(predictions), PROTOCOLS[protocol] if protocol else default_protocol("sat2map")
    system = _model(model)
    if system.direction == "sat2view" or system.direction == "latent2view":
        raise click.UsageError(
            f"model {system.subject.label} is {system.direction}: give --losses and a set of views, or another model"
        )
    chosen = PROTOCOLS[protocol] if protocol else default_protocol(system.direction)
    if chosen.direction != system.direction:
        raise click.UsageError(
            f"model {system.subject.label} is {system.direction}, protocol {chosen.name} is {chosen.direction}"
        )
    return system, chosen


def _saver(folder: Path | None) -> "Callable[[str, Prediction], None] | None":
    """Write predictions as FOLDER/SPLIT/NAME.png, as `--predictions` finds them again."""
    if folder is None:
        return None
    from sat2map.images import encode_png
    from sat2map.storage import write_bytes

    def save(name: str, prediction: "Prediction") -> None:
        write_bytes(folder / f"{name}.png", encode_png(prediction.colour), overwrite=True)

    return save


def _command() -> str:
    """The command line as it can be typed again."""
    return shlex.join(["sat2map", *sys.argv[1:]])


def _print_table(results: "list[Result]") -> None:
    """The figures on standard output, subjects first and baselines dimmed."""
    from rich.console import Console
    from rich.table import Table

    from sat2map.evaluation.figures import describe, show, table

    first, shown = results[0], table(results)
    out = Table(title=f"{first.data} · {first.split} · {first.protocol} · n = {first.n}")
    out.add_column("")
    for key in shown.keys:
        out.add_column(describe(key).title, justify="right")
    for row in shown.rows:
        values = [show(key, row.figures.get(key)) for key in shown.keys]
        out.add_row(row.label, *values, style="dim" if row.baseline else "bold")
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a table in a pipe or a log is not folded
    console.print(out)
    for note in dict.fromkeys(note for result in results for note in result.notes):
        click.echo(f"note: {note}")
