"""Running means with a half-life in images, and the lowest and highest that they have been."""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


class Mean(msgspec.Struct):
    """Exponentially weighted sums of one quantity (a number, or a vector) and of the weights themselves."""

    total: list[float]
    weight: float = 0.0
    images: float = 0.0
    first: float | None = None  # mean of a number over its first tenth of a half-life
    lowest: float | None = None  # of the mean, once it has a half-life behind it
    highest: float | None = None


class Means:
    """Running means by name. Early means are those of what has been seen (bias-corrected), not pulled to zero."""

    def __init__(self, half_life: float, stored: Mapping[str, Mean] | None = None) -> None:
        self.half_life = half_life
        self.stored = dict(stored or {})

    def add(self, values: Mapping[str, float | Float], images: float) -> None:
        """Take in the values of a step on so many images; numbers or vectors of an equal length each time."""
        keep = 0.5 ** (images / self.half_life)
        for name, value in values.items():
            new = np.atleast_1d(np.asarray(value, np.float64))
            mean = self.stored.setdefault(name, Mean([0.0] * len(new)))
            mean.total = (np.asarray(mean.total) * keep + new * (1 - keep)).tolist()
            mean.weight = mean.weight * keep + (1 - keep)
            mean.images += images
            if len(new) == 1:
                _note_extremes(mean, mean.total[0] / mean.weight, self.half_life)

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def vector(self, name: str) -> Float:
        """The running mean of a vector."""
        mean = self.stored[name]
        return np.asarray(mean.total) / mean.weight

    def number(self, name: str) -> float:
        """The running mean of a number."""
        return float(self.vector(name)[0])


def _note_extremes(mean: Mean, now: float, half_life: float) -> None:
    if mean.first is None and mean.images >= half_life / 10:
        mean.first = now
    if mean.images >= half_life:
        mean.lowest = now if mean.lowest is None else min(mean.lowest, now)
        mean.highest = now if mean.highest is None else max(mean.highest, now)
