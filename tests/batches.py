"""An engine in this process, and the merged pixels of plans to compare."""

import pathlib

import numpy as np

import regions
from sat2map.batch.cell import Worker
from sat2map.batch.engine import attempt
from sat2map.batch.journal import Outcome, read_standing
from sat2map.batch.plan import PlannedCell, read_cells, read_plan
from sat2map.batch.rasters import Mosaicked
from sat2map.grid import Window


class Here:
    """An engine in this process, one cell at a time; `spoil` may replace an outcome."""

    capacity = 1

    def __init__(self, folder: pathlib.Path, spoil=lambda cell: None) -> None:
        self.worker, self.spoil, self.out = Worker(read_plan(folder), folder), spoil, []
        self.computed: list[str] = []

    def start(self, cell: PlannedCell) -> None:
        self.out.append(cell)

    def wait(self) -> list[Outcome]:
        cell = self.out.pop()
        self.computed.append(cell.id)
        return [self.spoil(cell) or attempt(self.worker, cell)]

    def close(self) -> None:
        self.out.clear()
        self.worker.close()


def pixels(folder: pathlib.Path, product: str, world: Window | None = None):
    """The merged product as arrays, on `world` or on all its cells."""
    plan = read_plan(folder)
    finished = read_standing(folder).finished
    with Mosaicked(folder, plan, read_cells(folder, plan), finished, product) as merged:
        world = world or merged.world
        shared = world.shared(merged.world)
        inside = shared._replace(row=shared.row - merged.world.row, col=shared.col - merged.world.col)
        values, valid = merged.pixels(inside)
        missing = 0 if product == "colour" else 255
        out = np.full((world.height, world.width, values.shape[2]), missing, np.uint8)
        mask = np.zeros(out.shape[:2], np.bool_)
        out[shared.slices(world)], mask[shared.slices(world)] = values, valid
        return world, out, mask


def same_maps(one: pathlib.Path, other: pathlib.Path) -> None:
    for product in regions.PRODUCTS:
        world, values, valid = pixels(one, product)
        _, again, also = pixels(other, product, world)
        np.testing.assert_array_equal(valid, also)
        np.testing.assert_array_equal(values, again)
