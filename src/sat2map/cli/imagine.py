"""`sat2map imagine`: towns that do not exist, as pictures and plans or as a paired data set."""

import json
import os
from pathlib import Path
from typing import Any

import click

from sat2map.cli.destination import refuse_file_name
from sat2map.cli.numbers import LonLat
from sat2map.cli.progress import progress

FOR_PAIRS = ("pairs", "tile", "val", "views", "resume")
FOR_TOWN = ("size", "place")
FOR_TOUR = ("tour", "size", "model", "back")
FOR_SKETCH = ("sketch", "smooth")


@click.command(short_help="Invent a town: map, satellite picture, plan and views, or a paired data set.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="One seed, one world."
)
@click.option(
    "--style",
    type=click.Choice(["grid", "organic", "radial", "coastal"]),
    help="How streets run; chosen by the seed if not given (pairs: all in turn).",
)
@click.option(
    "--density", type=float, metavar="0..1", help="0 leafy suburbs, 1 city blocks.  [town: 0.5, pairs: mixed]"
)
@click.option("--water", type=float, metavar="0..1", help="0 none, 1 wide rivers.  [town: 0.3, pairs: mixed]")
@click.option(
    "--green", type=float, metavar="0..1", help="0 hardly a park, 1 many.  [town: 0.4, pairs: mixed]"
)
@click.option("--gsd", type=float, default=0.9, show_default=True, metavar="METRES", help="Metres per pixel.")
@click.option(
    "--size",
    type=float,
    default=900.0,
    show_default=True,
    metavar="METRES",
    help="Town, tour: side of the square shown.",
)
@click.option(
    "--at",
    "place",
    type=LonLat(),
    metavar="LON,LAT",
    help="Town: where on the globe it is to lie, then also as GeoTIFFs; nowhere if not given.",
)
@click.option(
    "--pairs", type=click.IntRange(1), metavar="N", help="Make a data set of N pairs instead of a town."
)
@click.option("--tile", type=int, default=256, show_default=True, metavar="PX", help="Pairs: side of a tile.")
@click.option(
    "--val",
    type=float,
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Pairs: share for validation, by worlds.",
)
@click.option("--views", is_flag=True, help="Pairs: also what is seen from a street in each tile.")
@click.option(
    "--tour", type=click.IntRange(1), metavar="N",
    help="Show N towns, of the seeds from --seed on: map, imagery made of it, map made of that.",
)  # fmt: skip
@click.option(
    "--model", default="carto-reverse", show_default=True, metavar="ID|DIR",
    help="Tour: model that makes imagery of maps.",
)  # fmt: skip
@click.option(
    "--back", default="carto", show_default=True, metavar="ID|DIR",
    help="Tour: model that makes maps of imagery.",
)  # fmt: skip
@click.option(
    "--from-sketch", "sketch", type=click.Path(path_type=Path), metavar="FILE",
    help="Clean up this drawn or foreign map instead (grey, black, white: streets; orange, yellow, red: highways; "
    "brown: houses; green; blue); OUT is an image.",
)  # fmt: skip
@click.option(
    "--smooth", type=click.IntRange(0, 15), default=2, show_default=True, metavar="PX",
    help="Sketch: noise of about this many pixels is taken away.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), help="Processes; one per core if not given. Changes no pixel."
)
@click.option("--resume", is_flag=True, help="Pairs: go on with what a killed run of this command has done.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run of this command has made.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@click.pass_context
def imagine(
    ctx: click.Context, /, out: Path, jobs: int | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Invent a town: map, satellite picture, plan and views, or a paired data set.

    The result of `imagine` is a folder with map.png, classes.png (pixel values are class numbers), satellite.png,
    views from its streets, the plan as vector layers (plan.gpkg, plan.geojson), and index.html, which shows them. The
    town follows from the seed and the options alone. The satellite picture is drawn, not photographed.

    With --pairs, OUT is a data set that `train`, `evaluate` and `data check` read: the tiles of many small worlds, none
    of which is in both splits. After a kill, --resume goes on.

    With --tour, OUT is a folder with one page: for each of N towns its map, the imagery that a model makes of the map,
    and the map that another model makes of the imagery.

    With --from-sketch, OUT is the cleaned map: colours become those of the `maps` style, specks vanish, streets become
    even lines.

    \b
    Examples:
      sat2map imagine town --seed 7
      sat2map imagine bay --seed 3 --style coastal --size 1800 --density 0.8
      sat2map imagine berlin --seed 1 --style radial --at 13.4,52.5
      sat2map imagine pairs --pairs 1000 --views -j 4
      sat2map imagine tour --tour 12
      sat2map imagine clean.png --from-sketch drawing.jpg
    """
    jobs = jobs or os.cpu_count() or 1
    _refuse_mixtures(ctx, options)
    if not options["sketch"]:
        refuse_file_name(ctx, out, "The result is a folder")
    if options["sketch"]:
        summary = _sketch(out, options)
    elif options["tour"]:
        summary = _tour(out, options, jobs, quiet)
    elif options["pairs"]:
        summary = _pairs(out, options, jobs, quiet)
    else:
        summary = _town(out, options, jobs, quiet)
    for notice in summary.pop("notices", []):
        click.echo(f"note: {notice}", err=True)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    elif not quiet:
        click.echo(summary["text"])


def _refuse_mixtures(ctx: click.Context, options: dict[str, Any]) -> None:
    """Raise UsageError for options that the wanted kind of result does not have."""
    kind: str = "a town"
    own: tuple[str, ...] = FOR_TOWN
    if options["sketch"]:
        kind, own = "a sketch", FOR_SKETCH
    elif options["tour"]:
        kind, own = "a tour", FOR_TOUR
    elif options["pairs"]:
        kind, own = "pairs", FOR_PAIRS
    others = {*FOR_PAIRS, *FOR_TOWN, *FOR_TOUR, *FOR_SKETCH} - {*own}
    if options["sketch"]:
        others |= {"seed", "style", "density", "water", "green"}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) not in (None, click.core.ParameterSource.DEFAULT)
        if name in others and given:
            raise click.UsageError(f"{parameter.opts[-1]} is not for {kind}.", ctx)


def _town(out: Path, options: dict[str, Any], jobs: int, quiet: bool) -> dict[str, Any]:
    from sat2map.worlds import STYLES, Place, Town, write_town

    given = {name: options[name] for name in ("density", "water", "green") if options[name] is not None}
    town = Town(options["seed"], options["style"] or STYLES[options["seed"] % len(STYLES)], **given)
    place = Place(*options["place"]) if options["place"] else None
    with progress("painting", quiet=quiet) as report:
        notices = write_town(
            out, town, options["size"], options["gsd"], place, jobs, report, overwrite=options["overwrite"]
        )
    return {
        "written": str(out),
        "seed": town.seed,
        "style": town.style,
        "notices": notices,
        "text": f"{out}/index.html",
    }


def _tour(out: Path, options: dict[str, Any], jobs: int, quiet: bool) -> dict[str, Any]:
    from sat2map.runtime import open_translator
    from sat2map.tour import LABELS, write_tour
    from sat2map.worlds import STYLES, Town

    given = {name: options[name] for name in ("density", "water", "green") if options[name] is not None}
    seeds = range(options["seed"], options["seed"] + options["tour"])
    towns = [Town(seed, options["style"] or STYLES[seed % len(STYLES)], **given) for seed in seeds]
    painter, mapper = open_translator(options["model"]), open_translator(options["back"])
    with progress("touring", quiet=quiet) as report:
        figures = write_tour(
            out, towns, painter, mapper, options["size"], options["gsd"], jobs, report,
            overwrite=options["overwrite"],
        )  # fmt: skip
    said = ", ".join(f"{LABELS[name]} {value:.3f}" for name, value in figures.items())
    text = f"{out}/index.html: {len(towns)} towns; second map against first: {said}"
    return {"written": str(out), "towns": len(towns), "figures": figures, "text": text}


def _pairs(out: Path, options: dict[str, Any], jobs: int, quiet: bool) -> dict[str, Any]:
    from sat2map.data.imagined import PairSettings, make_pairs

    names = ("seed", "style", "density", "water", "green", "tile", "gsd", "val", "views")
    settings = PairSettings(options["pairs"], **{name: options[name] for name in names})
    with progress("painting", quiet=quiet) as report:
        found = make_pairs(
            out, settings, jobs, report, resume=options["resume"], overwrite=options["overwrite"]
        )
    counts = ", ".join(f"{count} {split}" for split, count in found.splits.items())
    return {"written": str(out), "pairs": len(found), "splits": found.splits, "text": f"{out}: {counts}"}


def _sketch(out: Path, options: dict[str, Any]) -> dict[str, Any]:
    from sat2map import images
    from sat2map.storage import refuse_existing
    from sat2map.worlds import clean_sketch

    refuse_existing(out, overwrite=options["overwrite"])
    sketch = images.read_image(options["sketch"])
    cleaned = clean_sketch(sketch, smooth=options["smooth"], gsd=options["gsd"])
    images.write_image(out, cleaned, overwrite=options["overwrite"])
    return {"written": str(out), "text": str(out)}
