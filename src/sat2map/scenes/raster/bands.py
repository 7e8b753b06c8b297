"""Which bands are red, green and blue, and which pixels are missing.

Bands that the file calls red, green and blue are these; otherwise the first three that are not alpha; a single one is
grey. Alpha is what the file calls alpha, never "the fourth band", and not if the user picks that band as a colour.

A pixel is missing where the file's mask is 0; without a mask, where all colour bands have their nodata value; where
alpha is 0; where a sample is NaN; and where all colour bands have the value of `--nodata`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sat2map.errors import UnsupportedFormat, WrongBands


class Bands(NamedTuple):
    """What is read of a scene. Bands count from 1."""

    colour: tuple[int, ...]  # as many as the model needs; a grey band several times
    alpha: int | None
    has_mask: bool  # the file has a mask for the whole page
    palette: bool  # the samples are numbers of colours in a table

    @property
    def read(self) -> tuple[int, ...]:
        """The colour bands once each, in the order in which they are read."""
        return tuple(dict.fromkeys(self.colour))


def choose(dataset: Any, wanted: Sequence[int] | None, needed: int, name: str) -> Bands:
    """Choose the bands of a rasterio dataset. `wanted` is what the user says (`--bidx`), `needed` the model's count.

    Raises WrongBands if they cannot be told, UnsupportedFormat for colours that are neither grey nor RGB.
    """
    kinds = [kind.name for kind in dataset.colorinterp]
    alphas = [number for number, kind in enumerate(kinds, 1) if kind == "alpha"]
    colour = _wanted(wanted, needed, dataset.count, name) if wanted else _by_meaning(kinds, needed, name)
    is_palette = not wanted and kinds[colour[0] - 1] == "palette"
    alpha = next((number for number in alphas if number not in colour), None)
    flags = {flag.name for flag in dataset.mask_flag_enums[colour[0] - 1]}
    return Bands(colour, alpha, "per_dataset" in flags and "alpha" not in flags, is_palette)


def _wanted(wanted: Sequence[int], needed: int, count: int, name: str) -> tuple[int, ...]:
    for number in wanted:
        if not 1 <= number <= count:
            raise WrongBands(f"{name} has no band {number}, it has {count}", "Bands of --bidx count from 1")
    if len(wanted) not in (1, needed):
        raise WrongBands(
            f"--bidx names {len(wanted)} bands and the model needs {needed}",
            f"Name {needed} bands (red, green, blue), or one for grey",
        )
    return tuple(wanted) * (needed if len(wanted) == 1 else 1)


def _by_meaning(kinds: Sequence[str], needed: int, name: str) -> tuple[int, ...]:
    if kinds[0] in ("cyan", "magenta", "yellow", "black", "hue", "saturation", "lightness", "Y", "Cb", "Cr"):
        raise UnsupportedFormat(f"the colours of {name} are {', '.join(kinds)}", "Convert it to RGB first")
    if needed == 3 and all(kinds.count(colour) == 1 for colour in ("red", "green", "blue")):
        return tuple(kinds.index(colour) + 1 for colour in ("red", "green", "blue"))
    plain = [number for number, kind in enumerate(kinds, 1) if kind != "alpha"]
    if len(plain) == 1:
        return (plain[0],) * needed
    if len(plain) < needed:
        raise WrongBands(
            f"{name} has {len(plain)} bands besides alpha and the model needs {needed}: red, green, blue",
            "Say which ones to use with --bidx, e.g. --bidx 1 for grey",
        )
    return tuple(plain[:needed])
