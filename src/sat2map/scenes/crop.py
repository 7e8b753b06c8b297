"""From the cells of a seam-free network to the products of a block: what lies inside a cell is already right."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from sat2map.grid import Block, CellGrid, Window
from sat2map.palette import Palette
from sat2map.runtime import Field, Translation

UInt8 = npt.NDArray[np.uint8]
FIELDS: Mapping[str, Field] = {"colour": "colour", "classes": "index", "confidence": "confidence"}


class Crop:
    """Throws the halos away and puts the cells side by side."""

    def __init__(self, grid: CellGrid, palette: Palette | None, products: Collection[str]) -> None:
        self._grid, self._palette, self._products = grid, palette, tuple(products)
        self.fields: tuple[Field, ...] = tuple(FIELDS[product] for product in products)

    def needs(self, block: Block) -> Block:
        """Return the cells that must be computed for `block`: itself."""
        return block

    def reach(self, strip: Block) -> Window:
        """Return the pixels that a strip has a share in: its cells."""
        return self._grid.pixels(strip)

    def trim(self, translation: Translation) -> dict[str, UInt8]:
        """Return field -> (batch, cell, cell, …) without the halo; called by the workers."""
        inner = slice(self._grid.halo, self._grid.halo + self._grid.cell)
        return {name: getattr(translation, name)[:, inner, inner].copy() for name in self.fields}

    def begin(self, block: Block) -> dict[str, UInt8]:
        """Return the empty canvas of a block."""
        _, _, height, width = self._grid.pixels(block)
        return {
            name: np.zeros((height, width, 3) if name == "colour" else (height, width), np.uint8)
            for name in self.fields
        }

    def paint(self, canvas: dict[str, UInt8], block: Block, strip: Block, part: dict[str, UInt8]) -> None:
        """Put a trimmed strip in its place."""
        origin = self._grid.pixels(block)
        for number, cell in enumerate(self._grid.cells(strip)):
            place = self._grid.pixels(cell).slices(origin)
            for name, values in part.items():
                canvas[name][place] = values[number]

    def finish(self, canvas: dict[str, UInt8]) -> dict[str, UInt8]:
        """Return product -> (height, width, …) of the whole block."""
        done = {product: canvas[FIELDS[product]] for product in self._products}
        if "classes" in done and self._palette:
            done["classes"] = self._palette.to_classes(done["classes"])
        return done
