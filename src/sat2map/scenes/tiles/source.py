"""A scene as pixels of the world's raster at one zoom: read in fixed squares, so that no reader changes a pixel."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.grid import Indices, Window
from sat2map.mercator import aligned
from sat2map.scenes.raster import BLOCK
from sat2map.scenes.resolution import MISSING, Scene
from sat2map.scenes.tiles.surroundings import Surroundings

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Piece = tuple[UInt8, Bool]  # (BLOCK, BLOCK, bands) and (BLOCK, BLOCK)

KEPT = 64  # pieces: those of a window of 2,048 px with its halo, and those that it shares with the next


class WorldSource:
    """The pixels of `region`, a window of the world's raster; a source for `scenes.translate`.

    Windows are relative to the region. `parts` are windows of the world, whose edges are multiples of `BLOCK`, and
    the scenes that have their pixels. Everything else is missing and shown as 128; around a scene, as `surroundings`
    say. Reading is safe from several threads: one at a time.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Window, Scene]],
        region: Window,
        lock: AbstractContextManager[Any] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        """`lock`: of those who read the same file."""
        assert all(window == aligned(window, BLOCK) for window, _ in parts), f"not aligned to {BLOCK}"
        self.region, self._parts = region, parts
        self._surroundings = surroundings
        self._raw: OrderedDict[Window, Piece | None] = OrderedDict()
        self._pieces: OrderedDict[Window, Piece | None] = OrderedDict()
        self._lock = lock or threading.RLock()
        self._mirrors = lru_cache(1024)(self._mirrors_of)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return self.region.height, self.region.width, self._parts[0][1].shape[2]

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the region."""
        return self._assembled(self._in_world(window), self._piece)[0]

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the scene has a pixel."""
        return self._assembled(self._in_world(window), self._read)[1]

    def squares(self, window: Window) -> set[Window]:
        """Return the squares of the world that are read for a window of the region, mirror images included."""
        wanted = aligned(self._in_world(window), BLOCK).parts(BLOCK)
        found = {square for here in wanted for square in (here, *self._mirrors(here))}
        return {square for square in found if any(covered.covers(square) for covered, _ in self._parts)}

    def _mirrors_of(self, square: Window) -> tuple[Window, ...]:
        """Return the squares that a square's surroundings come from."""
        mirror = self._surroundings.mirrored(square) if self._surroundings else None
        return tuple(aligned(_reach(*mirror), BLOCK).parts(BLOCK)) if mirror else ()

    def _in_world(self, window: Window) -> Window:
        return window._replace(row=window.row + self.region.row, col=window.col + self.region.col)

    def _assembled(self, wanted: Window, get: Callable[[Window], Piece | None]) -> Piece:
        pixels = np.full((wanted.height, wanted.width, self.shape[2]), MISSING, np.uint8)
        valid = np.zeros(pixels.shape[:2], np.bool_)
        for square in aligned(wanted, BLOCK).parts(BLOCK):
            piece = get(square)
            if piece is None:
                continue
            shared = square.shared(wanted)
            here, there = shared.slices(wanted), shared.slices(square)
            pixels[here], valid[here] = piece[0][there], piece[1][there]
        return pixels, valid

    def _piece(self, square: Window) -> Piece | None:
        """Return one square of the world with its surroundings; None if there is nothing to be seen."""
        if self._surroundings is None:
            return self._read(square)
        with self._lock:
            return _remembered(self._pieces, square, self._surrounded)

    def _surrounded(self, square: Window) -> Piece | None:
        piece = self._read(square)
        if piece is not None and piece[1].all():
            return piece
        assert self._surroundings is not None, "looked at by the caller"
        mirror = self._surroundings.mirrored(square)
        if mirror is None:
            return piece
        empty = np.full((BLOCK, BLOCK, self.shape[2]), MISSING, np.uint8), np.zeros((BLOCK, BLOCK), np.bool_)
        pixels, valid = piece or empty
        rows, cols = mirror
        around = _reach(rows, cols)
        seen = self._assembled(around, self._read)[0][rows - around.row, cols - around.col]
        return np.where(valid[..., None], pixels, seen), valid

    def _read(self, square: Window) -> Piece | None:
        """Return one square of the world as it is, None if the scene has no pixel there."""
        part = next((part for part in self._parts if part[0].covers(square)), None)
        if part is None:
            return None
        covered, scene = part

        def read(square: Window) -> Piece | None:
            place = square._replace(row=square.row - covered.row, col=square.col - covered.col)
            pixels, valid = scene.read(place), scene.valid(place)
            return (pixels, valid) if valid.any() else None

        with self._lock:
            return _remembered(self._raw, square, read)


def _reach(rows: Indices, cols: Indices) -> Window:
    """Return the smallest window with all these pixels."""
    top, left = int(rows.min()), int(cols.min())
    return Window(top, left, int(rows.max()) + 1 - top, int(cols.max()) + 1 - left)


def _remembered(
    known: OrderedDict[Window, Piece | None], square: Window, make: Callable[[Window], Piece | None]
) -> Piece | None:
    """Return what is known of a square, or make it; the least recent ones are forgotten."""
    if square in known:
        known.move_to_end(square)
    else:
        known[square] = make(square)
        if len(known) > KEPT:
            known.popitem(last=False)
    return known[square]
