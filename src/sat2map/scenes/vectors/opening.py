"""Opening what a user names as classes: GeoTIFFs of classes or of map colours, and images of maps."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sat2map.errors import FileMissing, WrongBands
from sat2map.familiar import measure, windows
from sat2map.grid import Window
from sat2map.images import read_image
from sat2map.palette import CLASS_NAMES, MAPS, Palette
from sat2map.scenes.pictures import Picture
from sat2map.scenes.raster import SHOWN, Place, RasterSource, is_tiff, metres_per_pixel, open_scene
from sat2map.scenes.translate import Source
from sat2map.scenes.vectors.sources import (
    NOTHING,
    Affine,
    ClassArray,
    ClassSource,
    Raster,
    RasterArray,
    UInt8,
)

GIVE = "Give a raster as `translate --products classes,confidence` writes it"
NO_MAP = 0.5  # share of pixels far from all map colours; of maps 0 to 0.07, of imagery more than 0.97


class SceneBand:
    """The only band of an open scene, as it is; 255 where pixels are missing."""

    def __init__(self, dataset: Any, name: str, what: str, most: int) -> None:
        """`dataset` as `open_scene` yields it, with numbers up to `most`, called `what` in messages.

        Raises WrongBands if it has other bands, or samples that are no bytes.
        """
        if dataset.count != 1 or dataset.dtypes[0] != "uint8":
            raise WrongBands(
                f"{name} has {dataset.count} x {dataset.dtypes[0]} for each pixel; {what} are one uint8", GIVE
            )
        self._dataset, self._name, self._what, self._most = dataset, name, what, most

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self._dataset.height, self._dataset.width

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside the scene. Raises WrongBands for numbers that cannot be."""
        place = (
            (window.row, window.row + window.height),
            (window.col, window.col + window.width),
        )
        values: UInt8 = self._dataset.read(1, window=place)
        values[self._dataset.read_masks(1, window=place) == 0] = NOTHING
        beyond = values[(values > self._most) & (values != NOTHING)]
        if beyond.size:
            raise WrongBands(
                f"{self._name} holds the number {beyond[0]}; {self._what} are 0 to {self._most}", GIVE
            )
        return values


class SceneColours:
    """The map colours of an open scene as classes: each pixel has that of the nearest palette colour."""

    def __init__(self, dataset: Any, name: str, palette: Palette) -> None:
        """`dataset` as `open_scene` yields it, with red, green and blue."""
        self.pixels, self._palette = RasterSource(dataset, name), palette

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.pixels.shape[:2]

    def read(self, window: Window) -> UInt8:
        """Return (height, width) of a window inside the scene."""
        classes = self._palette.to_classes(self._palette.encode(self.pixels.read(window)))
        classes[~self.pixels.valid(window)] = NOTHING
        return classes


class PlacedClasses:
    """Classes with their place on Earth."""

    def __init__(self, raster: Raster, place: Place, tags: Mapping[str, str]) -> None:
        """`place` and `tags` are those of `raster`."""
        affine, metres = place.affine(), metres_per_pixel(place)
        self.shape, self.read = raster.shape, raster.read
        self.transform = None if affine is None else Affine(*tuple(affine)[:6])
        self.crs: str | None = place.crs.to_wkt() if place.crs and affine is not None else None
        self.metres = None if metres is None else (metres[1], metres[0])
        self.detail = _number(tags.get(SHOWN, ""))


@contextmanager
def open_classes(
    path: Path, palette: Palette = MAPS, on_notice: Callable[[str], None] = lambda text: None
) -> Iterator[ClassSource]:
    """Yield the classes in a file: a GeoTIFF with class numbers, or a map in colours in any format that we read.

    A GeoTIFF of one band holds class numbers; other pictures hold map colours, also the PNGs of classes that
    `translate` writes, by their colour table. `on_notice` is told of colours that no map has. Raises what
    `open_scene`, `read_image` and `SceneBand` raise.
    """
    if not path.is_file():
        raise FileMissing(f"{path} is no file", "Name a class raster or a map image")
    if not is_tiff(path):
        picture = read_image(path)
        _look(Picture(picture), path, palette, on_notice)
        yield ClassArray(palette.to_classes(palette.encode(picture)))
        return
    with open_scene(path) as dataset:
        name = str(path)
        raster: Raster
        if dataset.count == 1:
            raster = SceneBand(dataset, name, "classes", len(CLASS_NAMES) - 1)
        else:
            raster = SceneColours(dataset, name, palette)
            _look(raster.pixels, path, palette, on_notice)
        yield PlacedClasses(raster, Place.of(dataset), dataset.tags())


def _number(text: str) -> float | None:
    """Read a positive number from a tag, which anybody may have written."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _look(source: Source, path: Path, palette: Palette, on_notice: Callable[[str], None]) -> None:
    """Give notice if most pixels have no colour of a map: imagery, probably, which makes nonsense."""
    height, width, _ = source.shape
    off = np.median([measure(source.read(window), palette)[-1] for window in windows(height, width)])
    if off > NO_MAP:
        on_notice(
            f"{path} does not look like a map: {off:.0%} of its pixels have colours that maps do not have, and count "
            "as the class of the nearest. Imagery has to be translated first"
        )


@contextmanager
def open_confidence(path: Path) -> Iterator[Raster]:
    """Yield a raster of percentages from a GeoTIFF or an image. Raises as `open_classes` does."""
    if not path.is_file():
        raise FileMissing(f"{path} is no file", "Name the confidence raster that `translate` wrote")
    with ExitStack() as stack:
        if is_tiff(path):
            yield SceneBand(stack.enter_context(open_scene(path)), str(path), "percentages", 100)
        else:
            picture = read_image(path)
            if np.ptp(picture, axis=-1).any():
                raise WrongBands(f"{path} is a picture in colours; percentages are grey", GIVE)
            yield RasterArray(np.ascontiguousarray(picture[..., 0]))
