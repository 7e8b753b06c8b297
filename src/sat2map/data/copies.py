"""Halves that occur more than once: duplicates, contradictions, and one picture standing in for many.

Copies are recognised twice: pixel by pixel, and, because a "no imagery" tile may be encoded anew for each request, by
thumbnails that hardly differ.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.data.findings import Finding
from sat2map.data.pairs import Pair

UInt8 = npt.NDArray[np.uint8]

THUMB = 16  # px a side
ALIKE = 2.0  # grey levels: root mean square difference of the thumbnails of one picture encoded twice
OTHER = 8.0  # grey levels: from here on two thumbnails show different things
CROWD = 3  # different partners that make a picture a stand-in


class Half(NamedTuple):
    """What is remembered of one half of a pair to recognise it again."""

    digest: str  # of all pixels
    thumbnail: UInt8  # (THUMB, THUMB, 3)
    deviation: float  # grey levels
    water: float  # share of the pair's map


def thumbnail(rgb: UInt8) -> UInt8:
    """(H, W, 3) -> (THUMB, THUMB, 3) means of equal blocks; left-over pixels at the right and bottom do not count."""
    height, width = max(1, rgb.shape[0] // THUMB), max(1, rgb.shape[1] // THUMB)
    cut = rgb[: height * THUMB, : width * THUMB]
    rows, cols = -(-cut.shape[0] // height), -(-cut.shape[1] // width)
    sums = np.add.reduceat(np.add.reduceat(cut.astype(np.float32), range(0, rows * height, height)[:rows], 0),
                           range(0, cols * width, width)[:cols], 1)  # fmt: skip
    small = np.zeros((THUMB, THUMB, 3), np.uint8)
    small[:rows, :cols] = np.rint(sums / (height * width))
    return small


def exact_groups(digests: dict[int, str]) -> Iterable[list[int]]:
    """Numbers that share a digest, in groups of two or more."""
    by_digest: dict[str, list[int]] = {}
    for number, digest in sorted(digests.items()):
        by_digest.setdefault(digest, []).append(number)
    return [group for group in by_digest.values() if len(group) > 1]


def near_groups(thumbnails: dict[int, UInt8], limit: float = ALIKE) -> list[list[int]]:
    """Numbers whose thumbnails differ by at most `limit` from one of the group, in groups of two or more."""
    numbers = sorted(thumbnails)
    if not numbers:
        return []
    vectors = np.stack([thumbnails[n].ravel() for n in numbers]).astype(np.float32)
    squares = (vectors**2).sum(1)
    parent = list(range(len(numbers)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    for top in range(0, len(numbers), 1024):  # in strips, to keep memory small
        strip = slice(top, top + 1024)
        apart = squares[strip, None] + squares[None] - 2 * vectors[strip] @ vectors.T
        rows, cols = np.nonzero(apart <= limit**2 * vectors.shape[1])
        for row, col in zip((rows + top).tolist(), cols.tolist(), strict=True):
            if row < col:
                parent[root(col)] = root(row)
    groups: dict[int, list[int]] = {}
    for position, number in enumerate(numbers):
        groups.setdefault(root(position), []).append(number)
    return [group for group in groups.values() if len(group) > 1]


def different(thumbnails: Sequence[UInt8], limit: float = OTHER) -> int:
    """How many different pictures there are among thumbnails."""
    kept: list[npt.NDArray[np.float32]] = []
    for small in thumbnails:
        vector = small.astype(np.float32)
        if all(float(np.sqrt(((vector - other) ** 2).mean())) > limit for other in kept):
            kept.append(vector)
    return len(kept)


def find_copies(
    pairs: Sequence[Pair], sats: dict[int, Half], streets: dict[int, Half], no_scene: float, no_map: float
) -> Iterator[Finding]:
    """Findings on halves that occur more than once. Deviations below `no_scene` and `no_map` show nothing."""
    exact = exact_groups({n: half.digest for n, half in sats.items()})
    known = {frozenset(group) for group in exact}
    for group in exact:
        maps = {streets[number].digest for number in group}
        members = [pairs[number] for number in group]
        if len(maps) == 1:
            yield duplicate(members, "equal in every pixel")
        else:
            stands_in = len(maps) >= CROWD or sats[group[0]].deviation < no_scene
            yield _one_for_many(stands_in, members, "satellite picture", len(maps), "maps")
    for group in near_groups({n: half.thumbnail for n, half in sats.items()}):
        dry = [number for number in group if sats[number].water < 0.5]  # open water looks alike everywhere
        count = different([streets[number].thumbnail for number in dry])
        if frozenset(group) not in known and count >= CROWD:
            members = [pairs[number] for number in group]
            yield _one_for_many(True, members, "satellite picture, encoded anew,", count, "maps")
    drawn = {
        n: half for n, half in streets.items() if half.deviation >= no_map
    }  # empty maps are equal by nature
    exact = exact_groups({n: half.digest for n, half in drawn.items()})
    known = {frozenset(group) for group in exact}
    for group in exact:
        count = len({sats[number].digest for number in group})
        if count > 1:
            yield _one_for_many(True, [pairs[number] for number in group], "map", count, "satellite pictures")
    rich = {n: half.thumbnail for n, half in streets.items() if half.deviation >= no_scene}
    for group in near_groups(rich, ALIKE / 2):
        count = different([sats[number].thumbnail for number in group])
        if frozenset(group) not in known and count >= CROWD:
            yield _one_for_many(
                True, [pairs[number] for number in group], "map, encoded anew,", count, "satellite pictures"
            )


def _one_for_many(stands_in: bool, members: Sequence[Pair], one: str, count: int, many: str) -> Finding:
    kind = "placeholder" if stands_in else "contradiction"
    return Finding(kind, tuple(pair.name for pair in members), f"one {one} for {count} {many}")


def duplicate(members: Sequence[Pair], detail: str) -> Finding:
    """A finding on pairs that show the same ground."""
    across = len({pair.split for pair in members}) > 1
    kind = "duplicate across splits" if across else "duplicate"
    return Finding(kind, tuple(pair.name for pair in members), detail)
