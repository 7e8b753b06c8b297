"""Splits a set by place, so that a picture and its neighbour never stand on two sides of a split.

A place is a group of pictures linked by shared ground (`overlaps.py`). The development side is made of whole places,
drawn many times over; the draw kept is the one whose pictures look most like the set as a whole, since the small
places of a set tend to lie at its edges, in the water. Only a set that consists of few large places is cut, and then
the pictures along the cut stand on neither side.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map import storage
from sat2map.data.cache import PixelCache
from sat2map.data.overlaps import Overlap, find_overlaps
from sat2map.errors import BadDataset

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
ReadPair = Callable[[int], tuple[UInt8, UInt8]]

METHOD = 1  # changes when the same pixels could give other places
DRAWS = 500
CROWDED = 0.25  # no place may fill more than this share of the development side


class PlaceMap(msgspec.Struct, frozen=True):
    """What is known of the places of a cached set; kept as JSON beside the pixels."""

    key: str
    overlaps: tuple[Overlap, ...]
    looks: tuple[tuple[float, ...], ...]  # (N, 12) mean and deviation of each channel, satellite then street

    def labels(self) -> tuple[int, ...]:
        """Place of each picture, numbered by first appearance."""
        return components(len(self.looks), ((o.first, o.second) for o in self.overlaps))


class Division(NamedTuple):
    """Numbers of the pictures on each side, ascending."""

    train: tuple[int, ...]
    dev: tuple[int, ...]
    apart: tuple[int, ...]  # along the cut of a large place: on neither side


def components(count: int, links: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Label the connected components of `count` nodes, numbered by first appearance."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, two in links:
        parent[root(two)] = root(one)
    numbers: dict[int, int] = {}
    return tuple(numbers.setdefault(root(node), len(numbers)) for node in range(count))


class _Survey(Sequence[UInt8]):
    """Satellite halves as a sequence that notes the looks of each pair while it is read."""

    def __init__(self, count: int, read: ReadPair) -> None:
        self._read = read
        self.looks: list[tuple[float, ...]] = [()] * count

    def __len__(self) -> int:
        return len(self.looks)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        sat, street = self._read(number)
        few = (sat[::8, ::8], street[::8, ::8])
        figures = np.concatenate([f for half in few for f in (half.mean((0, 1)), half.std((0, 1)))])
        self.looks[number] = tuple(round(float(figure), 3) for figure in figures)
        return sat


def survey(key: str, count: int, read: ReadPair, progress: Progress | None = None) -> PlaceMap:
    """Find the places of `count` pairs; `read` gives (sat, street) by number and is called once for each."""
    pictures = _Survey(count, read)
    return PlaceMap(key, tuple(find_overlaps(pictures, progress)), tuple(pictures.looks))


def find_places(cache: PixelCache, progress: Progress | None = None) -> PlaceMap:
    """Places of a cached set; computed once (20 s for 1,100 pairs on one core) and kept in the cache's folder."""
    path = cache.folder / f"places-{METHOD}.json"
    if path.is_file():
        try:
            found = msgspec.json.decode(path.read_bytes(), type=PlaceMap)
        except msgspec.DecodeError:  # damaged: it can be computed again
            found = None
        if found is not None and found.key == cache.key and len(found.looks) == len(cache):
            return found
    found = survey(cache.key, len(cache), lambda number: (cache.sat(number), cache.street(number)), progress)
    storage.write_bytes(path, msgspec.json.encode(found))
    return found


def split_by_place(places: PlaceMap, dev_share: float, seed: int = 0) -> Division:
    """Divide a set so that no couple with shared ground has one picture in `train` and one in `dev`.

    `dev_share` of the pictures (0 to 1) go to the development side, give or take a tenth of them. The same places,
    share and seed give the same division. Raises BadDataset when there is nothing to divide.
    """
    count = len(places.looks)
    wanted = round(dev_share * count)
    if not 0 < wanted < count:
        raise BadDataset(
            f"a development share of {dev_share:g} is {wanted} of {count} pairs",
            "Use more pairs, or a share that leaves some on both sides, such as data.development=0.3",
        )
    labels = np.array(places.labels())
    members = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    looks = np.array(places.looks)
    looks = (looks - looks.mean(0)) / np.maximum(looks.std(0), 1e-6)
    looks = np.concatenate([looks, looks**2 - 1], 1)  # spread counts as well as mean
    random = np.random.default_rng(seed)
    small = [m for m in members if len(m) <= max(1, CROWDED * wanted)]
    if sum(map(len, small)) >= 1.5 * wanted:
        dev = _draw_whole(small, looks, wanted, random)
        apart: set[int] = set()
    else:
        dev, apart = _cut(places.overlaps, members, wanted, random)
    train = set(range(count)) - dev - apart
    if not train or not dev:
        raise BadDataset(
            f"the {count} pairs show one place and cannot be cut so that {wanted} of them stand alone",
            "Use a smaller development share, or split at random",
        )
    return Division(tuple(sorted(train)), tuple(sorted(dev)), tuple(sorted(apart)))


def _draw_whole(
    places: Sequence[npt.NDArray[np.int64]],
    looks: npt.NDArray[np.float64],
    wanted: int,
    random: np.random.Generator,
) -> set[int]:
    """Draw whole places up to `wanted` pictures, `DRAWS` times; return the draw that looks most like all."""
    best, best_distance = np.zeros(0, np.int64), np.inf
    for _ in range(DRAWS):
        chosen: list[npt.NDArray[np.int64]] = []
        left = wanted
        for number in random.permutation(len(places)):
            if len(places[number]) <= left:
                chosen.append(places[number])
                left -= len(places[number])
        pictures = np.concatenate(chosen)
        # The set's mean look is 0; a draw short of pictures is a little worse.
        distance = float(np.linalg.norm(looks[pictures].mean(0))) * (1 + left / wanted)
        if distance < best_distance:
            best, best_distance = pictures, distance
    return set(best.tolist())


def _cut(
    overlaps: Sequence[Overlap],
    places: Sequence[npt.NDArray[np.int64]],
    wanted: int,
    random: np.random.Generator,
) -> tuple[set[int], set[int]]:
    """Take places in random order until `wanted` pictures are found; the last one is cut along a short border.

    Returns (dev, apart): the pictures that border on the piece that was cut out stand apart.
    """
    near: dict[int, set[int]] = {}
    for overlap in overlaps:
        near.setdefault(overlap.first, set()).add(overlap.second)
        near.setdefault(overlap.second, set()).add(overlap.first)
    dev: set[int] = set()
    for number in random.permutation(len(places)):
        left = wanted - len(dev)
        if left <= 0:
            break
        place = places[number]
        if len(place) <= left:
            dev |= set(place.tolist())
            continue
        starts = random.permutation(place)[:64].tolist()
        pieces = [_grow(start, near, left) for start in starts]
        piece = min(pieces, key=lambda p: (len(_border(p, near)), sorted(p)))
        return dev | piece, _border(piece, near)
    return dev, set()


def _grow(start: int, near: dict[int, set[int]], size: int) -> set[int]:
    """Breadth-first piece of `size` pictures around `start`: compact, so that its border is short."""
    piece, queue = {start}, [start]
    for picture in queue:
        for other in sorted(near.get(picture, set()) - piece):
            if len(piece) == size:
                return piece
            piece.add(other)
            queue.append(other)
    return piece


def _border(piece: set[int], near: dict[int, set[int]]) -> set[int]:
    """Pictures outside a piece that share ground with it."""
    return set().union(*(near.get(picture, set()) for picture in piece)) - piece
