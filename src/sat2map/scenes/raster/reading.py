"""A source for `scenes.translate`: windows of an open scene as uint8, with a constant in place of missing pixels."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.errors import WrongBands
from sat2map.grid import Window
from sat2map.scenes.raster.bands import Bands, choose
from sat2map.scenes.raster.gate import translated_errors
from sat2map.scenes.raster.scaling import Scale, from_sample, same_for_all, to_bytes
from sat2map.scenes.resolution import MISSING

UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

_KEPT = 2  # windows whose masks are remembered: as many as `translate` has blocks in memory
_SAMPLES = 32  # per axis: windows of a sample for percentiles, and px per side of each


class RasterSource:
    """Reads a dataset; from one thread only, as GDAL demands. Raises CorruptImage for damaged pixels."""

    def __init__(
        self,
        dataset: Any,
        name: str,
        needed: int = 3,
        *,
        bidx: Sequence[int] | None = None,
        scale: Sequence[float] | None = None,
        nodata: float | None = None,
        like: "RasterSource | None" = None,
    ) -> None:
        """Give `needed` bands; `bidx`, `scale`, `nodata` are what the user says. Raises what `choose` raises.

        `like`: the same scene on another grid, whose scale is taken over, so that both have the same colours.
        """
        self._dataset, self._name = dataset, name
        self._nodata = nodata
        with translated_errors(name):
            self.bands: Bands = choose(dataset, bidx, needed, name)
            self._palette = _palette(dataset, self.bands)
        self._recent: deque[tuple[Window, Bool]] = deque(maxlen=_KEPT)
        self.sampled = False  # whether the scale comes from a sample of the scene
        with translated_errors(name):
            self.scale: Scale | None = like.scale if like else self._choose_scale(scale)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, bands)."""
        return self._dataset.height, self._dataset.width, len(self.bands.colour)

    @property
    def has_missing(self) -> bool:
        """Whether pixels can be missing at all; False means that `valid` is True everywhere."""
        return bool(
            self.bands.has_mask
            or self.bands.alpha
            or self._nodata is not None
            or any(value is not None for value in self._nodata_values())
            or any(np.dtype(self._dataset.dtypes[band - 1]).kind == "f" for band in self.bands.read)
            or (self._palette is not None and (self._palette[:, 3] == 0).any())
        )

    def read(self, window: Window) -> UInt8:
        """Return (height, width, bands) of a window inside the scene."""
        with translated_errors(self._name):
            samples = self._samples(window)
            valid = self._valid(window, samples)
        pixels = self._colours(samples)
        if valid is not None:
            pixels[~valid] = MISSING
            self._recent.append((window, valid))
        return pixels

    def valid(self, window: Window) -> Bool:
        """Return (height, width), True where the scene has a pixel."""
        if not self.has_missing:
            return np.ones((window.height, window.width), np.bool_)
        for known, valid in self._recent:
            if known.covers(window):
                return valid[window.slices(known)]
        with translated_errors(self._name):
            found = self._valid(window, self._samples(window))
        assert found is not None, "a scene with missing pixels has a mask"
        return found

    def reduced(self, height: int, width: int) -> UInt8:
        """Return the whole scene as (height, width, bands), from the overviews of the file if it has any."""
        from rasterio.enums import Resampling

        how = Resampling.nearest if self._palette is not None else Resampling.average
        with translated_errors(self._name):
            shape = len(self.bands.read), height, width
            return self._colours(self._dataset.read(list(self.bands.read), out_shape=shape, resampling=how))

    def _samples(self, window: Window) -> npt.NDArray[Any]:
        """Return (bands read, height, width) as stored."""
        samples: npt.NDArray[Any] = self._dataset.read(list(self.bands.read), window=_rasterio(window))
        return samples

    def _colours(self, samples: npt.NDArray[Any]) -> UInt8:
        if self._palette is not None:
            return np.ascontiguousarray(self._palette[samples[0]][..., : len(self.bands.colour)])
        levels = to_bytes(samples, self.scale)
        order = [self.bands.read.index(band) for band in self.bands.colour]
        return np.ascontiguousarray(np.moveaxis(levels[order], 0, -1))  # (H, W, bands)

    def _valid(self, window: Window, samples: npt.NDArray[Any]) -> Bool | None:
        """Apply the rules of `bands.py`; None if no pixel of the scene can be missing."""
        if not self.has_missing:
            return None
        valid = np.ones(samples.shape[1:], np.bool_)
        place = _rasterio(window)
        if self.bands.has_mask:
            valid &= self._dataset.read_masks(self.bands.read[0], window=place) > 0
        else:
            valid &= ~_all_equal(samples, self._nodata_values())
        if self.bands.alpha:
            valid &= self._dataset.read(self.bands.alpha, window=place) > 0
        if self._nodata is not None:
            valid &= ~_all_equal(samples, [self._nodata] * len(samples))
        if samples.dtype.kind == "f":
            valid &= ~np.isnan(samples).any(0)
        if self._palette is not None:
            valid &= self._palette[samples[0]][..., 3] > 0
        return valid

    def _nodata_values(self) -> list[float | None]:
        values = self._dataset.nodatavals
        return [] if self.bands.has_mask else [values[band - 1] for band in self.bands.read]

    def _choose_scale(self, wanted: Sequence[float] | None) -> Scale | None:
        """Return the scale that the user names, or that the kind of the samples asks for; None to leave them."""
        if self._palette is not None:
            return None
        count = len(self.bands.read)
        if wanted:
            pairs = list(zip(wanted[::2], wanted[1::2], strict=True))
            if len(pairs) not in (1, len(self.bands.colour)):
                raise WrongBands(
                    f"--scale names {len(pairs)} pairs and the model needs {len(self.bands.colour)} bands",
                    "Give LOW,HIGH once, or for each band in the order of red, green, blue",
                )
            pairs = pairs * len(self.bands.colour) if len(pairs) == 1 else pairs
            by_band = dict(zip(self.bands.colour, pairs, strict=True))
            lows, highs = zip(*(by_band[band] for band in self.bands.read), strict=True)
            return Scale(lows, highs)
        structure = self._dataset.tags(self.bands.read[0], ns="IMAGE_STRUCTURE")
        kind = self._dataset.dtypes[self.bands.read[0] - 1]
        inverted = self._dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        if kind == "uint8":
            most = 2.0 ** min(int(structure.get("NBITS", 8)), 8) - 1
            if inverted:
                return same_for_all(most, 0.0, count)
            return None if most == 255 else same_for_all(0.0, most, count)
        self.sampled = True
        return from_sample(self._spread_sample(), count)

    def _spread_sample(self) -> list[npt.NDArray[Any]]:
        """Return the valid samples of small windows that are spread evenly over the scene."""
        height, width, _ = self.shape
        found = []
        for row in _spread(height):
            for col in _spread(width):
                window = Window(row, col, _SAMPLES, _SAMPLES).clipped(height, width)
                samples = self._samples(window)
                valid = self._valid(window, samples)
                found.append(samples.ravel() if valid is None else samples[:, valid].ravel())
        return found


def _spread(size: int) -> list[int]:
    """Return the starts of windows along an axis; they cover it without overlap if it is short enough."""
    count = min(math.ceil(size / _SAMPLES), _SAMPLES)
    room = max(size - _SAMPLES, 0)
    if size <= _SAMPLES * _SAMPLES:
        return [number * _SAMPLES for number in range(count)]
    return [room * number // (count - 1) for number in range(count)]


def _all_equal(samples: npt.NDArray[Any], values: Sequence[float | None]) -> Bool:
    """(bands, H, W) -> (H, W), True where every band that has a value has just that one; NaN equals NaN."""
    if not values or any(value is None for value in values):
        return np.zeros(samples.shape[1:], np.bool_)
    missing = np.ones(samples.shape[1:], np.bool_)
    for band, value in zip(samples, values, strict=True):
        assert value is not None, "looked at above"
        missing &= np.isnan(band) if math.isnan(value) else band == _stored(value, band.dtype)
    return missing


def _stored(value: float, kind: np.dtype[Any]) -> float:
    """Return a value as samples of this kind hold it: 0.1 is another number in float32."""
    return float(np.float32(value)) if kind == np.float32 and abs(value) < 3.5e38 else value


def _palette(dataset: Any, bands: Bands) -> UInt8 | None:
    """Return (entries, 4) RGBA, as many as the samples can name."""
    if not bands.palette:
        return None
    table = np.zeros((1 << 16 if dataset.dtypes[bands.read[0] - 1] == "uint16" else 1 << 8, 4), np.uint8)
    for number, colour in dataset.colormap(bands.read[0]).items():
        if number < len(table):
            table[number] = colour
    return table


def _rasterio(window: Window) -> Any:
    from rasterio.windows import Window as Rectangle

    return Rectangle(window.col, window.row, window.width, window.height)
