"""Stand-ins for trained models: cards, and a Translator in plain numpy whose receptive field is known."""

import threading
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.bundle import ModelCard, Training
from sat2map.palette import BUILDING, GREEN, LAND, ROAD, WATER, Palette
from sat2map.runtime import Translation

PALETTE = Palette(
    colours=((234, 230, 222), (242, 242, 234), (254, 254, 254), (202, 222, 174), (178, 210, 254)),
    classes=(LAND, BUILDING, ROAD, GREEN, WATER),
)


def training() -> Training:
    return Training(
        data="noise",
        licence="none",
        pairs=1,
        recipe={"a": [1, 2.5, None]},
        images_seen=3,
        hours=0.1,
        versions={},
    )


def card(**changes: Any) -> ModelCard:
    """A sound card of a small palette model; `changes` replace fields."""
    fields: dict[str, Any] = {
        "id": "fake",
        "title": "A fake",
        "direction": "sat2map",
        "kind": "palette",
        "architecture": "fake",
        "parameters": {"width": 2},
        "parameter_count": 0,
        "metres_per_pixel": 0.9,
        "palette": PALETTE,
        "stride": 4,
        "receptive_radius": 8,
        "halo": 8,
        "cell": 24,
        "training": training(),
        "licence": "Apache-2.0",
        "created": "2026-01-31T12:00:00Z",
    }
    return ModelCard(**{**fields, **changes})


class FakeTranslator:
    """Scores from means over stride-aligned squares, mixed over 5×5 of those, beside the pixel itself.

    A pixel depends on 2 strides beyond its own square. Beyond the window there are zeros, as in a padded network, so
    a halo that is too small shows. `statistics`: also subtract the mean of the window, as instance norm does.
    `shapes` records what it was given. Takes part in `want` literally: fields not asked for stay None.
    """

    def __init__(self, model_card: ModelCard | None = None, *, statistics: bool = False) -> None:
        self.card = model_card or card()
        self.shapes: list[tuple[int, ...]] = []
        self._statistics = statistics
        self._lock = threading.Lock()

    def __call__(self, batch: npt.NDArray[np.uint8], want: Collection[str]) -> Translation:
        with self._lock:
            self.shapes.append(batch.shape)
        smooth = np.stack([self._smooth(image) for image in batch])  # (N, H, W, C)
        if self._statistics:
            smooth = smooth - smooth.mean((1, 2), keepdims=True) + 0.5
        if self.card.palette is None:
            return Translation(colour=np.rint(smooth * 255).clip(0, 255).astype(np.uint8))
        palette = self.card.palette
        # Each palette entry is most likely near a colour of its own; these lie where mixed images have theirs.
        near = np.random.default_rng(5).uniform(0.3, 0.7, (len(palette), 3)).astype(np.float32)
        planes = np.moveaxis(smooth, -1, 0)  # (C, N, H, W)
        gaps = (sum((plane - at) ** 2 for plane, at in zip(planes, place, strict=True)) for place in near)
        odds = np.exp(-60 * np.stack(list(gaps), 1))  # (N, K, H, W)
        probabilities = odds / odds.sum(1, keepdims=True)
        index = probabilities.argmax(1).astype(np.uint8)
        fields = {
            "probabilities": probabilities,
            "index": index,
            "colour": palette.decode(index),
            "confidence": np.rint(probabilities.max(1) * 100).astype(np.uint8),
        }
        return Translation(**{name: value for name, value in fields.items() if name in want})

    def _smooth(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(H, W, C) uint8 -> (H, W, C) float32, about 0 ... 1."""
        step = self.card.stride
        values = image.astype(np.float32) / 255
        height, width, bands = image.shape
        assert height % step == 0 and width % step == 0, f"{image.shape} is not aligned to {step}"
        squares = values.reshape(height // step, step, width // step, step, bands).mean((1, 3))
        padded = np.pad(squares, ((2, 2), (2, 2), (0, 0)))
        mixed = sum(
            padded[i : i + squares.shape[0], j : j + squares.shape[1]] for i in range(5) for j in range(5)
        )
        spread = np.repeat(np.repeat(mixed / 25, step, 0), step, 1)
        return (0.6 * spread + 0.4 * values).astype(np.float32)
