"""Measures photos: each picture is decoded once, each network looks at it once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sat2map import images
from sat2map.collect.collection import Collection
from sat2map.collect.funnel.boxes import Found, closely
from sat2map.collect.funnel.faces import Faces
from sat2map.collect.funnel.people import People
from sat2map.collect.funnel.picture import look
from sat2map.collect.funnel.scene import Scenes
from sat2map.collect.manifest import Measure, Photo
from sat2map.errors import Sat2MapError

VERSION = "1"  # of how pictures are measured, networks apart
PREVIEW = 320  # px of the longer side
MOST_BOXES = 20


@dataclass(frozen=True)
class Detectors:
    """The networks that the user named."""

    scenes: Scenes | None = None
    people: People | None = None
    faces: Faces | None = None


class Sight:
    """A photo whose pixels are decoded when somebody wants to see them, and kept as long as this lives."""

    def __init__(self, collection: Collection, photo: Photo) -> None:
        self._collection, self._photo = collection, photo

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """RGB `uint8 (H, W, 3)`. Raises what `images.read_image` raises."""
        return images.read_image(self._collection.path(self._photo))


class Measuring:
    """Measures, or remembers what the manifest says."""

    def __init__(self, collection: Collection, detectors: Detectors) -> None:
        self._collection, self.detectors = collection, detectors

    def picture(self, photo: Photo, sight: Sight) -> Measure:
        """Measure hash, sharpness and light, and make the preview; the value `error` says why there is nothing."""
        known = self._known(photo, "picture", VERSION)
        if known and ("error" in known.values or self._collection.preview(photo).is_file()):
            return known
        if not photo.file:
            return self._noted(photo, "picture", VERSION, {"error": photo.missing or "no file"})
        try:
            found = look(sight.pixels)
        except Sat2MapError as error:
            return self._noted(photo, "picture", VERSION, {"error": _brief(error)})
        small = images.within(sight.pixels, PREVIEW)
        images.write_image(self._collection.preview(photo), small, overwrite=True)
        values: dict[str, float | str | list[float]] = {"hash": found.hash}
        values |= {name: round(getattr(found, name), 2) for name in ("sharpness", "light", "contrast")}
        return self._noted(photo, "picture", VERSION, values)

    def scene(self, photo: Photo, sight: Sight) -> Measure:
        """Ask the scene network."""
        scenes = self.detectors.scenes
        assert scenes is not None, "nobody asks without a network"
        by = scenes.network.checksum
        known = self._known(photo, "scene", by)
        return known or self._noted(photo, "scene", by, dict(scenes(sight.pixels)))

    def people(self, photo: Photo, sight: Sight) -> dict[str, Measure]:
        """Ask the detectors of people and faces that there are."""
        found = {}
        for what, detector in (("people", self.detectors.people), ("faces", self.detectors.faces)):
            if detector is not None:
                by = f"{detector.network.checksum}+{VERSION}"
                known = self._known(photo, what, by)
                found[what] = known or self._noted(photo, what, by, {"boxes": self._boxes(detector, sight)})
        return found

    def _boxes(self, detector: People | Faces, sight: Sight) -> list[float]:
        side = max(detector.network.height, detector.network.width)
        return _flat(closely(detector, sight.pixels, side, detector.overlap))

    def _known(self, photo: Photo, what: str, by: str) -> Measure | None:
        known = self._collection.measures.get((photo.key, what))
        return known if known and known.by == f"{by}/{photo.sha256[:16]}" else None

    def _noted(
        self, photo: Photo, what: str, by: str, values: dict[str, float | str | list[float]]
    ) -> Measure:
        measure = Measure(photo.key, what, f"{by}/{photo.sha256[:16]}", values)
        if self._collection.measures.get((photo.key, what)) != measure:
            self._collection.append(measure)
        return measure


def _flat(found: Found) -> list[float]:
    rows = np.concatenate([found.scores[:, None], found.boxes], axis=1)[:MOST_BOXES]
    return [round(float(value), 3) for value in rows.ravel()]


def _brief(error: Sat2MapError) -> str:
    return error.what.rpartition(": ")[2][:200]
