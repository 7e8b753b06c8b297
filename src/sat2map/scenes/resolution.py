"""Ground sampling distance: at which one a scene is translated, and the arithmetic of resampling.

Models know the world at one size of pixels. A scene of other pixels is resampled to it while it is read, and the
result is repeated on the scene's own grid. Resampling is written out as sums in a fixed order, each pixel by itself,
so that a pixel does not depend on the window that it is read with.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sat2map.errors import WrongResolution
from sat2map.grid import Indices, Window

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float32]

CLOSE, WORTH_A_NOTICE, TOO_FAR, ABSURD = 1.1, 1.5, 4.0, 64.0
_LEAST = 1e-6  # of a share: below it is rounding
_AREA = 1 << 22  # px of the scene that are resampled at a time
MISSING = (
    128  # what a model is shown of missing pixels: the middle of its range, nothing for a filter to react to
)


class Factors(NamedTuple):
    """Pixels of the scene per pixel that the model sees."""

    down: float
    across: float


def choose(
    scene: tuple[float, float] | None, model: float, told: float | None
) -> tuple[Factors | None, str | None]:
    """Decide how a scene is resampled; returns None for not at all, and a notice if there is something to say.

    `scene` is (height, width) of a pixel in metres, None if unknown; `model` what the model was trained at; `told`
    what the user wants it to see. Up to 1.1 times larger or smaller is left as it is. Raises WrongResolution for pixels
    more than 4 times as large unless told, beyond 64 times always, and if something was told of a scene of unknown
    resolution.
    """
    if scene is None:
        if told:
            raise WrongResolution(
                "--gsd was given, but the scene does not say how large its pixels are",
                "Give the scene a CRS and a transform first (gdal_edit.py), or leave out --gsd",
            )
        return None, f"the size of the pixels is unknown; the model expects {model:g} m"
    target = told or model
    size = math.sqrt(scene[0] * scene[1])
    ratio = max(size / target, target / size)
    if ratio > ABSURD:
        raise WrongResolution(
            f"the scene has {_show(size)} m per pixel, {ratio:,.0f} times {'more' if size > target else 'less'} than "
            f"the {target:g} m {'asked for' if told else 'that the model was trained at'}",
            f"Use imagery of about {model:g} m, or choose a --gsd within {ABSURD:g} times of the scene's",
        )
    if not told and size > TOO_FAR * target:  # finer imagery loses nothing that the model could use
        raise WrongResolution(
            f"the scene has {_show(size)} m per pixel, the model was trained at {model:g} m, {ratio:.3g} times finer",
            f"Use other imagery; to try it nevertheless: --gsd {model:g} (resampled) or --gsd {_show(size)} (as it is)",
        )
    if max(max(side / target, target / side) for side in scene) <= CLOSE:
        apart = max(size / model, model / size)
        if apart <= WORTH_A_NOTICE:
            return None, None
        return (
            None,
            f"the scene is shown to the model at {_show(size)} m per pixel; it was trained at {model:g} m",
        )
    factors = Factors(target / scene[0], target / scene[1])
    notice = f"the scene has {_show(size)} m per pixel; it is translated at {target:g} m and written on its own grid"
    return factors, notice if ratio > WORTH_A_NOTICE or told else None


def _show(metres: float) -> str:
    return f"{metres:.0f}" if metres >= 100 else f"{metres:.3g}"


class Scene(Protocol):
    """A source that also knows where it has pixels."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the scene."""

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the scene has a pixel."""


class Resampled:
    """A scene with larger or smaller pixels, anchored at its top-left corner.

    Larger pixels are the means of the parts of the scene that they cover; smaller ones lie on straight lines between
    the centres of the scene's. Missing pixels have no share; a pixel is valid if any pixel with a share in it is.
    """

    def __init__(self, scene: Scene, factors: Factors) -> None:
        self._scene, self._factors = scene, factors
        height, width, bands = scene.shape
        self._size = (
            max(math.ceil(height / factors.down - 1e-9), 1),
            max(math.ceil(width / factors.across - 1e-9), 1),
        )
        self._bands = bands
        self._recent: tuple[Window, Bool] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return *self._size, self._bands

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the resampled scene."""
        pixels = np.empty((window.height, window.width, self._bands), np.uint8)
        valid = np.empty(pixels.shape[:2], np.bool_)
        area = window.width * max(self._factors.across, 1) * max(self._factors.down, 1)
        step = max(int(_AREA / area), 1)
        for start in range(0, window.height, step):
            part = Window(window.row + start, window.col, min(step, window.height - start), window.width)
            rows = slice(start, start + part.height)
            pixels[rows], valid[rows] = self._resample(part)
        self._recent = window, valid
        return pixels

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where there is something of the scene."""
        if self._recent is None or not self._recent[0].covers(window):
            self.read(window)
        assert self._recent is not None, "reading leaves a mask"
        known, valid = self._recent
        return valid[window.slices(known)]

    def repeated(self, window: Window) -> tuple[Window, Indices, Indices]:
        """Return the window of the scene whose pixels lie in `window` of the resampled scene, and where they lie.

        The windows that tile the resampled scene tile the scene. The indices are relative to `window`.
        """
        height, width, _ = self._scene.shape
        rows = places(height, self._factors.down, self._size[0])
        cols = places(width, self._factors.across, self._size[1])
        top, bottom = np.searchsorted(rows, (window.row, window.row + window.height))
        left, right = np.searchsorted(cols, (window.col, window.col + window.width))
        inside = Window(int(top), int(left), int(bottom - top), int(right - left))
        return inside, rows[top:bottom] - window.row, cols[left:right] - window.col

    def _resample(self, part: Window) -> tuple[UInt8, Bool]:
        height, width, _ = self._scene.shape
        rows, down = shares(part.row, part.height, self._factors.down, height)
        cols, across = shares(part.col, part.width, self._factors.across, width)
        top, left = int(rows.min()), int(cols.min())
        source = Window(top, left, int(rows.max()) + 1 - top, int(cols.max()) + 1 - left)
        seen = self._scene.read(source)
        here = self._scene.valid(source)[..., None]
        planes = np.concatenate([np.where(here, seen, 0), here], -1).astype(np.float32)  # (h, w, bands + 1)
        planes = _weighted(planes, rows - top, down)
        planes = _weighted(planes.swapaxes(0, 1), cols - left, across).swapaxes(0, 1)
        weight = planes[..., -1]
        valid = weight > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            colours = np.floor(planes[..., :-1] / weight[..., None] + np.float32(0.5))
        colours[~valid] = MISSING
        return colours.clip(0, 255).astype(np.uint8), valid


def places(size: int, factor: float, count: int) -> Indices:
    """Return (size,) the pixel of the resampled axis, of `count`, in which the centre of each pixel lies."""
    found = ((np.arange(size) + 0.5) / factor).astype(np.intp)
    return np.minimum(found, count - 1)


def shares(start: int, count: int, factor: float, size: int) -> tuple[Indices, Float]:
    """Return which pixels of an axis have a share in each of `count` resampled ones, and how much.

    Two arrays (count, taps); the number of taps depends on the factor alone, surplus ones have no weight. Factors
    above 1 take means over the covered length, others interpolate between the two nearest centres.
    """
    number = np.arange(start, start + count, dtype=np.float64)[:, None]
    if factor > 1:
        taps = math.ceil(factor) + 1
        first = np.floor(number * factor)
        index = first + np.arange(taps)
        overlap = np.minimum(index + 1, (number + 1) * factor) - np.maximum(index, number * factor)
        weight = np.where((index >= 0) & (index < size), overlap.clip(0, None), 0)
    else:
        at = (number + 0.5) * factor - 0.5
        index = np.floor(at) + np.arange(2)
        weight = 1 - np.abs(at - index)
    weight[weight < _LEAST] = 0
    return index.clip(0, size - 1).astype(np.intp), weight.astype(np.float32)


def _weighted(planes: Float, index: Indices, weight: Float) -> Float:
    """(h, w, c) -> (count, w, c): the weighted sums of rows, added up tap by tap."""
    total = np.zeros((len(index), *planes.shape[1:]), np.float32)
    for tap in range(index.shape[1]):
        total += planes[index[:, tap]] * weight[:, tap, None, None]
    return total
