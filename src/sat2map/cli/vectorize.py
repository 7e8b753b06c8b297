"""`sat2map vectorize`: a class raster, or a map in colours, to vector layers."""

import json
import time
from contextlib import ExitStack
from pathlib import Path

import click

from sat2map.cli.lists import NameList
from sat2map.cli.progress import progress


def _layers() -> tuple[str, ...]:
    from sat2map.scenes.vectors.layers import LAYERS

    return tuple(LAYERS)


@click.command(short_help="Turn a class raster into roads, buildings, water and green as layers.")
@click.argument("source", metavar="CLASSES", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--layers",
    type=NameList("layers", _layers),
    default="green,water,roads,buildings",
    show_default=True,
    metavar="LIST",
    help="Out of land,other,green,water,surfaces,roads,buildings; surfaces are the areas of roads.",
)
@click.option(
    "--confidence",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Confidence raster of the same size; features get their mean.",
)
@click.option(
    "--min-area",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="M2",
    help="Smaller polygons are left out, smaller holes filled.",
)
@click.option(
    "--simplify",
    type=click.FloatRange(min=0),
    metavar="M",
    help="How far a line may move to be simpler; 3/4 of a pixel, as the network saw it, if not given; 0: not at all.",
)
@click.option(
    "--min-road",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="M",
    help="Shorter dead ends, and shorter roads that stand alone, are left out.",
)
@click.option(
    "--right-angles/--no-right-angles",
    default=True,
    show_default=True,
    help="Give buildings right angles where that fits.",
)
@click.option(
    "--gsd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Metres per pixel, if the file does not say.",
)
@click.option(
    "--window",
    type=click.IntRange(min=16),
    default=1024,
    show_default=True,
    metavar="PX",
    help="Side of what is read at a time; changes memory, never a shape.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no notices and no summary.")
def vectorize(
    source: Path,
    out: Path,
    layers: tuple[str, ...],
    confidence: Path | None,
    min_area: float,
    simplify: float | None,
    min_road: float,
    right_angles: bool,
    gsd: float | None,
    window: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Turn a class raster, or a street map in colours, into vector layers.

    CLASSES is what `translate --products classes` writes, or the image of a map. The result of `vectorize` is OUT: a
    GeoPackage (.gpkg) with one layer per kind, which QGIS opens in map colours; one GeoJSON (.geojson, RFC 7946); or
    FlatGeobuf (.fgb), one file per layer. Roads are centre lines with a width, everything else is polygons.

    \b
    Examples:
      sat2map vectorize scene_map_classes.tif scene.gpkg
      sat2map vectorize map.png map.geojson --gsd 0.5 --layers roads,buildings
    """
    from sat2map.scenes.vectorize import VectorOptions
    from sat2map.scenes.vectorize import vectorize as run
    from sat2map.scenes.vectors.opening import open_classes, open_confidence
    from sat2map.scenes.vectors.writing import require

    require()
    start = time.perf_counter()
    options = VectorOptions(
        layers=layers, min_area=min_area, simplify=simplify, right_angles=right_angles,
        min_road=min_road, gsd=gsd, block=window,
    )  # fmt: skip
    notices: list[str] = []
    with ExitStack() as stack:
        report = stack.enter_context(progress("vectorising", quiet=quiet))
        classes = stack.enter_context(open_classes(source, on_notice=notices.append))
        percent = stack.enter_context(open_confidence(confidence)) if confidence else None
        summary = run(classes, out, options, percent, overwrite=overwrite, on_progress=report)
    notices += summary.notices
    if as_json:
        made = {
            "written": [str(path) for path in summary.paths],
            "features": summary.counts,
            "notices": notices,
            "seconds": round(time.perf_counter() - start, 3),
        }
        click.echo(json.dumps(made, indent=2))
    elif not quiet:
        for path in summary.paths:
            click.echo(path)
        click.echo(", ".join(f"{count} {name}" for name, count in summary.counts.items()))
        for notice in notices:
            click.echo(f"note: {notice}", err=True)
