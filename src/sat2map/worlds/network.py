"""The streets of a plan as a planar graph: nodes at junctions and ends, edges between them."""

from typing import NamedTuple

import numpy as np

from sat2map.worlds.chance import Floats
from sat2map.worlds.shapes import Ints, Shapes, gathered

SAME = 1e-3  # metres within which two ends are one node


class Network(NamedTuple):
    """A planar graph. Where an arterial crosses a highway there is a node, too, though one passes over the other."""

    nodes: Floats  # (N, 2)
    edges: Ints  # (M, 2) nodes at the start and the end of each line
    lines: Shapes  # (M,) with the columns of the plan's lines

    def degrees(self) -> Ints:
        """(N,) edges at each node."""
        return np.bincount(self.edges.ravel(), minlength=len(self.nodes))


def network(lines: Shapes) -> Network:
    """Cut lines wherever another one ends on them, and number the places where they meet."""
    ends = np.concatenate([lines.xy[lines.starts[:-1]], lines.xy[lines.starts[1:] - 1]])
    parts, owner = [], []
    for number, line in enumerate(lines):
        pieces = _cut(line, ends)
        parts += pieces
        owner += [number] * len(pieces)
    columns = {name: column[np.array(owner, np.int64)] for name, column in lines.columns.items()}
    if "dead_end" in columns:  # the turning circle is at the end of the last piece
        last = np.append(np.diff(owner) != 0, True) if owner else np.empty(0, bool)
        columns["dead_end"] = columns["dead_end"] & last
    shapes = gathered(parts, columns)
    if not parts:
        return Network(np.empty((0, 2)), np.empty((0, 2), np.int64), shapes)
    both = np.concatenate([shapes.xy[shapes.starts[:-1]], shapes.xy[shapes.starts[1:] - 1]])
    _, first, inverse = np.unique(np.rint(both / SAME), axis=0, return_index=True, return_inverse=True)
    edges = inverse.reshape(2, -1).T.astype(np.int64)
    return Network(both[first], edges, shapes)


def _cut(line: Floats, ends: Floats) -> list[Floats]:
    """Pieces of a line between its ends and all other ends that lie on it."""
    low, high = line.min(0) - SAME, line.max(0) + SAME
    near = ends[((ends >= low) & (ends <= high)).all(1)]
    start, span = line[:-1], np.diff(line, axis=0)
    length = np.hypot(span[:, 0], span[:, 1])
    away = near[:, None] - start
    share = np.clip((away * span).sum(-1) / np.maximum(length**2, 1e-12), 0, 1)  # (E, S)
    rest = np.hypot(*np.moveaxis(away - share[..., None] * span, -1, 0))
    best = rest.argmin(1)
    rows = np.arange(len(near))
    on_it = rest[rows, best] < SAME
    way = np.concatenate([[0], np.cumsum(length)])
    places = (way[best] + share[rows, best] * length[best])[on_it]
    spots = near[on_it]
    inner = (places > SAME) & (places < way[-1] - SAME)
    order = np.argsort(places[inner], kind="stable")
    places, spots = places[inner][order], spots[inner][order]
    fresh = np.append(True, np.diff(places) > SAME) if len(places) else np.empty(0, bool)
    pieces, begin, at = [], line[:1], 0.0
    for place, spot in zip(places[fresh], spots[fresh], strict=True):
        between = line[(way > at + SAME) & (way < place - SAME)]
        pieces.append(np.concatenate([begin, between, spot[None]]))
        begin, at = spot[None], float(place)
    pieces.append(np.concatenate([begin, line[(way > at + SAME) & (way < way[-1] - SAME)], line[-1:]]))
    return pieces
