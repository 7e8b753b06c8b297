"""A camera above level ground: which ray each of its pixels looks along.

One form serves both kinds of picture. Ahead is the heading, right is 90 degrees clockwise of it. The ray of pixel
(row, col) passes, at depth t, over the ground point t · (ahead(col), right(col)), at a height of eye + t · rise(row).
All of a column lies in one vertical plane, and all of a row has one rise:

- perspective (a pinhole camera held level, its sensor shifted so that the horizon is where `horizon` says):
  ahead = 1, right = u, rise = v with u = (2 (col + 1/2) / W - 1) tan(field / 2) and
  v = (horizon · H - (row + 1/2)) · 2 tan(field / 2) / W; t is the distance along the heading;
- panorama (equirectangular, as many degrees per pixel upwards as sideways):
  ahead = cos a, right = sin a, rise = tan e with a = 360° ((col + 1/2) / W - 1/2) and
  e = (horizon · H - (row + 1/2)) · 360° / W; t is the distance on the ground.

Hartley and Zisserman 2004, chapters 6 and 13 (the map between a plane and a picture of it); the panoramic form is the
geo-transformation of Lu et al. 2020 and of Shi et al. 2022 (arXiv 2103.01623). The polar transform of Shi et al. 2019
differs from it in one thing: there, rows are spaced evenly in distance.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.card import Ground

Floats = npt.NDArray[np.float64]
STEEPEST = np.radians(89.0)  # of a panorama's rays: above, the tangent runs away


class Rays(NamedTuple):
    """A ray per pixel, by column and by row."""

    ahead: Floats  # (W,)
    right: Floats  # (W,)
    rise: Floats  # (H,)


class Camera(NamedTuple):
    """Where a camera stands above the ground, and what it takes in."""

    height: int  # px
    width: int
    field: float  # degrees from the left to the right of the picture; 360 for a panorama
    horizon: float = 0.5  # share of the height from the top
    eye: float = 1.7  # metres

    @classmethod
    def of(cls, ground: Ground) -> "Camera":
        """Return the camera of a model's pictures."""
        return cls(ground.height, ground.width, ground.field, ground.horizon, ground.eye)

    @property
    def is_panorama(self) -> bool:
        """Whether it looks all around."""
        return self.field >= 360

    def rays(self) -> Rays:
        """Return the rays of all pixel centres."""
        across = (np.arange(self.width) + 0.5) / self.width  # share of the width
        up = self.horizon * self.height - (np.arange(self.height) + 0.5)  # px above the horizon
        if self.is_panorama:
            aside = 2 * np.pi * (across - 0.5)
            elevation = np.clip(up * 2 * np.pi / self.width, -STEEPEST, STEEPEST)
            return Rays(np.cos(aside), np.sin(aside), np.tan(elevation))
        reach = np.tan(np.radians(self.field / 2))
        return Rays(np.ones(self.width), (2 * across - 1) * reach, up * 2 * reach / self.width)

    def depths(self, plane: float) -> Floats:
        """(H,) depth t at which the rays of each row meet a level plane of so many metres; inf where they never do."""
        rise = self.rays().rise
        with np.errstate(divide="ignore"):
            depth = (plane - self.eye) / rise
        return np.where((depth > 0) & np.isfinite(depth), depth, np.inf)


def turned(ahead: Floats, right: Floats, heading: float) -> tuple[Floats, Floats]:
    """Return (east, north) of offsets that are ahead and to the right of a heading in degrees; any shape."""
    angle = np.radians(heading)
    sin, cos = float(np.sin(angle)), float(np.cos(angle))
    return ahead * sin + right * cos, ahead * cos - right * sin
