"""Takes over images that lie somewhere in some layout as a paired set with a manifest.

Files are copied byte for byte, never decoded and encoded again, or only referenced. Halves of a file stay halves of
a file; the manifest says which is which.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from sat2map import images, storage
from sat2map.data import layouts
from sat2map.data.manifest import write_manifest
from sat2map.data.pairs import ALL, LAYOUTS, MANIFEST, Pair, PairedSet, Picture, read
from sat2map.data.places import Progress, split_by_place, survey
from sat2map.errors import BadDataset, FileMissing

Side = Literal["left", "right"]


def find_source(source: Path, sat_side: Side = "left", street: Path | None = None) -> PairedSet:
    """Find the pairs to import: `source` in any layout, or the satellite folder of which `street` is the partner."""
    for folder in (source, street or source):
        if not folder.is_dir():
            raise FileMissing(f"{folder} is no folder", "Name the folder that holds the images")
    if street is not None:
        return PairedSet(source, layouts.two_folders(source, street, ALL))
    if (source / MANIFEST).is_file():
        return PairedSet.open(source)
    pairs = layouts.find_pairs(source, sat_side)
    if not pairs:
        raise BadDataset(
            f"{source} holds no pairs that are laid out in a known way", "Known ways: " + LAYOUTS
        )
    return PairedSet(source, pairs)


def halves_size(pair: Pair) -> tuple[int, int]:
    """(height, width) in px of each half, from the headers; raises BadDataset when the halves differ."""
    sizes = []
    for half in (pair.sat, pair.street):
        height, width = images.image_size(half.path)
        if half.part != "whole" and width % 2:
            raise BadDataset(
                f"{half.path} is {width} px wide, so it holds no two halves of equal width",
                "Remove the file, or import satellite and street pictures from two folders (--street)",
            )
        sizes.append((height, width if half.part == "whole" else width // 2))
    if sizes[0] != sizes[1]:
        raise BadDataset(
            f"pair {pair.name}: the satellite picture has {sizes[0][1]}×{sizes[0][0]} px, the street picture "
            f"{sizes[1][1]}×{sizes[1][0]} px",
            "Bring both to one size, or remove the pair",
        )
    return sizes[0]


def assign_splits(
    pairs: PairedSet, share: float, by_place: bool, seed: int = 0, progress: Progress | None = None
) -> PairedSet:
    """Give `share` of the training pairs to `val`, in whole places or at random; pairs along a cut become `apart`.

    Raises BadDataset when the set has a `val` already or the share leaves one side empty.
    """
    if pairs.splits.get("val"):
        raise BadDataset(
            f"{pairs.folder} already has {pairs.splits['val']} pairs in the split val",
            "Import it without a share",
        )
    training = pairs.of("train")
    count = len(training)
    if by_place:
        places = survey("", count, lambda number: read(training[number]), progress)
        division = split_by_place(places, share, seed)
        val, apart = set(division.dev), set(division.apart)
    else:
        wanted = round(share * count)
        if not 0 < wanted < count:
            raise BadDataset(
                f"a share of {share:g} is {wanted} of {count} pairs", "Leave pairs on both sides"
            )
        val = set(np.random.default_rng(seed).permutation(count)[:wanted].tolist())
        apart = set()
    new = {
        pair.name: "val" if number in val else "apart" if number in apart else "train"
        for number, pair in enumerate(training)
    }
    moved = [pair._replace(split=new.get(pair.name, pair.split)) for pair in pairs]
    return PairedSet(pairs.folder, moved, pairs.licence, pairs.attribution)


def import_pairs(
    pairs: PairedSet, out: Path, *, copy: bool = True, progress: Callable[[int, int], None] | None = None
) -> PairedSet:
    """Write a paired set with manifest into the new folder `out`, all or nothing.

    With `copy` false the images stay where they are and the manifest points to them. Raises OutputExists,
    BadDataset, and what `images.image_size` raises for files that are no images.
    """
    with storage.committing_folder(out) as folder:
        sizes: dict[str, tuple[int, int]] = {}
        placed: list[Pair] = []
        for done, pair in enumerate(pairs, 1):
            sizes[pair.name] = halves_size(pair)
            placed.append(_copy(folder, pair) if copy else _refer(pair))
            if progress:
                progress(done, len(pairs))
        made = PairedSet(folder.resolve(), placed, pairs.licence, pairs.attribution)
        write_manifest(made, sizes)
    return PairedSet.open(out)


def _refer(pair: Pair) -> Pair:
    return pair._replace(
        sat=pair.sat._replace(path=pair.sat.path.resolve()),
        street=pair.street._replace(path=pair.street.path.resolve()),
    )


def _copy(folder: Path, pair: Pair) -> Pair:
    """Copy the files of a pair: one for both halves, or one below sat/ and one below street/."""
    stem = pair.name.removeprefix(pair.split + "/")
    if pair.sat.path == pair.street.path:
        path = _copy_file(folder, Path(pair.split) / (stem + pair.sat.path.suffix), pair.sat.path)
        return pair._replace(sat=_at(pair.sat, path), street=_at(pair.street, path))
    sat = _copy_file(folder, Path(pair.split) / "sat" / (stem + pair.sat.path.suffix), pair.sat.path)
    street = _copy_file(
        folder, Path(pair.split) / "street" / (stem + pair.street.path.suffix), pair.street.path
    )
    return pair._replace(sat=_at(pair.sat, sat), street=_at(pair.street, street))


def _at(picture: Picture, path: Path) -> Picture:
    return Picture(path.resolve(), picture.part)


def _copy_file(folder: Path, relative: Path, source: Path) -> Path:
    target = folder / relative
    if not target.resolve().is_relative_to(folder.resolve()):
        raise BadDataset(f"the name {os.fspath(relative)!r} leads out of the folder", "Rename the pair")
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    (folder / target).write_bytes(data)
    return target
