"""`sat2map translate`: an image or a georeferenced scene of any size, or a folder of images, to street maps."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sat2map.cli.lists import NameList
from sat2map.cli.progress import Progress, progress

if TYPE_CHECKING:
    from sat2map.scenes.pictures import FolderResult

SCENES_ONLY = ("bidx", "scale", "nodata", "gsd", "output_crs", "res", "creation", "resume")


def _products() -> tuple[str, ...]:
    from sat2map.scenes.translate import PRODUCTS

    return PRODUCTS


class Numbers(click.ParamType[tuple[float, ...]]):
    """A comma-separated list of numbers, all whole for band numbers."""

    def __init__(self, kind: type[int] | type[float], even: bool = False) -> None:
        self.name = "numbers"
        self._kind, self._even = kind, even

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers in the order given; lists of pairs must be LOW,HIGH with LOW below HIGH."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no comma-separated list of numbers", param, ctx)
        pairs = zip(numbers[::2], numbers[1::2], strict=False)
        if self._even and (len(numbers) % 2 or not all(-1e38 < low < high < 1e38 for low, high in pairs)):
            self.fail(f"{value!r}: give LOW,HIGH with LOW below HIGH, once or for each band", param, ctx)
        return numbers


class Creation(click.ParamType[tuple[str, str]]):
    """KEY=VALUE for the writer."""

    name = "creation"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the key in capitals and the value."""
        from sat2map.scenes.raster.writing import CREATION_KEYS

        if isinstance(value, tuple):
            return value
        key, sign, wanted = str(value).partition("=")
        if not sign or key.upper() not in CREATION_KEYS or not wanted.replace("_", "").isalnum():
            self.fail(
                f"{value!r}: give KEY=VALUE with a key out of {', '.join(sorted(CREATION_KEYS))}", param, ctx
            )
        return key.upper(), wanted


@click.command(short_help="Turn an image, or each image of a folder, into a street map.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option(
    "--model",
    default="carto",
    show_default=True,
    metavar="ID|DIR",
    help="Shipped model, or folder of a bundle.",
)
@click.option(
    "--products",
    type=NameList("products", _products),
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
@click.option(
    "--bidx", type=Numbers(int), metavar="LIST", help="Scenes: bands to use as red,green,blue, from 1."
)
@click.option(
    "--scale",
    type=Numbers(float, even=True),
    metavar="LOW,HIGH",
    help="Scenes: samples that become 0 and 255; the 2nd and 98th percentile if not given (8 bits: as they are).",
)
@click.option("--nodata", type=float, metavar="VALUE", help="Scenes: sample that means no data.")
@click.option(
    "--gsd",
    type=click.FloatRange(0, min_open=True),
    metavar="METRES",
    help="Scenes: metres per pixel that the model is shown; what it was trained at if not given.",
)
@click.option(
    "--output-crs", metavar="EPSG:N", help="Scenes: CRS of the map; that of the scene if not given."
)
@click.option(
    "--res",
    type=click.FloatRange(0, min_open=True),
    metavar="UNITS",
    help="Scenes: pixels of the map in units of its CRS; those of the scene if not given.",
)
@click.option(
    "--co",
    "creation",
    type=Creation(),
    multiple=True,
    metavar="KEY=VALUE",
    help="Scenes: creation option of GDAL's COG driver, e.g. COMPRESS=ZSTD.",
)
@click.option("--resume", is_flag=True, help="Scenes: go on with what a killed run of this command has done.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@click.pass_context
def translate(
    ctx: click.Context,
    /,
    source: Path,
    out: Path | None,
    model: str,
    products: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Turn an image, or each image of a folder, into a street map.

    IN is a PNG, JPEG, WebP or TIFF of any size; OUT gets the same size in pixels. The result of `translate` is OUT, and
    with several products OUT_classes.png (pixel values are class numbers) and OUT_confidence.png (percent) beside it.
    For a folder IN, OUT is a folder of PNGs; broken images are left out and named at the end.

    A TIFF that is to become a TIFF is a scene: it is read piece by piece, and OUT (IN_map.tif if not given) is a Cloud
    Optimized GeoTIFF on the same grid, in the same CRS, with the products beside it as OUT_classes.tif and
    OUT_confidence.tif. Pixels that are missing in IN are missing there. After a kill, --resume goes on.

    \b
    Examples:
      sat2map translate photo.jpg map.png
      sat2map translate photo.jpg map.png --products colour,classes,confidence
      sat2map translate ortho.tif map.tif --products colour,classes,confidence
      sat2map translate sentinel.tif map.tif --bidx 4,3,2 --scale 0,3000 --gsd 10
      sat2map translate tiles/ maps/ --model runs/mymodel
    """
    from sat2map.bundle import find
    from sat2map.errors import FileMissing, SomeImagesFailed
    from sat2map.runtime import OnnxTranslator

    start = time.perf_counter()
    if not source.exists():
        raise FileMissing(f"{source} does not exist", "Check the path")
    out, is_scene = _destination(ctx, source, out)
    bundle = find(model)
    translator = OnnxTranslator(bundle)
    with progress("translating", quiet=quiet) as report:
        if is_scene:
            result = _scene(translator, bundle.onnx, source, out, products, options, quiet, report)
        else:
            result = _pictures(translator, source, out, products, options, report)
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


def _destination(ctx: click.Context, source: Path, out: Path | None) -> tuple[Path, bool]:
    """Return where the result goes, and whether the source is a scene; refuse options that only scenes have."""
    from sat2map.scenes.raster.header import is_tiff

    is_scene = (
        source.is_file() and (out is None or out.suffix.lower() in (".tif", ".tiff")) and is_tiff(source)
    )
    if is_scene:
        return out or source.with_name(f"{source.stem}_map.tif"), True
    if out is None:
        raise click.UsageError("Missing argument 'OUT': only for a TIFF is there a name of its own.", ctx)
    for name in SCENES_ONLY:
        if ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, None):
            option = next(p.opts[0] for p in ctx.command.params if p.name == name)
            raise click.UsageError(f"{option} is for scenes: IN and OUT must both be TIFFs.", ctx)
    return out, False


def _scene(
    translator: Any,
    graph: Path,
    source: Path,
    out: Path,
    products: Sequence[str],
    options: dict[str, Any],
    quiet: bool,
    report: Progress,
) -> "FolderResult":
    """Translate a scene and say on standard error what was chosen for the user."""
    from sat2map.scenes.georeferenced import SceneOptions, translate_scene
    from sat2map.scenes.pictures import FolderResult
    from sat2map.storage import sha256

    def notice(text: str) -> None:
        if not quiet:
            click.echo(f"note: {text}", err=True)

    wanted = SceneOptions(products=tuple(products), **{**options, "creation": dict(options["creation"])})
    checksum = sha256(graph)
    paths = translate_scene(
        translator, source, out, wanted, checksum=checksum, on_progress=report, on_notice=notice
    )
    return FolderResult(paths, {})


def _pictures(
    translator: Any,
    source: Path,
    out: Path,
    products: Sequence[str],
    options: dict[str, Any],
    report: Progress,
) -> "FolderResult":
    """Translate an image, or the images of a folder."""
    from sat2map.scenes.pictures import FolderResult, translate_folder, translate_picture

    shared = {name: options[name] for name in ("overwrite", "window", "jobs")}
    if source.is_dir():
        return translate_folder(translator, source, out, products, **shared, on_progress=report)
    paths = translate_picture(translator, source, out, products, **shared, on_progress=report)
    return FolderResult(paths, {})
