"""Opening what a user names as classes: GeoTIFFs of classes or of map colours, and images of maps."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sat2map.errors import FileMissing, WrongBands
from sat2map.grid import Window
from sat2map.images import read_image
from sat2map.palette import MAPS, Palette
from sat2map.scenes.raster import Place, RasterSource, is_tiff, metres_per_pixel, open_scene
from sat2map.scenes.vectors.sources import (
    NOTHING,
    Affine,
    ClassArray,
    ClassSource,
    Raster,
    RasterArray,
    UInt8,
)


class SceneBand:
    """The first band of an open scene, as it is; 255 where pixels are missing."""

    def __init__(self, dataset: Any, name: str) -> None:
        """`dataset` as `open_scene` yields it. Raises WrongBands if its samples are no bytes."""
        if dataset.dtypes[0] != "uint8":
            raise WrongBands(
                f"{name} has {dataset.dtypes[0]} samples, classes and percentages are uint8",
                "Give a raster as `translate --products classes,confidence` writes it",
            )
        self._dataset = dataset

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self._dataset.height, self._dataset.width

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside the scene."""
        place = (
            (window.row, window.row + window.height),
            (window.col, window.col + window.width),
        )
        values: UInt8 = self._dataset.read(1, window=place)
        values[self._dataset.read_masks(1, window=place) == 0] = NOTHING
        return values


class SceneColours:
    """The map colours of an open scene as classes: each pixel has that of the nearest palette colour."""

    def __init__(self, dataset: Any, name: str, palette: Palette) -> None:
        """`dataset` as `open_scene` yields it, with red, green and blue."""
        self._source, self._palette = RasterSource(dataset, name), palette

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self._source.shape[:2]

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside the scene."""
        classes = self._palette.to_classes(self._palette.encode(self._source.read(window)))
        classes[~self._source.valid(window)] = NOTHING
        return classes


class PlacedClasses:
    """Classes with their place on Earth."""

    def __init__(self, raster: Raster, place: Place) -> None:
        """`place` is that of `raster`."""
        affine, metres = place.affine(), metres_per_pixel(place)
        self.shape, self.read = raster.shape, raster.read
        self.transform = None if affine is None else Affine(*tuple(affine)[:6])
        self.crs: str | None = place.crs.to_wkt() if place.crs and affine is not None else None
        self.metres = None if metres is None else (metres[1], metres[0])


@contextmanager
def open_classes(path: Path, palette: Palette = MAPS) -> Iterator[ClassSource]:
    """Yield the classes in a file: a GeoTIFF with class numbers, or a map in colours in any format that we read.

    A GeoTIFF of one band holds class numbers; other pictures hold map colours, also the PNGs of classes that
    `translate` writes, by their colour table. Raises what `open_scene`, `read_image` and `SceneBand` raise.
    """
    if not path.is_file():
        raise FileMissing(f"{path} is no file", "Name a class raster or a map image")
    if not is_tiff(path):
        yield ClassArray(palette.to_classes(palette.encode(read_image(path))))
        return
    with open_scene(path) as dataset:
        name = str(path)
        raster = SceneBand(dataset, name) if dataset.count == 1 else SceneColours(dataset, name, palette)
        yield PlacedClasses(raster, Place.of(dataset))


@contextmanager
def open_confidence(path: Path) -> Iterator[Raster]:
    """Yield a raster of percentages from a GeoTIFF or an image. Raises as `open_classes` does."""
    if not path.is_file():
        raise FileMissing(f"{path} is no file", "Name the confidence raster that `translate` wrote")
    with ExitStack() as stack:
        if is_tiff(path):
            yield SceneBand(stack.enter_context(open_scene(path)), str(path))
        else:
            yield RasterArray(np.ascontiguousarray(read_image(path)[..., 0]))
