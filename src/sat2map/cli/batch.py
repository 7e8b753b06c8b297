"""`sat2map batch`: a region as a plan of independent cells; plan, run, status, merge."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sat2map.cli.model_options import model_option, products_option
from sat2map.cli.numbers import Box, Levels, Numbers
from sat2map.cli.progress import progress
from sat2map.cli.tile_source import NAMES, OPTIONS, SourceName

if TYPE_CHECKING:
    from sat2map.batch.planning import PlanOptions

PLAN = click.argument("plan", type=click.Path(path_type=Path, file_okay=False))
QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")


SERVICE_NAMES = tuple(name for name in NAMES if name not in ("bbox", "dry_run"))
Command = TypeVar("Command", bound=Callable[..., Any])


def service_options(command: Command) -> Command:
    """Add those options of `translate` for tile sources that a plan has, in their order; --bbox is for all sources."""
    for option in reversed(OPTIONS[1:-1]):  # without --bbox and --dry-run
        command = option(command)
    return command


@click.group(short_help="Translate a region of many scenes, cell by cell, on one machine or a Ray cluster.")
def batch() -> None:
    """Translate a region of many scenes, cell by cell, on one machine or a Ray cluster.

    A plan is a folder. It cuts the region into cells of one grid (that of web tiles, at the zoom nearest to what the
    model was trained at, or with --crs that of a projected CRS), which are computed in any order, by anyone, once. The
    result of `batch` is PLAN with one raster for each cell and product. Kill it and run it again: what is done stays
    done. The pixels are the same however the work is split.

    \b
    Examples:
      sat2map batch plan scenes/ region/
      sat2map batch run region/ --workers 4
      sat2map batch status region/
      sat2map batch merge region/ --vectors
    """


@batch.command(short_help="Cut sources into cells.")
@click.argument("sources", nargs=-1, required=True, type=SourceName(), metavar="SOURCE...")
@PLAN
@model_option
@products_option("colour,classes,confidence", "; vectors need classes")
@click.option(
    "--cell",
    "side",
    type=click.Choice(["512", "1024", "2048", "4096", "8192"]),
    default="2048",
    show_default=True,
    help="Pixels per side of a cell; never changes a pixel of the map.",
)
@click.option(
    "--gsd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="METRES",
    help="Metres per pixel that the network is shown; what it was trained at if not given.",
)
@click.option(
    "--zoom",
    type=click.IntRange(5, 24),
    help="Web tiles: zoom of the raster; nearest to --gsd if not given.",
)
@click.option(
    "--crs",
    metavar="EPSG:NNNN",
    help="Cells in this projected CRS in metres instead of web tiles, e.g. a UTM zone, EPSG:3035, EPSG:2056.",
)
@click.option(
    "--origin",
    type=Numbers(float, 2, "X,Y"),
    metavar="X,Y",
    help="With --crs: top-left corner of a pixel and of a cell, in metres; 0,0 of the CRS if not given.",
)
@click.option(
    "--bbox",
    type=Box(),
    metavar="W,S,E,N",
    help="Only cells that touch this area, in degrees; W above E crosses 180 degrees.",
)
@click.option(
    "--area",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Only cells that touch the polygons of this GeoJSON file.",
)
@click.option("--bidx", type=Numbers(int), metavar="LIST", help="Bands to use as red,green,blue, from 1.")
@click.option(
    "--scale",
    type=Levels(),
    metavar="LOW,HIGH",
    help="Samples that become 0 and 255, in all sources.",
)
@click.option("--nodata", type=float, metavar="VALUE", help="Sample that means no data.")
@click.option("--overwrite", is_flag=True, help="Replace a plan that is there.")
@service_options
@QUIET
def plan(sources: tuple[Path | str, ...], plan: Path, overwrite: bool, quiet: bool, **wanted: Any) -> None:
    """Cut sources into cells.

    SOURCE is a GeoTIFF, a folder of them, a STAC item collection (.json) whose assets lie on this disk, or the address
    of tiles (a template with {z}/{x}/{y}, a TileJSON, WMTS capabilities), of which the area is fetched while the plan
    runs, each tile once. Where sources overlap, the one named first is shown wherever it has a pixel. The same sources
    and options give the same plan, byte for byte; its checksum is printed, and what its run is going to
    take. The result of `batch plan` is the folder PLAN.

    \b
    Examples:
      sat2map batch plan scenes/ region/
      sat2map batch plan best.tif others/ region/ --bbox 8.4,47.3,8.6,47.5
      sat2map batch plan scenes/ region/ --crs EPSG:2056 --gsd 0.5
      sat2map batch plan 'https://tiles.example.com/{z}/{x}/{y}.jpg' region/ --area town.geojson --max-tiles 5000
    """
    from sat2map.batch.estimate import told
    from sat2map.batch.planning import plan_batch

    with progress("planning", quiet=quiet) as report:
        made = plan_batch(sources, plan, _options(wanted), overwrite=overwrite, on_progress=report)
    if not quiet:
        click.echo(
            f"{plan}: {_counted(made.cells, 'cell')} of {made.side} px, {made.grid.label}, "
            f"{_counted(len(made.sources), 'source')}, "
            f"checksum {made.checksum[:16]}"
        )
        click.echo(told(made))


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + "s" * (number != 1)


def _options(wanted: dict[str, Any]) -> "PlanOptions":
    from sat2map.batch.planning import AreaOptions, GridOptions, PlanOptions, Reading
    from sat2map.scenes.sources.job import TileOptions

    return PlanOptions(
        wanted["model"],
        wanted["products"],
        int(wanted["side"]),
        GridOptions(wanted["crs"], wanted["gsd"], wanted["origin"], wanted["zoom"]),
        AreaOptions(wanted["bbox"], wanted["area"]),
        Reading(wanted["bidx"], wanted["scale"], wanted["nodata"]),
        TileOptions(**{name: wanted[name] for name in SERVICE_NAMES}),
    )


@batch.command(short_help="Compute what is missing.")
@PLAN
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Who computes."
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; one per core if not given.")
@click.option(
    "--address", metavar="HOST:PORT", help="Ray: of a running cluster; one is started here if not given."
)
@click.option(
    "--gpus", type=click.FloatRange(min=0), default=0.0, help="Ray: GPUs that each worker asks for."
)
@click.option("--shuffle", type=int, metavar="SEED", help="Another order than the plan's.")
@click.option("--retry", is_flag=True, help="Also cells that failed before.")
@QUIET
def run(plan: Path, engine: str, workers: int | None, address: str | None, gpus: float, shuffle: int | None,
        retry: bool, quiet: bool) -> None:  # fmt: skip
    """Compute what is missing.

    Cells that are done are checked and kept, so this command can be killed and run again at any time. A cell that
    fails twice, or whose process dies twice, is put aside, and the others go on. The result of `batch run` is a raster
    for each cell and product in PLAN/cells.

    \b
    Examples:
      sat2map batch run region/ --workers 4
      sat2map batch run region/ --engine ray --address 10.0.0.1:6379 --workers 32
    """
    from sat2map.batch.run import run_plan

    if engine == "local" and (address or gpus):
        raise click.UsageError("--address and --gpus are for --engine ray.")
    count = workers or os.cpu_count() or 1

    def make_engine() -> Any:
        if engine == "ray":
            from sat2map.batch.ray_engine import RayEngine

            return RayEngine(plan, count, address=address, gpus=gpus)
        from sat2map.batch.local import LocalEngine

        return LocalEngine(plan, count)

    with progress("cells", quiet=quiet) as report:
        standing = run_plan(plan, make_engine, shuffle=shuffle, retry=retry, on_progress=report)
    if not quiet:
        empty = sum(outcome.state == "empty" for outcome in standing.finished.values())
        click.echo(f"{plan}: {_counted(len(standing.finished), 'cell')} done, {empty:,} of them empty")


@batch.command(short_help="Say how far a plan is.")
@PLAN
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--prometheus", is_flag=True, help="As Prometheus text.")
@click.option(
    "--watch",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Again every so many seconds, until nothing is left to do.",
)
def status(plan: Path, as_json: bool, prometheus: bool, watch: float | None) -> None:
    """Say how far a plan is. May be asked while it runs, from any terminal.

    The result of `batch status` is a few lines: cells done, rate, time left, and what is in quarantine and why.

    \b
    Examples:
      sat2map batch status region/
      sat2map batch status region/ --watch 10
      sat2map batch status region/ --prometheus
    """
    from sat2map.batch.status import prometheus_text, status_of, table

    while True:
        found = status_of(plan)
        if prometheus:
            click.echo(prometheus_text(found))
        else:
            click.echo(json.dumps(found.as_dict(), indent=2) if as_json else table(found))
        if watch is None or found.is_over:
            return
        time.sleep(watch)


@batch.command(short_help="Make one thing of the cells.")
@PLAN
@click.option(
    "--vectors", is_flag=True, help="Also merged.gpkg: polygons and centrelines joined across cells."
)
@click.option("--tiles", is_flag=True, help="Also merged.pmtiles: one archive of web tiles for each product.")
@click.option("--partial", is_flag=True, help="Even if cells are missing.")
@QUIET
def merge(plan: Path, vectors: bool, tiles: bool, partial: bool, quiet: bool) -> None:
    """Make one thing of the cells, without copying them.

    Writes into PLAN: merged.vrt (and merged_classes.vrt …), which QGIS and GDAL open as one scene; merged.gti.gpkg, an
    index for GDAL's GTI driver; a STAC collection; with --vectors the layers of the whole region. The result of
    `batch merge` are these files; no raster is copied.

    \b
    Examples:
      sat2map batch merge region/
      sat2map batch merge region/ --tiles --vectors
    """
    from sat2map.batch.merge import merge_plan

    def notice(text: str) -> None:
        if not quiet:
            click.echo(f"note: {text}", err=True)

    with progress("merging", quiet=quiet) as report:
        written = merge_plan(
            plan, vectors=vectors, tiles=tiles, partial=partial, on_progress=report, on_notice=notice
        )
    if not quiet:
        for path in written:
            click.echo(path)
