"""A scene to tiles for the web: cells into a journal first, then pyramids into their containers.

As in `scenes/georeferenced.py`: blocks are computed and kept in a hidden folder beside the output, so that a kill loses
no more than one of them, and the tiles get their names when all are there. The pyramid is built depth first, so memory
grows with the number of zooms and not with the scene.
"""

import html
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

import sat2map
from sat2map import mercator, storage
from sat2map.errors import OutputExists, UnsupportedFormat, WrongResolution
from sat2map.grid import Window
from sat2map.mercator import TILE
from sat2map.runtime import Translator
from sat2map.scenes import raster
from sat2map.scenes.blocks import BlockStore
from sat2map.scenes.familiarity import warn
from sat2map.scenes.job import NOTICE, SceneOptions, digest, key_of, product_names
from sat2map.scenes.preview import SOURCE, about_scene, preview_path, write_preview
from sat2map.scenes.raster.origin import COPYRIGHT
from sat2map.scenes.resolution import WORTH_A_NOTICE
from sat2map.scenes.sketch import Sketch
from sat2map.scenes.tiles.building import VALID, Blocks, build
from sat2map.scenes.tiles.containers import CONTAINERS, JOB, Tileset
from sat2map.scenes.tiles.finished import job_in
from sat2map.scenes.tiles.scene import MercatorScene, open_mercator
from sat2map.scenes.translate import Progress, translate

UInt8 = npt.NDArray[np.uint8]
DEEPER = 4  # zooms by which tiles may be larger than what the network works at


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
    paths = product_names(out, options.products)
    _refuse(paths, out, kind, options)
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
        lacks_page = options.preview and not preview_path(out).exists()
        if options.resume and len(done) == len(paths) and all(done.values()) and not lacks_page:
            store.remove()
            return list(paths.values())
        for notice in notices(scene):
            if on_notice:
                on_notice(notice)
        stack.enter_context(store.at_work(key, resume=options.resume, overwrite=options.overwrite))
        at_work = scene.source(scene.zoom)
        data = scene.data._replace(
            row=scene.data.row - scene.region.row, col=scene.data.col - scene.region.col
        )

        def blank(window: Window) -> bool:
            return not at_work.valid(window).any()

        if on_notice:
            warn(scene.card, at_work, source.name, on_notice, blank)
        translate(
            translator, at_work, _Keeping(store, scene), options.products, window=options.window, jobs=options.jobs,
            cell=scene.side, wanted=lambda window: data.shared(window).area > 0 and not store.holds(window),
            blank=blank, on_progress=on_progress,
        )  # fmt: skip
        sets = _tilesets(scene, out, zooms, key)
        try:
            _publish(store, scene, paths, kind, sets, overwrite=True)
        except UnsupportedFormat:  # there is nothing to go on with
            store.remove()
            raise
        if options.preview:
            _preview(store, scene, source, out)
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


def _refuse(paths: Mapping[str, Path], out: Path, kind: str, options: SceneOptions) -> None:
    """Raise OutputExists before any work for what is not even a set of tiles; see also `job_in`."""
    if options.preview and not options.resume:
        storage.refuse_existing(preview_path(out), overwrite=options.overwrite)
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


def _preview(store: BlockStore, scene: MercatorScene, source: Path, out: Path) -> None:
    """Write the page beside the output."""
    data, at_work = scene.data, scene.source(scene.zoom)
    sketch = Sketch(data.height, data.width)
    for block in store.windows:
        products = store.read(block)
        valid = products.pop(VALID).astype(np.bool_)
        row, col = block.row + scene.region.row - data.row, block.col + scene.region.col - data.col
        sketch.add(block._replace(row=row, col=col), {**products, SOURCE: at_work.read(block)}, valid)
    size = mercator.ground_size(scene.zoom, (scene.extent.south + scene.extent.north) / 2)
    grid = f"{raster.label_of(raster.parse_crs(mercator.CRS))}, zoom {scene.zoom}"
    about = about_scene(source, (data.height, data.width), (size, size), grid)
    write_preview(preview_path(out), sketch, scene.products, scene.card, about)


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
        if not build(Blocks(store, scene), puts, next(iter(sets.values())).zooms):
            raise UnsupportedFormat(
                "the scene has no pixels, so there are no tiles", "See sat2map info of it"
            )


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
        if COPYRIGHT in scene.origin:
            more["attribution"] = html.escape(scene.origin[COPYRIGHT], quote=False)  # viewers show it as HTML
        if name == "classes" and card.palette:
            more["sat2map_classes"] = ",".join(f"{n}={label}" for n, label in enumerate(card.palette.names))
        sets[name] = Tileset(f"{out.stem} {name}", NOTICE, zooms, scene.extent, more)
    return sets
