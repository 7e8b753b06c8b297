"""A scene to tiles for the web: cells into a journal first, then pyramids into their containers.

As in `scenes/georeferenced.py`: blocks are computed and kept in a hidden folder beside the output, so that a kill loses
no more than one of them, and the tiles get their names when all are there. The pyramid is built depth first, so memory
grows with the number of zooms and not with the scene.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import sat2map
from sat2map import mercator, storage
from sat2map.errors import OutputExists, UnsupportedFormat, WrongResolution
from sat2map.grid import Window
from sat2map.mercator import TILE, Tile
from sat2map.runtime import Translator
from sat2map.scenes import raster
from sat2map.scenes.blocks import BlockStore
from sat2map.scenes.job import NOTICE, SceneOptions, digest, key_of
from sat2map.scenes.resolution import WORTH_A_NOTICE
from sat2map.scenes.tiles import pyramid
from sat2map.scenes.tiles.containers import CONTAINERS, JOB, Put, Tileset
from sat2map.scenes.tiles.finished import job_in
from sat2map.scenes.tiles.pyramid import TilePixels
from sat2map.scenes.tiles.scene import MercatorScene, open_mercator
from sat2map.scenes.translate import Progress, translate

UInt8 = npt.NDArray[np.uint8]
VALID = "valid"  # beside the products of a block: 1 where the scene has a pixel
DEEPER = 4  # zooms by which tiles may be larger than what the network works at


def tile_paths(out: Path, products: tuple[str, ...]) -> dict[str, Path]:
    """Say where each product goes: `out` for the colour or a single product, else beside it under its stem."""
    return {
        name: out
        if name == "colour" or len(products) == 1
        else out.with_name(f"{out.stem}_{name}{out.suffix}")
        for name in products
    }


def translate_to_tiles(
    translator: Translator,
    source: Path,
    out: Path,
    kind: str,
    options: SceneOptions,
    *,
    checksum: str = "",
    limits: raster.Limits | None = None,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> list[Path]:
    """Translate a GeoTIFF to a pyramid of tiles for each product, of a `kind` out of `CONTAINERS`; return the paths.

    Raises what `open_mercator` and `translate` raise; WrongResolution for zooms that make no sense; UnsupportedFormat
    for a scene without pixels; OutputExists; NothingToResume; StorageFailed; RunLocked.
    """
    paths = tile_paths(out, options.products)
    _refuse(paths, kind, options)
    with ExitStack() as stack:
        scene = stack.enter_context(
            open_mercator(
                translator, source, options.products, gsd=options.gsd, bidx=options.bidx, scale=options.scale,
                nodata=options.nodata, limits=limits,
            )
        )  # fmt: skip
        zooms = options.zoom or default_zooms(scene)
        if zooms[1] > scene.zoom + DEEPER:
            raise WrongResolution(
                f"the map is made at zoom {scene.zoom}, tiles of zoom {zooms[1]} would only repeat its pixels",
                f"Choose a --zoom of at most {scene.zoom + DEEPER}, or let the model see more with --gsd",
            )
        key = {
            **key_of(scene.card, source, options, checksum),
            "tiles": [kind, scene.zoom, *zooms],
            "cell": scene.side,
        }
        done = {path: job_in(path, kind) == digest(key) for path in paths.values() if path.exists()}
        for path, is_ours in done.items():
            is_empty = path.is_dir() and not any(path.iterdir())
            storage.refuse_existing(path, overwrite=options.overwrite or is_ours or is_empty)
        store = BlockStore(out.with_name(f".{out.name}.job"), (*options.products, VALID))
        if options.resume and len(done) == len(paths) and all(done.values()):
            store.remove()
            return list(paths.values())
        for notice in notices(scene):
            if on_notice:
                on_notice(notice)
        stack.enter_context(storage.locked(store.folder))
        storage.sweep(out.parent)
        store.begin(key, resume=options.resume, overwrite=options.overwrite)
        stack.callback(store.remove_if_empty)
        at_work = scene.source(scene.zoom)
        data = scene.data._replace(
            row=scene.data.row - scene.region.row, col=scene.data.col - scene.region.col
        )
        translate(
            translator, at_work, _Keeping(store, scene), options.products, window=options.window, jobs=options.jobs,
            cell=scene.side, wanted=lambda window: data.shared(window).area > 0 and not store.holds(window),
            blank=lambda window: not at_work.valid(window).any(), on_progress=on_progress,
        )  # fmt: skip
        sets = _tilesets(scene, out, zooms, key)
        try:
            _publish(store, scene, paths, kind, sets, overwrite=True)
        except UnsupportedFormat:  # there is nothing to go on with
            store.remove()
            raise
        store.remove()
    return list(paths.values())


def default_zooms(scene: MercatorScene) -> tuple[int, int]:
    """Return the zoom at which the scene is about one tile, and that at which the network works."""
    longest = max(scene.data.height, scene.data.width)
    return max(scene.zoom - math.ceil(math.log2(max(longest / TILE, 1))), 0), scene.zoom


def notices(scene: MercatorScene) -> Iterator[str]:
    """Say what a user should know of how the scene is shown to the model."""
    seen = mercator.ground_size(scene.zoom, (scene.extent.south + scene.extent.north) / 2)
    expected = scene.card.metres_per_pixel
    text = f"the map is made at zoom {scene.zoom}, which is {seen:.3g} m per pixel there"
    apart = max(seen / expected, expected / seen)
    yield f"{text}; the model was trained at {expected:g} m" if apart > WORTH_A_NOTICE else text
    if scene.scene.sampled:
        yield f"samples of {scene.scene.scale} become 0 to 255, chosen from the scene; choose others with --scale"


def _refuse(paths: Mapping[str, Path], kind: str, options: SceneOptions) -> None:
    """Raise OutputExists before any work for what is not even a set of tiles; see also `job_in`."""
    for path in paths.values():
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            continue
        if job_in(path, kind) is None and (kind == "xyz" or path.is_dir()):
            raise OutputExists(f"{path} holds other things than tiles of ours", "Give another name")
        if not options.resume:
            storage.refuse_existing(path, overwrite=options.overwrite)


class _Keeping:
    """A sink that keeps beside the products where the scene has pixels, so that it need not be read again."""

    def __init__(self, store: BlockStore, scene: MercatorScene) -> None:
        self._store, self._source = store, scene.source(scene.zoom)

    def write(self, window: Window, products: Mapping[str, UInt8]) -> None:
        """Keep a block."""
        self._store.write(window, {**products, VALID: self._source.valid(window).astype(np.uint8)})


class _Blocks:
    """The journal's blocks as one raster: windows may reach over several of them."""

    def __init__(self, store: BlockStore, scene: MercatorScene) -> None:
        self._store, self._origin = store, scene.region
        self._recent: dict[Window, dict[str, UInt8]] = {}

    def read(self, window: Window) -> dict[str, UInt8] | None:
        """Return the products of a window of the world, None if the scene has no pixel there."""
        wanted = window._replace(row=window.row - self._origin.row, col=window.col - self._origin.col)
        found: dict[str, UInt8] = {}
        for block in self._touching(wanted):
            shared = wanted.shared(block)
            for name, values in self._block(block).items():
                if name not in found:
                    found[name] = np.zeros((window.height, window.width, *values.shape[2:]), np.uint8)
                found[name][shared.slices(wanted)] = values[shared.slices(block)]
        return found if found and found[VALID].any() else None

    def _touching(self, window: Window) -> list[Window]:
        recent = [block for block in self._recent if block.covers(window)]
        return recent or [block for block in self._store.windows if block.shared(window).area]

    def _block(self, window: Window) -> dict[str, UInt8]:
        if window not in self._recent:
            if len(self._recent) == 4:
                del self._recent[next(iter(self._recent))]
            self._recent[window] = self._store.read(window)
        return self._recent[window]


class _Level(NamedTuple):
    """What building a pyramid needs to know."""

    scene: MercatorScene
    blocks: _Blocks
    puts: Mapping[str, Put]
    zooms: tuple[int, int]


def _publish(
    store: BlockStore, scene: MercatorScene, paths: Mapping[str, Path], kind: str, sets: Mapping[str, Tileset],
    *, overwrite: bool,
) -> None:  # fmt: skip
    """Build the pyramids of all products side by side, and give them their names."""
    with ExitStack() as stack:
        puts = {
            name: stack.enter_context(CONTAINERS[kind](path, sets[name], overwrite=overwrite))
            for name, path in paths.items()
        }
        zooms = next(iter(sets.values())).zooms
        level = _Level(scene, _Blocks(store, scene), puts, zooms)
        least = min(zooms[0], scene.zoom)
        top = mercator.at_zoom(scene.data, scene.zoom, least)
        made = [_build(level, tile) for tile in mercator.tiles(top, least)]
        if not any(made):
            raise UnsupportedFormat(
                "the scene has no pixels, so there are no tiles", "See sat2map info of it"
            )


def _build(level: _Level, tile: Tile) -> dict[str, TilePixels] | None:
    """Put a tile and all below it, and return it, product by product; None if there is nothing."""
    scene, (least, most) = level.scene, level.zooms
    if not scene.touches(tile):
        return None
    made: dict[str, TilePixels] = {}
    if tile.z == scene.zoom:
        found = level.blocks.read(tile.window)
        if found is None:
            return None
        valid = found[VALID].astype(np.bool_)
        made = {name: TilePixels(found[name], valid) for name in level.puts}
        for zoom in range(max(tile.z + 1, least), most + 1):
            _enlarge(level, tile, made, zoom)
    else:
        children = [_build(level, child) for child in tile.children]
        for name in level.puts:
            joined = pyramid.joined([child[name] if child else None for child in children], name)
            if joined is None:
                return None
            made[name] = joined
    if least <= tile.z <= most:
        _put(level, tile, made)
    return made


def _enlarge(level: _Level, tile: Tile, made: Mapping[str, TilePixels], zoom: int) -> None:
    """Put all tiles of a larger zoom that lie in `tile`."""
    factor = 1 << (zoom - tile.z)
    for row in range(factor):
        for col in range(factor):
            parts = {name: pyramid.enlarged(part, factor, row, col) for name, part in made.items()}
            if next(iter(parts.values())).valid.any():
                _put(level, Tile(zoom, tile.x * factor + col, tile.y * factor + row), parts)


def _put(level: _Level, tile: Tile, made: Mapping[str, TilePixels]) -> None:
    for name, put in level.puts.items():
        put(tile.wrapped, pyramid.encode(made[name], name, level.scene.card.palette))


def _tilesets(
    scene: MercatorScene, out: Path, zooms: tuple[int, int], key: Mapping[str, object]
) -> dict[str, Tileset]:
    """Return what the tiles of each product say about themselves."""
    card = scene.card
    sets = {}
    for name in scene.products:
        more = {
            "generator": f"sat2map {sat2map.__version__}",
            "sat2map_product": name,
            "sat2map_model": card.id,
            "sat2map_model_sha256": str(key["checksum"] or "unknown"),
            "sat2map_zoom": str(scene.zoom),
            JOB: digest(key),
        }
        if name == "classes" and card.palette:
            more["sat2map_classes"] = ",".join(f"{n}={label}" for n, label in enumerate(card.palette.names))
        sets[name] = Tileset(f"{out.stem} {name}", NOTICE, zooms, scene.extent, more)
    return sets
