"""Crops of a plain picture, whose pixels are of a known size."""

from pathlib import Path

import numpy as np

from sat2map import images
from sat2map.views.crop import Crop, UInt8
from sat2map.views.imagery.source import Place, refuse_coarse, refuse_unseen, with_unseen


class PictureImagery:
    """A picture from straight above. Places are column and row in pixels from its upper left corner."""

    attribution = ""

    def __init__(self, pixels: UInt8, metres: float, up: float = 0.0, name: str = "the picture") -> None:
        """`pixels` (H, W, 3), `metres` per pixel, `up` the heading that is up in it, in degrees."""
        self.name, self._pixels, self._metres, self._up = name, pixels, metres, up

    @classmethod
    def open(cls, path: Path, metres: float, up: float = 0.0) -> "PictureImagery":
        """Read a picture. Raises what `images.read_image` raises."""
        return cls(images.read_image(path), metres, up, path.name)

    @property
    def middle(self) -> Place:
        """Its middle."""
        height, width = self._pixels.shape[:2]
        return Place(width / 2, height / 2)

    def crop(self, place: Place, side: int, metres: float) -> Crop:
        """Return the crop around a pixel; see `Imagery.crop`."""
        refuse_coarse(self.name, self._metres, metres)
        count = max(round(side * metres / self._metres), 1)
        top, left = round(place.y - count / 2), round(place.x - count / 2)
        height, width = self._pixels.shape[:2]
        rows, cols = np.arange(top, top + count), np.arange(left, left + count)
        valid = ((rows >= 0) & (rows < height))[:, None] & ((cols >= 0) & (cols < width))[None]
        refuse_unseen(self.name, valid, f"{place.x:g},{place.y:g}")
        cut = self._pixels[np.clip(rows, 0, height - 1)][:, np.clip(cols, 0, width - 1)]
        scale = side / count
        shown = images.resized(with_unseen(cut, valid), side, side)
        return Crop(shown, self._metres / scale, (place.y - top) * scale, (place.x - left) * scale, self._up)

    def offset(self, start: Place, end: Place) -> tuple[float, float]:
        """Return metres to the east and north."""
        right, down = (end.x - start.x) * self._metres, (end.y - start.y) * self._metres
        turn = np.radians(self._up)
        sin, cos = float(np.sin(turn)), float(np.cos(turn))
        return right * cos - down * sin, -down * cos - right * sin
