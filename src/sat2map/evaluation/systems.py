"""What can be scored: a model, a folder of finished predictions, and the trivial baselines that keep them honest.

RGB figures flatter: a blank picture in land colour scores a PSNR of 24 on street maps. So no result is shown without
the blank, the copy of the input and the mean of the training targets beside it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sat2map.errors import BadDataset, FileMissing
from sat2map.evaluation.result import Subject
from sat2map.images import read_image
from sat2map.palette import LAND, MAPS
from sat2map.runtime import Translator
from sat2map.scenes.pictures import translate_image

UInt8 = npt.NDArray[np.uint8]
LAND_COLOUR = MAPS.class_colours()[LAND]
SATELLITE_COLOUR = (69, 70, 60)  # RGB: the mean of the `maps` imagery, of docs/EVALUATION.md
_SUFFIXES = (".png", ".jpg", ".jpeg")


class Prediction(NamedTuple):
    """What a system makes of one picture."""

    colour: UInt8  # (H, W, 3)
    confidence: UInt8 | None = None  # (H, W) probability of the painted class in percent; palette models only


class System(Protocol):
    """Something that turns a source picture into a prediction of the same size; called from several threads."""

    @property
    def subject(self) -> Subject:
        """What it is called in results."""

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Predict from uint8 (H, W, 3); `name` is that of the pair."""


class Blank:
    """One constant colour, whatever the input."""

    def __init__(self, colour: tuple[int, int, int], label: str = "blank") -> None:
        self.subject = Subject(label, "baseline")
        self._colour = np.array(colour, np.uint8)

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Paint the colour at the size of `source`."""
        return Prediction(np.broadcast_to(self._colour, source.shape).copy())


class Copy:
    """The input, unchanged."""

    subject = Subject("copy of the input", "baseline")

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Return `source`."""
        return Prediction(source)


class MeanTarget:
    """The per-pixel mean of the training targets, whatever the input."""

    def __init__(self, mean: UInt8, label: str = "mean map") -> None:
        self.subject = Subject(label, "baseline")
        self._mean = mean

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Return the mean."""
        return Prediction(self._mean)


class Folder:
    """Predictions made elsewhere: one PNG or JPEG per pair, called as the pair (`val/12.png`, or just `12.png`)."""

    def __init__(self, folder: Path, label: str | None = None) -> None:
        """Find the files; raises FileMissing when there is no such folder."""
        if not folder.is_dir():
            raise FileMissing(
                f"there is no folder of predictions {folder}", "Name a folder of PNG or JPEG files"
            )
        files = (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in _SUFFIXES)
        self._files = {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
        self._folder = folder
        self.subject = Subject(label or folder.name, "predictions", self._checksum())

    def _checksum(self) -> str:
        digest = hashlib.sha256()
        for name, file in self._files.items():
            digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()

    def _find(self, name: str) -> Path | None:
        return self._files.get(name) or self._files.get(name.rsplit("/", 1)[-1])

    def require(self, names: Sequence[str]) -> None:
        """Raise BadDataset when a pair has no prediction, or two pairs would share one."""
        found = [self._find(name) for name in names]
        missing = [name for name, file in zip(names, found, strict=True) if file is None]
        if missing:
            raise BadDataset(
                f"{self._folder}: {len(missing)} of {len(names)} pairs have no prediction, e.g. {missing[0]!r}",
                "Predict every pair of the split, or choose fewer with --limit",
            )
        if len(set(found)) < len(names):
            raise BadDataset(
                f"{self._folder}: pairs of different splits share a prediction",
                "Keep the predictions in one folder per split",
            )

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Read the prediction of the pair `name`."""
        file = self._find(name)
        assert file is not None, "require() before predicting"
        return Prediction(read_image(file))


class Model:
    """A translator, run over each picture cell by cell as `sat2map translate` does it."""

    def __init__(self, translator: Translator, checksum: str = "", label: str | None = None) -> None:
        """`checksum` is that of the graph."""
        self._translator = translator
        self.direction = translator.card.direction
        self.subject = Subject(label or translator.card.id, "model", checksum)

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Translate `source`, with confidences where the model has them."""
        wanted = ("colour", "confidence") if self._translator.card.palette else ("colour",)
        products = translate_image(self._translator, source, wanted, jobs=1)
        return Prediction(products["colour"], products.get("confidence"))


def mean_image(images: Iterable[UInt8]) -> UInt8 | None:
    """Per-pixel mean of uint8 (H, W, 3) images; None where there is no image, or they differ in size."""
    total: npt.NDArray[np.int64] | None = None
    count = 0
    for image in images:
        if total is None:
            total = np.zeros(image.shape, np.int64)
        if image.shape != total.shape:
            return None
        total += image
        count += 1
    return None if total is None else np.round(total / count).astype(np.uint8)
