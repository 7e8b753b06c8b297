"""Grids: cells cover the scene once, blocks cover the cells once, and reflection is numpy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat2map.grid import Block, CellGrid, Window, align_down, align_up, reading, reflect

SIDES = st.integers(1, 120)
GRIDS = st.builds(
    CellGrid,
    height=SIDES,
    width=SIDES,
    cell=st.sampled_from([8, 24, 32]),
    halo=st.sampled_from([0, 8, 40]),
    batch=st.integers(1, 4),
)


@settings(deadline=None)  # a busy machine is no fault of a grid
@given(st.integers(-1000, 1000), st.integers(1, 64))
def test_alignment_encloses_the_value_with_the_nearest_multiples(value, step):
    low, high = align_down(value, step), align_up(value, step)
    assert low % step == high % step == 0
    assert low <= value <= high and value - low < step and high - value < step


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 60), st.integers(0, 60))
def test_reflection_is_that_of_numpy_even_for_axes_smaller_than_the_halo(size, before, after):
    values = np.arange(size)
    expected = np.pad(values, (before, after), mode="reflect")
    assert (values[reflect(np.arange(-before, size + after), size)] == expected).all()


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(-80, 300), st.integers(-80, 300), st.integers(1, 90), st.integers(1, 90))
def test_a_reading_fills_any_window_from_pixels_inside_the_scene(height, width, row, col, tall, wide):
    scene = np.arange(height * width).reshape(height, width)
    window = Window(row, col, tall, wide)
    inside, rows, cols = reading(window, height, width)
    assert inside == inside.clipped(height, width) and min(inside.height, inside.width) >= 1
    got = scene[inside.slices()][rows[:, None], cols]
    wanted = scene[
        reflect(np.arange(row, row + tall), height)[:, None], reflect(np.arange(col, col + wide), width)
    ]
    assert (got == wanted).all()


@settings(deadline=None)
@given(GRIDS, st.integers(1, 400))
def test_blocks_and_strips_cover_every_pixel_once(grid, window):
    seen = np.zeros((grid.height, grid.width), int)
    for block in grid.blocks(window):
        for strip in grid.strips(block):
            for cell in grid.cells(strip):
                seen[grid.pixels(cell).clipped(grid.height, grid.width).slices()] += 1
    assert (seen == 1).all()


@settings(deadline=None)
@given(GRIDS, st.integers(1, 400))
def test_strips_are_the_same_whatever_the_window(grid, window):
    whole = list(grid.strips(Block(0, 0, grid.rows, grid.cols)))
    pieces = [strip for block in grid.blocks(window) for strip in grid.strips(block)]
    assert sorted(pieces) == sorted(whole)
    assert all(strip.cols == grid.batch and strip.col % grid.batch == 0 for strip in pieces)


@settings(deadline=None)
@given(GRIDS, st.integers(1, 400))
def test_a_ring_holds_all_cells_whose_halo_reaches_the_block(grid, window):
    for block in grid.blocks(window):
        ring = grid.ringed(block)
        near = {
            cell
            for cell in grid.cells(Block(0, 0, grid.rows, grid.cols))
            if block.row - 1 <= cell.row <= block.row + block.rows
            if block.col - 1 <= cell.col <= block.col + block.cols
        }
        assert near <= set(grid.cells(ring))


@pytest.mark.parametrize("window", [Window(-5, -5, 3, 3), Window(90, 0, 4, 4), Window(0, 70, 1, 1)])
def test_a_window_outside_the_scene_is_clipped_to_nothing(window):
    clipped = window.clipped(50, 60)
    assert clipped.height * clipped.width == 0


def test_growing_and_slicing_agree():
    scene = np.arange(100).reshape(10, 10)
    inner = Window(4, 5, 2, 3)
    outer = inner.grown(2)
    assert (scene[outer.slices()][inner.slices(outer)] == scene[inner.slices()]).all()


def test_parts_tile_a_window_and_are_covered_by_it():
    window = Window(-3, 5, 10, 7)
    parts = list(window.parts(4))
    seen = np.zeros((10, 7), int)
    for part in parts:
        seen[part.slices(window)] += 1
        assert window.covers(part) and max(part.height, part.width) <= 4
    assert (seen == 1).all() and not parts[0].covers(window) and not window.covers(window.grown(1))
