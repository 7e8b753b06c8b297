"""A pair of satellite picture and ground photo, what is known of it, and sets of them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt

from sat2map import images
from sat2map.data.pairs import ALL, natural
from sat2map.errors import BadDataset, FileMissing

UInt8 = npt.NDArray[np.uint8]
PANORAMA = 360.0  # degrees


class Known(NamedTuple):
    """What is said of a view beside its pictures. None: unknown."""

    heading: float | None = None  # degrees clockwise from north, of the middle of the ground picture
    field: float | None = None  # degrees from its left to its right; 360: a panorama
    metres: float | None = None  # per pixel of the satellite picture
    row: float | None = (
        None  # px: where one stands in the satellite picture; 0 is the upper edge of the first row
    )
    col: float | None = None  # None: in the middle

    def over(self, other: "Known") -> "Known":
        """Return this with `other` where this knows nothing."""
        return Known(*(own if own is not None else theirs for own, theirs in zip(self, other, strict=True)))


class ViewPair(NamedTuple):
    """The satellite picture (north up) of a place and a photo taken there. `name` is unique within its set."""

    name: str
    split: str
    sat: Path
    ground: Path
    known: Known
    place: str  # views of one place must not stand on two sides of a split

    @property
    def panorama(self) -> bool:
        """Whether the ground picture goes all around."""
        return self.known.field is not None and self.known.field >= PANORAMA


def read_view(pair: ViewPair) -> tuple[UInt8, UInt8]:
    """Decode (satellite, ground), uint8 (H, W, 3) each. Raises what `images.read_image` raises."""
    return images.read_image(pair.sat), images.read_image(pair.ground)


class ViewSet(Sequence[ViewPair]):
    """Views in natural order of their names, with the folder, licence and attribution they came with."""

    def __init__(
        self, folder: Path, pairs: Sequence[ViewPair], licence: str = "", attribution: str = ""
    ) -> None:
        """`pairs` may come in any order. Raises BadDataset when there are none or two share a name."""
        if not pairs:
            raise BadDataset(f"{folder} holds no views", "Name a folder of views: " + LAYOUTS)
        self.folder, self.licence, self.attribution = folder, licence, attribution
        self.pairs = tuple(sorted(pairs, key=lambda pair: natural(pair.name)))
        for one, two in zip(self.pairs, self.pairs[1:], strict=False):
            if one.name == two.name:
                raise BadDataset(
                    f"{folder} holds two views called {one.name}", "Rename or remove one of them"
                )

    @overload
    def __getitem__(self, index: int) -> ViewPair: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ViewPair]: ...
    def __getitem__(self, index: int | slice) -> ViewPair | Sequence[ViewPair]:
        return self.pairs[index]

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[ViewPair]:
        return iter(self.pairs)

    @property
    def splits(self) -> dict[str, int]:
        """Number of views by split; "all" if they were never divided."""
        counts: dict[str, int] = {}
        for pair in self.pairs:
            counts[pair.split] = counts.get(pair.split, 0) + 1
        return counts

    @property
    def places(self) -> int:
        """How many places there are."""
        return len({pair.place for pair in self.pairs})

    def of(self, split: str) -> "ViewSet":
        """Return the views of one split; "all" is every view, and an undivided set is all of any split.

        Raises BadDataset when the split is empty.
        """
        whole = split == ALL or set(self.splits) == {ALL}
        chosen = self.pairs if whole else tuple(pair for pair in self.pairs if pair.split == split)
        if not chosen:
            have = ", ".join(f"{name} ({count})" for name, count in self.splits.items())
            raise BadDataset(f"{self.folder} has no views in the split {split}", f"It has: {have}")
        return ViewSet(self.folder, chosen, self.licence, self.attribution)

    def held_out(self, share: float, seed: int = 0) -> "tuple[ViewSet, ViewSet]":
        """Divide into (rest, held out): whole places in the order of their hashes, about `share` of the views.

        Raises BadDataset where one side would be empty.
        """
        members: dict[str, list[ViewPair]] = {}
        for pair in self.pairs:
            members.setdefault(pair.place, []).append(pair)
        order = sorted(members, key=lambda place: hashlib.sha256(f"{seed}/{place}".encode()).digest())
        wanted, held = max(1, round(share * len(self.pairs))), list[ViewPair]()
        for place in order:
            # the last place is taken where that comes nearer to what was wanted
            if held and len(held) + len(members[place]) / 2 > wanted:
                break
            held += members[place]
        names = {pair.name for pair in held}
        rest = [pair for pair in self.pairs if pair.name not in names]
        if not rest:
            raise BadDataset(
                f"the {len(self.pairs)} views of {self.folder} show {len(members)} places, too few to hold some out",
                "Add views of other places",
            )
        return (
            ViewSet(self.folder, rest, self.licence, self.attribution),
            ViewSet(self.folder, held, self.licence, self.attribution),
        )

    def key(self) -> str:
        """SHA-256 over what is known of the views and the identities of their files: equal keys, equal pixels."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            for path in (pair.sat, pair.ground):
                try:
                    stat = path.stat()
                except OSError as fault:
                    raise FileMissing(
                        f"{path} of view {pair.name} cannot be read ({fault.strerror})", "Restore the file"
                    ) from fault
                entry = [pair.name, pair.known, str(path.resolve()), stat.st_size, stat.st_mtime_ns]
                digest.update(json.dumps(entry).encode())
        return digest.hexdigest()


LAYOUTS = (
    "what `sat2map imagine OUT --pairs N --views` or `sat2map collect` left, a folder with views.jsonl or views.csv, "
    "or satellite/ and ground/ with equal names"
)
