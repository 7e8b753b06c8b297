"""A georeferenced scene of any size to map rasters on the same grid: gate, translation, journal, COGs.

Memory does not grow with the scene: it is read, translated and kept block by block (`blocks.py`). A kill at any moment
leaves a hidden folder beside the output, from which the same command with `resume` goes on; the output gets its name
when it is whole and was read back.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import sat2map
from sat2map import storage
from sat2map.bundle import ModelCard
from sat2map.errors import OutputExists, UnsupportedFormat
from sat2map.grid import Window
from sat2map.runtime import Translator
from sat2map.scenes import raster, worldfile
from sat2map.scenes.blocks import BlockStore
from sat2map.scenes.familiarity import warn
from sat2map.scenes.job import NOTICE, SceneOptions, digest, key_of, product_names
from sat2map.scenes.preview import SOURCE, about_scene, preview_path, write_preview
from sat2map.scenes.resolution import Resampled, choose
from sat2map.scenes.sketch import Sketch
from sat2map.scenes.translate import WINDOW, Progress, check, translate

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

SUFFIXES = frozenset({".tif", ".tiff"})


class Opened(NamedTuple):
    """A scene that is ready to be translated."""

    pixels: raster.RasterSource
    place: raster.Place
    shown: raster.RasterSource | Resampled  # what the model sees
    notices: tuple[str, ...]
    origin: Mapping[str, str]  # tags that say whose pixels these are


def product_paths(out: Path, products: tuple[str, ...]) -> dict[str, Path]:
    """Say where each product goes, as `product_names` does.

    Raises UnsupportedFormat if `out` is called neither like a GeoTIFF nor like a picture.
    """
    if worldfile.is_picture(out):
        return worldfile.product_paths(out, products)
    if out.suffix.lower() not in SUFFIXES:
        raise UnsupportedFormat(
            f"cannot write a map to {out}",
            "Use a name that ends in .tif, .png, .jpg or .webp; for tiles in .mbtiles, .pmtiles or /",
        )
    return product_names(out, products)


def translate_scene(
    translator: Translator,
    source: Path,
    out: Path,
    options: SceneOptions,
    *,
    checksum: str = "",
    limits: raster.Limits | None = None,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> list[Path]:
    """Translate a GeoTIFF to COGs, or to pictures with world files, and return their paths.

    `checksum` is the SHA-256 of the model's graph; it goes into the tags and tells jobs apart. `on_notice` is told
    what the user should know of choices made for them.
    Raises what `raster.open_scene`, `RasterSource`, `resolution.choose` and `translate.check` raise; OutputExists;
    NothingToResume if the unfinished job was another one; StorageFailed; RunLocked if another process works on it.
    """
    paths = product_paths(out, options.products)
    store = BlockStore(out.with_name(f".{out.name}.job"), options.products)
    check(translator.card, translator.card.bands, options.products)
    _refuse(paths, source, out, options, translator.card)
    with ExitStack() as stack:
        scene = stack.enter_context(opened(translator.card, source, options, limits))
        if worldfile.is_picture(out):
            worldfile.check_place(scene.place, out)
        key = key_of(translator.card, source, options, checksum)
        lacks_page = options.preview and not preview_path(out).exists()
        if options.resume and _are_done(paths, key, options) and not lacks_page:
            store.remove()
            return list(paths.values())
        for notice in scene.notices:
            if on_notice:
                on_notice(notice)
        stack.enter_context(store.at_work(key, resume=options.resume, overwrite=options.overwrite))
        blank = (lambda window: not scene.shown.valid(window).any()) if scene.pixels.has_missing else None
        if on_notice:
            warn(translator.card, scene.shown, source.name, on_notice, blank)
        translate(
            translator, scene.shown, store, options.products, window=options.window, jobs=options.jobs,
            wanted=lambda window: not store.holds(window), blank=blank, on_progress=on_progress,
        )  # fmt: skip
        sketch = Sketch(scene.place.height, scene.place.width) if options.preview else None
        report = on_progress or _nobody
        pieces = _counted(_pieces(store, scene), scene.place.height, report)
        _publish(
            store, paths, scene, _layers(translator.card, scene, key), translator.card, options,
            sketch.passing(pieces) if sketch else pieces, report,
        )  # fmt: skip
        if sketch:
            _preview(sketch, scene, source, out, options.products, translator.card)
        store.remove()
    return list(paths.values())


@contextmanager
def opened(
    card: ModelCard, source: Path, options: SceneOptions, limits: raster.Limits | None = None
) -> Iterator[Opened]:
    """Open a scene and decide how it is read."""
    limits = limits or raster.Limits()
    with ExitStack() as stack:
        dataset = stack.enter_context(raster.open_scene(source, limits))
        origin = raster.origin_of(dataset, str(source))
        if options.output_crs or options.res:
            warped = raster.warped(dataset, options.output_crs, options.res, options.nodata, limits)
            dataset = stack.enter_context(warped)
        pixels = raster.RasterSource(
            dataset, str(source), card.bands,
            bidx=options.bidx, scale=options.scale, nodata=options.nodata,
        )  # fmt: skip
        place = raster.Place.of(dataset, str(source))
        factors, notice = choose(raster.metres_per_pixel(place), card.metres_per_pixel, options.gsd)
        shown = Resampled(pixels, factors) if factors else pixels
        notices = [*_notices(dataset, pixels, place), *([notice] if notice else [])]
        yield Opened(pixels, place, shown, tuple(notices), origin)


def _notices(dataset: Any, pixels: raster.RasterSource, place: raster.Place) -> Iterator[str]:
    if not place.is_known:
        yield "the scene has no georeference, so the map has none either"
    elif not place.crs:
        yield "the scene has no CRS; its coordinates are carried over as they are"
    if place.gcps:
        yield "the scene has control points instead of a transform; the map gets the same ones"
    spare = dataset.count - len(pixels.bands.read) - bool(pixels.bands.alpha)
    if spare:
        yield f"of {dataset.count} bands, {', '.join(map(str, pixels.bands.read))} are used; choose others with --bidx"
    if pixels.sampled:
        yield f"samples of {pixels.scale} become 0 to 255, chosen from the scene; choose others with --scale"


def _refuse(
    paths: Mapping[str, Path], source: Path, out: Path, options: SceneOptions, card: ModelCard
) -> None:
    """Raise OutputExists before any work; with `resume`, what is there may be of this very job: see `_are_done`."""
    if options.preview and not options.resume:
        storage.refuse_existing(preview_path(out), overwrite=options.overwrite)
    beside = [
        file for path in filter(worldfile.is_picture, paths.values()) for file in worldfile.beside(path)
    ]
    for path in (*paths.values(), *beside):
        if path.resolve() == source.resolve():
            raise OutputExists(f"{path} is the input", "Write to another name")
        if not options.resume:
            storage.refuse_existing(path, overwrite=options.overwrite)
    for path, text in _sidecars(paths, card).items():
        if not (path.is_file() and path.read_bytes() == text.encode()):
            storage.refuse_existing(path, overwrite=options.overwrite)


def _sidecars(paths: Mapping[str, Path], card: ModelCard) -> dict[Path, str]:
    """Return what is to be written beside the products."""
    if "classes" not in paths or card.palette is None or worldfile.is_picture(paths["classes"]):
        return {}
    return raster.sidecars(paths["classes"], card.palette.names, card.palette.class_colours())


def _are_done(paths: Mapping[str, Path], key: Mapping[str, Any], options: SceneOptions) -> bool:
    """Tell whether all products of this job have their names, so that only its folder may be left over.

    A file has its name only when it is whole, and its tags say of which job it is. Raises OutputExists for a file of
    another job, unless it may be overwritten.
    """
    done = {path: _job_of(path) == digest(key) for path in paths.values() if path.exists()}
    for path, is_ours in done.items():
        storage.refuse_existing(path, overwrite=options.overwrite or is_ours)
    return len(done) == len(paths) and all(done.values())


def _job_of(path: Path) -> str | None:
    return worldfile.job_of(path) if worldfile.is_picture(path) else raster.tags_of(path).get("SAT2MAP_JOB")


def _layers(card: ModelCard, scene: Opened, key: Mapping[str, Any]) -> dict[str, raster.Layer]:
    """Return how each product is stored and what its tags say."""
    size = raster.metres_per_pixel(scene.place)
    tags = {
        **scene.origin,
        "TIFFTAG_SOFTWARE": f"sat2map {sat2map.__version__}",
        "TIFFTAG_IMAGEDESCRIPTION": NOTICE,
        "SAT2MAP_GENERATED": "yes",
        "SAT2MAP_MODEL": card.id,
        "SAT2MAP_MODEL_SHA256": key["checksum"] or "unknown",
        "SAT2MAP_JOB": digest(key),
        "SAT2MAP_BANDS": ",".join(map(str, scene.pixels.bands.colour)),
        "SAT2MAP_SCALING": f"{scene.pixels.scale or 'uint8 as it is'}; {card.scaling}",
        "SAT2MAP_METRES_PER_PIXEL": f"{size[0]:.4g} x {size[1]:.4g}" if size else "unknown",
        "SAT2MAP_MODEL_METRES_PER_PIXEL": f"{card.metres_per_pixel:g}",
        "SAT2MAP_RESAMPLED": "yes" if isinstance(scene.shown, Resampled) else "no",
    }
    if isinstance(scene.shown, Resampled):
        tags[raster.SHOWN] = f"{key['gsd'] or card.metres_per_pixel:g}"
    layers = {}
    for name in key["products"]:
        own = {**tags, "SAT2MAP_PRODUCT": name}
        colours: tuple[tuple[int, int, int], ...] = ()
        if name == "classes" and card.palette:
            own["SAT2MAP_CLASSES"] = ",".join(f"{n}={label}" for n, label in enumerate(card.palette.names))
            colours = card.palette.class_colours()
        layers[name] = raster.Layer(name, own, colours)
    return layers


def _publish(
    store: BlockStore, paths: Mapping[str, Path], scene: Opened, layers: Mapping[str, raster.Layer],
    card: ModelCard, options: SceneOptions, pieces: Iterator[raster.Piece], report: Progress,
) -> None:  # fmt: skip
    """Put the blocks together, make COGs of them, check these, and give them their names; or pictures."""
    if all(map(worldfile.is_picture, paths.values())):
        names = card.palette.names if card.palette else ()
        worldfile.write_pictures(pieces, paths, scene.place, layers, names, store.folder)
        return
    plain = {name: store.folder / f"plain-{name}.tif" for name in paths}
    raster.write_plain(plain, layers, scene.place, pieces, masked=scene.pixels.has_missing)
    made = {name: store.folder / f"{name}.tif" for name in paths}
    for number, (name, path) in enumerate(plain.items()):
        report(number, len(plain), f"compressing {name}")
        raster.finalise(path, made[name], layers[name], options.creation)
        path.unlink()
    report(len(plain), len(plain), "")
    for path, text in _sidecars(paths, card).items():
        storage.write_text(path, text)
    for name, path in paths.items():
        with storage.replacing(path, overwrite=options.overwrite or options.resume) as draft:
            made[name].replace(draft)


def _counted(pieces: Iterator[raster.Piece], height: int, report: Progress) -> Iterator[raster.Piece]:
    """Pass pieces on, which come row by row, and report how many rows of the scene are put together."""
    for piece in pieces:
        report(piece[0].row, height, "putting blocks together")
        yield piece
    report(height, height, "putting blocks together")


def _nobody(done: int, total: int, note: str) -> None:
    """Take a report that nobody asked for."""


def _preview(
    sketch: Sketch, scene: Opened, source: Path, out: Path, products: tuple[str, ...], card: ModelCard
) -> None:
    """Write the page beside the output."""
    place = scene.place
    sketch.put(SOURCE, scene.pixels.reduced(*sketch.shape))
    grid = raster.label_of(place.crs) if place.crs else "no CRS"
    about = about_scene(source, (place.height, place.width), raster.metres_per_pixel(place), grid)
    write_preview(preview_path(out), sketch, products, card, about)


def _pieces(store: BlockStore, scene: Opened) -> Iterator[raster.Piece]:
    """Yield windows of the scene's grid with their products and where the scene has pixels."""

    def valid(window: Window) -> Bool | None:
        return scene.pixels.valid(window) if scene.pixels.has_missing else None

    for window in store.windows:
        products: Mapping[str, UInt8] = store.read(window)
        if isinstance(scene.shown, Resampled):
            inside, rows, cols = scene.shown.repeated(window)
            for part in inside.parts(WINDOW):
                down, across = part.slices(inside)
                yield part, {n: v[rows[down, None], cols[across]] for n, v in products.items()}, valid(part)
        else:
            yield window, products, valid(window)
