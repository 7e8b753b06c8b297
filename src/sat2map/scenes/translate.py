"""Translate a scene of any size: read blocks of cells, translate each cell with its halo, crop, write.

The scene comes from a `Source` and goes to a `Sink`, so that pictures in memory, files read piecewise and tile
services are the same to this code. Cells are computed in one fixed shape and anchored to the scene; `window` says how
many of them are read and written at a time and `jobs` how many are computed side by side, and neither can change a
byte of the result.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from sat2map.bundle import ModelCard
from sat2map.errors import UnsuitableModel, WrongBands
from sat2map.grid import Block, CellGrid, Window, reading
from sat2map.runtime import Field, Translation, Translator
from sat2map.scenes.blend import Blend
from sat2map.scenes.crop import Crop

UInt8 = npt.NDArray[np.uint8]
PRODUCTS = ("colour", "classes", "confidence")
Progress = Callable[[int, int, str], None]
Predicate = Callable[[Window], bool]

WINDOW = 2048  # px per side of what is read and written at a time
BLEND_WINDOW = 1024  # px; at most, when blending, which keeps float32 probabilities in memory
JOBS = 4  # strips computed at a time, at most, if nobody says: each takes some 100 MB
AHEAD = 2  # blocks in memory: one is computed while the next is read


class Source(Protocol):
    """Where the pixels come from."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the scene."""


class Sink(Protocol):
    """Where the products go."""

    def write(self, window: Window, products: Mapping[str, UInt8]) -> None:
        """Take the products of a window inside the scene; the windows of a scene do not overlap."""


Part = TypeVar("Part")
Canvas = TypeVar("Canvas")


class Painter(Protocol[Part, Canvas]):
    """Makes the products of a block from its strips; `Crop` or `Blend`."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the translator is asked for."""

    def needs(self, block: Block) -> Block:
        """Return the cells that must be computed for `block`."""

    def reach(self, strip: Block) -> Window:
        """Return the pixels that a strip has a share in; it may reach beyond the scene."""

    def trim(self, translation: Translation) -> Part:
        """Drop of a strip what is not needed; called by the workers, so that little has to wait in memory."""

    def begin(self, block: Block) -> Canvas:
        """Return the empty canvas of a block, all zeros."""

    def paint(self, canvas: Canvas, block: Block, strip: Block, part: Part) -> None:
        """Add a strip to the canvas of its block; strips come in the order of the grid."""

    def finish(self, canvas: Canvas) -> dict[str, UInt8]:
        """Return product -> (height, width, ...) of the whole block."""


def translate(
    translator: Translator,
    source: Source,
    sink: Sink,
    products: Collection[str] = ("colour",),
    *,
    window: int = WINDOW,
    jobs: int | None = None,
    batch: int = 1,
    cell: int | None = None,
    wanted: Predicate | None = None,
    blank: Predicate | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Translate `source` into `sink`.

    `colour` is (H, W, 3) uint8, `classes` (H, W) uint8 class numbers of the palette, `confidence` (H, W) uint8
    percent. `window` in px; `jobs` strips are computed at a time (default: one per core, at most 4); a strip has
    `batch` cells of `cell` px a side (default: the card's).
    Blocks (windows inside the scene) of which `wanted` says False are left out: they are done already. Strips are not
    computed where `blank` says True of every pixel that they have a share in; what is written there means nothing.
    `on_progress` is called with (strips done, strips, "").
    Raises WrongBands if the scene has other bands than the model needs, and UnsuitableModel if the model has no
    classes and they are wanted.
    """
    check(translator.card, source.shape[2], products)
    height, width, _ = source.shape
    card = translator.card
    grid = CellGrid(height, width, cell or card.cell, card.halo, batch)
    with _workers(jobs or min(os.cpu_count() or 1, JOBS)) as pool:
        if card.windowing == "blend":
            blend = Blend(grid, card.palette, products)
            window = min(window, BLEND_WINDOW)
            _run(Work(translator, source, grid, blend, pool, blank), sink, window, wanted, on_progress)
        else:
            crop = Crop(grid, card.palette, products)
            _run(Work(translator, source, grid, crop, pool, blank), sink, window, wanted, on_progress)


def check(card: ModelCard, bands: int, products: Collection[str]) -> None:
    """Refuse what cannot work before any pixel is read; raises WrongBands or UnsuitableModel."""
    if card.ground:
        raise UnsuitableModel(
            f"model {card.id!r} draws what somebody on the ground would see, no maps",
            "Use it with `sat2map view`",
        )
    if bands != card.bands:
        raise WrongBands(
            f"the image has {bands} bands and model {card.id!r} needs {card.bands}",
            f"Give it {card.bands} bands: red, green, blue",
        )
    lacking = [product for product in products if product != "colour" and card.palette is None]
    if lacking:
        raise UnsuitableModel(
            f"model {card.id!r} paints colours and knows no classes, so it has no {' and no '.join(lacking)}",
            "Ask for the colour alone, or use a palette model such as carto",
        )


@dataclass(frozen=True)
class Work(Generic[Part, Canvas]):
    """What does not change from block to block."""

    translator: Translator
    source: Source
    grid: CellGrid
    painter: Painter[Part, Canvas]
    pool: ThreadPoolExecutor
    blank: Predicate | None

    def inside(self, block: Block) -> Window:
        """Return the pixels of a block that are in the scene."""
        return self.grid.pixels(block).clipped(self.grid.height, self.grid.width)

    def start(self, block: Block) -> list[tuple[Block, Future[Part]]]:
        """Read what a block needs and set the workers to its strips."""
        grid, painter = self.grid, self.painter
        needed = painter.needs(block)
        around = grid.pixels(needed).grown(grid.halo)
        pixels = read_reflected(self.source, around)
        strips = [strip for strip in grid.strips(needed) if not self._is_blank(strip)]

        def work(strip: Block) -> Part:
            patches = [
                pixels[grid.pixels(cell).grown(grid.halo).slices(around)] for cell in grid.cells(strip)
            ]
            return painter.trim(self.translator(np.stack(patches), painter.fields))

        return [(strip, self.pool.submit(work, strip)) for strip in strips]

    def _is_blank(self, strip: Block) -> bool:
        reach = self.painter.reach(strip).clipped(self.grid.height, self.grid.width)
        return self.blank is not None and (reach.height * reach.width == 0 or self.blank(reach))

    def finish(
        self, block: Block, strips: list[tuple[Block, Future[Part]]]
    ) -> Iterator[Mapping[str, UInt8] | None]:
        """Yield None for each strip when it is done, then the products of the block, cut to the scene."""
        canvas = self.painter.begin(block)
        for strip, future in strips:
            self.painter.paint(canvas, block, strip, future.result())
            yield None
        rows, cols = self.inside(block).slices(self.grid.pixels(block))
        yield {name: values[rows, cols] for name, values in self.painter.finish(canvas).items()}


def _run(
    work: Work[Part, Canvas],
    sink: Sink,
    window: int,
    wanted: Predicate | None,
    on_progress: Progress | None,
) -> None:
    """Keep the workers busy with one block while the next is read, and write the blocks in order."""
    blocks = [block for block in work.grid.blocks(window) if wanted is None or wanted(work.inside(block))]
    shares = [sum(1 for _ in work.grid.strips(work.painter.needs(block))) for block in blocks]
    total, done = sum(shares), 0

    def deliver(block: Block, strips: list[tuple[Block, Future[Part]]], share: int) -> None:
        nonlocal done
        done += share - len(strips)  # those that are blank
        for products in work.finish(block, strips):
            if products is not None:
                sink.write(work.inside(block), products)
                continue
            done += 1
            if on_progress:
                on_progress(done, total, "")

    under_way: deque[tuple[Block, list[tuple[Block, Future[Part]]], int]] = deque()
    for block, share in zip(blocks, shares, strict=True):
        under_way.append((block, work.start(block), share))
        if len(under_way) == AHEAD:
            deliver(*under_way.popleft())
    while under_way:
        deliver(*under_way.popleft())


def read_reflected(source: Source, window: Window) -> UInt8:
    """Read a window that may reach beyond the scene, whose surroundings are its mirror image."""
    height, width, _ = source.shape
    inside, rows, cols = reading(window, height, width)
    return source.read(inside)[rows[:, None], cols]


@contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads that drop their work at once when the block fails or is interrupted."""
    pool = ThreadPoolExecutor(count, "translate")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
