"""What a check can find: the kinds, how bad each is, and one finding."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fault", "warning", "note"]

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
        "Streets of the map fit the imagery better somewhere else.",
    ),
    "misaligned set": (
        "fault",
        "Over all pairs together, the maps fit the imagery better somewhere else: one shift for the whole set.",
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
