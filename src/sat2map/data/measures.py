"""What a check measures on one pair: flatness, contrast, water, and whether both halves lie on each other."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.data.overlaps import blur, halve
from sat2map.palette import CLASS_NAMES, MAPS

UInt8 = npt.NDArray[np.uint8]

NEAR = 16  # halved px each way in which a shift between the halves is looked for


class Measures(NamedTuple):
    """Figures of one pair. Flatness is 0 to 1, deviations are grey levels, shifts px at full size."""

    sat_flat: float
    street_flat: float
    sat_deviation: float
    street_deviation: float
    water: float  # share of the map
    shift: tuple[int, int]  # (rows, cols) by which the street half lies off the satellite half
    shift_strength: float  # peak of the correlation over its standard deviation


def flatness(rgb: UInt8) -> float:
    """Share of horizontal neighbours that differ by at most 2 levels: 0.5 to 1 in maps, 0.1 to 0.4 in towns.

    Open water is flat in both, but less so in imagery.
    """
    rows = rgb[::2].astype(np.int16)
    return float((np.abs(np.diff(rows, axis=1)).max(-1) <= 2).mean()) if rows.shape[1] > 1 else 1.0


def deviation(rgb: UInt8) -> float:
    """Standard deviation of each channel, averaged over the channels; grey levels."""
    return float(rgb.std((0, 1)).mean())


def water_share(street: UInt8) -> float:
    """Share of a map that is drawn as water, by the standard palette."""
    classes = MAPS.to_classes(MAPS.encode(np.ascontiguousarray(street[::8, ::8])))
    return float((classes == CLASS_NAMES.index("water")).mean())


def _edges(rgb: UInt8) -> npt.NDArray[np.floating]:
    down, right = np.gradient(blur(halve(rgb), 1.2))
    strength: npt.NDArray[np.floating] = np.hypot(down, right)
    strength -= strength.mean()
    return strength


def shift_between(sat: UInt8, street: UInt8) -> tuple[tuple[int, int], float]:
    """((rows, cols), strength): where edges of the map best fit edges of the imagery, within 2 * NEAR px.

    Phase correlation (Kuglin and Hines 1975) of edge strengths. A hint: streets are edges in both, but a grid of
    streets also fits one block further. A strength below 8 means nothing.
    """
    if min(sat.shape[:2]) < 8 * NEAR:
        return (0, 0), 0.0
    one, two = _edges(sat), _edges(street)
    spectrum = np.fft.rfft2(one).conj() * np.fft.rfft2(two)
    size = np.abs(spectrum)
    spectrum /= size + 1e-3 * size.mean() + 1e-6
    fit = np.fft.irfft2(spectrum, one.shape)
    near = np.roll(fit, (NEAR, NEAR), (0, 1))[: 2 * NEAR + 1, : 2 * NEAR + 1]
    row, col = divmod(int(near.argmax()), 2 * NEAR + 1)
    spread = float(fit.std())
    return (2 * (row - NEAR), 2 * (col - NEAR)), float(near.max()) / spread if spread > 0 else 0.0


def measure(sat: UInt8, street: UInt8) -> Measures:
    """Measure one decoded pair, uint8 (H, W, 3) each."""
    shift, strength = shift_between(sat, street)
    return Measures(
        flatness(sat),
        flatness(street),
        deviation(sat),
        deviation(street),
        water_share(street),
        shift,
        strength,
    )
