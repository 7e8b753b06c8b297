"""`sat2map view`: what somebody standing at a place would see, drawn from imagery taken from above."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sat2map.cli.numbers import Numbers
from sat2map.cli.progress import progress
from sat2map.cli.tile_source import Header, is_address

if TYPE_CHECKING:
    from sat2map.views import Imagery, Step, Viewer
    from sat2map.views.crop import UInt8

FOR = {  # option -> the source that it is for
    "gsd": "IMAGE", "at": "IMAGE", "up": "IMAGE",
    "style": "--world", "density": "--world",
    "layer": "--scene ADDRESS", "headers": "--scene ADDRESS", "allow_hosts": "--scene ADDRESS",
    "tile_size": "--scene ADDRESS", "attribution": "--scene ADDRESS", "max_tiles": "--scene ADDRESS",
    "rate": "--scene ADDRESS",
}  # fmt: skip
NEGATIVE = re.compile(r"-[\d.]+,-?[\d.]+")


class Western(click.Command):
    """A command that takes -73.9,40.7 for a place and not for options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hide the minus of places from the parser."""
        return super().parse_args(ctx, [f" {arg}" if NEGATIVE.fullmatch(arg) else arg for arg in args])


@click.command(cls=Western, short_help="Draw what somebody standing at a place would see.")
@click.argument("words", metavar="[PLACE|IMAGE] OUT", nargs=-1, required=True)
@click.option(
    "--scene", metavar="FILE|ADDRESS",
    help="Imagery for a PLACE: a GeoTIFF, or tiles (a template, a TileJSON or WMTS document).",
)  # fmt: skip
@click.option(
    "--world", type=click.IntRange(0), metavar="SEED", help="An invented town instead; needs no file."
)
@click.option(
    "--heading", type=float, metavar="DEG", help="Where to look: 0 north, 90 east.  [default: see below]"
)
@click.option("--model", metavar="ID|DIR", help="Ground-view model.  [default: view-geo]")
@click.option(
    "--path", "route", metavar="'P P …'|FILE",
    help="Walk along these places, or the line of a GeoJSON file; OUT is an animated GIF.",
)  # fmt: skip
@click.option(
    "--step", type=click.FloatRange(0.1, 1000), default=4.0, show_default=True, metavar="METRES",
    help="Path: from one picture to the next.",
)  # fmt: skip
@click.option(
    "--strip", is_flag=True, help="Show the imagery beside the view, and what is really there, if known."
)
@click.option(
    "--photos", type=click.Path(path_type=Path), metavar="DIR",
    help="Strip: add the most similar true photos of a set of views or a collection.",
)  # fmt: skip
@click.option(
    "--gsd", type=click.FloatRange(0.01, 100), metavar="METRES", help="IMAGE: metres per pixel; needed."
)
@click.option(
    "--at", type=Numbers(float, 2, "COL,ROW"), metavar="COL,ROW",
    help="IMAGE: where to stand.  [default: its middle]",
)  # fmt: skip
@click.option(
    "--up", type=float, default=0.0, metavar="DEG", help="IMAGE: the heading that is up in it.  [0: north]"
)
@click.option(
    "--style", type=click.Choice(["grid", "organic", "radial", "coastal"]),
    help="World: how streets run; chosen by the seed if not given.",
)  # fmt: skip
@click.option(
    "--density", type=float, default=0.5, metavar="0..1", help="World: 0 leafy suburbs, 1 city blocks."
)
@click.option("--layer", default="", metavar="ID", help="Address: layer of a WMTS.")
@click.option(
    "--tile-size",
    type=click.IntRange(64, 4096),
    metavar="PX",
    help="Address: side of a tile, if it is not 256.",
)
@click.option(
    "--header", "headers", type=Header(), multiple=True, metavar="'NAME: VALUE'",
    help="Address: sent along; {env:NAME} is taken from the environment.",
)  # fmt: skip
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Address: another host that may be asked.",
)
@click.option("--attribution", default="", metavar="TEXT", help="Address: whose imagery it is.")
@click.option(
    "--rate", type=click.FloatRange(0, 100, min_open=True), default=8.0, metavar="N",
    help="Address: requests per second, at most.",
)  # fmt: skip
@click.option(
    "--max-tiles",
    type=click.IntRange(min=1),
    default=1024,
    metavar="N",
    help="Address: refuse to fetch more.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@click.pass_context
def view(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    model: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Draw what somebody standing at a place would see, from imagery taken from above.

    PLACE is LON,LAT in degrees with --scene, or metres east,north of the origin with --world (a pavement near it if
    PLACE is left out). An IMAGE has north up, or what --up says; --gsd is the size of its pixels on the ground. The
    result of `view` is the picture OUT (.png, .jpg, .webp), or with --path an animation OUT.gif of a walk.

    One looks north if --heading is not given; on a path ahead, in a world without PLACE along the street.

    The picture is invented: it shows what could be there. The model that comes with the package has seen nothing but
    invented towns; what imagery it wants, and how wide its picture is, says `sat2map info view-geo`.

    \b
    Examples:
      sat2map view --world 7 view.png
      sat2map view --world 7 strip.png --strip --heading 90
      sat2map view --world 7 walk.gif --path '0,0 120,60' --strip
      sat2map view 15.27,47.07 view.png --scene ortho.tif --heading 180
      sat2map view 8.54,47.37 view.png --scene 'https://host/{z}/{x}/{y}.jpg'
      sat2map view photo-from-above.png view.png --gsd 0.5 --at 300,200
      sat2map view 15.27,47.07 strip.png --scene ortho.tif --strip --photos landscapes
    """
    from sat2map.storage import refuse_existing
    from sat2map.views import open_viewer

    first, out = _words(ctx, words)
    _refuse_mixtures(ctx, first, options)
    is_gif = out.suffix.lower() == ".gif"
    if is_gif != (options["route"] is not None):
        raise click.UsageError("A --path gives an animation: name OUT something.gif, and only then.", ctx)
    if options["photos"] and not options["strip"]:
        raise click.UsageError("--photos adds to a --strip: give that, too.", ctx)
    refuse_existing(out, overwrite=options["overwrite"])
    viewer = open_viewer(model) if model else open_viewer()
    with _imagery(first, options) as imagery:
        steps = _steps(ctx, first, imagery, options)
        pictures = []
        with progress("drawing", quiet=quiet or len(steps) == 1) as report:
            for number, step in enumerate(steps, 1):
                pictures.append(_picture(viewer, imagery, step, options))
                report(number, len(steps), "")
        _write(out, pictures, options["overwrite"])
        summary = {
            "written": str(out),
            "model": viewer.card.id,
            "imagery": imagery.name,
            "attribution": imagery.attribution,
            "pictures": len(pictures),
            "places": [[*step.place] for step in steps],
            "headings": [round(step.heading, 2) for step in steps],
        }
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    elif not quiet:
        shown = f"{out}: invented by {viewer.card.id} from {imagery.name}"
        click.echo(shown + (f" ({imagery.attribution})" if imagery.attribution else ""))


def _words(ctx: click.Context, words: tuple[str, ...]) -> tuple[str, Path]:
    """Return the place or image ("" if there is none) and OUT."""
    if len(words) > 2:
        raise click.UsageError(f"{len(words)} arguments; give [PLACE|IMAGE] and OUT.", ctx)
    return (words[0].strip() if len(words) == 2 else ""), Path(words[-1].strip())


def _refuse_mixtures(ctx: click.Context, first: str, options: dict[str, Any]) -> None:
    """Raise UsageError for options that contradict each other, or that the source does not have."""
    scene, world = options["scene"], options["world"]
    if scene and world is not None:
        raise click.UsageError("--scene and --world are two sources: give one of them.", ctx)
    kind = "--world" if world is not None else "IMAGE" if not scene else "--scene FILE"
    kind = "--scene ADDRESS" if scene and is_address(scene) else kind
    for parameter in ctx.command.params:
        wanted = FOR.get(parameter.name or "")
        given = ctx.get_parameter_source(parameter.name or "") not in (
            None,
            click.core.ParameterSource.DEFAULT,
        )
        if wanted and given and wanted != kind:
            raise click.UsageError(f"{parameter.opts[0]} is for {wanted}, not for {kind}.", ctx)
    if kind == "IMAGE":
        if not first:
            raise click.UsageError("Where from? Give --world SEED, an IMAGE, or a PLACE with --scene.", ctx)
        if _is_place(first):
            raise click.UsageError(f"{first} is a place: add --scene FILE|ADDRESS, or --world SEED.", ctx)
        if options["gsd"] is None:
            raise click.UsageError(
                "Missing option '--gsd METRES': how large are the pixels of the image?", ctx
            )
    elif options["route"] and first:
        raise click.UsageError("A --path has its own places: leave PLACE out.", ctx)
    elif not first and kind != "--world" and not options["route"]:
        raise click.UsageError("Missing argument 'PLACE': LON,LAT in degrees.", ctx)
    elif first and not _is_place(first):
        raise click.UsageError(f"{first!r}: with {kind.split()[0]}, PLACE is two numbers with a comma.", ctx)


def _is_place(text: str) -> bool:
    try:
        return len([float(part) for part in text.split(",")]) == 2
    except ValueError:
        return False


@contextmanager
def _imagery(first: str, options: dict[str, Any]) -> Iterator["Imagery"]:
    """Yield the source of imagery, open."""
    from sat2map.errors import FileMissing
    from sat2map.views import PictureImagery, SceneImagery, TileImagery, WorldImagery

    scene, seed = options["scene"], options["world"]
    with ExitStack() as stack:
        if seed is not None:
            from sat2map.worlds import STYLES, Town

            town = Town(seed, options["style"] or STYLES[seed % len(STYLES)], density=options["density"])
            yield WorldImagery(town)
        elif not scene:
            yield PictureImagery.open(Path(first), options["gsd"], options["up"])
        elif is_address(scene):
            from sat2map.scenes.sources.job import TileOptions

            names = ("layer", "tile_size", "attribution", "headers", "allow_hosts", "rate", "max_tiles")
            wanted = TileOptions(**{name: options[name] for name in names})
            yield stack.enter_context(TileImagery(scene, wanted))
        else:
            if not Path(scene).is_file():
                raise FileMissing(f"there is no file {scene}", "Name a GeoTIFF or an address of tiles")
            yield stack.enter_context(SceneImagery(Path(scene)))


def _steps(ctx: click.Context, first: str, imagery: "Imagery", options: dict[str, Any]) -> list["Step"]:
    """Return where one stands and looks: once, or along the path."""
    from sat2map.views import PictureImagery, Place, Step, WorldImagery, places_in, walked

    heading = options["heading"]
    if options["route"]:
        return walked(places_in(options["route"]), imagery, options["step"], heading)
    if isinstance(imagery, PictureImagery):
        place = Place(*options["at"]) if options["at"] else imagery.middle
        return [Step(place, heading or 0.0)]
    if first:
        x, y = (float(part) for part in first.split(","))
        return [Step(Place(x, y), heading or 0.0)]
    assert isinstance(imagery, WorldImagery), "only worlds have a place of their own"
    place, along = imagery.street()
    return [Step(place, along if heading is None else heading)]


def _picture(viewer: "Viewer", imagery: "Imagery", step: "Step", options: dict[str, Any]) -> "UInt8":
    """Return the view, or the strip around it."""
    from sat2map.views import WorldImagery
    from sat2map.views.strip import nearest_photos, seen_from_above, strip

    crop = imagery.crop(step.place, viewer.side, viewer.metres)
    drawn = viewer(crop, step.heading)
    if not options["strip"]:
        return drawn
    parts = [seen_from_above(crop, viewer.camera, step.heading), drawn]
    if isinstance(imagery, WorldImagery):
        parts.append(imagery.truth(step.place, step.heading, viewer.camera))
    if options["photos"]:
        parts += nearest_photos(drawn, options["photos"])
    return strip(parts)


def _write(out: Path, pictures: list["UInt8"], overwrite: bool) -> None:
    from sat2map import images
    from sat2map.images.animation import write_gif

    if out.suffix.lower() == ".gif":
        write_gif(out, pictures, milliseconds=160, overwrite=overwrite)
    else:
        images.write_image(out, pictures[0], overwrite=overwrite)
