"""How well `data check` finds planted faults in a set of real pairs, and what it finds in the set as it is.

    python benchmarks/audit.py --data DIR [--pairs 300] [--each 12] [--seed 0] [--work DIR]

Takes pairs of DIR at random into a folder, plants faults of each kind in pairs of their own, checks it all, and prints
for each kind how many were found under that kind and how many findings of the kind concern pairs that nobody touched.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2map.data.check import audit
from sat2map.data.pairs import PairedSet, read
from sat2map.data.quarantine import propose
from sat2map.images import write_image

UInt8 = NDArray[np.uint8]
Halves = tuple[UInt8, UInt8]
Random = np.random.Generator


def swapped(pair: Halves, random: Random) -> Halves:
    """Map and imagery exchanged."""
    return pair[1], pair[0]


def shifted(pair: Halves, random: Random) -> Halves:
    """The map moved by 10 to 30 px each way."""
    rows, cols = random.integers(10, 31, 2) * random.choice([-1, 1], 2)
    return pair[0], np.roll(pair[1], (rows, cols), (0, 1))


def mapless(pair: Halves, random: Random) -> Halves:
    """A map that shows nothing but land."""
    return pair[0], np.full_like(pair[1], (234, 230, 222))


def sceneless(pair: Halves, random: Random) -> Halves:
    """Imagery that shows nothing but cloud."""
    haze = 225 + random.normal(0, 3, pair[0].shape)
    return haze.clip(0, 255).astype(np.uint8), pair[1]


def placeholder(pair: Halves, random: Random) -> Halves:
    """A grey tile with a line of text, encoded anew each time."""
    tile = np.full(pair[0].shape, 229, np.uint8)
    middle = tile.shape[0] // 2
    tile[middle : middle + 14, 150:450:6] = 150
    again = tile + random.normal(0, 1, tile.shape)
    return again.clip(0, 255).astype(np.uint8), pair[1]


def smaller(pair: Halves, random: Random) -> Halves:
    """Another size."""
    return pair[0][:500, :500], pair[1][:500, :500]


SPOIL: dict[str, Callable[[Halves, Random], Halves]] = {
    "swapped": swapped,
    "misaligned": shifted,
    "empty map": mapless,
    "empty scene": sceneless,
    "placeholder": placeholder,
    "odd size": smaller,
}


def put(folder: Path, name: str, pair: Halves, suffix: str) -> None:
    """Write a pair side by side; JPEG, as scraped sets are."""
    path = folder / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.concatenate(pair, 1), overwrite=True)


def plant(source: PairedSet, folder: Path, count: int, each: int, seed: int) -> dict[str, set[str]]:
    """Write the set with its faults; returns kind -> names of the pairs that have it."""
    random = np.random.default_rng(seed)
    chosen = [source[int(n)] for n in random.permutation(len(source))[:count]]
    planted: dict[str, set[str]] = {
        kind: set() for kind in (*SPOIL, "duplicate", "duplicate across splits", "unreadable")
    }
    for number, pair in enumerate(chosen):
        halves, name = read(pair), f"train/{number}"
        kind = [*SPOIL, None][number // each] if number < each * len(SPOIL) else None
        if kind is not None:
            halves = SPOIL[kind](halves, random)
            planted[kind].add(name)
        put(folder, name, halves, ".jpg")
        extra = number - each * len(SPOIL)
        if 0 <= extra < each:  # the same ground again, 20 px on
            put(folder, f"train/{number}b", (halves[0][20:, 20:], halves[1][20:, 20:]), ".jpg")
            put(folder, name, (halves[0][:-20, :-20], halves[1][:-20, :-20]), ".jpg")
            planted["duplicate"].add(f"train/{number}b")
        elif each <= extra < 2 * each:  # and encoded anew in the other split
            put(folder, f"val/{number}b", halves, ".png")
            planted["duplicate across splits"].add(name)
        elif 2 * each <= extra < 3 * each:
            path = folder / f"{name}.jpg"
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
            planted["unreadable"].add(name)
    return planted


def _number(name: str) -> str:
    """What a pair and its copies have in common."""
    return name.rpartition("/")[2].removesuffix("b")


def main() -> None:
    """Print one line for each kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="keep the planted set here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.work or Path(scratch) / "set"
        planted = plant(PairedSet.open(chosen.data), folder, chosen.pairs, chosen.each, chosen.seed)
        pairs = PairedSet.open(folder)
        found = audit(pairs)
        touched = {_number(name) for names in planted.values() for name in names}
        untouched = [pair.name for pair in pairs if _number(pair.name) not in touched]
        for kind, names in planted.items():
            of_kind = [finding for finding in found.findings if finding.kind == kind]
            hits = names & {name for finding in of_kind for name in finding.pairs}
            stray = [f.pairs for f in of_kind if set(f.pairs) <= set(untouched)]
            print(
                f"{kind}: {len(hits)} of {len(names)} found, {len(stray)} findings on {len(untouched)} others"
            )
            print("    missed:", *sorted(names - hits), "stray:", *stray[:6])
        unfit = {entry.pair for entry in propose(found, pairs)}
        print(f"quarantine: {len(unfit)} pairs, {len(unfit - set(untouched))} of them planted or their like")


if __name__ == "__main__":
    main()
