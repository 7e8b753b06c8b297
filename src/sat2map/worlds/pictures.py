"""Any window of a world as a picture. Windows of one world join without a seam and do not depend on one another."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.worlds.painting import satellite, street_map
from sat2map.worlds.painting.fill import Canvas
from sat2map.worlds.painting.ground import Eye, ground_view
from sat2map.worlds.terrain import Town
from sat2map.worlds.world import World

UInt8 = npt.NDArray[np.uint8]
Task = TypeVar("Task")
Result = TypeVar("Result")

GSD = 0.9  # metres per pixel, those of the `maps` set
WINDOW = 1024  # px per side of what is painted at a time


class Pictures(NamedTuple):
    """What a window looks like."""

    street: UInt8  # (H, W, 3)
    classes: UInt8  # (H, W)
    sat: UInt8  # (H, W, 3)


def paint(world: World, window: Window, gsd: float = GSD) -> Pictures:
    """Paint a window; pixels are counted from the world's origin, rows to the south, `gsd` metres each."""
    canvas = Canvas(*window, gsd)
    plan = world.plan(canvas.grown(satellite.halo(gsd)).bounds)
    fine = street_map.samples(plan.within(canvas.bounds.grown(3.0)), canvas.finer(street_map.FINE))
    return Pictures(
        street_map.street_map(fine),
        street_map.class_raster(fine),
        satellite.satellite(plan, canvas, world.town.seed),
    )


def paint_view(world: World, eye: Eye, height: int, width: int) -> UInt8:
    """(height, width, 3) what is seen from a point of a world."""
    return ground_view(world.plan(eye.bounds), eye, height, width, world.town.seed)


def _paint_part(task: tuple[Town, Window, float]) -> Pictures:
    town, window, gsd = task
    return paint(World(town), window, gsd)


def paint_large(
    town: Town, window: Window, gsd: float, jobs: int, report: Callable[[int, int, str], None]
) -> Pictures:
    """Paint a window of any size piece by piece, in `jobs` processes."""
    parts = list(window.parts(WINDOW))
    out = Pictures(
        np.empty((window.height, window.width, 3), np.uint8),
        np.empty((window.height, window.width), np.uint8),
        np.empty((window.height, window.width, 3), np.uint8),
    )
    found = in_processes(_paint_part, [(town, part, gsd) for part in parts], jobs)
    for done, (part, pictures) in enumerate(zip(parts, found, strict=True), 1):
        place = part.slices(window)
        for whole, piece in zip(out, pictures, strict=True):
            whole[place] = piece
        report(done, len(parts), "")
    return out


def in_processes(work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """Results of `work` on all tasks, in order; in this process if one job is enough."""
    if jobs == 1 or len(tasks) < 2:
        yield from map(work, tasks)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # spawned, not forked: a fork copies locks that other threads hold
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(work, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
