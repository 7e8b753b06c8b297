"""The options of `translate` that are for scenes, and the values that they take."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from sat2map.cli.numbers import Levels, Numbers

Command = TypeVar("Command", bound=Callable[..., Any])

TIF, TILES, PICTURE = "GeoTIFF", "tiles", "picture with a world file"
# Option -> the kinds of output that it has a meaning for, and how to get one of them.
FOR: dict[str, tuple[frozenset[str], str]] = {
    **dict.fromkeys(
        ("bidx", "scale", "nodata", "gsd", "resume", "preview"),
        (frozenset({TIF, TILES, PICTURE}), "is for scenes: IN must be a georeferenced TIFF"),
    ),
    **dict.fromkeys(
        ("output_crs", "res"),
        (frozenset({TIF, PICTURE}), "is for maps on a grid of their own: OUT must be a .tif or a picture"),
    ),
    "creation": (frozenset({TIF}), "is for GeoTIFFs: IN and OUT must both be TIFFs"),
    "zoom": (frozenset({TILES}), "is for tiles: IN must be a scene, and OUT a folder/, .mbtiles or .pmtiles"),
}


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


def zooms_of(ctx: click.Context, text: str | None) -> tuple[int, int] | None:
    """Return the smallest and the largest zoom of MIN-MAX or Z. Raises BadParameter."""
    from sat2map.mercator import MOST_ZOOM

    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not 0 <= least <= most <= MOST_ZOOM:
        problem = f"{text!r}: give MIN-MAX within 0 and {MOST_ZOOM}, e.g. 12-17"
        raise click.BadParameter(problem, ctx, param_hint="'--zoom'")
    return least, most


OPTIONS = (
    click.option("--bidx", type=Numbers(int), metavar="LIST", help="Bands to use as red,green,blue, from 1."),
    click.option(
        "--scale",
        type=Levels(),
        metavar="LOW,HIGH",
        help="Samples that become 0 and 255; the 2nd and 98th percentile if not given (8 bits: as they are).",
    ),
    click.option("--nodata", type=float, metavar="VALUE", help="Sample that means no data."),
    click.option(
        "--gsd",
        type=click.FloatRange(0, min_open=True),
        metavar="METRES",
        help="Metres per pixel that the model is shown; what it was trained at if not given.",
    ),
    click.option(
        "--output-crs",
        metavar="EPSG:N",
        help="CRS of the map; that of the scene if not given. Not for tiles.",
    ),
    click.option(
        "--res",
        type=click.FloatRange(0, min_open=True),
        metavar="UNITS",
        help="Pixels of the map in units of its CRS; those of the scene if not given. Not for tiles.",
    ),
    click.option(
        "--format",
        "kind",
        type=click.Choice(["tif", "xyz", "mbtiles", "pmtiles"]),
        help="What OUT is, if its name does not say so; xyz is a folder of tiles.",
    ),
    click.option(
        "--zoom",
        metavar="MIN-MAX",
        help="Tiles as OUT: zooms to make; if not given, from where the scene is one tile to where the model works. "
        "Tiles as IN: the level Z to fetch; if not given, the one nearest to what the model was trained at.",
    ),
    click.option(
        "--preview",
        is_flag=True,
        help="Also write OUT_preview.html: picture and map under a slider, legend, scale.",
    ),
    click.option(
        "--co",
        "creation",
        type=Creation(),
        multiple=True,
        metavar="KEY=VALUE",
        help="GeoTIFF: creation option of GDAL's COG driver, e.g. COMPRESS=ZSTD.",
    ),
    click.option("--resume", is_flag=True, help="Go on with what a killed run of this command has done."),
)


def scene_options(command: Command) -> Command:
    """Add the options to a command, in the order in which help is to show them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def refuse_others(ctx: click.Context, output: str | None, *, from_tiles: bool = False) -> None:
    """Raise UsageError for options that were given and mean nothing for this kind of output; None: no scene at all.

    `from_tiles`: IN is a source of tiles, of which --zoom is the level to fetch.
    """
    from click.core import ParameterSource

    for name, (kinds, why) in FOR.items():
        if output in kinds or (from_tiles and name == "zoom"):
            continue
        if ctx.get_parameter_source(name) in (ParameterSource.DEFAULT, None):
            continue
        option = next(p.opts[0] for p in ctx.command.params if p.name == name)
        raise click.UsageError(f"{option} {why}.", ctx)
