"""What a batch is made of: GeoTIFFs, folders of them, items of a STAC collection; each described once, in order."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sat2map.batch.plan import SceneSource
from sat2map.errors import BadPlan, FileMissing
from sat2map.scenes import raster

_ENDS = 1 << 20  # bytes at the beginning and the end of a file by which it is known again
_SUFFIXES = {".tif", ".tiff"}
_STAC_ROLES = ("visual", "data")  # of assets, the most fitting first


def describe(
    names: Sequence[Path], on_progress: Callable[[int, int, str], None] | None = None
) -> tuple[SceneSource, ...]:
    """Describe all scenes below `names`, in their order; a scene named twice counts once.

    Raises FileMissing, BadPlan for what holds no scenes, and what `raster.open_scene` and `raster.extent` raise.
    """
    found = list(dict.fromkeys((path.resolve(), item) for name in names for path, item in _scenes(name)))
    described: list[SceneSource] = []
    for number, (path, item) in enumerate(found):
        if on_progress:
            on_progress(number, len(found), path.name)
        with raster.open_scene(path, raster.Limits()) as dataset:
            extent = raster.extent(dataset)
        west, south, east, north = (round(value, 9) for value in extent)
        described.append(SceneSource(str(path), identity(path), (west, south, east, north), item))
    return tuple(described)


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
