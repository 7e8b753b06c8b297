"""What `translate` is to make, as the name of OUT says it."""

import os
from pathlib import Path
from typing import NamedTuple

import click

from sat2map.cli.scene_options import PICTURE, TIF, TILES

SUFFIXES = {".tif": "tif", ".tiff": "tif", ".mbtiles": "mbtiles", ".pmtiles": "pmtiles"}


class Destination(NamedTuple):
    """Where the result goes and what it is."""

    path: Path
    output: str | None  # one of scene_options; None: an ordinary picture, or a folder of them
    kind: str = ""  # of tiles


def destination(ctx: click.Context, source: Path | str, out: str | None, kind: str | None) -> Destination:
    """Decide from IN (an address of tiles if it is a string), OUT and --format.

    Raises UsageError where they contradict each other.
    """
    from sat2map.images import image_size
    from sat2map.scenes.raster.header import is_tiff

    is_folder = isinstance(source, Path) and source.is_dir()
    is_scene = isinstance(source, str) or (source.is_file() and is_tiff(source))
    if out is None:
        if isinstance(source, str):
            raise click.UsageError("Missing argument 'OUT': an address gives the map no name.", ctx)
        if not is_scene or kind not in (None, "tif"):
            raise click.UsageError(
                "Missing argument 'OUT': only for a map as TIFF is there a name of its own.", ctx
            )
        return Destination(source.with_name(f"{source.stem}_map.tif"), TIF)
    path = Path(out)
    if is_folder:
        refuse_file_name(ctx, path, "IN is a folder, and so is what is made of it")
    by_name = SUFFIXES.get(path.suffix.lower())
    if by_name is None and not is_folder and (out.endswith(("/", os.sep)) or path.is_dir()):
        by_name = "xyz"
    kind = kind or by_name
    if is_folder and kind and not by_name:
        raise click.UsageError(
            f"--format is for scenes, and {source} is a folder: of its images come PNGs.", ctx
        )
    if kind is not None and not is_scene:
        if kind != "tif":
            raise click.UsageError(f"{out} would be tiles, for which IN must be a georeferenced TIFF.", ctx)
        assert isinstance(source, Path), "an address is a scene"
        image_size(source)  # what is broken is told as that
        raise click.UsageError(
            f"{source} is an ordinary picture, of which no TIFF is made: let OUT end in .png, .jpg or .webp.",
            ctx,
        )
    if is_folder or kind is None:
        return Destination(
            path, PICTURE if is_scene and (isinstance(source, str) or _is_georeferenced(source)) else None
        )
    return Destination(path, TIF) if kind == "tif" else Destination(path, TILES, kind)


def refuse_file_name(ctx: click.Context, out: Path, why: str) -> None:
    """Raise UsageError if a folder is to be made that is called like a picture."""
    if out.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff"):
        raise click.UsageError(f"{out} has the name of a picture. {why}: name a folder.", ctx)


def scenes_in(folder: Path) -> int:
    """Return how many of the images of a folder know their place on Earth."""
    from sat2map.scenes.pictures import images_in
    from sat2map.scenes.raster.header import is_tiff

    return sum(is_tiff(path) and _is_georeferenced(path) for path in images_in(folder))


def _is_georeferenced(source: Path) -> bool:
    """Tell a scene from a picture that happens to be a TIFF."""
    from sat2map.errors import Sat2MapError
    from sat2map.scenes import raster

    try:
        with raster.open_scene(source) as dataset:
            return raster.Place.of(dataset).is_known
    except Sat2MapError:
        return False
