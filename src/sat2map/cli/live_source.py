"""Options of `serve` for an address of tiles: which area of it, and how it is to be asked."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from sat2map.cli.numbers import Box
from sat2map.cli.tile_source import Header

if TYPE_CHECKING:
    from sat2map.serve.remote import Remote

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = (
    click.option("--bbox", type=Box(), metavar="W,S,E,N", help="Address: the area, in degrees; needed."),
    click.option(
        "--zoom", default="", metavar="Z", help="Address: level to fetch; that nearest to the model's if not given."
    ),
    click.option("--layer", default="", metavar="ID", help="Address: layer of a WMTS."),
    click.option(
        "--tile-size", type=click.IntRange(64, 4096), metavar="PX", help="Address: side of a tile; 256 if not said."
    ),
    click.option("--attribution", default="", metavar="TEXT", help="Address: whose imagery it is."),
    click.option(
        "--header", "headers", type=Header(), multiple=True, metavar="'NAME: VALUE'",
        help="Address: sent to its host and no other; {env:NAME} is taken from the environment.",
    ),
    click.option(
        "--source-host", "source_hosts", multiple=True, metavar="HOST[:PORT]",
        help="Address: another host that it may lead to.",
    ),
    click.option(
        "--no-data-tile", "placeholders", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
        help="Address: a picture that it sends where it has none.",
    ),
    click.option(
        "--rate", type=click.FloatRange(0, 100, min_open=True), default=8.0, show_default=True, metavar="N",
        help="Address: requests per second, at most.",
    ),
    click.option(
        "--max-tiles", type=click.IntRange(min=1), default=65_536, show_default=True, metavar="N",
        help="Address: refuse an area of more tiles than these.",
    ),
)  # fmt: skip
NAMES = (
    "bbox", "zoom", "layer", "tile_size", "attribution", "headers", "source_hosts", "placeholders", "rate", "max_tiles",
)  # fmt: skip


def live_options(command: Command) -> Command:
    """Add the options to a command, in their order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def remotes_of(ctx: click.Context, addresses: list[str], options: dict[str, Any]) -> "tuple[Remote, ...]":
    """Take the options of addresses out of those of the command, and return the source that they describe.

    Raises UsageError for more than one address, or options without one; what `remote.described` raises.
    """
    told = {name: options.pop(name) for name in NAMES}
    for name in NAMES if not addresses else ():
        if ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, None):
            option = next(p.opts[0] for p in ctx.command.params if p.name == name)
            raise click.UsageError(f"{option} is for tile sources: one SCENE must be an address.", ctx)
    if not addresses:
        return ()
    if len(addresses) > 1:
        raise click.UsageError("One address of tiles at a time: the options are for one.", ctx)
    if told["bbox"] is None:
        raise click.UsageError("Missing option '--bbox W,S,E,N': which area of the tiles?", ctx)
    from sat2map.serve.remote import Remote, described

    placeholders = tuple(str(path.absolute()) for path in told.pop("placeholders"))
    hosts = told.pop("source_hosts")
    remote = Remote("tiles", addresses[0], placeholders=placeholders, allow_hosts=hosts, **told)
    return (described(remote),)
