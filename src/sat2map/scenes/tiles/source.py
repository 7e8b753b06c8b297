"""A scene as pixels of the world's raster at one zoom: read in fixed squares, so that no reader changes a pixel."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.mercator import aligned
from sat2map.scenes.raster import BLOCK
from sat2map.scenes.resolution import MISSING, Scene

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Piece = tuple[UInt8, Bool]  # (BLOCK, BLOCK, bands) and (BLOCK, BLOCK)

KEPT = 64  # pieces: those of a window of 2,048 px with its halo, and those that it shares with the next


class WorldSource:
    """The pixels of `region`, a window of the world's raster; a source for `scenes.translate`.

    Windows are relative to the region. `parts` are windows of the world, whose edges are multiples of `BLOCK`, and
    the scenes that have their pixels; everything else is missing. Reading is safe from several threads: one at a time.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Window, Scene]],
        region: Window,
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        """`lock`: of those who read the same file."""
        assert all(window == aligned(window, BLOCK) for window, _ in parts), f"not aligned to {BLOCK}"
        self.region, self._parts = region, parts
        self._pieces: OrderedDict[Window, Piece | None] = OrderedDict()
        self._lock = lock or threading.RLock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return self.region.height, self.region.width, self._parts[0][1].shape[2]

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the region; 128 where the scene has no pixel."""
        return self._assembled(window)[0]

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the scene has a pixel."""
        return self._assembled(window)[1]

    def _assembled(self, window: Window) -> Piece:
        pixels = np.full((window.height, window.width, self.shape[2]), MISSING, np.uint8)
        valid = np.zeros(pixels.shape[:2], np.bool_)
        wanted = window._replace(row=window.row + self.region.row, col=window.col + self.region.col)
        for square in aligned(wanted, BLOCK).parts(BLOCK):
            piece = self._piece(square)
            if piece is None:
                continue
            shared = square.shared(wanted)
            here, there = shared.slices(wanted), shared.slices(square)
            pixels[here], valid[here] = piece[0][there], piece[1][there]
        return pixels, valid

    def _piece(self, square: Window) -> Piece | None:
        """Return one square of the world, None if the scene has nothing there."""
        part = next((part for part in self._parts if part[0].covers(square)), None)
        if part is None:
            return None
        covered, scene = part
        with self._lock:
            if square in self._pieces:
                self._pieces.move_to_end(square)
                return self._pieces[square]
            place = square._replace(row=square.row - covered.row, col=square.col - covered.col)
            pixels, valid = scene.read(place), scene.valid(place)
            piece = (pixels, valid) if valid.any() else None
            self._pieces[square] = piece
            if len(self._pieces) > KEPT:
                self._pieces.popitem(last=False)
            return piece
