"""What a source of imagery gives."""

from typing import NamedTuple, Protocol

import numpy as np

from sat2map.errors import NoImagery, WrongResolution
from sat2map.views.crop import Crop, UInt8

COARSE = 2.5  # times the pixels that a model was trained on; coarser imagery shows it nothing that it knows
SEEN = 0.5  # share of a crop that must be there


class Place(NamedTuple):
    """Two numbers; their source knows what they mean."""

    x: float  # longitude, column, or metres to the east
    y: float  # latitude, row, or metres to the north

    def towards(self, other: "Place", share: float) -> "Place":
        """Return the place at a share of the way to another."""
        return Place(self.x + share * (other.x - self.x), self.y + share * (other.y - self.y))


class Imagery(Protocol):
    """A source of crops."""

    name: str  # without secrets
    attribution: str

    def crop(self, place: Place, side: int, metres: float) -> Crop:
        """Return about `side` px of `metres` each around a place.

        Raises NoImagery where there is none or too little, WrongResolution if the source is far coarser.
        """

    def offset(self, start: Place, end: Place) -> tuple[float, float]:
        """Return how many metres to the east and to the north `end` lies of `start`."""


def refuse_coarse(name: str, own: float, metres: float) -> None:
    """Raise WrongResolution where a source has far larger pixels than the model knows."""
    if own > COARSE * metres:
        raise WrongResolution(
            f"{name} has {own:.3g} m per pixel, and the model was trained on {metres:.3g} m",
            f"Use imagery of at most {COARSE * metres:.3g} m per pixel, or a model for coarser imagery (sat2map info)",
        )


def refuse_unseen(name: str, valid: "np.typing.NDArray[np.bool_]", what: str) -> None:
    """Raise NoImagery where the standing point, or most of what is around it, is missing."""
    height, width = valid.shape
    if not valid[height // 2, width // 2]:
        raise NoImagery(f"{what} lies outside {name}, or in a hole of it", "Name a place that it shows")
    if valid.mean() < SEEN:
        raise NoImagery(
            f"around {what} {name} shows {valid.mean():.0%} of what the model needs",
            "Name a place farther from its edge",
        )


def with_unseen(pixels: UInt8, valid: "np.typing.NDArray[np.bool_]", level: int = 128) -> UInt8:
    """Return the pixels with missing ones at a middle level, as the models know them."""
    return np.where(valid[..., None], pixels, np.uint8(level))
