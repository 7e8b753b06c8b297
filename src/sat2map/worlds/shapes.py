"""What a plan is made of: many rings or lines in flat arrays, with one row of attributes each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.worlds.chance import Floats
from sat2map.worlds.layouts import Bounds

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

# Grounds: what lies between streets, in the order in which it is painted.
GROUNDS = (
    "park", "wood", "school", "plaza", "pitch", "car park", "pond", "court", "service", "path", "garden", "works",
)  # fmt: skip
PARK, WOOD, SCHOOL, PLAZA, PITCH, CARPARK, POND, COURT, SERVICE, PATH, GARDEN, WORKS = range(len(GROUNDS))

BUILDINGS = ("house", "row", "slab", "perimeter", "hall", "tower", "public", "shed")
HOUSE, ROW, SLAB, PERIMETER, HALL, TOWER, PUBLIC, SHED = range(len(BUILDINGS))

ROOFS = ("gable", "flat", "bright", "dark")
GABLE, FLAT, BRIGHT, DARK = range(len(ROOFS))

LINES = ("highway", "ramp", "arterial", "street", "frontage")
HIGHWAY_LINE, RAMP, ARTERIAL, STREET, FRONTAGE = range(len(LINES))
WIDTHS = (27.0, 7.5, 16.5, 9.5, 8.0)  # metres, between kerbs
TURNING = 9.0  # metres, radius of the circle at the end of a cul-de-sac


@dataclass(frozen=True, eq=False)
class Shapes:
    """Rings (closed, first point not repeated, no holes) or open lines: vertices `starts[n]:starts[n + 1]` of `xy`."""

    xy: Floats  # (V, 2) metres
    starts: Ints  # (N + 1,)
    columns: dict[str, Column]  # (N,) each

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[Floats]:
        return iter(np.split(self.xy, self.starts[1:-1])) if len(self) else iter(())

    @property
    def counts(self) -> Ints:
        """(N,) vertices of each."""
        return np.diff(self.starts)

    def owners(self) -> Ints:
        """(V,) which shape each vertex belongs to."""
        return np.repeat(np.arange(len(self)), self.counts)

    def boxes(self) -> Floats:
        """(N, 4) left, bottom, right, top of each."""
        if not len(self):
            return np.empty((0, 4))
        first = self.starts[:-1]
        return np.concatenate([np.minimum.reduceat(self.xy, first), np.maximum.reduceat(self.xy, first)], 1)

    def chosen(self, mask: npt.NDArray[np.bool_]) -> "Shapes":
        """Return those where `mask` (N,) is true."""
        if mask.all():
            return self
        counts = self.counts
        starts = np.concatenate([[0], np.cumsum(counts[mask])])
        columns = {name: column[mask] for name, column in self.columns.items()}
        return Shapes(self.xy[np.repeat(mask, counts)], starts, columns)

    def within(self, bounds: Bounds) -> "Shapes":
        """Return those whose box meets `bounds`."""
        box = self.boxes()
        return self.chosen(
            (box[:, 0] <= bounds.right)
            & (box[:, 2] >= bounds.left)
            & (box[:, 1] <= bounds.top)
            & (box[:, 3] >= bounds.bottom)
        )


def gathered(rings: Sequence[Floats], columns: Mapping[str, Sequence[Any] | Column]) -> Shapes:
    """Shapes of separate rings and lists of attributes."""
    starts = np.concatenate([[0], np.cumsum([len(ring) for ring in rings], dtype=np.int64)]).astype(np.int64)
    xy = np.concatenate(rings) if rings else np.empty((0, 2))
    return Shapes(xy, starts, {name: np.asarray(column) for name, column in columns.items()})


def joined(parts: Iterable[Shapes]) -> Shapes:
    """All shapes of some collections with the same columns, in order."""
    parts = list(parts)
    filled = [part for part in parts if len(part)] or parts[:1]
    offsets = np.cumsum([0] + [len(part.xy) for part in filled])
    starts = [part.starts[:-1] + offset for part, offset in zip(filled, offsets, strict=False)]
    columns = {name: np.concatenate([part.columns[name] for part in filled]) for name in filled[0].columns}
    return Shapes(
        np.concatenate([part.xy for part in filled]), np.concatenate([*starts, offsets[-1:]]), columns
    )


def areas(shapes: Shapes) -> Floats:
    """(N,) signed areas in square metres, positive if counter-clockwise."""
    if not len(shapes):
        return np.empty(0)
    after = np.arange(1, len(shapes.xy) + 1)
    after[shapes.starts[1:] - 1] = shapes.starts[:-1]
    x, y = shapes.xy[:, 0], shapes.xy[:, 1]
    # relative to each first vertex: far from the origin the products would swallow the digits
    x0, y0 = (np.repeat(shapes.xy[shapes.starts[:-1], n], shapes.counts) for n in (0, 1))
    cross = (x - x0) * (y[after] - y0) - (x[after] - x0) * (y - y0)
    return np.asarray(np.add.reduceat(cross, shapes.starts[:-1]) / 2)
