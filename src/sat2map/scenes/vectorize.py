"""Vectorise a class raster of any size: polygons per class and the centre lines of roads, as layers for a GIS.

The raster is read in blocks, row by row. Where a block ends can change nothing: outlines and centre lines are joined
across blocks pixel by pixel (`vectors/polygons.py`, `vectors/paths.py`), and only what is whole is simplified. What is
whole is written and forgotten; in memory stay a few blocks, one row of numbers, and what reaches the rows to come.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.errors import WrongBands
from sat2map.grid import Window
from sat2map.palette import BUILDING, CLASS_NAMES
from sat2map.scenes.translate import Progress
from sat2map.scenes.vectors.buildings import house
from sat2map.scenes.vectors.layers import DEFAULT, LAYERS, Layer
from sat2map.scenes.vectors.lines import STAIRS, Lines, block_side, square_for
from sat2map.scenes.vectors.polygons import Region, Stitcher
from sat2map.scenes.vectors.roads import Road
from sat2map.scenes.vectors.shapes import Frame, Geometries, shapes, simplified
from sat2map.scenes.vectors.sources import (
    Affine,
    ClassSource,
    Raster,
    read_padded,
)
from sat2map.scenes.vectors.writing import (
    DRIVERS,
    TOGETHER,
    TYPES,
    LayerWriter,
    add_styles,
    convert,
    output_paths,
    replacing_all,
    require,
)

BLOCK = 1024  # px per side of what is read at a time


@dataclass(frozen=True)
class VectorOptions:
    """What is drawn, and how finely. Metres are pixels where nobody knows how large a pixel is on the ground."""

    layers: tuple[str, ...] = DEFAULT  # names in `vectors.layers.LAYERS`
    min_area: float = 10.0  # square metres; smaller polygons are left out and smaller holes filled
    simplify: float | None = None  # metres that a line may move; None: 3/4 of a pixel; 0: not at all
    right_angles: bool = True  # for buildings
    overlap: float = 0.75  # least intersection over union of a right-angled building with its pixels
    min_road: float = 10.0  # metres; shorter dead ends and shorter roads standing alone are left out
    gsd: float | None = None  # metres per pixel, instead of what the source says
    block: int = BLOCK  # px; changes memory, never a shape


@dataclass
class Summary:
    """What was written."""

    paths: list[Path]
    counts: dict[str, int]  # features per layer
    notices: list[str] = field(default_factory=list)  # what the user should know


def vectorize(
    source: ClassSource,
    out: Path,
    options: VectorOptions | None = None,
    confidence: Raster | None = None,
    *,
    overwrite: bool = False,
    on_progress: Progress | None = None,
) -> Summary:
    """Write the vector layers of `source` to `out`: .gpkg, .geojson, or .fgb (one file per layer).

    `confidence` is a raster of percentages of the same size. `on_progress` is called with (blocks done, blocks, "").
    Raises MissingExtra, UnsupportedFormat, OutputExists, StorageFailed, and WrongBands if the rasters differ in size;
    what `source.read` raises goes through.
    """
    require()
    options = options or VectorOptions()
    layers = [LAYERS[name] for name in LAYERS if name in options.layers]
    if confidence is not None and confidence.shape != source.shape:
        raise WrongBands(
            f"the confidence raster is {_size(confidence)} px and the classes are {_size(source)}",
            "Give the confidence that was written together with these classes",
        )
    paths = output_paths(out, layers)
    files = list(dict.fromkeys(paths.values()))
    driver = DRIVERS[out.suffix.lower()]
    frame, metric, notices = _frame(source, options)
    unit = "m" if metric else "px"
    both = ("confidence",) if confidence else ()
    columns = {"polygons": (f"area_{unit}2", *both), "lines": (f"length_{unit}", f"width_{unit}", *both)}
    with replacing_all(files, overwrite=overwrite) as temporary, _staging(temporary[0], driver) as staged:
        writer = LayerWriter(staged, source.crs, layers, columns, together=driver == "GeoJSON")
        Vectorizer(source, confidence, options, frame, layers, writer, unit).run(on_progress)
        writer.finish()
        if driver == "GPKG":
            add_styles(staged, layers, f"width_{unit}", metric and source.crs is not None)
        elif driver == "GeoJSON":
            convert(staged, TOGETHER, temporary[0], driver, "Unknown", source.crs)
        else:
            for layer, path, final in zip(layers, temporary, files, strict=True):
                convert(staged, layer.name, path, driver, TYPES[layer.kind], source.crs, final.stem)
    return Summary(files, writer.counts, notices)


def _size(raster: Raster) -> str:
    height, width = raster.shape
    return f"{width} x {height}"


@contextmanager
def _staging(temporary: Path, driver: str) -> Iterator[Path]:
    """Yield the GeoPackage to collect in: the output itself, or one beside it that goes in the end."""
    if driver == "GPKG":
        yield temporary
        return
    staged = temporary.with_name(f"{temporary.stem}.gpkg")  # recognised as unfinished work, like `temporary`
    try:
        yield staged
    finally:
        staged.unlink(missing_ok=True)


def _frame(source: ClassSource, options: VectorOptions) -> tuple[Frame, bool, list[str]]:
    """Return the plane to measure in, whether it counts metres, and notices."""
    notices = []
    if source.crs is None:
        notices.append(
            "the classes have no coordinate system: coordinates are "
            + ("those of the file" if source.transform else "pixels, counted from the bottom left with y up")
        )
    metres = (options.gsd, options.gsd) if options.gsd else source.metres
    if metres is None:
        notices.append("nobody says how large a pixel is (--gsd): lengths and areas are in pixels")
        return Frame(1.0, 1.0), False, notices
    return Frame(*metres), True, notices


class Vectorizer:
    """Goes through the blocks of one scene and hands features to a writer."""

    def __init__(
        self,
        source: ClassSource,
        confidence: Raster | None,
        options: VectorOptions,
        frame: Frame,
        layers: Sequence[Layer],
        writer: LayerWriter,
        unit: str,
    ) -> None:
        """Nothing is read before `run`."""
        self._source, self._confidence, self._options = source, confidence, options
        self._frame, self._writer, self._unit = frame, writer, unit
        self._layer_of = {
            number: layer.name for layer in layers if layer.kind == "polygons" for number in layer.classes
        }
        squares = square_for(frame.pixel) if unit == "m" else 1
        self._lines = {
            layer.name: Lines(source, confidence, frame, squares, options.min_road, options.simplify)
            for layer in layers
            if layer.kind == "lines"
        }
        self._block = block_side(options.block, squares)
        drawn = max(frame.pixel, source.detail or 0.0) if unit == "m" else frame.pixel
        self._tolerance = STAIRS * drawn if options.simplify is None else options.simplify
        self._place = _to_crs(source, frame)
        self._stitcher = Stitcher(source.shape[1], self._layer_of)

    def run(self, on_progress: Progress | None) -> None:
        """Read all blocks."""
        height, width = self._source.shape
        step = self._block
        rows, cols = -(-height // step), -(-width // step)
        for number in range(rows * cols):
            row, col = number // cols * step, number % cols * step
            window = Window(row, col, step, step).clipped(height, width)
            if self._layer_of:
                padded = read_padded(self._source, window, 1)
                percent = self._confidence.read(window) if self._confidence else None
                self._polygons(self._stitcher.add(window, padded, percent, height))
            for lines in self._lines.values():
                lines.add(window)
            if col + step >= width:
                self._polygons(self._stitcher.finish_row())
                for layer, lines in self._lines.items():
                    for network in lines.finish_row():
                        self._roads(layer, network)
            if on_progress:
                on_progress(number + 1, rows * cols, "")
        self._polygons(self._stitcher.finish())

    def _polygons(self, regions: list[Region]) -> None:
        """Make polygons of whole regions and pass them on, layer by layer."""
        least = self._options.min_area / (self._frame.across * self._frame.down)
        kept: dict[str, list[Region]] = {}
        for region in regions:
            if region.pixels >= least:
                kept.setdefault(self._layer_of[region.class_], []).append(region)
        for layer, members in kept.items():
            polygons = self._shaped(layer, members)
            self._write(
                layer,
                polygons,
                [CLASS_NAMES[region.class_] for region in members],
                {f"area_{self._unit}2": _areas(polygons)},
                [region.mean_confidence for region in members],
            )

    def _shaped(self, layer: str, regions: list[Region]) -> Geometries:
        exact = shapes(regions, self._frame, fill=self._options.min_area)
        simple = simplified(exact, self._tolerance)
        if self._tolerance > 0 and self._options.right_angles and BUILDING in LAYERS[layer].classes:
            for number, polygon in enumerate(simple):
                simple[number] = house(exact[number], polygon, self._tolerance, self._options.overlap)
        return simple

    def _roads(self, layer: str, found: list[Road]) -> None:
        import shapely

        lines = np.array([shapely.LineString(road.line) for road in found], object)
        self._write(
            layer,
            lines,
            [CLASS_NAMES[road.class_] for road in found],
            {
                f"length_{self._unit}": shapely.length(lines) if len(lines) else lines,
                f"width_{self._unit}": np.array([road.width for road in found]),
            },
            [road.confidence for road in found],
        )

    def _write(
        self,
        layer: str,
        geometries: Geometries,
        names: list[str],
        numbers: dict[str, npt.NDArray[Any]],
        confidence: list[float | None],
    ) -> None:
        """Round figures to what they are worth, move geometries to the coordinate system and pass all on."""
        import shapely

        columns: dict[str, npt.NDArray[Any]] = {"class": np.array(names, object)}
        columns |= {name: np.round(values.astype(np.float64), 2) for name, values in numbers.items()}
        if self._confidence:
            columns["confidence"] = np.round(np.array(confidence, np.float64), 1)
        a, b, c, d, e, f = self._place
        placed = shapely.transform(
            geometries,
            lambda xy: np.stack(
                [a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f],
                1,
            ),
        )
        self._writer.add(layer, placed if a * e - b * d > 0 else shapely.reverse(placed), columns)


def _areas(polygons: Geometries) -> npt.NDArray[np.float64]:
    import shapely

    areas: npt.NDArray[np.float64] = shapely.area(polygons)
    return areas


def _to_crs(source: ClassSource, frame: Frame) -> Affine:
    """The way from the frame to coordinates; pictures have their origin at the bottom left."""
    a, b, c, d, e, f = source.transform or Affine(1, 0, 0, 0, -1, source.shape[0])
    return Affine(a / frame.across, -b / frame.down, c, d / frame.across, -e / frame.down, f)
