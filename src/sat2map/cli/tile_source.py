"""Options of `translate` for tile sources, and the way from their address to a local scene."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from sat2map.cli.numbers import Box
from sat2map.cli.progress import progress

if TYPE_CHECKING:
    from sat2map.scenes.sources.job import TileSource
    from sat2map.scenes.sources.matrix import Cover

Command = TypeVar("Command", bound=Callable[..., Any])

NAMES = (
    "bbox", "layer", "matrix_set", "style", "image_format", "tile_size", "attribution",
    "headers", "allow_hosts", "placeholders", "rate", "cache", "max_tiles", "dry_run",
)  # fmt: skip


def is_address(text: str) -> bool:
    """Tell whether IN is an address on the network and no file."""
    return text.partition("://")[0].lower() in ("http", "https") and "://" in text


class SourceName(click.Path):
    """A file or folder, or an address, which stays text: as a path it would lose one of its slashes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Path, or an address as it is."""
        text = str(value)
        return text if is_address(text) else super().convert(value, param, ctx)


class Header(click.ParamType[tuple[str, str]]):
    """A header field NAME: VALUE. What is wrong is said without the value, which may be a token."""

    name = "header"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        name, sign, content = str(value).partition(":")
        name, content = name.strip(), content.strip()
        if (
            not sign
            or not name.replace("-", "").isalnum()
            or not content.isprintable()
            or not content.isascii()
        ):
            self.fail("give it as 'NAME: VALUE', e.g. 'Authorization: Bearer {env:TOKEN}'", param, ctx)
        return name, content


OPTIONS = (
    click.option("--bbox", type=Box(), metavar="W,S,E,N", help="Address: the area, in degrees; needed."),
    # --zoom stands in scene_options: of a source it is the level to fetch, of tiles as output the zooms to make
    click.option(
        "--layer", default="", metavar="ID", help="Address: layer of a WMTS; an error lists what there is."
    ),
    click.option(
        "--matrix-set",
        default="",
        metavar="ID",
        help="Address: matrix set of a WMTS; Web Mercator if it has one.",
    ),
    click.option("--style", default="", metavar="ID", help="Address: style of a WMTS layer."),
    click.option(
        "--image-format", default="", metavar="TYPE", help="Address: e.g. png, where a WMTS offers several."
    ),
    click.option(
        "--tile-size",
        type=click.IntRange(64, 4096),
        metavar="PX",
        help="Address: side of a tile; 256 if the source does not say otherwise.",
    ),
    click.option(
        "--attribution",
        default="",
        metavar="TEXT",
        help="Address: whose imagery it is, kept in the map's tags; from the source if it says so.",
    ),
    click.option(
        "--header",
        "headers",
        type=Header(),
        multiple=True,
        metavar="'NAME: VALUE'",
        help="Address: sent to its host and no other; {env:NAME} here or in the address is from the environment.",
    ),
    click.option(
        "--allow-host",
        "allow_hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        help="Address: another host that it may lead to.",
    ),
    click.option(
        "--no-data-tile",
        "placeholders",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Address: a picture that the source sends where it has none.",
    ),
    click.option(
        "--rate",
        type=click.FloatRange(0, 100, min_open=True),
        default=8.0,
        show_default=True,
        metavar="N",
        help="Address: requests per second, at most.",
    ),
    click.option(
        "--max-tiles",
        type=click.IntRange(min=1),
        default=1024,
        show_default=True,
        metavar="N",
        help="Address: refuse to fetch more than these.",
    ),
    click.option("--cache/--no-cache", default=True, help="Address: use answers that are still fresh; the default."),
    click.option("--dry-run", is_flag=True, help="Address: say what would be fetched, and fetch no tile."),
)  # fmt: skip


def tile_options(command: Command) -> Command:
    """Add the options to a command, in their order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def taken(ctx: click.Context, options: dict[str, Any], source: Path | str) -> dict[str, Any]:
    """Take the options of tile sources out of those of the command; raise UsageError if IN is none and they were given.

    The level to fetch is that of `--zoom`, which tiles as output have too.
    """
    for name in NAMES:
        is_given = ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)
        if is_given and not isinstance(source, str):
            option = next(p.opts[0] for p in ctx.command.params if p.name == name)
            raise click.UsageError(f"{option} is for tile sources: IN must be an address.", ctx)
    if isinstance(source, str) and options["bbox"] is None:
        raise click.UsageError("Missing option '--bbox W,S,E,N': which area of the tiles?", ctx)
    return {**{name: options.pop(name) for name in NAMES}, "zoom": options["zoom"]}


@contextmanager
def local_scene(
    address: str,
    out: Path,
    products: tuple[str, ...],
    wanted: dict[str, Any],
    metres: float,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> Iterator[Path | None]:
    """Yield a GeoTIFF of the tiles, there while the block runs; None after a dry run.

    Nothing is fetched if the map may not go to `out`.

    `wanted` are the options of `tile_options` and `zoom`: the label of a level, or MIN-MAX, of which MAX is taken.
    Without it the level is that whose pixels are nearest in size to `metres`. Raises what `TileSource` raises.
    """
    from sat2map.scenes.job import product_names
    from sat2map.scenes.sources.area import area_of, cover_of, ground_size, nearest_level
    from sat2map.scenes.sources.job import TileOptions, TileSource
    from sat2map.storage import refuse_existing

    label = re.sub(r"\d{1,2}-(\d{1,2})", r"\1", wanted["zoom"] or "")
    for path in product_names(out, products).values():
        refuse_existing(path, overwrite=resume or overwrite or wanted["dry_run"])
    area = area_of(wanted["bbox"])
    rest = {name: wanted[name] for name in NAMES if name not in ("bbox", "dry_run")}
    source = TileSource(address, TileOptions(**rest))
    level = source.layer.level(label) if label else nearest_level(source.layer, area, metres)
    cover = cover_of(source.layer, level, area, wanted["max_tiles"])
    facts = _facts(source, cover, ground_size(level, area))
    if wanted["dry_run"]:
        click.echo(json.dumps(facts, indent=2) if as_json else _told(facts))
        yield None
        return
    if not quiet:
        click.echo(f"note: {_told(facts)}", err=True)
    with ExitStack() as stack:
        with progress("fetching", quiet=quiet) as report:
            gathered = source.gathered(cover, out, resume=resume, overwrite=overwrite, on_progress=report)
            mosaic = stack.enter_context(gathered)
        yield mosaic


def _facts(source: "TileSource", cover: "Cover", metres: float) -> dict[str, Any]:
    level = cover.level
    return {
        "source": source.shown,
        "layer": source.layer.name,
        "attribution": source.options.attribution or source.layer.attribution,
        "tiles": cover.count,
        "tile": [level.tile_width, level.tile_height],
        "zoom": level.label,
        "crs": level.crs,
        "metres_per_pixel": round(metres, 4),
        "width": cover.window.width,
        "height": cover.window.height,
    }


def _told(facts: dict[str, Any]) -> str:
    wide, high = facts["tile"]
    text = (
        f"{facts['tiles']:,} tiles of {wide} x {high} px at zoom {facts['zoom']}, "
        f"{facts['metres_per_pixel']:.3g} m per pixel, make a scene of "
        f"{facts['width']:,} x {facts['height']:,} px in {facts['crs']}"
    )
    return text + (f"; {facts['attribution']}" if facts["attribution"] else "")
