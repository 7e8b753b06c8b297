"""What a check measures on one pair: flatness, contrast, water, and whether both halves lie on each other."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.data.overlaps import blur, halve
from sat2map.palette import CLASS_NAMES, MAPS

UInt8 = npt.NDArray[np.uint8]

NEAR = 16  # halved px each way in which a shift between the halves is looked for
CLOSE = 2  # halved px: streets are drawn straighter than they are
STRONG, LEAD, FAR = (
    5.0,
    2.0,
    10,
)  # deviations, deviations and px from which on a shift is believed (docs/LOG.md)


class Measures(NamedTuple):
    """Figures of one pair. Flatness is 0 to 1, deviations are grey levels, shifts px at full size."""

    sat_flat: float
    street_flat: float
    sat_deviation: float
    street_deviation: float
    water: float  # share of the map
    shift: "Shift"  # by which the street half lies off the satellite half


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


def _edges(rgb: UInt8) -> npt.NDArray[np.complex128]:
    """(H / 2, W / 2) edges as complex numbers: twice the angle, so that bright-to-dark and dark-to-bright are alike.

    The root of their strength, so that a few glaring roofs do not outvote all streets.
    """
    down, right = np.gradient(blur(halve(rgb), 1.2))
    slope = right.astype(np.float64) + 1j * down
    strength = np.abs(slope) + 1e-3  # grey levels
    edges: npt.NDArray[np.complex128] = slope**2 / (strength * np.sqrt(strength + 0.3))
    edges -= edges.mean()
    return edges


class Shift(NamedTuple):
    """Where edges of the map fit edges of the imagery best, and how much better than where they are."""

    rows: int  # px at full size by which the street half lies below the satellite half, even
    cols: int  # px to the right
    strength: float  # the best fit, in standard deviations of all fits
    lead: float  # of the best fit over the best within CLOSE of no shift, in the same unit

    @property
    def is_sure(self) -> bool:
        """Tell whether the halves are off each other; see docs/LOG.md for how often it errs."""
        return self.strength >= STRONG and self.lead >= LEAD and max(abs(self.rows), abs(self.cols)) >= FAR


def shift_between(sat: UInt8, street: UInt8) -> Shift:
    """Find the shift between two halves (H, W, 3), within 2 * NEAR px each way.

    Phase correlation (Kuglin and Hines 1975) of edge directions: streets are edges in both, whatever their colours.
    Pictures too small for it, or without edges, have no shift.
    """
    if min(sat.shape[:2]) < 8 * NEAR:
        return Shift(0, 0, 0.0, 0.0)
    spectrum = np.fft.fft2(_edges(sat)).conj() * np.fft.fft2(_edges(street))
    size = np.abs(spectrum)
    spectrum /= size + 1e-3 * size.mean() + 1e-6
    fit = np.fft.ifft2(spectrum).real
    spread = float(fit.std())
    if spread == 0:
        return Shift(0, 0, 0.0, 0.0)
    near = np.roll(fit, (NEAR, NEAR), (0, 1))[: 2 * NEAR + 1, : 2 * NEAR + 1] / spread
    row, col = divmod(int(near.argmax()), 2 * NEAR + 1)
    middle = slice(NEAR - CLOSE, NEAR + CLOSE + 1)
    lead = float(near.max() - near[middle, middle].max())
    return Shift(2 * (row - NEAR), 2 * (col - NEAR), float(near.max()), lead)


def measure(sat: UInt8, street: UInt8) -> Measures:
    """Measure one decoded pair, uint8 (H, W, 3) each."""
    return Measures(
        flatness(sat),
        flatness(street),
        deviation(sat),
        deviation(street),
        water_share(street),
        shift_between(sat, street),
    )
