"""Lists of views, `views.jsonl` or `views.csv`: what is known of each, and, where they say so, where its files lie."""

import csv
import io
from pathlib import Path

import msgspec

from sat2map import storage
from sat2map.data.pairs import ALL
from sat2map.data.views.pairs import Known, ViewPair
from sat2map.errors import BadDataset, FileMissing

LISTS = ("views.jsonl", "views.csv")


class ViewRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of a list. Paths are relative to the list's folder; without them, files are found by name."""

    name: str
    split: str = ALL
    satellite: str = ""
    ground: str = ""
    heading: float | None = None
    field: float | None = None
    metres: float | None = None
    row: float | None = None
    col: float | None = None
    place: str = ""

    @property
    def known(self) -> Known:
        """What the line says of the view."""
        return Known(self.heading, self.field, self.metres, self.row, self.col)

    def pair(self, folder: Path) -> ViewPair:
        """Return the view of a line that names both files."""
        return ViewPair(
            self.name,
            self.split,
            folder / self.satellite,
            folder / self.ground,
            self.known,
            self.place or self.name,
        )

    def checked(self) -> "ViewRecord":
        """Raise ValueError for what no view can have."""
        if self.field is not None and not 0 < self.field <= 360:
            raise ValueError(f"field {self.field:g} is not between 0 and 360 degrees")
        if self.metres is not None and self.metres <= 0:
            raise ValueError(f"metres {self.metres:g} is not above 0")
        return self


def read_list(path: Path) -> list[ViewRecord]:
    """Read a list; a CSV has a line of column names first. Raises FileMissing, BadDataset (naming the line)."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise FileMissing(f"{path} cannot be read ({fault})", "Name a list of views in UTF-8") from fault
    found, number = [], 0
    try:
        if path.suffix.lower() == ".csv":
            for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):  # noqa: B007
                if None in row or None in row.values():
                    raise ValueError("it has more or fewer fields than the first line")
                said = {name.strip(): value.strip() for name, value in row.items() if value.strip()}
                found.append(msgspec.convert(said, ViewRecord, strict=False).checked())
        else:
            for number, line in enumerate(text.splitlines(), 1):  # noqa: B007
                if line.strip():
                    found.append(msgspec.json.decode(line, type=ViewRecord).checked())
    except (msgspec.DecodeError, ValueError, csv.Error) as fault:
        raise BadDataset(
            f"line {number} of {path} is no view: {fault}",
            "Fields: " + ", ".join(ViewRecord.__struct_fields__),
        ) from fault
    return found


def write_list(path: Path, records: list[ViewRecord]) -> None:
    """Write a list as JSON lines. Raises StorageFailed, OutputExists."""
    storage.write_text(path, "".join(msgspec.json.encode(record).decode() + "\n" for record in records))
