"""The crop beside each photo: fetched once, whatever happens in between."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sat2map import images
from sat2map.collect.collection import CROPS, Collection
from sat2map.collect.gather import FAILED
from sat2map.collect.imagery.views import Cut, ImagerySource
from sat2map.collect.manifest import Crop, Photo
from sat2map.collect.provider import Gone
from sat2map.errors import DownloadFailed

Progress = Callable[[int, int, str], None]
_FAILURES = 5  # in a row, before we stop to ask


@dataclass
class Cropped:
    """What came of it."""

    made: int = 0
    known: int = 0
    gone: int = 0
    failed: int = 0


def crop_all(
    collection: Collection,
    source: ImagerySource,
    cut: Cut,
    photos: Iterable[Photo],
    on_progress: Progress = lambda done, total, note: None,
) -> Cropped:
    """Make the crops that are missing. The caller holds the collection.

    Raises DownloadFailed when nothing arrives any more, and TooMuchToFetch at a cap; what has arrived stays.
    """
    result, name, in_a_row = Cropped(), f"{source.name} {cut}", 0
    wanted = list(photos)
    for number, photo in enumerate(wanted, 1):
        on_progress(number, len(wanted), photo.key)
        known = collection.crops.get((photo.key, name))
        if known is not None and not known.missing.startswith(FAILED):
            result.known += 1
            continue
        try:
            collection.append(_crop(collection, source, cut, photo, name))
            result.made, in_a_row = result.made + 1, 0
        except Gone as fact:
            collection.append(Crop(photo.key, name, missing=str(fact)))
            result.gone += 1
        except DownloadFailed as error:
            collection.append(Crop(photo.key, name, missing=FAILED + error.what))
            result.failed, in_a_row = result.failed + 1, in_a_row + 1
            if in_a_row >= _FAILURES:
                raise
    return result


def _crop(collection: Collection, source: ImagerySource, cut: Cut, photo: Photo, name: str) -> Crop:
    if photo.longitude is None or photo.latitude is None:
        raise Gone("no coordinates")
    view = cut.apply(source.view(photo.longitude, photo.latitude))
    file, digest = collection.keep_file(images.encode_png(view.pixels), ".png", CROPS)
    return Crop(photo.key, name, file, digest, source.attribution, round(view.metres, 4))
