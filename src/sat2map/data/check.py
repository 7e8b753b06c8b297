"""Looks for what would spoil training on a paired set, or its figures.

Each pair is decoded once. Findings are faults (something is wrong: the exit code of `data check` is 1), warnings
(somebody should look) and notes (true of the set, and often right).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sat2map.data.measures import Measures, measure
from sat2map.data.overlaps import Overlap, find_overlaps
from sat2map.data.pairs import Pair, PairedSet, read
from sat2map.errors import Sat2MapError

UInt8 = npt.NDArray[np.uint8]
Severity = Literal["fault", "warning", "note"]
Progress = Callable[[int, int], None]

SWAPPED = (
    0.05  # by which a map is at least flatter than imagery; the least found in `maps` is 0.03, in open water
)
NO_MAP = 1.0  # grey levels: deviation of a map that shows nothing
NO_SCENE = 8.0  # grey levels: deviation of imagery that shows nothing, or of a map with next to nothing
FAINT = 30.0  # grey levels: rule of the larger-google-sat2maps set; dark imagery of towns falls below it too
WATERY = 0.5  # share of water that explains little contrast
SHIFTED = 8  # px
SURE = 8.0  # strength of a shift that is worth a look
NEAR_COPY = 0.8  # share of a picture in another that makes the two near duplicates

# Kind of finding -> (severity, what it means). In the order in which they are reported.
KINDS: dict[str, tuple[Severity, str]] = {
    "unreadable": ("fault", "The pair cannot be decoded, or its halves differ in size."),
    "swapped": ("fault", "The half called satellite looks like a map, and the other one does not."),
    "placeholder": (
        "fault",
        "One and the same picture stands in for several places: a tile that says 'no imagery'.",
    ),
    "duplicate across splits": (
        "fault",
        "The same ground, or nearly, is in two splits: figures would be too good.",
    ),
    "contradiction": ("fault", "The same satellite picture has different maps."),
    "shared ground across splits": ("warning", "Pictures of two splits overlap: split by place instead."),
    "duplicate": ("warning", "The same ground, or nearly, is in the split twice."),
    "odd size": ("warning", "The pair has another size than most."),
    "misaligned": (
        "warning",
        "Edges of the map fit the imagery better elsewhere; a hint, regular streets mislead.",
    ),
    "empty map": ("warning", "The map shows nothing."),
    "empty scene": ("warning", "The imagery shows nothing."),
    "water": ("note", "Mostly water: little contrast, and rightly so."),
    "faint scene": ("note", "The imagery has little contrast: shadow, forest, haze, or a dark source."),
}


@dataclass(frozen=True)
class Finding:
    """One finding: its kind (a key of KINDS), the pairs that it is about, and the figures behind it."""

    kind: str
    pairs: tuple[str, ...]
    detail: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind][0]


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
        self.sat_digests: dict[int, str] = {}
        self.street_digests: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        try:
            sat, street = read(self.pairs[number])
        except Sat2MapError as fault:
            self.broken[number] = fault.what
            return np.zeros((16, 16, 3), np.uint8)  # shares ground with nothing
        self.measures[number] = measure(sat, street)
        self.sizes[number] = (sat.shape[0], sat.shape[1])
        self.sat_digests[number] = _digest(sat)
        self.street_digests[number] = _digest(street)
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
    found += _copies(pairs, seen)
    found += _neighbours(pairs, overlaps, seen)
    order = list(KINDS)
    found.sort(key=lambda finding: order.index(finding.kind))
    sizes = Counter(f"{width}×{height}" for height, width in seen.sizes.values())
    return Audit(pairs.folder.name, pairs.splits, dict(sizes.most_common()), tuple(found))


def _judge(name: str, figures: Measures) -> Iterator[Finding]:
    """Findings that one pair's figures are enough for."""
    if figures.sat_flat > figures.street_flat + SWAPPED:
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
    if drawn and figures.shift_strength >= SURE and max(map(abs, figures.shift)) >= SHIFTED:
        rows, cols = figures.shift
        yield Finding(
            "misaligned", (name,), f"{rows} px down, {cols} px right (strength {figures.shift_strength:.0f})"
        )


def _groups(digests: dict[int, str]) -> Iterable[list[int]]:
    """Numbers that share a digest, in groups of two or more."""
    by_digest: dict[str, list[int]] = {}
    for number, digest in sorted(digests.items()):
        by_digest.setdefault(digest, []).append(number)
    return [group for group in by_digest.values() if len(group) > 1]


def _copies(pairs: PairedSet, seen: _Pass) -> Iterator[Finding]:
    """Halves that occur more than once, pixel by pixel."""
    for group in _groups(seen.sat_digests):
        streets = {seen.street_digests[number] for number in group}
        members = tuple(pairs[number].name for number in group)
        if len(streets) == 1:
            yield _duplicate([pairs[number] for number in group], "equal in every pixel")
        elif len(streets) > 2 or seen.measures[group[0]].sat_deviation < NO_SCENE:
            yield Finding("placeholder", members, f"one satellite picture for {len(streets)} maps")
        else:
            yield Finding("contradiction", members, f"one satellite picture for {len(streets)} maps")
    for group in _groups(seen.street_digests):
        sats = {seen.sat_digests[number] for number in group}
        if (
            len(sats) > 1 and seen.measures[group[0]].street_deviation >= NO_MAP
        ):  # empty maps are equal by nature
            members = tuple(pairs[number].name for number in group)
            yield Finding("placeholder", members, f"one map for {len(sats)} satellite pictures")


def _duplicate(members: Sequence[Pair], detail: str) -> Finding:
    across = len({pair.split for pair in members}) > 1
    return Finding(
        "duplicate across splits" if across else "duplicate", tuple(pair.name for pair in members), detail
    )


def _neighbours(pairs: PairedSet, overlaps: Sequence[Overlap], seen: _Pass) -> Iterator[Finding]:
    """Couples that share ground: near duplicates anywhere, any overlap across splits."""
    for overlap in overlaps:
        one, two = pairs[overlap.first], pairs[overlap.second]
        if seen.sat_digests[overlap.first] == seen.sat_digests[overlap.second]:
            continue  # reported as copies
        detail = f"{overlap.share:.0%} of the ground, correlation {overlap.correlation:.3f}"
        if overlap.share >= NEAR_COPY:
            yield _duplicate([one, two], detail)
        elif one.split != two.split and "apart" not in (one.split, two.split):
            yield Finding("shared ground across splits", (one.name, two.name), detail)
