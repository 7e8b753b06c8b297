"""What a batch is made of: GeoTIFFs, folders of them, items of a STAC collection; each described once, in order."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sat2map import mercator
from sat2map.batch.described import SceneSource
from sat2map.batch.grids import Grid, MetricGrid
from sat2map.errors import BadPlan, FileMissing, UnusableCrs
from sat2map.mercator import Degrees
from sat2map.scenes import raster

_ENDS = 1 << 20  # bytes at the beginning and the end of a file by which it is known again
_SUFFIXES = {".tif", ".tiff"}
_STAC_ROLES = ("visual", "data")  # of assets, the most fitting first


class Found(NamedTuple):
    """A scene that was looked at."""

    path: Path
    identity: str
    place: raster.Place
    extent: Degrees | None  # None if nobody asked for it
    item: str


def look_at(
    names: Sequence[Path],
    *,
    in_degrees: bool = True,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> list[Found]:
    """Look at all scenes below `names`, in their order; a scene named twice counts once.

    `in_degrees`: whether they must lie on the raster of web tiles. Raises FileMissing, BadPlan for what holds no
    scenes, UnusableCrs, and what `raster.open_scene` and `raster.extent` raise.
    """
    found = list(dict.fromkeys((path.resolve(), item) for name in names for path, item in _scenes(name)))
    seen: list[Found] = []
    for number, (path, item) in enumerate(found):
        if on_progress:
            on_progress(number, len(found), path.name)
        with raster.open_scene(path, raster.Limits()) as dataset:
            place = raster.Place.of(dataset, path.name)
            extent = raster.extent(dataset) if in_degrees else None
        if not place.crs or not place.is_known:
            raise UnusableCrs(
                f"{path.name} has no CRS or no transform, so it has no place in a plan",
                "Give the scene a CRS first (gdal_edit.py -a_srs)",
            )
        seen.append(Found(path, identity(path), place, extent, item))
    return seen


def on_grid(found: Found, grid: Grid) -> SceneSource:
    """Return what a plan says of a scene. Raises UnusableCrs if the grid does not reach it."""
    if isinstance(grid, MetricGrid):
        if found.place.gcps:
            raise UnusableCrs(
                f"{found.path.name} has control points and no transform",
                "Bring it to a grid first (gdalwarp), or plan without --crs",
            )
        window = grid.window_of(found.place, found.path.name)
        extent = grid.degrees([window])[0]
    else:
        assert found.extent is not None, "asked for by who plans on web tiles"
        extent, window = found.extent, mercator.window_of(found.extent, grid.zoom)
    west, south, east, north = (round(value, 9) for value in extent)
    return SceneSource(str(found.path), found.identity, (west, south, east, north), window, found.item)


def identity(path: Path) -> str:
    """SHA-256 of a file's length, beginning and end. Raises FileMissing."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_ENDS)
            file.seek(max(size - _ENDS, 0))
            tail = file.read(_ENDS)
    except OSError as error:
        raise FileMissing(
            f"{path} cannot be read: {error.strerror}", "Restore it, or plan without it"
        ) from error
    return hashlib.sha256(str(size).encode() + head + tail).hexdigest()


def _scenes(name: Path) -> Iterator[tuple[Path, str]]:
    """Yield the GeoTIFFs that a name stands for, each with the id of its STAC item or ''."""
    if name.is_dir():
        inside = sorted(
            path for path in name.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()
        )
        if not inside:
            raise BadPlan(f"{name} holds no .tif files", "Name a folder of GeoTIFFs")
        for path in inside:
            yield path, ""
    elif not name.exists():
        raise FileMissing(f"{name} does not exist", "Check the path")
    elif name.suffix.lower() in (".json", ".geojson"):
        yield from _stac(name)
    else:
        yield name, ""


class _Item(msgspec.Struct):
    id: str
    assets: dict[str, dict[str, Any]]


class _Items(msgspec.Struct):
    type: str
    features: list[_Item]


def _stac(name: Path) -> Iterator[tuple[Path, str]]:
    """Yield the image of each item of a STAC item collection (a GeoJSON FeatureCollection), from this disk only."""
    try:
        items = msgspec.json.decode(name.read_bytes(), type=_Items)
    except (OSError, msgspec.DecodeError) as error:
        raise BadPlan(
            f"{name} is no STAC item collection: {error}", "Give the answer of a STAC search, saved as a file"
        ) from error
    for item in items.features:
        yield _local(name, item), item.id


def _local(name: Path, item: _Item) -> Path:
    images = {
        key: asset
        for key, asset in item.assets.items()
        if Path(str(asset.get("href", ""))).suffix.lower() in _SUFFIXES
    }
    if not images:
        raise BadPlan(f"item {item.id!r} of {name} has no asset that is a .tif", "Leave it out, or add one")

    def fitting(key: str) -> int:
        roles = {key, *(images[key].get("roles") or ())}
        return min((n for n, role in enumerate(_STAC_ROLES) if role in roles), default=len(_STAC_ROLES))

    href = str(images[min(images, key=fitting)]["href"])
    if "://" in href and not href.startswith("file://"):
        raise BadPlan(
            f"item {item.id!r} of {name} lies at {href}",
            "Download the scenes first and name them by local paths",
        )
    return name.parent / href.removeprefix("file://")
