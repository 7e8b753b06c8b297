"""Views of a collection: photos that it keeps, each with a satellite crop."""

import math
from pathlib import Path

from sat2map.collect.collection import Collection
from sat2map.collect.manifest import Crop, Photo
from sat2map.data.pairs import ALL
from sat2map.data.places import components
from sat2map.data.views.found import guessed
from sat2map.data.views.pairs import Known, ViewPair
from sat2map.errors import BadDataset

EARTH = 6_371_000.0  # metres
SHARED = 500.0  # metres: photos nearer than this may show the same ground in their crops


def open_collection(
    folder: Path, *, source: str | None = None, reviewed: bool = False, crops: bool = True
) -> list[ViewPair]:
    """Views of the photos that `kept` yields (all that have files where the funnel has not run yet).

    Without `crops` a photo needs no satellite view beside it, and stands for it itself. `source` names the imagery if
    there is more than one beside a photo (else the first is taken). A place is photos that are linked by less than 500
    m. Raises FileMissing, BadCollection, BadDataset.
    """
    collection = Collection.open(folder)
    photos = list(collection.kept(reviewed=reviewed)) if collection.verdicts else []
    if not collection.verdicts:
        photos = [photo for photo in collection.photos.values() if photo.file]
    found = []
    for photo in photos:
        crop = _crop(collection, photo, source) if crops else Crop(key=photo.key, source="", file=photo.file)
        if crop is not None:
            found.append((photo, crop))
    if not found:
        lacking = ", none of which has a satellite view beside it" if crops and photos else ""
        raise BadDataset(
            f"{folder} keeps {len(photos)} photos{lacking}",
            "Get views: sat2map collect imagery yandex FOLDER, or tiles, or a GeoTIFF"
            if lacking
            else "Look at what the funnel says: sat2map collect filter FOLDER",
        )
    places = _places([photo for photo, _ in found])
    return [
        ViewPair(
            photo.key,
            ALL,
            folder / crop.file,
            collection.path(photo),
            guessed(collection.path(photo), Known(heading=photo.direction, metres=crop.metres or None)),
            f"place {place}",
        )
        for (photo, crop), place in zip(found, places, strict=True)
    ]


def _crop(collection: Collection, photo: Photo, source: str | None) -> Crop | None:
    for (key, name), crop in collection.crops.items():
        if key == photo.key and crop.file and source in (None, name):
            return crop
    return None


def _places(photos: list[Photo]) -> tuple[int, ...]:
    """Label photos by place; those without coordinates stand alone."""
    at = [(math.radians(p.latitude or 0.0), math.radians(p.longitude or 0.0)) for p in photos]
    order = sorted(range(len(photos)), key=lambda n: at[n])
    links = []
    for here, one in enumerate(order):
        if photos[one].latitude is None or photos[one].longitude is None:
            continue
        for two in order[here + 1 :]:
            if (at[two][0] - at[one][0]) * EARTH > SHARED:
                break
            east = (at[two][1] - at[one][1]) * math.cos(at[one][0]) * EARTH
            if (
                photos[two].latitude is not None
                and math.hypot(east, (at[two][0] - at[one][0]) * EARTH) < SHARED
            ):
                links.append((one, two))
    return components(len(photos), links)
