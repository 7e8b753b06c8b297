"""Outlines of classes within one block: the sides of pixels where the class changes, linked into chains.

Each pixel of a wanted class owns those of its four sides beyond which another class lies. A side is directed so that
its pixel is on the left, seen with north up, and has one successor, found from the four pixels around its end. Where
two pixels of a class touch at a corner only, the outline stays with its own pixel, so that every outline belongs to one
component. The successor depends on nothing but these four pixels: cutting a scene into blocks changes which block finds
a link, never the link.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window

UInt8 = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

# Directions: 0 east along the bottom of the pixel, 1 north along its right, 2 west along its top, 3 south.
_AHEAD = np.array([(0, 1), (-1, 0), (0, -1), (1, 0)])  # (row, col)
_RIGHT = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
_START = np.array([(1, 0), (1, 1), (0, 1), (0, 0)])  # corner of the pixel at which the side begins


class Chain(NamedTuple):
    """Sides in a row. The key of a side is 4 · (row · scene width + col) + direction of its pixel in the scene."""

    corners: Ints  # (n, 2) row, col of pixel corners where it begins or turns, counted in the scene
    pixel: tuple[int, int]  # row, col in the block of its first pixel
    first: int  # key of the first side
    then: int  # key of the side that follows the last: `first` if the chain is closed


def trace(padded: UInt8, window: Window, scene_width: int, wanted: npt.NDArray[np.bool_]) -> list[Chain]:
    """Return the chains of a block. `padded` holds the classes of `window` and 1 px around; `wanted` is (256,)."""
    height, width = window.height, window.width
    inner = padded[1:-1, 1:-1]
    sides = np.flatnonzero(_sides(padded, wanted))
    if not len(sides):
        return []
    pixel, direction = sides >> 2, sides & 3
    row, col = pixel // width, pixel % width
    next_row, next_col, next_direction = _successor(padded, row, col, direction, inner[row, col])
    scene_keys = _keys(row + window.row, col + window.col, direction, scene_width)
    scene_next = _keys(next_row + window.row, next_col + window.col, next_direction, scene_width)

    inside = (next_row >= 0) & (next_row < height) & (next_col >= 0) & (next_col < width)
    place = np.full(4 * height * width, -1, np.int32)
    place[sides] = np.arange(len(sides), dtype=np.int32)
    follower = np.full(len(sides), -1, np.int32)
    follower[inside] = place[_keys(next_row[inside], next_col[inside], next_direction[inside], width)]

    order, bounds = _order(follower)
    turned = direction[order]
    turns = np.ones(len(order), bool)
    turns[1:] = turned[1:] != turned[:-1]
    turns[bounds[:-1]] = True
    corners = np.stack([row, col], 1)[order] + _START[turned] + (window.row, window.col)
    corners = corners[turns]
    cuts = np.concatenate([[0], np.cumsum(turns)])[bounds].tolist()
    heads, tails = order[bounds[:-1]], order[bounds[1:] - 1]
    return [
        Chain(corners[start:stop], (r, c), first, then)
        for start, stop, r, c, first, then in zip(
            cuts[:-1], cuts[1:], row[heads].tolist(), col[heads].tolist(),
            scene_keys[heads].tolist(), scene_next[tails].tolist(), strict=True,
        )
    ]  # fmt: skip


def _keys(row: Ints, col: Ints, direction: Ints, width: int) -> Ints:
    return 4 * (row * width + col) + direction


def _sides(padded: UInt8, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(H, W, 4): whether the side in each direction is part of an outline."""
    inner = padded[1:-1, 1:-1]
    beyond = (padded[2:, 1:-1], padded[1:-1, 2:], padded[:-2, 1:-1], padded[1:-1, :-2])
    known = wanted[inner]
    return np.stack([known & (other != inner) for other in beyond], -1)


def _successor(padded: UInt8, row: Ints, col: Ints, direction: Ints, own: UInt8) -> tuple[Ints, Ints, Ints]:
    """Row, col and direction of the side that follows each side."""
    ahead, right = _AHEAD[direction], _RIGHT[direction]
    left_row, left_col = row + ahead[:, 0], col + ahead[:, 1]
    right_row, right_col = left_row + right[:, 0], left_col + right[:, 1]
    left_is_own = padded[left_row + 1, left_col + 1] == own
    right_is_own = padded[right_row + 1, right_col + 1] == own
    turn_left, turn_right = ~left_is_own, left_is_own & right_is_own
    next_row = np.where(turn_left, row, np.where(turn_right, right_row, left_row))
    next_col = np.where(turn_left, col, np.where(turn_right, right_col, left_col))
    return next_row, next_col, (direction + np.where(turn_left, 1, np.where(turn_right, 3, 0))) & 3


def _order(follower: npt.NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Put sides in the order of their chains; returns the order and where each chain begins (and the last ends)."""
    follows = np.zeros(len(follower), bool)
    follows[follower[follower >= 0]] = True
    links = follower.tolist()
    seen = bytearray(len(links))
    order: list[int] = []
    bounds = [0]
    for head in [*np.flatnonzero(~follows).tolist(), *np.flatnonzero(follows).tolist()]:
        side = head
        while side >= 0 and not seen[side]:
            seen[side] = 1
            order.append(side)
            side = links[side]
        if len(order) > bounds[-1]:
            bounds.append(len(order))
    return np.array(order), np.array(bounds)
