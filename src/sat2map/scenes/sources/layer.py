"""What a tile source offers, whatever described it: levels, addresses, where it comes from."""

from dataclasses import dataclass

from sat2map.errors import BadTileSource
from sat2map.mercator import Degrees
from sat2map.scenes.sources.matrix import Level
from sat2map.scenes.sources.template import Template


@dataclass(frozen=True)
class TileLayer:
    """A layer of tiles, ready to be asked for."""

    name: str
    template: Template
    levels: tuple[Level, ...]  # from coarse to fine
    attribution: str = ""
    extent: Degrees | None = None  # where it has tiles; None: not known

    def level(self, label: str) -> Level:
        """Return a level by its label, or by the number at its end: 7 for EPSG:3857:7 and 07. Raises BadTileSource."""
        exact = [level for level in self.levels if level.label == label]
        found = exact or [level for level in self.levels if _number(level.label) == _number(label) != ""]
        if len(found) != 1:
            raise BadTileSource(
                f"{self.name} has no level {label}", f"Levels are {listed([x.label for x in self.levels])}"
            )
        return found[0]


def _number(label: str) -> str:
    """Return the digits behind the last colon without leading zeros, empty if there is something else."""
    last = label.rpartition(":")[2]
    return str(int(last)) if last.isascii() and last.isdigit() else ""


def listed(names: list[str], most: int = 24) -> str:
    """Return names as one text, the first of them if there are many."""
    shown = ", ".join(name[:80] for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
