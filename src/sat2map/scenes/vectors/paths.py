"""Centre line pixels as paths between ends and junctions, joined across blocks.

A path that leaves its block waits under the link over which it left: the pair of pixels on both sides of the border.
Networks, that is paths that hang together, are handed out when no path of theirs waits any more.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.scenes.vectors.thinning import NEIGHBOURS, Centres

Ints = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Link = tuple[int, int]  # pixels by their number in the scene, the lesser first
End = int | Link  # a junction or end of a road by its pixel; or the link over which the path goes on

ROW, COL, SQUARE, CLASS, CONFIDENCE = range(5)  # what is kept of each pixel


class Path(NamedTuple):
    """Pixels in a row. A ring without junctions has the same pixel, or link, as both its ends."""

    pixels: Int32  # (n, 5) row, col, squared half width, class, percent
    start: End
    stop: End

    def turned(self) -> "Path":
        """Return the path walked the other way."""
        return Path(self.pixels[::-1], self.stop, self.start)


def trace(centres: Centres, values: Int32, window: Window, scene_width: int) -> list[Path]:
    """Return the paths of a block; `values` is (n, 5), one row per centre pixel."""
    number = (centres.row + window.row) * scene_width + centres.col + window.col
    walker = _Walker(number, centres.links, scene_width)
    return [Path(values[places], start, stop) for places, start, stop in walker.paths()]


class _Walker:
    """Walks the lines of one block, each once."""

    def __init__(self, number: Ints, links: Ints, scene_width: int) -> None:
        self._numbers = number.tolist()
        self._place = {pixel: place for place, pixel in enumerate(self._numbers)}
        self._bits = links.tolist()
        self._steps = [down * scene_width + right for down, right in NEIGHBOURS]
        self._done: set[tuple[int, int]] = set()  # (pixel, direction) of junctions already walked from
        self._passed: set[int] = set()  # pixels in the middle of a path

    def paths(self) -> list[tuple[list[int], End, End]]:
        """Places of pixels, start and stop of each path: first from junctions, then from outside, then the rings."""
        found = []
        middle = []
        for pixel, bits in zip(self._numbers, self._bits, strict=True):
            if bits.bit_count() == 2:
                middle.append((pixel, bits))
                continue
            found += [
                self._walk([pixel], pixel, direction)
                for direction in _directions(bits)
                if (pixel, direction) not in self._done
            ]
        for pixel, bits in middle:
            one, other = _directions(bits)
            for back, on in ((one, other), (other, one)):
                outside = pixel + self._steps[back]
                if outside not in self._place and pixel not in self._passed:
                    self._passed.add(pixel)
                    found.append(self._walk([pixel], _link(outside, pixel), on))
        for pixel, bits in middle:
            if pixel not in self._passed:
                self._passed.add(pixel)
                found.append(self._walk([pixel], pixel, _directions(bits)[0]))
        return found

    def _walk(self, path: list[int], start: End, direction: int) -> tuple[list[int], End, End]:
        here = path[0]
        while True:
            after = here + self._steps[direction]
            if after not in self._place:
                return self._places(path), start, _link(here, after)
            bits = self._bits[self._place[after]]
            path.append(after)
            if after == start and isinstance(start, int):  # round a ring, or back to the same junction
                self._done.add((after, direction ^ 4))
                return self._places(path), start, start
            if bits.bit_count() != 2:
                self._done.add((after, direction ^ 4))
                return self._places(path), start, after
            self._passed.add(after)
            one, other = _directions(bits)
            here, direction = after, other if one == direction ^ 4 else one

    def _places(self, path: list[int]) -> list[int]:
        return [self._place[pixel] for pixel in path]


def _directions(bits: int) -> list[int]:
    return [direction for direction in range(8) if bits >> direction & 1]


def _link(one: int, other: int) -> Link:
    return (one, other) if one < other else (other, one)


class Networks:
    """Joins the paths of blocks; give it all blocks of a scene, row by row, then take the rest."""

    def __init__(self) -> None:
        self._waiting: dict[Link, Path] = {}  # by both links, if both ends wait
        self._networks: dict[int, list[Path]] = {}
        self._parent: dict[int, int] = {}  # junction -> junction

    @property
    def held(self) -> int:
        """How many paths are waiting for blocks to come."""
        return len({id(path) for path in self._waiting.values()})

    def add(self, paths: list[Path]) -> None:
        """Take the paths of a block."""
        for path in paths:
            self._place(path)

    def finish_row(self) -> list[list[Path]]:
        """Return the networks that the blocks to come cannot reach; call it after each row of blocks."""
        alive = {
            self._find(end)
            for path in self._waiting.values()
            for end in (path.start, path.stop)
            if isinstance(end, int)
        }
        done = [network for root, network in self._networks.items() if root not in alive]
        self._networks = {root: network for root, network in self._networks.items() if root in alive}
        self._parent = {node: root for node in self._parent if (root := self._find(node)) in alive}
        return done

    def _place(self, path: Path) -> None:
        """Join the path with those that wait for it, and keep it: in its network if it has both ends."""
        for _ in range(2):
            if not _is_ring(path) and isinstance(path.stop, tuple) and path.stop in self._waiting:
                path = self._joined(path, path.stop)
            path = path.turned()
        if _is_ring(path):
            path = _closed(path)
        if isinstance(path.start, int) and isinstance(path.stop, int):
            self._keep(path)
        else:
            for end in (path.start, path.stop):
                if isinstance(end, tuple):
                    self._waiting[end] = path

    def _joined(self, path: Path, link: Link) -> Path:
        other = self._waiting.pop(link)
        if other.start != link:
            other = other.turned()
        if isinstance(other.stop, tuple):
            self._waiting.pop(other.stop)
        return Path(np.concatenate([path.pixels, other.pixels]), path.start, other.stop)

    def _keep(self, path: Path) -> None:
        assert isinstance(path.start, int) and isinstance(path.stop, int)
        one, other = self._find(path.start), self._find(path.stop)
        network = self._networks.setdefault(one, [])
        network.append(path)
        if one != other:
            self._parent[other] = one
            if other in self._networks:
                network.extend(self._networks.pop(other))

    def _find(self, node: int) -> int:
        self._parent.setdefault(node, node)
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node


def _is_ring(path: Path) -> bool:
    return path.start == path.stop and isinstance(path.stop, tuple)


def _closed(path: Path) -> Path:
    """A ring whose ends met at the border of a block: both ends become one pixel of it."""
    assert isinstance(path.start, tuple)
    ring = np.concatenate([path.pixels, path.pixels[:1]])
    return Path(ring, path.start[0], path.start[0])
