"""Pictures: one in memory, one on disk, a folder of them.

The colour map goes where the user said. The class raster is an indexed PNG: its pixels are the class numbers, which
is what programs want, and its colour table holds the colours of the classes, so that people see a map and not a black
square. Confidence is a grey PNG in percent.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.bundle import ModelCard
from sat2map.errors import (
    CorruptImage,
    FileMissing,
    ImageTooLarge,
    OutputExists,
    Sat2MapError,
    UnsupportedFormat,
)
from sat2map.grid import Window
from sat2map.images import read_image, write_image
from sat2map.runtime import Translator
from sat2map.scenes.familiarity import Notice, warn
from sat2map.scenes.translate import WINDOW, Progress, check, translate
from sat2map.storage import refuse_existing

UInt8 = npt.NDArray[np.uint8]
Products = Mapping[str, UInt8]  # product -> (H, W, 3) or (H, W)

READ = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})
WRITTEN = frozenset({".png", ".jpg", ".jpeg", ".webp"})
NOTICES = 3  # of images of one folder


class Picture:
    """A source: an image in memory."""

    def __init__(self, pixels: UInt8) -> None:
        """`pixels` is (H, W, C) uint8."""
        self._pixels = pixels

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        height, width, bands = self._pixels.shape
        return height, width, bands

    def read(self, window: Window) -> UInt8:
        """Return the pixels of a window inside the image."""
        return self._pixels[window.slices()]


class Canvas:
    """A sink: products in memory."""

    def __init__(self, height: int, width: int) -> None:
        self._size = (height, width)
        self.products: dict[str, UInt8] = {}

    def write(self, window: Window, products: Mapping[str, UInt8]) -> None:
        """Copy the products of a window to their place."""
        for name, values in products.items():
            if name not in self.products:
                self.products[name] = np.empty((*self._size, *values.shape[2:]), np.uint8)
            self.products[name][window.slices()] = values


def translate_image(
    translator: Translator,
    image: UInt8,
    products: Collection[str] = ("colour",),
    *,
    window: int = WINDOW,
    jobs: int | None = None,
    on_progress: Progress | None = None,
) -> dict[str, UInt8]:
    """Translate an image (H, W, 3) uint8 of any size in memory; returns product -> array, see `translate`."""
    height, width, _ = image.shape
    canvas = Canvas(height, width)
    translate(translator, Picture(image), canvas, products, window=window, jobs=jobs, on_progress=on_progress)
    return canvas.products


def output_paths(out: Path, products: Sequence[str]) -> dict[str, Path]:
    """Say where each product goes: `out` itself for the colour or a single product, else PNGs beside it.

    Raises UnsupportedFormat if `out` has a suffix that we do not write, or a lossy one for what must be exact.
    """
    paths = {
        product: out
        if product == "colour" or len(products) == 1
        else out.with_name(f"{out.stem}_{product}.png")
        for product in products
    }
    for product, path in paths.items():
        suffixes = WRITTEN if product == "colour" else {".png"}
        if path.suffix.lower() not in suffixes:
            raise UnsupportedFormat(
                f"cannot write {product} to {path}: the suffix is {path.suffix!r}",
                f"Use {' or '.join(sorted(suffixes))}",
            )
    return paths


def write_products(
    products: Products, paths: Mapping[str, Path], card: ModelCard, *, overwrite: bool
) -> None:
    """Write products where `output_paths` says. Raises OutputExists, StorageFailed."""
    for product, values in products.items():
        palette = None
        if product == "classes" and card.palette:
            palette = np.array(card.palette.class_colours(), np.uint8)
        write_image(paths[product], values, overwrite=overwrite, palette=palette)


def translate_picture(
    translator: Translator,
    source: Path,
    out: Path,
    products: Sequence[str] = ("colour",),
    *,
    overwrite: bool = False,
    window: int = WINDOW,
    jobs: int | None = None,
    on_progress: Progress | None = None,
    on_notice: Notice = lambda text: None,
) -> list[Path]:
    """Translate an image file to image files and return their paths; nothing is written before all is computed.

    `on_notice` is told if the model does not know such pictures. Raises what `read_image`, `output_paths` and
    `translate` raise, and OutputExists.
    """
    paths = output_paths(out, products)
    _refuse(paths.values(), [source], overwrite)
    check(translator.card, 3, products)
    image = read_image(source)
    warn(translator.card, Picture(image), source.name, on_notice)
    made = translate_image(translator, image, products, window=window, jobs=jobs, on_progress=on_progress)
    write_products(made, paths, translator.card, overwrite=overwrite)
    return list(paths.values())


class FolderResult(NamedTuple):
    """What became of a folder of images."""

    written: list[Path]
    failed: dict[Path, Sat2MapError]  # image -> what was wrong with it


def translate_folder(
    translator: Translator,
    folder: Path,
    out: Path,
    products: Sequence[str] = ("colour",),
    *,
    overwrite: bool = False,
    window: int = WINDOW,
    jobs: int | None = None,
    on_progress: Progress | None = None,
    on_notice: Notice = lambda text: None,
) -> FolderResult:
    """Translate the images of a folder (not of folders in it) to PNGs of the same names in `out`.

    A broken image does not stop the others: it is in `failed` afterwards. `on_progress` counts images. Of images that
    the model does not know, `on_notice` is told the first few, and then how many there were.
    Raises FileMissing if there are no images, OutputExists if any output is there, and what `translate` raises
    because of the model.
    """
    plans = {path: output_paths(out / f"{path.stem}.png", products) for path in images_in(folder)}
    _refuse([path for paths in plans.values() for path in paths.values()], list(plans), overwrite)
    check(translator.card, 3, products)
    result = FolderResult([], {})
    unlike: list[str] = []

    def notice(text: str) -> None:
        unlike.append(text)
        if len(unlike) <= NOTICES:
            on_notice(text)

    for number, (path, paths) in enumerate(plans.items()):
        if on_progress:
            on_progress(number, len(plans), path.name)
        try:
            image = read_image(path)
            warn(translator.card, Picture(image), path.name, notice)
            made = translate_image(translator, image, products, window=window, jobs=jobs)
        except (CorruptImage, UnsupportedFormat, ImageTooLarge, FileMissing) as error:
            result.failed[path] = error
            continue
        write_products(made, paths, translator.card, overwrite=overwrite)
        result.written.extend(paths.values())
    if on_progress:
        on_progress(len(plans), len(plans), "")
    if len(unlike) > NOTICES:
        on_notice(f"so are {len(unlike) - NOTICES} more of the {len(plans)} images")
    return result


def images_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are called like images, by name. Raises FileMissing if there are none."""
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in READ and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise FileMissing(f"{folder} holds no images", f"Name a folder with {', '.join(sorted(READ))} files")
    return found


def _refuse(outputs: Collection[Path], inputs: Sequence[Path], overwrite: bool) -> None:
    """Raise OutputExists if outputs exist, meet one another or would replace an input; called before any work."""
    seen: set[Path] = set()
    sources = {path.resolve() for path in inputs}
    for path in outputs:
        refuse_existing(path, overwrite=overwrite)
        if path.resolve() in sources:
            raise OutputExists(f"{path} is one of the inputs", "Write to another name or folder")
        if path in seen:
            raise OutputExists(
                f"two images would be written to {path}", "Rename one of them, or translate them one by one"
            )
        seen.add(path)
