"""`sat2map collect`: geotagged photos and the satellite crops beside them."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sat2map.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sat2map.collect.provider import Provider
    from sat2map.collect.region import Region


class Box(click.ParamType[tuple[float, float, float, float]]):
    """WEST,SOUTH,EAST,NORTH in degrees."""

    name = "box"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float, float]:
        """Return four numbers; what they mean is judged elsewhere."""
        if isinstance(value, tuple):
            return value
        try:
            west, south, east, north = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: give WEST,SOUTH,EAST,NORTH in degrees, e.g. 37,55,38,56", param, ctx)
        return west, south, east, north


def region_of(bbox: tuple[float, float, float, float] | None, area: Path | None) -> "Region | None":
    """Return the region of --bbox or --area; both at once are a mistake."""
    from sat2map.collect.region import from_box, from_geojson

    if bbox and area:
        raise click.UsageError("--bbox and --area exclude each other: there is one region")
    if area:
        return from_geojson(area)
    return from_box(*bbox) if bbox else None


@click.group(short_help="Collect geotagged photos, filter them, look them through.")
def collect() -> None:
    """Collect geotagged photos and the satellite views beside them, for models of the view from the ground.

    A collection is a folder with pictures and a manifest that is only ever appended to. Every command goes on where it
    was interrupted when it is given again.

    \b
    From nothing to a set of landscapes:
      sat2map collect photos commons landscapes --bbox 37,55,40,57
      sat2map collect filter landscapes --months 5-9 --person-model yolox.onnx
      sat2map collect review landscapes
      sat2map collect imagery yandex landscapes
    """


def caps(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of commands that ask servers of other people."""
    for option in (
        click.option(
            "--max-requests", type=click.IntRange(min=1), metavar="N", help="Requests in all, over all runs."
        ),
        click.option(
            "--max-bytes", type=click.IntRange(min=1), metavar="N", help="Bytes in all, over all runs."
        ),
        click.option(
            "--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="Requests per second."
        ),
        click.option("--allow-host", multiple=True, metavar="HOST", help="Another host that may be asked."),
    ):
        command = option(command)
    return command


@collect.command(short_help="Photos with coordinates, from a folder or a service.")
@click.argument("source", metavar="SOURCE")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--bbox", type=Box(), metavar="W,S,E,N", help="Only photos of this area, in degrees.")
@click.option(
    "--area", type=click.Path(path_type=Path), metavar="FILE", help="Or of the polygons in a GeoJSON file."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop when DIR holds N photos.")
@click.option("--reference", is_flag=True, help="Folders: point to the photos instead of copying them.")
@click.option("--licence", default="", metavar="TEXT", help="Folders: noted where a photo names none.")
@click.option("--author", default="", metavar="TEXT", help="Folders: noted where a photo names none.")
@click.option(
    "--owner", type=int, multiple=True, metavar="ID", help="VK: photos of this user instead of an area."
)
@click.option("--panoramas", is_flag=True, help="Panoramax: pictures that go all around, too.")
@click.option("--url", default="", metavar="ADDRESS", help="Services: another address of the API.")
@caps
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def photos(source: str, folder: Path, quiet: bool, **options: Any) -> None:
    """Collect photos with coordinates from SOURCE into the collection DIR, which is made if it is missing.

    SOURCE is a folder (coordinates and times come from the photos' EXIF data), or one of these services:

    \b
      commons    Wikimedia Commons: free licences, no token
      panoramax  Panoramax, or with --url any STAC API of photos: free licences, no token
      vk         VK: the token comes from the environment variable VK_TOKEN; mind its terms, and people's rights

    The result of `collect photos` is a collection: pictures as they came, and a manifest with source, licence, author,
    place, time and checksum of each. After an interruption the same command goes on; after its end it looks for new
    photos. Caps count what was asked in all runs. No token is ever written anywhere.

    \b
    Examples:
      sat2map collect photos ~/Pictures landscapes --reference
      sat2map collect photos commons landscapes --bbox 37,55,40,57 --limit 5000
      sat2map collect photos panoramax landscapes --bbox 2.2,48.8,2.4,48.9 --max-requests 2000
      sat2map collect photos vk landscapes --area region.geojson
    """
    from sat2map.collect.collection import Collection
    from sat2map.collect.gather import Gathering

    region = region_of(options["bbox"], options["area"])
    with (
        _provider(
            source, folder, region, options
        ) as provider,  # first: what it refuses leaves no folder behind
        Collection.held(folder, create=True) as collection,
        progress("collecting", quiet=quiet) as bar,
    ):
        run = Gathering(
            collection,
            provider,
            region,
            limit=options["limit"],
            copies=not options["reference"],
            on_progress=bar,
        )
        with again():
            found = run.run()
    if not quiet:
        for what, count in {
            "fetched": found.fetched,
            "here already": found.known,
            "without coordinates": found.without_place,
            "outside the region": found.outside,
            "gone or no picture": found.gone,
            "failed, to be tried again": found.failed,
        }.items():
            if count or what == "fetched":
                click.echo(f"{count:8} {what}")
        click.echo(f"{folder}: {run.held} photos")
        if not found.is_complete:
            click.echo("There is more: the limit was reached.")


@contextmanager
def again() -> "Iterator[None]":
    """Say how to go on when a cap is reached."""
    from sat2map.errors import TooMuchToFetch

    try:
        yield
    except TooMuchToFetch as error:
        remedy = "What arrived is kept; allow more (--max-requests, --max-bytes) and give the command again"
        raise TooMuchToFetch(error.what, remedy) from error


@contextmanager
def _provider(
    source: str, folder: Path, region: "Region | None", options: dict[str, Any]
) -> "Iterator[Provider]":
    """Yield the provider that SOURCE names."""
    from sat2map.collect.collection import SPENT
    from sat2map.collect.folder import Folder
    from sat2map.collect.services.opening import SERVICES, Wish, opened
    from sat2map.network import Budget

    if source not in SERVICES:
        yield Folder(Path(source).expanduser(), options["licence"], options["author"])
        return
    wish = Wish(
        source,
        region,
        tuple(options["owner"]),
        options["panoramas"],
        options["url"],
        tuple(options["allow_host"]),
        options["rate"],
    )
    with opened(wish, Budget(options["max_requests"], options["max_bytes"], folder / SPENT)) as provider:
        yield provider


def _register() -> None:
    """Add the commands that live in files of their own."""
    from sat2map.cli import funnel, imagery, review

    collect.add_command(imagery.imagery)
    collect.add_command(funnel.filter_)
    collect.add_command(review.review)


_register()
