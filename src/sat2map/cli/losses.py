"""The loss study of `sat2map evaluate --losses`: what it is given, and what it prints."""

from pathlib import Path

import click

from sat2map.cli.progress import progress


def run_study(
    model: str | None,
    data: Path,
    split: str,
    limit: int | None,
    report: Path | None,
    json_file: Path | None,
    command: str,
    *,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Draw the views of a set, match them, write what was asked for and print the tables."""
    from sat2map.bundle import find
    from sat2map.data.views import open_views
    from sat2map.evaluation import losses
    from sat2map.runtime import OnnxTranslator
    from sat2map.storage import refuse_existing, sha256, write_bytes
    from sat2map.views.viewer import DEFAULT, Viewer

    for output in (report, json_file):
        if output:
            refuse_existing(output, overwrite=overwrite)
    bundle = find(model or DEFAULT)
    viewer = Viewer(OnnxTranslator(bundle))
    with progress("matching views", quiet=quiet) as bar:
        found, seen = losses.study(
            viewer,
            open_views(data),
            split=split,
            checksum=sha256(bundle.onnx),
            limit=limit,
            command=command,
            on_progress=bar,
        )
    if json_file:
        write_bytes(json_file, losses.to_json(found), overwrite=overwrite)
    if report:
        losses.write_page(report, found, seen, overwrite=overwrite)
    if quiet:
        return
    click.echo(f"{found.model} on {found.data} ({found.split}): {found.n} views of {found.places} places")
    for loss in found.matches:
        rows = losses.seed_table(found, loss)
        click.echo(f"\n{losses.TITLES[loss]:14}" + "".join(f"  real{n + 1}" for n in range(len(rows[0]))))
        for number, row in enumerate(rows, 1):
            click.echo(f"  drawn{number:<7}" + "".join(f"{value:>7}" for value in row))
        click.echo(f"  {losses.sentence(found, loss)}")
    for output in (report, json_file):
        if output:
            click.echo(f"{output}: written")
