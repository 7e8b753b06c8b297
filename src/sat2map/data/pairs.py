"""Paired sets: which two pictures show the same ground, where they lie, and which split they belong to.

Three layouts are understood, tried in this order:

- a manifest `pairs.jsonl` (left by `sat2map data import`), see `data/manifest.py`;
- two folders `sat/` and `street/` with equal stems, at the top or below one folder per split;
- side by side in one file, satellite on the left, below one folder per split (the `maps` layout) or all in one folder.

Nothing is decoded on opening; `read` decodes one pair through the images gate.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from sat2map import images
from sat2map.errors import BadDataset, FileMissing

UInt8 = npt.NDArray[np.uint8]
Direction = Literal["sat2map", "map2sat"]
Part = Literal["whole", "left", "right"]

SPLITS = ("train", "dev", "val", "test")
ALL = "all"  # every pair of a set, and the split of pairs that were never divided
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
MANIFEST = "pairs.jsonl"


class Picture(NamedTuple):
    """One half of a pair: a file, and which part of its width."""

    path: Path
    part: Part = "whole"
    sha256: str = ""  # of the whole file; empty when not known


class Pair(NamedTuple):
    """Two pictures of the same ground. `name` is unique within its set, e.g. "train/12"."""

    name: str
    split: str
    sat: Picture
    street: Picture


def natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key under which "2.jpg" comes before "10.jpg"."""
    return tuple((0, int(t)) if t.isdigit() else (1, t) for t in re.split(r"(\d+)", text) if t)


def _crop(rgb: UInt8, picture: Picture) -> UInt8:
    """Take the picture's part of a decoded file (H, W, 3); raises BadDataset for an odd width."""
    if picture.part == "whole":
        return rgb
    width = rgb.shape[1]
    if width % 2:
        raise BadDataset(
            f"{picture.path} is {width} px wide, so it holds no two halves of equal width",
            "Remove the file, or import satellite and street pictures from two folders",
        )
    half = width // 2
    return np.ascontiguousarray(rgb[:, :half] if picture.part == "left" else rgb[:, half:])


def read(pair: Pair) -> tuple[UInt8, UInt8]:
    """Decode a pair into (sat, street), each uint8 (H, W, 3).

    Raises BadDataset when the two halves differ in size, and what `images.read_image` raises.
    """
    rgb = images.read_image(pair.sat.path)
    sat = _crop(rgb, pair.sat)
    other = rgb if pair.street.path == pair.sat.path else images.read_image(pair.street.path)
    street = _crop(other, pair.street)
    if sat.shape != street.shape:
        raise BadDataset(
            f"pair {pair.name}: the satellite half is {sat.shape[1]}×{sat.shape[0]} px, "
            f"the street half {street.shape[1]}×{street.shape[0]} px",
            "Both must show the same ground at the same size: resize one, or remove the pair",
        )
    return sat, street


def pair_size(pair: Pair) -> tuple[int, int]:
    """(height, width) in px of the pair's halves, from the file's header alone."""
    height, width = images.image_size(pair.sat.path)
    return height, width if pair.sat.part == "whole" else width // 2


@overload
def source_and_target(pair: tuple[UInt8, UInt8], direction: Direction) -> tuple[UInt8, UInt8]: ...
@overload
def source_and_target(pair: Pair, direction: Direction) -> tuple[Picture, Picture]: ...
def source_and_target(
    pair: Pair | tuple[UInt8, UInt8], direction: Direction
) -> tuple[Picture, Picture] | tuple[UInt8, UInt8]:
    """Order a pair, or its decoded (sat, street), as (input, output) of a network of this direction."""
    if isinstance(pair, Pair):
        halves: tuple[Picture, Picture] = (pair.sat, pair.street)
        return halves if direction == "sat2map" else halves[::-1]
    return pair if direction == "sat2map" else (pair[1], pair[0])


class PairedSet(Sequence[Pair]):
    """A list of pairs in natural order of their names, with the folder, licence and attribution they came with."""

    def __init__(self, folder: Path, pairs: Sequence[Pair], licence: str = "", attribution: str = "") -> None:
        """`pairs` may come in any order; raises BadDataset when there are none or two share a name."""
        if not pairs:
            raise BadDataset(f"{folder} holds no pairs", "Name a folder of paired images: " + LAYOUTS)
        self.folder = folder
        self.pairs = tuple(sorted(pairs, key=lambda p: natural(p.name)))
        self.licence = licence
        self.attribution = attribution
        for one, two in zip(self.pairs, self.pairs[1:], strict=False):
            if one.name == two.name:
                raise BadDataset(
                    f"{folder} holds two pairs called {one.name}", "Rename or remove one of them"
                )

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | Sequence[Pair]:
        return self.pairs[index]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    @property
    def splits(self) -> dict[str, int]:
        """Number of pairs by split."""
        counts: dict[str, int] = {}
        for pair in self.pairs:
            counts[pair.split] = counts.get(pair.split, 0) + 1
        return counts

    def of(self, split: str) -> "PairedSet":
        """Return the pairs of one split; "all" is every pair, and an undivided set is all "train".

        Raises BadDataset when the split is empty.
        """
        undivided = set(self.splits) == {ALL} and split == "train"
        chosen = self.pairs if split == ALL or undivided else tuple(p for p in self.pairs if p.split == split)
        if not chosen:
            have = ", ".join(f"{name} ({count})" for name, count in self.splits.items())
            raise BadDataset(f"{self.folder} has no pairs in the split {split}", f"It has: {have}")
        return PairedSet(self.folder, chosen, self.licence, self.attribution)

    def key(self) -> str:
        """SHA-256 over names, parts and file identities: equal keys, equal pixels.

        A file is identified by its checksum where the manifest has one, together with path, size and time of last
        change, so that a file edited after the import counts as another.
        """
        digest = hashlib.sha256()
        for pair in self.pairs:
            for half in (pair.sat, pair.street):
                try:
                    stat = half.path.stat()
                except OSError as fault:
                    raise FileMissing(
                        f"{half.path} of pair {pair.name} cannot be read ({fault.strerror})",
                        "Restore the file",
                    ) from fault
                entry = [
                    pair.name,
                    str(half.path.resolve()),
                    half.part,
                    half.sha256,
                    stat.st_size,
                    stat.st_mtime_ns,
                ]
                digest.update(json.dumps(entry).encode())
        return digest.hexdigest()

    @classmethod
    def open(cls, folder: Path | str) -> "PairedSet":
        """Find the pairs below a folder; raises FileMissing or BadDataset."""
        from sat2map.data import layouts

        return layouts.open_folder(Path(folder))


LAYOUTS = (
    "side by side in one file (train/*.jpg, satellite left), two folders sat/ and street/ with equal names, "
    "or a folder left by `sat2map data import`"
)
