"""Recognises how a folder keeps its pairs."""

from collections.abc import Iterator
from pathlib import Path

from sat2map.data.manifest import read_manifest
from sat2map.data.pairs import ALL, LAYOUTS, MANIFEST, SPLITS, SUFFIXES, Pair, PairedSet, Part, Picture
from sat2map.errors import BadDataset, FileMissing

HALVES = ("sat", "street")


def pictures(folder: Path) -> list[Path]:
    """Image files directly in a folder, by suffix, hidden files left out."""
    return [
        p
        for p in folder.iterdir()
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    ]


def split_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (split, folder) of the split folders below a folder, or the folder itself when it has none."""
    found = [(name, folder / name) for name in SPLITS if (folder / name).is_dir()]
    yield from found or [(ALL, folder)]


def two_folders(sat: Path, street: Path, split: str) -> list[Pair]:
    """Pair the images of two folders by their stems; raises BadDataset when a partner is missing."""
    sides: list[dict[str, Path]] = []
    for folder in (sat, street):
        stems: dict[str, Path] = {}
        for path in pictures(folder):
            if path.stem in stems:
                raise BadDataset(
                    f"{folder} holds both {stems[path.stem].name} and {path.name}",
                    "Keep one file for each name",
                )
            stems[path.stem] = path
        sides.append(stems)
    alone = sorted(sides[0].keys() ^ sides[1].keys())
    if alone:
        raise BadDataset(
            f"{len(alone)} images have no partner of the same name in {sat} and {street}, such as {alone[0]}",
            "Add or remove their partners",
        )
    prefix = "" if split == ALL else split + "/"
    return [Pair(prefix + s, split, Picture(sides[0][s]), Picture(sides[1][s])) for s in sides[0]]


def side_by_side(folder: Path, split: str, sat_side: str = "left") -> list[Pair]:
    """Every image of a folder is a pair; `sat_side` says which half shows the satellite view."""
    parts: tuple[Part, Part] = ("left", "right") if sat_side == "left" else ("right", "left")
    prefix = "" if split == ALL else split + "/"
    return [
        Pair(prefix + path.stem, split, Picture(path, parts[0]), Picture(path, parts[1]))
        for path in pictures(folder)
    ]


def find_pairs(folder: Path, sat_side: str = "left") -> list[Pair]:
    """Pairs of a folder that has no manifest, whichever layout it has; an empty list when there are none."""
    pairs: list[Pair] = []
    for split, below in split_folders(folder):
        halves = [below / half for half in HALVES]
        if all(half.is_dir() for half in halves):
            pairs += two_folders(halves[0], halves[1], split)
        else:
            pairs += side_by_side(below, split, sat_side)
    # sat/train and street/train: the splits may also lie below the halves
    if not pairs or [p for p in HALVES if (folder / p).is_dir()] == list(HALVES):
        for split in SPLITS:
            halves = [folder / half / split for half in HALVES]
            if all(half.is_dir() for half in halves):
                pairs += two_folders(halves[0], halves[1], split)
    return pairs


def open_folder(folder: Path) -> PairedSet:
    """Find the pairs of a folder in any layout; raises FileMissing or BadDataset."""
    if not folder.is_dir():
        raise FileMissing(f"{folder} is no folder", "Name a folder of paired images")
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    pairs = find_pairs(folder)
    if not pairs:
        raise BadDataset(
            f"{folder} holds no pairs that are laid out in a known way", "Known ways: " + LAYOUTS
        )
    return PairedSet(folder, pairs)
