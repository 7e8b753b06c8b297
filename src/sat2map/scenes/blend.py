"""From overlapping windows to the products of a block, for networks whose output depends on the whole window.

Batch and instance norm over space, or a bottleneck of one pixel, make neighbouring windows disagree where they
overlap. Each pixel is therefore a weighted mean of up to four windows, with Hann ramps as weights (they add up to one).
Averaged are the probabilities where there are any, because a mean of map colours is no map colour.
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from sat2map.grid import Block, CellGrid, Window
from sat2map.palette import Palette
from sat2map.runtime import Field, Translation

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]


def taper(cell: int, halo: int, first: bool, last: bool) -> Float:
    """Return the weights (cell + 2 halo,) of one axis of a window.

    Both ends are halves of a Hann window of 2 halo samples; those of neighbouring windows add up to one. The first
    and the last window of a scene have no neighbour there and keep their weight. Needs cell >= 2 halo.
    """
    ramp = np.sin(np.pi / 2 * (np.arange(2 * halo) + 0.5) / max(2 * halo, 1)) ** 2
    weights = np.ones(cell + 2 * halo, np.float32)
    if not first:
        weights[: 2 * halo] = ramp
    if not last:
        weights[cell:] = ramp[::-1]
    return weights


class Blend:
    """Adds windows up, each with its weight and always in the order of the grid, so that sums round alike."""

    def __init__(self, grid: CellGrid, palette: Palette | None, products: Collection[str]) -> None:
        self._grid, self._palette, self._products = grid, palette, tuple(products)
        self.fields: tuple[Field, ...] = ("probabilities",) if palette else ("colour",)

    def needs(self, block: Block) -> Block:
        """Return the cells that must be computed for `block`: those whose windows reach into it."""
        return self._grid.ringed(block)

    def reach(self, strip: Block) -> Window:
        """Return the pixels that a strip has a share in: its windows."""
        return self._grid.pixels(strip).grown(self._grid.halo)

    def trim(self, translation: Translation) -> Float:
        """Return (batch, K or 3, patch, patch) of what is to be averaged; called by the workers."""
        if self._palette:
            return translation.probabilities  # type: ignore[return-value]
        return translation.colour.transpose(0, 3, 1, 2).astype(np.float32)  # type: ignore[union-attr]

    def begin(self, block: Block) -> Float:
        """Return the empty canvas (K or 3, height, width) of a block."""
        _, _, height, width = self._grid.pixels(block)
        return np.zeros((len(self._palette) if self._palette else 3, height, width), np.float32)

    def paint(self, canvas: Float, block: Block, strip: Block, part: Float) -> None:
        """Add a strip; of its windows, only what lies inside the block counts."""
        grid = self._grid
        origin = grid.pixels(block)
        for number, cell in enumerate(grid.cells(strip)):
            window = grid.pixels(cell).grown(grid.halo)
            # The window relative to the block, clipped to it; and the same part relative to the window.
            inside = window._replace(row=window.row - origin.row, col=window.col - origin.col)
            place = inside.clipped(origin.height, origin.width)
            rows, cols = place.slices(inside)
            tall = taper(grid.cell, grid.halo, cell.row == 0, cell.row == grid.rows - 1)[rows]
            wide = taper(grid.cell, grid.halo, cell.col == 0, cell.col == grid.cols - 1)[cols]
            canvas[:, *place.slices()] += part[number][:, rows, cols] * (tall[:, None] * wide)

    def finish(self, canvas: Float) -> dict[str, UInt8]:
        """Return product -> (height, width, …) of the whole block."""
        if self._palette is None:
            return {"colour": np.rint(canvas).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)}
        # As in the graph: the likeliest class first, then its likeliest colour, so that all products agree.
        palette = self._palette
        by_class = np.zeros((len(palette.names), *canvas.shape[1:]), np.float32)
        for number, share in zip(palette.classes, canvas, strict=True):
            by_class[number] += share  # one by one: a matrix product may round differently for another window
        own = np.array(palette.classes)[:, None, None] == by_class.argmax(0)  # (K, height, width)
        index = np.where(own, canvas, -1).argmax(0).astype(np.uint8)
        done: dict[str, UInt8] = {}
        for product in self._products:
            if product == "colour":
                done[product] = palette.decode(index)
            elif product == "classes":
                done[product] = palette.to_classes(index)
            else:
                done[product] = np.rint(by_class.max(0) * 100).clip(0, 100).astype(np.uint8)
        return done
