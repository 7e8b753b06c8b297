"""`sat2map translate`: an image or a georeferenced scene of any size, or a folder of images, to street maps."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sat2map.cli.destination import Destination, destination, scenes_in
from sat2map.cli.model_options import model_option, products_option
from sat2map.cli.progress import Progress, progress
from sat2map.cli.scene_options import TILES, refuse_others, scene_options, zooms_of
from sat2map.cli.tile_source import SourceName, local_scene, taken, tile_options

if TYPE_CHECKING:
    from sat2map.scenes.pictures import FolderResult


@click.command(short_help="Turn an image, or each image of a folder, into a street map.")
@click.argument("source", metavar="IN", type=SourceName())
@click.argument("out", type=click.Path(), required=False)
@model_option
@products_option("colour")
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
    "--variant", type=click.IntRange(min=0), default=0, metavar="N",
    help="Another answer to the same picture, for models with noise (carto-reverse).",
)  # fmt: skip
@scene_options
@tile_options
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@click.pass_context
def translate(
    ctx: click.Context,
    /,
    source: Path | str,
    out: str | None,
    model: str,
    products: tuple[str, ...],
    kind: str | None,
    variant: int,
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

    A scene also becomes tiles for web maps, on the grid that all web maps share: a folder OUT/ of {z}/{x}/{y}.png with
    tiles.json, or one file OUT.mbtiles or OUT.pmtiles. As OUT.png, .jpg or .webp it is a picture with a world file.

    IN may be an address of tiles: a template, a TileJSON or WMTS capabilities. The tiles of --bbox are fetched beside
    OUT, politely and once, and translated as one scene; tiles that the source does not have are missing pixels.

    \b
    Examples:
      sat2map translate photo.jpg map.png
      sat2map translate photo.jpg map.png --products colour,classes,confidence
      sat2map translate ortho.tif map.tif --products colour,classes,confidence
      sat2map translate ortho.tif map.tif --preview
      sat2map translate ortho.tif map/ --zoom 12-17
      sat2map translate ortho.tif map.pmtiles
      sat2map translate sentinel.tif map.tif --bidx 4,3,2 --scale 0,3000 --gsd 10
      sat2map translate tiles/ maps/ --model runs/mymodel
      sat2map translate map.png imagery.png --model carto-reverse --variant 3
      sat2map translate 'https://host/{z}/{x}/{y}.jpg' map.tif --bbox 8.53,47.36,8.56,47.38 --dry-run
      sat2map translate 'https://host/wmts?key={env:KEY}' map.tif --layer ortho --bbox 8.53,47.36,8.56,47.38
    """
    from sat2map.bundle import find
    from sat2map.errors import FileMissing, SomeImagesFailed
    from sat2map.runtime import OnnxTranslator
    from sat2map.storage import sha256

    start = time.perf_counter()
    if isinstance(source, Path) and not source.exists():
        raise FileMissing(f"{source} does not exist", "Check the path")
    target = destination(ctx, source, out, kind)
    tiles = taken(ctx, options, source)
    refuse_others(ctx, target.output, from_tiles=isinstance(source, str))
    options["zoom"] = zooms_of(ctx, options["zoom"]) if target.output == TILES else None
    bundle = find(model)
    with ExitStack() as stack:
        if isinstance(source, str):
            metres = options["gsd"] or bundle.card.metres_per_pixel
            kept = {name: options[name] for name in ("resume", "overwrite")}
            local = local_scene(
                source, target.path, products, tiles, metres, **kept, quiet=quiet, as_json=as_json
            )
            fetched = stack.enter_context(local)
            if fetched is None:
                return
            source = fetched
        translator = OnnxTranslator(bundle, variant=variant)
        report = stack.enter_context(progress("translating", quiet=quiet))
        if target.output:
            identity = sha256(bundle.onnx) + (f" variant {variant}" if variant else "")
            result = _scene(translator, identity, source, target, products, options, quiet, report)
        else:
            result = _pictures(translator, source, target.path, products, options, quiet, report)
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
            click.echo(f"{target.path}: {len(result.written)} files")
    for error in result.failed.values():
        click.echo(f"skipped: {error}", err=True)
    if result.failed:
        raise SomeImagesFailed(
            f"{len(result.failed)} of the images in {source} could not be translated, see above",
            "The others are done; mend or remove these, and run again with --overwrite",
        )


def _scene(
    translator: Any,
    identity: str,
    source: Path,
    target: Destination,
    products: Sequence[str],
    options: dict[str, Any],
    quiet: bool,
    report: Progress,
) -> "FolderResult":
    """Translate a scene and say on standard error what was chosen for the user."""
    from sat2map.scenes.georeferenced import translate_scene
    from sat2map.scenes.job import SceneOptions
    from sat2map.scenes.pictures import FolderResult
    from sat2map.scenes.preview import preview_path
    from sat2map.scenes.tiles.job import translate_to_tiles

    wanted = SceneOptions(products=tuple(products), **{**options, "creation": dict(options["creation"])})
    told: dict[str, Any] = {"checksum": identity, "on_progress": report, "on_notice": _notices(quiet)}
    if target.output == TILES:
        paths = translate_to_tiles(translator, source, target.path, target.kind, wanted, **told)
    else:
        paths = translate_scene(translator, source, target.path, wanted, **told)
    return FolderResult([*paths, *([preview_path(target.path)] if wanted.preview else [])], {})


def _pictures(
    translator: Any,
    source: Path,
    out: Path,
    products: Sequence[str],
    options: dict[str, Any],
    quiet: bool,
    report: Progress,
) -> "FolderResult":
    """Translate an image, or the images of a folder."""
    from sat2map.scenes.pictures import FolderResult, translate_folder, translate_picture

    shared: dict[str, Any] = {name: options[name] for name in ("overwrite", "window", "jobs")}
    shared |= {"on_progress": report, "on_notice": _notices(quiet)}
    if source.is_dir():
        if count := scenes_in(source):
            shared["on_notice"](
                f"{count} of the images are GeoTIFFs; their maps are pictures of the same size without a place. "
                f"One map of them all, with its place: sat2map batch plan {source} PLAN"
            )
        return translate_folder(translator, source, out, products, **shared)
    return FolderResult(translate_picture(translator, source, out, products, **shared), {})


def _notices(quiet: bool) -> Callable[[str], None]:
    """Return what tells the user, on standard error, what was chosen for them or looks wrong."""

    def notice(text: str) -> None:
        if not quiet:
            click.echo(f"note: {text}", err=True)

    return notice
