"""`sat2map demo`: a sample picture, its map, and a page to compare the two; offline, without torch."""

from pathlib import Path

import click

from sat2map.cli.model_options import model_option


@click.command(short_help="Translate a sample and make a page to look at.")
@click.argument("out", type=click.Path(path_type=Path), default=Path("sat2map-demo"))
@model_option
@click.option("--overwrite", is_flag=True, help="Replace a demonstration that is there.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def demo(out: Path, model: str, overwrite: bool, quiet: bool) -> None:
    """Translate a sample picture with the model in the package, and make a page to compare the two.

    The result of `demo` is the folder OUT (sat2map-demo if not given): source.png, map.png, classes.png,
    confidence.png and index.html. Needs no network. Open the page in any browser.

    \b
    Examples:
      sat2map demo
      sat2map demo /tmp/demo --model runs/mymodel
    """
    from sat2map.demo import build
    from sat2map.runtime import open_translator

    made = build(open_translator(model), out, overwrite=overwrite)
    if not quiet:
        click.echo(f"The page is {made.resolve()}")
