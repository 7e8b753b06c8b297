"""Looks for what would spoil training on a paired set, or its figures.

Each pair is decoded once. Findings are faults (something is wrong: the exit code of `data check` is 1), warnings
(somebody should look) and notes (true of the set, and often right).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from sat2map.data.copies import Half, duplicate, find_copies, thumbnail
from sat2map.data.findings import KINDS, Finding, Severity
from sat2map.data.measures import CLOSE, STRONG, Measures, Shift, measure
from sat2map.data.overlaps import Overlap, find_overlaps
from sat2map.data.pairs import PairedSet, read
from sat2map.errors import Sat2MapError

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

SWAPPED = (
    0.05  # by which a map is at least flatter than imagery; the least found in `maps` is 0.03, in open water
)
MAP_FLAT = 0.5  # maps are flatter, imagery of land is not
NO_MAP = 1.0  # grey levels: deviation of a map that shows nothing
NO_SCENE = 8.0  # grey levels: deviation of imagery that shows nothing, or of a map with next to nothing
FAINT = 30.0  # grey levels: rule of the larger-google-sat2maps set; dark imagery of towns falls below it too
WATERY = 0.5  # share of water that explains little contrast
NEAR_COPY = 0.8  # share of a picture in another that makes the two near duplicates
STAND_INS = ("placeholder", "contradiction")  # such pictures share ground only in appearance
WHOLE_SET = 8  # pairs with a sure shift, most of which agree, that speak for the set as a whole


@dataclass(frozen=True)
class Audit:
    """All findings on a set."""

    folder: str
    splits: dict[str, int]
    sizes: dict[str, int]  # "WIDTH×HEIGHT" of a half -> pairs
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> list[Finding]:
        """The findings that make the set unfit."""
        return [finding for finding in self.findings if finding.severity == "fault"]

    def summary(self) -> dict[str, tuple[Severity, int]]:
        """Severity and number of findings by kind, the worst first."""
        counts = Counter(finding.kind for finding in self.findings)
        return {kind: (KINDS[kind][0], counts[kind]) for kind in KINDS if counts[kind]}

    def as_json(self) -> dict[str, object]:
        """Plain lists, numbers and texts."""
        found = [{"severity": f.severity, **asdict(f), "pairs": list(f.pairs)} for f in self.findings]
        return {"folder": self.folder, "splits": self.splits, "sizes": self.sizes, "findings": found}


class _Pass(Sequence[UInt8]):
    """Satellite halves as a sequence that examines each pair while it is read."""

    def __init__(self, pairs: PairedSet) -> None:
        self.pairs = pairs
        self.broken: dict[int, str] = {}
        self.measures: dict[int, Measures] = {}
        self.sizes: dict[int, tuple[int, int]] = {}
        self.sats: dict[int, Half] = {}
        self.streets: dict[int, Half] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        try:
            sat, street = read(self.pairs[number])
        except Sat2MapError as fault:
            self.broken[number] = fault.what
            return np.zeros((16, 16, 3), np.uint8)  # shares ground with nothing
        found = self.measures[number] = measure(sat, street)
        self.sizes[number] = (sat.shape[0], sat.shape[1])
        self.sats[number] = Half(_digest(sat), thumbnail(sat), found.sat_deviation, found.water)
        self.streets[number] = Half(_digest(street), thumbnail(street), found.street_deviation, found.water)
        return sat


def _digest(rgb: UInt8) -> str:
    return hashlib.sha256(str(rgb.shape).encode() + np.ascontiguousarray(rgb).tobytes()).hexdigest()


def audit(pairs: PairedSet, progress: Progress | None = None) -> Audit:
    """Decode and examine every pair of a set, and compare all pairs with each other; changes nothing."""
    seen = _Pass(pairs)
    overlaps = find_overlaps(seen, progress)
    names = [pair.name for pair in pairs]
    found = [Finding("unreadable", (names[n],), why) for n, why in sorted(seen.broken.items())]
    common = Counter(seen.sizes.values()).most_common(1)
    for number, figures in sorted(seen.measures.items()):
        found += _judge(names[number], figures)
        height, width = seen.sizes[number]
        if seen.sizes[number] != common[0][0]:
            found.append(Finding("odd size", (names[number],), f"{width}×{height} px"))
    found += _shift_of_the_set(pairs, seen.measures)
    found += find_copies(pairs, seen.sats, seen.streets, NO_SCENE, NO_MAP)
    found += _neighbours(
        pairs, overlaps, seen, {name for f in found for name in f.pairs if f.kind in STAND_INS}
    )
    order = list(KINDS)
    found.sort(key=lambda finding: order.index(finding.kind))
    sizes = Counter(f"{width}×{height}" for height, width in seen.sizes.values())
    return Audit(pairs.folder.name, pairs.splits, dict(sizes.most_common()), tuple(found))


def _judge(name: str, figures: Measures) -> Iterator[Finding]:
    """Findings that one pair's figures are enough for."""
    blank_tile = figures.sat_deviation < NO_SCENE and figures.street_flat > MAP_FLAT
    if figures.sat_flat > figures.street_flat + SWAPPED and not blank_tile:
        yield Finding("swapped", (name,), f"flatness {figures.sat_flat:.2f} and {figures.street_flat:.2f}")
    if figures.street_deviation < NO_MAP and figures.water < WATERY:
        yield Finding("empty map", (name,), f"deviation {figures.street_deviation:.1f} grey levels")
    if figures.sat_deviation < FAINT:
        kind = "water" if figures.water >= WATERY else "faint scene"
        if kind == "faint scene" and figures.sat_deviation < NO_SCENE:
            kind = "empty scene"
        detail = f"deviation {figures.sat_deviation:.1f} grey levels, {figures.water:.0%} water"
        yield Finding(kind, (name,), detail)
    # Water and near-empty maps have no edges to trust.
    drawn = figures.water < WATERY and figures.street_deviation >= NO_SCENE
    if drawn and figures.shift.is_sure:
        yield Finding("misaligned", (name,), _shift_in_words(figures.shift))


def _shift_in_words(shift: Shift) -> str:
    down, right = f"{abs(shift.rows)} px {'down' if shift.rows >= 0 else 'up'}", f"{abs(shift.cols)} px"
    side = "right" if shift.cols >= 0 else "left"
    return f"the map lies {down}, {right} {side} of the imagery (strength {shift.strength:.0f}, lead {shift.lead:.0f})"


def _shift_of_the_set(pairs: PairedSet, measures: dict[int, Measures]) -> Iterator[Finding]:
    """One shift that most of the pairs with any clear fit agree on: an error of the whole set, not of pairs."""
    clear = {n: m.shift for n, m in measures.items() if m.shift.strength >= STRONG and m.water < WATERY}
    sure = [n for n, shift in clear.items() if shift.is_sure]
    if len(sure) < max(WHOLE_SET, len(clear) / 2):
        return
    rows, cols = (int(np.median([clear[n][axis] for n in sure])) for axis in (0, 1))
    agree = [n for n in sure if max(abs(clear[n].rows - rows), abs(clear[n].cols - cols)) <= 2 * CLOSE]
    if len(agree) > len(clear) / 2:
        detail = f"{rows} px down, {cols} px right, in {len(agree)} of {len(clear)} pairs with a clear fit"
        yield Finding("misaligned set", tuple(pairs[n].name for n in agree), detail)


def _neighbours(
    pairs: PairedSet, overlaps: Sequence[Overlap], seen: _Pass, stand_ins: set[str]
) -> Iterator[Finding]:
    """Couples that share ground: near duplicates anywhere, any overlap across splits."""
    for overlap in overlaps:
        one, two = pairs[overlap.first], pairs[overlap.second]
        equal = seen.sats[overlap.first].digest == seen.sats[overlap.second].digest
        if equal or (one.name in stand_ins and two.name in stand_ins):
            continue  # reported as copies
        detail = f"{overlap.share:.0%} of the ground, correlation {overlap.correlation:.3f}"
        if overlap.share >= NEAR_COPY:
            yield duplicate([one, two], detail)
        elif one.split != two.split and "apart" not in (one.split, two.split):
            yield Finding("shared ground across splits", (one.name, two.name), detail)
