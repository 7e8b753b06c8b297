"""How far a picture lies from what a model was trained on, so that a user is told before believing the result.

A generator paints something for every input. Whether the input is of the kind that it knows is asked of a few plain
measures of 256 px cells: levels, spread and tint, flatness, detail at two sizes and, for maps, how many pixels have a
colour of the training maps. Training cells form clouds of several shapes (water, suburb, centre), so nothing Gaussian
is assumed: a cell is as strange as its distance to the nearest of some training cells, in units of the distance
that 99 % of held-out cells stay below. Nearest-neighbour distance as a test of novelty: Ramaswamy et al. 2000.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.palette import Colour, Palette

UInt8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

CELL = 256  # px
MOST_CELLS = 16  # looked at in one picture, evenly spread
PROTOTYPES = 96  # training cells that are kept
NEAR = 12  # levels: JPEG and anti-aliasing apart, a map pixel is this close to a colour of its palette
QUANTILE = 0.99  # of held-out cells that count as familiar
_FLOOR = 1e-3  # of logarithms of detail


class Strangeness(NamedTuple):
    """The verdict on one picture: median over its cells; more than 1 is strange."""

    distance: float  # to the nearest training cell, in units of what is usual
    off_palette: float  # share of pixels with a colour that no training map has; 0 where no palette is known
    colours: float  # `off_palette` in units of what is usual

    @property
    def strange(self) -> bool:
        """Tell whether the picture should be announced as unlike the training data."""
        return self.distance > 1 or self.colours > 1

    def sentence(self) -> str:
        """What to tell the user, '' for a familiar picture."""
        if self.colours > 1:
            return (
                f"{self.off_palette:.0%} of its pixels have colours that the training maps do not have: "
                "expect nonsense there (`sat2map imagine --from-sketch` brings drawings and other maps to the palette)"
            )
        if self.distance > 1:
            return (
                f"it lies farther from the training pictures than {QUANTILE:.0%} of their own kind do, "
                f"{self.distance:.2f} times as far: check resolution and kind, and do not rely on the result"
            )
        return ""


class Familiar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model knows, as it travels on the card."""

    centre: tuple[float, ...]  # (F,) of the measures of training cells
    spread: tuple[float, ...]  # (F,)
    prototypes: tuple[tuple[float, ...], ...]  # (P, F) standardised measures
    usual_distance: float
    colours: tuple[Colour, ...] = ()  # of training maps; empty where the input is imagery
    usual_off_palette: float = 1.0

    def judge(self, cells: Iterable[UInt8]) -> Strangeness:
        """Look at cells (h, w, 3) of one scene or picture, at the model's resolution; at least one."""
        palette = _palette(self.colours)
        found = [measure(cell, palette) for cell in cells]
        known = np.array(self.prototypes)
        scaled = (np.stack(found) - self.centre) / np.array(self.spread)  # (C, F)
        nearest = np.sqrt(((scaled[:, None] - known) ** 2).mean(-1)).min(1)  # (C,)
        off = float(np.median([cell[-1] for cell in found]))
        return Strangeness(float(np.median(nearest)) / self.usual_distance, off, off / self.usual_off_palette)


def windows(height: int, width: int) -> list[Window]:
    """Where to look: up to MOST_CELLS whole cells, evenly spread; the whole picture if it is smaller than one."""
    rows, cols = max(height // CELL, 1), max(width // CELL, 1)
    chosen = np.unique(np.linspace(0, rows * cols - 1, min(rows * cols, MOST_CELLS)).round().astype(int))
    places = [divmod(int(number), cols) for number in chosen]
    return [Window(row * CELL, col * CELL, CELL, CELL).clipped(height, width) for row, col in places]


def cells_of(picture: UInt8) -> Iterator[UInt8]:
    """The cells of an (H, W, 3) picture that are looked at."""
    for window in windows(picture.shape[0], picture.shape[1]):
        yield picture[window.slices()]


def measure(cell: UInt8, palette: Palette | None) -> Floats:
    """(h, w, 3) -> (F,) plain measures; the last is the share of pixels off the palette (0 without one)."""
    rgb = cell.astype(np.float64) / 255
    grey = rgb.mean(-1)
    coarse = grey[: len(grey) // 4 * 4, : grey.shape[1] // 4 * 4]
    coarse = coarse.reshape(len(coarse) // 4, 4, -1, 4).mean((1, 3))
    steps = np.abs(np.diff(cell.astype(np.int16), axis=1)).max(-1)
    off = 0.0
    if palette is not None:
        some = cell[::2, ::2]
        nearest = palette.decode(palette.encode(some)).astype(np.int16)
        off = float((np.abs(some - nearest).max(-1) > NEAR).mean())
    return np.array(
        [
            *rgb.mean((0, 1)),
            *rgb.std((0, 1)),
            float(np.ptp(rgb, axis=-1).mean()),  # distance from grey
            float((steps <= 2).mean()) if steps.size else 1.0,  # flatness
            _log_detail(grey),
            _log_detail(coarse),
            off,
        ]
    )


def learn(training: Iterable[UInt8], held_out: Iterable[UInt8], colours: Sequence[Colour] = ()) -> Familiar:
    """Keep well-spread training cells and set the limits on held-out pictures, (H, W, 3) each.

    `colours` are those of the training maps where maps are the input. Prototypes are chosen farthest first
    (Gonzalez 1985), so that rare kinds of place are kept too.
    """
    palette = _palette(tuple(colours))
    known = np.stack([measure(cell, palette) for picture in training for cell in cells_of(picture)])
    centre, spread = known.mean(0), known.std(0) + 1e-2  # a measure that never varies must not rule
    scaled = (known - centre) / spread
    prototypes = _farthest_first(scaled, PROTOTYPES)
    probes = np.stack([measure(cell, palette) for picture in held_out for cell in cells_of(picture)])
    away = np.sqrt(((((probes - centre) / spread)[:, None] - prototypes) ** 2).mean(-1)).min(1)
    return Familiar(
        centre=_rounded(centre),
        spread=_rounded(spread),
        prototypes=tuple(_rounded(row) for row in prototypes),
        usual_distance=round(max(float(np.quantile(away, QUANTILE)), 0.05), 4),
        colours=tuple(colours),
        usual_off_palette=round(max(float(np.quantile(probes[:, -1], QUANTILE)), 0.01), 4)
        if colours
        else 1.0,
    )


def _farthest_first(points: Floats, count: int) -> Floats:
    chosen = [int(((points - np.median(points, 0)) ** 2).sum(1).argmin())]
    gap = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]


def _log_detail(grey: Floats) -> float:
    """Logarithm of the mean absolute difference of neighbours."""
    if min(grey.shape) < 2:
        return float(np.log(_FLOOR))
    mean = (np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()) / 2
    return float(np.log(mean + _FLOOR))


@lru_cache(maxsize=4)  # its table of nearest colours takes most of a second to make
def _palette(colours: tuple[Colour, ...]) -> Palette | None:
    return Palette(colours, (0,) * len(colours), ("map",)) if colours else None


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
