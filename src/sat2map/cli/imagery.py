"""`sat2map collect imagery`: the satellite view around each photo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sat2map.cli.progress import progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sat2map.collect.imagery.views import Cut, ImagerySource

side = click.IntRange(16, 4096)


@click.command(short_help="The satellite view around each photo.")
@click.argument("source", metavar="SOURCE")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--zoom", type=click.IntRange(0, 22), default=15, show_default=True, help="Zoom of Web Mercator."
)
@click.option(
    "--view", type=side, default=450, show_default=True, metavar="PX", help="Side of what is asked for."
)
@click.option(
    "--resize", type=side, default=360, show_default=True, metavar="PX", help="Side to which that is shrunk."
)
@click.option(
    "--crop", type=side, default=128, show_default=True, metavar="PX", help="Side of the middle that is kept."
)
@click.option(
    "--all", "all_photos", is_flag=True, help="For all photos with a file, not only those that were kept."
)
@click.option("--reviewed", is_flag=True, help="Only for photos that a person has kept.")
@click.option(
    "--header", multiple=True, metavar="'NAME: VALUE'", help="Tiles: sent along; may say {env:NAME}."
)
@click.option("--layer", default="", metavar="NAME", help="WMTS: the layer.")
@click.option("--tile-size", type=side, metavar="PX", help="Tiles: their side, if it is not 256.")
@click.option("--attribution", default="", metavar="TEXT", help="Noted with each crop.")
@click.option("--url", default="", metavar="ADDRESS", help="Yandex: another address of the API.")
@click.option(
    "--max-requests", type=click.IntRange(min=1), metavar="N", help="Requests in all, over all runs."
)
@click.option("--max-bytes", type=click.IntRange(min=1), metavar="N", help="Bytes in all, over all runs.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="N", help="Requests per second.")
@click.option("--allow-host", multiple=True, metavar="HOST", help="Another host that may be asked.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def imagery(source: str, folder: Path, quiet: bool, **options: Any) -> None:
    """Put the satellite view around each photo of the collection DIR beside it.

    SOURCE is `yandex` (the Static API; a key comes from the environment variable YANDEX_MAPS_KEY), an address of
    tiles (a template with {z}, {x}, {y}, a TileJSON or WMTS document) or a GeoTIFF. The result of `collect imagery`
    is a crop of 128 px for each photo, north up with the photo's place in its middle, and a line of the manifest with
    source, attribution, checksum and metres per pixel. After an interruption the same command goes on.

    \b
    Examples:
      sat2map collect imagery yandex landscapes
      sat2map collect imagery https://tiles.example/sat/{z}/{x}/{y}.jpg landscapes --attribution "© Example"
      sat2map collect imagery ortho.tif landscapes --zoom 17
    """
    from sat2map.cli.collect import again
    from sat2map.collect.collection import Collection
    from sat2map.collect.imagery.crops import crop_all
    from sat2map.collect.imagery.views import Cut

    if not options["crop"] <= options["resize"]:
        raise click.UsageError(f"--crop {options['crop']} is more than --resize {options['resize']}")
    cut = Cut(*(options[name] for name in ("zoom", "view", "resize", "crop")))
    with (
        Collection.held(folder) as collection,
        _source(source, folder, cut, options) as opened,
        progress("cropping", quiet=quiet) as bar,
        again(),
    ):
        photos = collection.kept(reviewed=options["reviewed"])
        if options["all_photos"]:
            photos = (photo for photo in collection.photos.values() if photo.file)
        done = crop_all(collection, opened, cut, photos, bar)
    if not quiet:
        click.echo(
            f"{folder}: {done.made} crops made, {done.known} known, {done.gone} without imagery, {done.failed} failed"
        )


def _source(
    source: str, folder: Path, cut: "Cut", options: dict[str, Any]
) -> "AbstractContextManager[ImagerySource]":
    """Return the source, opened when it is entered."""
    from sat2map.collect.imagery.opening import ImageryWish, opened
    from sat2map.collect.imagery.yandex import MOST_SIDE, MOST_ZOOM

    if source == "yandex" and (cut.view > MOST_SIDE or cut.zoom > MOST_ZOOM):
        raise click.UsageError(f"Yandex gives at most {MOST_SIDE} px and zoom {MOST_ZOOM}")
    headers = []
    for header in options["header"]:
        name, sign, value = header.partition(":")
        if not sign or not name.strip():
            raise click.UsageError(f"--header {header!r}: give 'NAME: VALUE'")
        headers.append((name.strip(), value.strip()))
    wish = ImageryWish(
        source,
        base=options["url"],
        headers=tuple(headers),
        layer=options["layer"],
        tile_size=options["tile_size"],
        attribution=options["attribution"],
        allowed=tuple(options["allow_host"]),
        rate=options["rate"],
        most_requests=options["max_requests"],
        most_bytes=options["max_bytes"],
    )
    return opened(wish, cut, folder)
