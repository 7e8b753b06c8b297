"""Photos that show the same picture: near in their hashes, directly or by way of others."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]
_PAIRS = 1 << 20  # pairs compared at a time: 10 MB


def groups(hashes: Sequence[str], distance: int) -> list[list[int]]:
    """Return the indices of each group of two or more that a chain of pairs at most `distance` bits apart joins.

    Every pair is compared: 100,000 hashes take half a minute.
    """
    words = as_words(hashes)
    parents = list(range(len(words)))

    def root(one: int) -> int:
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one

    height = max(1, _PAIRS // max(1, len(words)))
    for start in range(0, len(words), height):
        block = words[start : start + height]
        rows, cols = np.nonzero(distances(block, words[start:]) <= distance)
        for row, col in zip(rows.tolist(), cols.tolist(), strict=True):
            if row < col:
                one, two = sorted((root(start + row), root(start + col)))
                parents[two] = one
    members: dict[int, list[int]] = {}
    for index in range(len(words)):
        members.setdefault(root(index), []).append(index)
    return [group for group in members.values() if len(group) > 1]


def as_words(hashes: Sequence[str]) -> UInt64:
    """Return hexadecimal hashes as (N, 4) words."""
    data = b"".join(bytes.fromhex(text) for text in hashes)
    return (
        np.frombuffer(data, ">u8").astype(np.uint64).reshape(len(hashes), -1)
        if hashes
        else np.empty((0, 4), np.uint64)
    )


def distances(some: UInt64, others: UInt64) -> npt.NDArray[np.uint16]:
    """Return in how many bits hashes (N, W) and (M, W) differ, (N, M)."""
    total = np.zeros((len(some), len(others)), np.uint16)
    for word in range(some.shape[1]):
        total += np.bitwise_count(some[:, None, word] ^ others[None, :, word])
    return total
