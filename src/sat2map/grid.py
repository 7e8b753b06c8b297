"""Windows, cells and halos: the arithmetic that makes seams impossible.

A scene is cut into square cells of one fixed size, anchored at its top-left pixel. Each cell is read with a halo
around it, translated, and cropped. Cells and halos are multiples of the network's stride, so the network meets every
cell in the same phase as it would meet the whole scene; and what is computed for a cell depends on the cell alone,
never on how many cells somebody chose to read at a time. Nothing here touches pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


class Window(NamedTuple):
    """A rectangle of pixels. `row` and `col` may be negative and the far side may lie beyond the scene."""

    row: int
    col: int
    height: int
    width: int

    def grown(self, margin: int) -> "Window":
        """Return the window with `margin` px more on each side."""
        return Window(self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin)

    def clipped(self, height: int, width: int) -> "Window":
        """Return the part inside a scene of `height` by `width` px; empty (a side of 0) where there is none."""
        row, col = min(max(self.row, 0), height), min(max(self.col, 0), width)
        bottom = min(max(self.row + self.height, row), height)
        right = min(max(self.col + self.width, col), width)
        return Window(row, col, bottom - row, right - col)

    def covers(self, other: "Window") -> bool:
        """Tell whether all pixels of `other` are in this window."""
        return (
            self.row <= other.row
            and self.col <= other.col
            and other.row + other.height <= self.row + self.height
            and other.col + other.width <= self.col + self.width
        )

    def shared(self, other: "Window") -> "Window":
        """Return the part that both have; a side of 0 where there is none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        bottom = max(min(self.row + self.height, other.row + other.height), row)
        right = max(min(self.col + self.width, other.col + other.width), col)
        return Window(row, col, bottom - row, right - col)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width

    def parts(self, side: int) -> "Iterator[Window]":
        """Cut the window into windows of at most `side` px a side, row by row."""
        for row in range(self.row, self.row + self.height, side):
            for col in range(self.col, self.col + self.width, side):
                bottom, right = (
                    min(row + side, self.row + self.height),
                    min(col + side, self.col + self.width),
                )
                yield Window(row, col, bottom - row, right - col)

    def slices(self, origin: "Window | None" = None) -> tuple[slice, slice]:
        """Return the slices of this window in an array whose first pixel is that of `origin` (of the scene if None)."""
        row = self.row - (origin.row if origin else 0)
        col = self.col - (origin.col if origin else 0)
        return slice(row, row + self.height), slice(col, col + self.width)


def align_down(value: int, step: int) -> int:
    """Largest multiple of `step` that is not above `value`."""
    return value // step * step


def align_up(value: int, step: int) -> int:
    """Smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step


def reflect(index: Indices, size: int) -> Indices:
    """Fold any integer positions into 0 ... size-1 by mirroring at the first and the last pixel.

    The edge pixel is not repeated, as in `numpy.pad(mode="reflect")`, and mirroring goes on as often as it must, so
    that an axis smaller than the halo works, down to a single pixel. `size` is at least 1.
    """
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    folded = index % period
    return np.minimum(folded, period - folded)


class Reading(NamedTuple):
    """How to fill a window that reaches beyond the scene: read `inside`, then take `rows` and `cols` of it."""

    inside: Window
    rows: Indices  # (window.height,) positions in what was read
    cols: Indices  # (window.width,)


def reading(window: Window, height: int, width: int) -> Reading:
    """Plan the read of `window` from a scene of `height` by `width` px with reflected surroundings."""
    rows = reflect(np.arange(window.row, window.row + window.height), height)
    cols = reflect(np.arange(window.col, window.col + window.width), width)
    top, left = int(rows.min()), int(cols.min())
    inside = Window(top, left, int(rows.max()) + 1 - top, int(cols.max()) + 1 - left)
    return Reading(inside, rows - top, cols - left)


class Block(NamedTuple):
    """A rectangle of cells, counted in cells."""

    row: int
    col: int
    rows: int
    cols: int


@dataclass(frozen=True)
class CellGrid:
    """The cells that cover a scene of `height` by `width` px.

    `batch` cells side by side make a strip, the unit that a network is given. Strips are anchored like the cells, so
    a cell has the same neighbours in its batch and the same place in it whatever the order of work: not even a kernel
    that rounds differently from place to place can make a difference.
    """

    height: int  # px, at least 1
    width: int  # px, at least 1
    cell: int  # px
    halo: int  # px
    batch: int = 1  # cells per strip

    @property
    def rows(self) -> int:
        """Rows of cells."""
        return -(-self.height // self.cell)

    @property
    def cols(self) -> int:
        """Columns of cells, a whole number of strips."""
        return align_up(-(-self.width // self.cell), self.batch)

    def pixels(self, block: Block) -> Window:
        """Return the pixels of a block of cells; the last cells may reach beyond the scene."""
        cell = self.cell
        return Window(block.row * cell, block.col * cell, block.rows * cell, block.cols * cell)

    def blocks(self, window: int) -> Iterator[Block]:
        """Cut the grid into blocks of about `window` px a side (at least one strip), row by row."""
        rows = max(window // self.cell, 1)
        cols = max(window // (self.cell * self.batch), 1) * self.batch
        for row in range(0, self.rows, rows):
            for col in range(0, self.cols, cols):
                yield Block(row, col, min(rows, self.rows - row), min(cols, self.cols - col))

    def strips(self, block: Block) -> Iterator[Block]:
        """Return the strips of a block, row by row."""
        for row in range(block.row, block.row + block.rows):
            for col in range(block.col, block.col + block.cols, self.batch):
                yield Block(row, col, 1, self.batch)

    def cells(self, block: Block) -> Iterator[Block]:
        """Return the single cells of a block, row by row."""
        for row in range(block.row, block.row + block.rows):
            for col in range(block.col, block.col + block.cols):
                yield Block(row, col, 1, 1)

    def ringed(self, block: Block) -> Block:
        """Return the block with the strips around it, as far as the grid goes: those whose halos reach into it."""
        row, col = max(block.row - 1, 0), max(block.col - self.batch, 0)
        bottom = min(block.row + block.rows + 1, self.rows)
        right = min(block.col + block.cols + self.batch, self.cols)
        return Block(row, col, bottom - row, right - col)
