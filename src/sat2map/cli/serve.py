"""`sat2map serve`: scenes and models as live map layers, and a page to try them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sat2map.cli.live_source import live_options, remotes_of
from sat2map.cli.tile_source import SourceName

if TYPE_CHECKING:
    from sat2map.serve.messages import Model, Scene
    from sat2map.serve.service import Service

_NAME = 40  # characters of an id


@click.command(short_help="Serve scenes as live map layers, and a page to try models on.")
@click.argument("scenes", metavar="[SCENE]...", nargs=-1, type=SourceName())
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("carto",),
    show_default=True,
    metavar="ID|DIR",
    help="Shipped model, or folder of a bundle; may be given several times, the first is the default. "
    "Without it, all models of the package are there.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a token."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Requests must carry the bearer token in this file.",
)
@click.option(
    "--root-path", default="", metavar="/PATH", help="Path at which a proxy in front of us offers the server."
)
@click.option(
    "--public-url", default="", metavar="URL", help="How the outside calls us, e.g. https://maps.example.org."
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Another name that requests may call us by.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Origin whose pages may use the server, e.g. https://example.org; * for all.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also keep finished tiles here, up to 1 GiB, so that a new start finds them.",
)
@click.option(
    "--gsd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Metres per pixel that the model sees; what it was trained at if not given.",
)
@live_options
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    scenes: tuple[Path | str, ...],
    models: tuple[str, ...],
    token_file: Path | None,
    root_path: str,
    quiet: bool,
    **options: Any,
) -> None:
    """Serve scenes as live map layers, and a page to try models on.

    SCENE is a GeoTIFF of any size, or an address of tiles; the map is made tile by tile as somebody looks at it, and is
    the same, byte for byte, as the tiles that `translate SCENE OUT/` makes. The result of `serve` is a page at
    http://127.0.0.1:8000 with the scene, its map, a slider between them, and a place to drop pictures; and addresses of
    tiles for QGIS and others (XYZ, TileJSON, WMTS). Without SCENE there is the page alone.

    An address is a template, a TileJSON or WMTS capabilities, as `translate` takes them. Of the area --bbox, tiles are
    fetched when somebody looks, each once, and kept while the server runs (with --cache for the next start, too).

    Other machines are let in only with a token: put a secret into a file, and give --host and --token-file.
    Ctrl-C or SIGTERM ends the server when what is under way is done.

    \b
    Examples:
      sat2map serve ortho.tif
      sat2map serve ortho.tif --port 9000 --cache tiles-cache
      sat2map serve north.tif south.tif --model carto --model runs/mine
      sat2map serve ortho.tif --host 0.0.0.0 --token-file secret.txt
      sat2map serve 'https://host/{z}/{x}/{y}.jpg?key={env:KEY}' --bbox 8.53,47.36,8.56,47.38
    """
    try:
        from sat2map.serve.server import run
        from sat2map.serve.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "h11", "anyio"):
            raise
        from sat2map.errors import MissingExtra

        raise MissingExtra(
            f"this needs the Python package {error.name!r}, which is not installed",
            "Install the parts of the server: pip install 'sat2map[serve]'",
        ) from error
    if ctx.get_parameter_source("models") is click.core.ParameterSource.DEFAULT:
        models += _other_shipped(models)
    addresses = [scene for scene in scenes if isinstance(scene, str)]
    remotes = remotes_of(ctx, addresses, options)
    _writable(options["cache"])
    settings = Settings(
        scenes=_scenes(tuple(scene for scene in scenes if isinstance(scene, Path))),
        remotes=remotes,
        models=_models(models),
        token=_token(token_file),
        root_path=_root(root_path),
        **options,
    )
    if not quiet:
        click.echo("opening the scene and the model ...", err=True)

    def started(service: "Service", address: str) -> None:
        if not quiet:
            _tell(service, address)

    run(settings, started)


def _other_shipped(models: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of all models of the package that are not named yet: each tab of the page has its own kind."""
    from sat2map.bundle import shipped

    return tuple(name for name in shipped() if name not in models)


def _tell(service: "Service", address: str) -> None:
    """Say where everything is."""
    click.echo(f"The page is {address}/")
    catalogue = service.catalogue
    for layer in catalogue.layers.values():
        low, high = layer.zooms
        click.echo(f"{layer.id}: {address}/tiles/{layer.id}/{{z}}/{{x}}/{{y}}.png   (zoom {low} to {high})")
    if catalogue.layers:
        layer = next(item for item in catalogue.layers.values() if item.product == "colour")
        low, high = layer.zooms
        click.echo("QGIS: Layer > Add Layer > Add XYZ Layer, New, and paste:")
        click.echo(f"  {address}/tiles/{layer.id}/{{z}}/{{x}}/{{y}}.png   Min. Zoom {low}, Max. Zoom {high}")
        click.echo(f"WMTS: {address}/wmts/WMTSCapabilities.xml")
    for notice in dict.fromkeys(note for layer in catalogue.layers.values() for note in layer.view.notices):
        click.echo(f"note: {notice}", err=True)
    click.echo("Ctrl-C ends the server.", err=True)


def _scenes(paths: tuple[Path, ...]) -> "tuple[Scene, ...]":
    """Return scenes with ids made of their names; requests know nothing but these."""
    from sat2map.errors import FileMissing, UnsupportedFormat
    from sat2map.scenes.raster.header import is_tiff
    from sat2map.serve.messages import Scene

    found: dict[str, Scene] = {}
    for path in paths:
        if not path.is_file():
            raise FileMissing(f"{path} is no file", "Name a GeoTIFF, or an address of tiles with --bbox")
        if not is_tiff(path):
            raise UnsupportedFormat(
                f"{path} is no GeoTIFF", "Name one, or start without a scene and drop pictures on the page"
            )
        name = _unlike(_id(path.stem, "scene"), found)
        found[name] = Scene(name, str(path.resolve()))
    return tuple(found.values())


def _models(names: tuple[str, ...]) -> "tuple[Model, ...]":
    """Return models with their ids; two of the same id get numbers."""
    from sat2map.bundle import find
    from sat2map.serve.messages import Model

    found: dict[str, Model] = {}
    for name in dict.fromkeys(names):
        bundle = find(name)
        own = _unlike(bundle.card.id, found)
        found[own] = Model(own, str(bundle.folder.resolve()))
    return tuple(found.values())


def _id(text: str, otherwise: str) -> str:
    """Return `text` with nothing but a-z, 0-9, _ in it."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()).strip("_")[:_NAME]
    return plain or otherwise


def _unlike(name: str, others: dict[str, Any]) -> str:
    number = 2
    made = name
    while made in others:
        made, number = f"{name}_{number}", number + 1
    return made


def _writable(cache: Path | None) -> None:
    """Make the folder of --cache. Raises StorageFailed; later, a tile that cannot be kept is no error."""
    from sat2map.errors import StorageFailed
    from sat2map.storage import make_folder

    if cache is not None and not os.access(make_folder(cache), os.W_OK | os.X_OK):
        raise StorageFailed(
            f"cannot keep tiles in {cache}: it is read-only", "Name another folder as --cache"
        )


def _token(path: Path | None) -> str:
    from sat2map.errors import FileMissing

    if path is None:
        return ""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileMissing(f"cannot read the token in {path}", "Put one line of text into it") from error
    if len(token) < 8 or not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(f"the token in {path} must be one word of at least 8 ASCII characters")
    return token


def _root(path: str) -> str:
    path = path.rstrip("/")
    if path and (not path.startswith("/") or "//" in path or any(c in path for c in "?#%\\")):
        raise click.UsageError("--root-path begins with / and is a plain path, e.g. /maps")
    return path
