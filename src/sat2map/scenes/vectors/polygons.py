"""Polygons across blocks: chains and components are joined as blocks arrive, and forgotten when they are whole.

Blocks come row by row. What stays in memory is one row of component numbers as wide as the scene, and the outlines of
components that reach the blocks to come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.scenes.vectors.components import components
from sat2map.scenes.vectors.outlines import Chain, trace
from sat2map.scenes.vectors.sources import NOTHING

UInt8 = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass
class Region:
    """A component: pixels of one class that touch along their sides."""

    class_: int
    pixels: int = 0
    confidence: int = 0  # sum of percent over `measured` pixels
    measured: int = 0
    rings: list[Ints] = field(default_factory=list)  # (n, 2) row, col each

    def absorb(self, other: "Region") -> None:
        """Take over what is known of a part of the same component."""
        self.pixels += other.pixels
        self.confidence += other.confidence
        self.measured += other.measured
        if len(other.rings) > len(self.rings):
            self.rings, other.rings = other.rings, self.rings
        self.rings.extend(other.rings)

    @property
    def mean_confidence(self) -> float | None:
        """Mean percent over the pixels that have one."""
        return self.confidence / self.measured if self.measured else None


class Strand:
    """Chains of several blocks in a row; a linked list, so that joining takes the same time at any length."""

    def __init__(self, chain: Chain, region: int) -> None:
        self.first, self.then, self.region = chain.first, chain.then, region
        self._head: list[object] = [chain.corners, None]
        self._tail = self._head

    def append(self, other: "Strand") -> None:
        """Continue with another strand."""
        self._tail[1] = other._head
        self._tail, self.then = other._tail, other.then

    def corners(self) -> Ints:
        """Return all corners in order."""
        parts = []
        link: object = self._head
        while isinstance(link, list):
            parts.append(link[0])
            link = link[1]
        return np.concatenate(parts)


class Stitcher:
    """Joins the outlines and components of blocks. Give it all blocks of a scene, row by row, then take the rest."""

    def __init__(self, width: int, wanted: Iterable[int]) -> None:
        """`width` of the scene in px; `wanted` are the classes to outline."""
        self._width = width
        self._wanted = np.zeros(256, bool)
        self._wanted[list(wanted)] = True
        self._above = np.full(width, -1, np.int64)  # regions of the pixels above the blocks to come
        self._left = np.empty(0, np.int64)
        self._regions: dict[int, Region] = {}
        self._parent: dict[int, int] = {}
        self._next = 0
        self._by_first: dict[int, Strand] = {}
        self._by_then: dict[int, Strand] = {}

    @property
    def held(self) -> int:
        """How many regions are waiting for blocks to come."""
        return len(self._regions)

    def add(self, window: Window, padded: UInt8, confidence: UInt8 | None, scene_height: int) -> list[Region]:
        """Take the block at `window` and return the regions that lie wholly in it.

        `padded` holds its classes and 1 px around, `confidence` percent of the block alone.
        """
        inner = padded[1:-1, 1:-1]
        labels, count = components(inner)
        parts = self._measured(inner, labels, count, confidence)
        reaching = np.zeros(count, bool)
        for side, beyond in (
            (labels[0], window.row > 0),
            (labels[-1], window.row + window.height < scene_height),
            (labels[:, 0], window.col > 0),
            (labels[:, -1], window.col + window.width < self._width),
        ):
            if beyond:
                reaching[side] = True
        region_of = self._registered(parts, reaching)
        self._join(window, padded, labels, region_of)
        self._collect(window, padded, labels, parts, region_of)
        return [part for label, part in parts.items() if not reaching[label]]

    def finish_row(self) -> list[Region]:
        """Return the regions that the blocks to come cannot reach; call it after each row of blocks."""
        frontier, place = np.unique(self._above, return_inverse=True)
        roots = np.array([self._find(region) if region >= 0 else -1 for region in frontier.tolist()])
        self._above = roots[place]
        alive = set(roots.tolist())
        done = [region for number, region in self._regions.items() if number not in alive]
        self._regions = {number: region for number, region in self._regions.items() if number in alive}
        for strand in self._by_first.values():
            strand.region = self._find(strand.region)
        self._parent = {number: number for number in self._regions}
        return done

    def finish(self) -> list[Region]:
        """Return what is left when all blocks have been given."""
        assert not self._by_first, "every outline closes when all blocks are there"
        self._above[:] = -1
        return self.finish_row()

    def _measured(
        self, inner: UInt8, labels: Ints, count: int, confidence: UInt8 | None
    ) -> dict[int, Region]:
        """Label -> region with its figures, for the wanted classes."""
        flat = labels.ravel()
        class_of = np.empty(count, np.uint8)
        class_of[flat] = inner.ravel()
        pixels = np.bincount(flat, minlength=count)
        if confidence is None:
            sums = measured = np.zeros(count, np.int64)
        else:
            percent = confidence.ravel()
            known = percent != NOTHING
            measured = np.bincount(flat[known], minlength=count)
            sums = np.bincount(flat[known], percent[known], minlength=count)
        return {
            label: Region(int(class_of[label]), int(pixels[label]), int(sums[label]), int(measured[label]))
            for label in np.flatnonzero(self._wanted[class_of]).tolist()
        }

    def _registered(self, parts: dict[int, Region], reaching: npt.NDArray[np.bool_]) -> Ints:
        """Number the regions that reach beyond the block; returns label -> number or -1."""
        region_of = np.full(len(reaching), -1, np.int64)
        for label, part in parts.items():
            if reaching[label]:
                region_of[label] = self._next
                self._regions[self._next] = part
                self._parent[self._next] = self._next
                self._next += 1
        return region_of

    def _join(self, window: Window, padded: UInt8, labels: Ints, region_of: Ints) -> None:
        """Unite the block's regions with those of the same class above and to the left."""
        cols = slice(window.col, window.col + window.width)
        above = (padded[0, 1:-1] == padded[1, 1:-1]) & self._wanted[padded[1, 1:-1]]
        pairs = [np.stack([self._above[cols][above], region_of[labels[0]][above]], 1)]
        if window.col:
            left = (padded[1:-1, 0] == padded[1:-1, 1]) & self._wanted[padded[1:-1, 1]]
            pairs.append(np.stack([self._left[left], region_of[labels[:, 0]][left]], 1))
        for one, other in np.unique(np.concatenate(pairs), axis=0).tolist():
            self._unite(one, other)
        self._above[cols] = region_of[labels[-1]]
        self._left = region_of[labels[:, -1]]

    def _unite(self, one: int, other: int) -> None:
        one, other = sorted((self._find(one), self._find(other)))
        if one != other:
            self._parent[other] = one
            self._regions[one].absorb(self._regions.pop(other))

    def _find(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def _collect(
        self, window: Window, padded: UInt8, labels: Ints, parts: dict[int, Region], region_of: Ints
    ) -> None:
        """Give each ring to its region; keep what is no ring yet."""
        for chain in trace(padded, window, self._width, self._wanted):
            label = int(labels[chain.pixel])
            number = int(region_of[label])
            if chain.first == chain.then:
                region = parts[label] if number < 0 else self._regions[self._find(number)]
                region.rings.append(chain.corners)
            else:
                self._connect(Strand(chain, number))

    def _connect(self, strand: Strand) -> None:
        before = self._by_then.pop(strand.first, None)
        if before is not None:
            del self._by_first[before.first]
            before.append(strand)
            strand = before
        if strand.first != strand.then:
            after = self._by_first.pop(strand.then, None)
            if after is not None:
                del self._by_then[after.then]
                strand.append(after)
        if strand.first == strand.then:
            self._regions[self._find(strand.region)].rings.append(strand.corners())
        else:
            self._by_first[strand.first] = self._by_then[strand.then] = strand
