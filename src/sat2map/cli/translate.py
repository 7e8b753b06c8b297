"""`sat2map translate`: an image of any size, or a folder of images, to street maps."""

import json
import time
from pathlib import Path

import click

from sat2map.cli.progress import progress


class ProductList(click.ParamType[tuple[str, ...]]):
    """A comma-separated list of products."""

    name = "products"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the products once each, in the order given."""
        from sat2map.scenes.translate import PRODUCTS

        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        wrong = [name for name in names if name not in PRODUCTS]
        if wrong or not names:
            self.fail(f"{value!r}: use a list out of {','.join(PRODUCTS)}", param, ctx)
        return names


@click.command(short_help="Turn an image, or each image of a folder, into a street map.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--model",
    default="carto",
    show_default=True,
    metavar="ID|DIR",
    help="Shipped model, or folder of a bundle.",
)
@click.option(
    "--products",
    type=ProductList(),
    default="colour",
    show_default=True,
    metavar="LIST",
    help="Out of colour,classes,confidence.",
)
@click.option(
    "--window",
    type=click.IntRange(min=1),
    default=2048,
    show_default=True,
    metavar="PX",
    help="Side of what is read and written at a time; changes memory, never a pixel.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    help="Cells computed at a time; one per core, at most 4, if not given.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
def translate(
    source: Path,
    out: Path,
    model: str,
    products: tuple[str, ...],
    window: int,
    jobs: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn an image, or each image of a folder, into a street map.

    IN is a PNG, JPEG, WebP or TIFF of any size; OUT gets the same size in pixels. The result of `translate` is OUT, and
    with several products OUT_classes.png (pixel values are class numbers) and OUT_confidence.png (percent) beside it.
    For a folder IN, OUT is a folder of PNGs; broken images are left out and named at the end.

    \b
    Examples:
      sat2map translate photo.jpg map.png
      sat2map translate photo.jpg map.png --products colour,classes,confidence
      sat2map translate tiles/ maps/ --model runs/mymodel
    """
    from sat2map.errors import FileMissing, SomeImagesFailed
    from sat2map.runtime import open_translator
    from sat2map.scenes.pictures import FolderResult, translate_folder, translate_picture

    start = time.perf_counter()
    if not source.exists():
        raise FileMissing(f"{source} does not exist", "Check the path")
    translator = open_translator(model)
    with progress("translating", quiet=quiet) as report:
        if source.is_dir():
            result = translate_folder(
                translator, source, out, products,
                overwrite=overwrite, window=window, jobs=jobs, on_progress=report,
            )  # fmt: skip
        else:
            paths = translate_picture(
                translator, source, out, products,
                overwrite=overwrite, window=window, jobs=jobs, on_progress=report,
            )  # fmt: skip
            result = FolderResult(paths, {})
    if as_json:
        summary = {
            "model": translator.card.id,
            "written": [str(path) for path in result.written],
            "failed": {str(path): str(error) for path, error in result.failed.items()},
            "seconds": round(time.perf_counter() - start, 3),
        }
        click.echo(json.dumps(summary, indent=2))
    elif not quiet:
        for path in result.written if not source.is_dir() else []:
            click.echo(path)
        if source.is_dir():
            click.echo(f"{out}: {len(result.written)} files")
    for error in result.failed.values():
        click.echo(f"skipped: {error}", err=True)
    if result.failed:
        raise SomeImagesFailed(
            f"{len(result.failed)} of the images in {source} could not be translated, see above",
            "The others are done; mend or remove these, and run again with --overwrite",
        )
