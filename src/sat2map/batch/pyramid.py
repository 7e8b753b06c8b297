"""The cells of a plan as a pyramid of tiles: one PMTiles archive for each product."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

import sat2map
from sat2map import mercator
from sat2map.batch.journal import Outcome
from sat2map.batch.plan import Plan, PlannedCell
from sat2map.batch.rasters import Mosaicked
from sat2map.grid import Window
from sat2map.mercator import TILE, Degrees, Tile
from sat2map.palette import Palette
from sat2map.scenes.job import NOTICE
from sat2map.scenes.tiles.building import VALID, build
from sat2map.scenes.tiles.containers import CONTAINERS, Tileset

UInt8 = npt.NDArray[np.uint8]


class CellTiles:
    """The merged rasters as what pyramids are built of (`scenes.tiles.building.Finished`)."""

    def __init__(self, products: Mapping[str, Mosaicked], palette: Palette | None) -> None:
        self._products, self.palette = products, palette
        first = next(iter(products.values()))
        self.zoom, self.data = first.plan.zoom, first.world

    def touches(self, tile: Tile) -> bool:
        """Tell whether the region reaches into a tile."""
        return mercator.at_zoom(self.data, self.zoom, tile.z).shared(tile.window).area > 0

    def read(self, window: Window) -> dict[str, UInt8] | None:
        """Return product -> pixels of a window of the world; None if there is no pixel."""
        inside = window._replace(row=window.row - self.data.row, col=window.col - self.data.col)
        found: dict[str, UInt8] = {}
        for name, merged in self._products.items():
            values, valid = merged.pixels(inside)
            if not valid.any():
                return None
            found[name] = values if name == "colour" else values[..., 0]
            found[VALID] = valid.astype(np.uint8)
        return found


def write_tiles(
    folder: Path,
    plan: Plan,
    cells: list[PlannedCell],
    finished: Mapping[str, Outcome],
    palette: Palette | None,
) -> list[Path]:
    """Write `merged.pmtiles`, `merged_classes.pmtiles` …, whose tiles are those of a job; nothing for empty cells."""
    with ExitStack() as stack:
        products = {
            name: stack.enter_context(Mosaicked(folder, plan, cells, finished, name))
            for name in plan.products
        }
        tiles = CellTiles(products, palette)
        longest = max(tiles.data.height, tiles.data.width)
        zooms = max(tiles.zoom - math.ceil(math.log2(max(longest / TILE, 1))), 0), tiles.zoom
        extent = mercator.degrees(tiles.data, tiles.zoom)
        paths, puts = {}, {}
        for name in plan.products:
            paths[name] = folder / ("merged.pmtiles" if name == "colour" else f"merged_{name}.pmtiles")
            about = _about(plan, name, zooms, extent)
            puts[name] = stack.enter_context(CONTAINERS["pmtiles"](paths[name], about, overwrite=True))
        if not build(tiles, puts, zooms):
            raise AssertionError("looked at by the caller")
    return list(paths.values())


def _about(plan: Plan, product: str, zooms: tuple[int, int], extent: Degrees) -> Tileset:
    more = {
        "generator": f"sat2map {sat2map.__version__}",
        "sat2map_product": product,
        "sat2map_model": plan.model.id,
        "sat2map_model_sha256": plan.model.checksum,
        "sat2map_zoom": str(plan.zoom),
    }
    return Tileset(f"merged {product}", NOTICE, zooms, extent, more)
