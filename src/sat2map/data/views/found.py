"""Views in folders without a list: two folders with equal names, and the layouts of public sets."""

import re
from pathlib import Path

from sat2map import images
from sat2map.data.layouts import pictures, split_folders
from sat2map.data.pairs import ALL
from sat2map.data.views.pairs import PANORAMA, Known, ViewPair
from sat2map.errors import BadDataset

SATELLITE = ("satellite", "sat", "bingmap", "aerial")  # names of folders in public sets
GROUND = ("ground", "view", "streetview", "photos", "street")
SATE_TO_GROUND = "_sate_rgb_00.png"  # sate_to_ground (Lu et al. 2020): latitude,longitude,heading in front
COORDINATES = re.compile(r"(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?),(\d+(?:\.\d+)?)")


def by_names(sat: Path, ground: Path, split: str = ALL, known: Known | None = None) -> list[ViewPair]:
    """Pair the pictures of two folders by their stems. Raises BadDataset when a partner is missing."""
    sides = [{path.stem: path for path in pictures(folder)} for folder in (sat, ground)]
    alone = sorted(sides[0].keys() ^ sides[1].keys())
    if alone:
        raise BadDataset(
            f"{len(alone)} pictures have no partner of the same name in {sat} and {ground}, such as {alone[0]}",
            "Add or remove their partners",
        )
    prefix = "" if split == ALL else split + "/"
    return [
        ViewPair(
            prefix + stem,
            split,
            sides[0][stem],
            sides[1][stem],
            guessed(sides[1][stem], known),
            prefix + stem,
        )
        for stem in sides[0]
    ]


def guessed(ground: Path, known: Known | None = None) -> Known:
    """Return `known`; a picture at least twice as wide as high, of which nobody says otherwise, is a panorama."""
    known = known or Known()
    if known.field is None:
        height, width = images.image_size(ground)
        known = known._replace(field=PANORAMA if width >= 2 * height else None)
    return known


def in_folders(folder: Path) -> list[ViewPair]:
    """Views of a folder (or of its split folders) that holds a folder of each kind; none if it does not.

    `sat` beside `street` is a paired set of imagery and street maps, and no view.
    """
    found: list[ViewPair] = []
    for split, below in split_folders(folder):
        sat, ground = (
            next((name for name in names if (below / name).is_dir()), None) for names in (SATELLITE, GROUND)
        )
        if sat and ground and (sat, ground) != ("sat", "street"):
            found += by_names(below / sat, below / ground, split)
    return found


def sate_to_ground(folder: Path) -> list[ViewPair]:
    """Views of a folder (or of its `train` and `test`) in the layout of sate_to_ground; none if it has another.

    Files are named for latitude, longitude and the heading of the panorama's middle. The size of its satellite pixels
    is in no file and therefore unknown here.
    """
    found = []
    for split, below in split_folders(folder):
        for path in sorted(below.glob("*" + SATE_TO_GROUND)):
            stem = path.name.removesuffix(SATE_TO_GROUND)
            said = COORDINATES.fullmatch(stem)
            ground = below / f"{stem}_00.png"
            if said is None or not ground.is_file():
                raise BadDataset(
                    f"{path} is not named for latitude, longitude and heading, or has no panorama {ground.name}",
                    "Add the panorama, or remove the file",
                )
            known = Known(heading=float(said[3]) % 360, field=PANORAMA)
            found.append(ViewPair(stem, ALL if below == folder else split, path, ground, known, stem))
    return found
