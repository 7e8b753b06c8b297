"""Connected components of a raster: pixels of one value that touch along their sides."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def components(values: npt.NDArray[np.generic]) -> tuple[Ints, int]:
    """Number the components of all values of (H, W); returns (H, W) numbers 0 ... n-1, and n.

    Works on runs, that is stretches of one value in one row, of which there are far fewer than pixels: runs that
    touch from row to row are joined. Numbers are given in the order in which components are met, row by row.
    """
    height, width = values.shape
    begins = np.ones((height, width), bool)
    begins[:, 1:] = values[:, 1:] != values[:, :-1]
    run = (np.cumsum(begins.ravel()) - 1).reshape(height, width)
    meet = (values[1:] == values[:-1]) & (begins[1:] | begins[:-1])  # once for each pair of touching runs
    parent = joined(int(run[-1, -1]) + 1, run[:-1][meet], run[1:][meet])
    roots = parent == np.arange(len(parent))
    numbers = np.cumsum(roots) - 1
    return numbers[parent][run], int(roots.sum())


def joined(count: int, left: Ints, right: Ints) -> Ints:
    """Return, for each of `count` things, the least thing that it hangs together with by the pairs (left, right).

    Rounds of "hang the greater root below the lesser, then flatten" until no pair is apart; the number of rounds
    grows as the logarithm of the longest chain.
    """
    parent = np.arange(count)
    while True:
        a, b = parent[left], parent[right]
        apart = a != b
        if not apart.any():
            return parent
        left, right = left[apart], right[apart]
        np.minimum.at(parent, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
