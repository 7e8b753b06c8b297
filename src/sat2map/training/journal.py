"""What a run leaves for people to read: `log.jsonl`, TensorBoard events, sample pictures."""

import json
from pathlib import Path

import numpy as np

from sat2map import images, storage
from sat2map.data.batches import UInt8
from sat2map.data.check_page import thumbnail
from sat2map.data.quarantine import QUARANTINE
from sat2map.errors import FileMissing

CONTACT = "contact-{}.png"
CONTACT_ROWS, CONTACT_COLUMNS = 24, 3
CONTACT_SIDE, CONTACT_GAP = 120, 12  # px, about


class Journal:
    """Appends figures to `log.jsonl` and to TensorBoard; lines are functions of the step alone, so they repeat exactly.

    Clock times go to TensorBoard and to the checkpoint, never into the log.
    """

    def __init__(self, run: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = run / "log.jsonl"
        self._events = SummaryWriter(str(run))

    def write(self, kind: str, step: int, seen: int, figures: dict[str, float]) -> None:
        """One line: `kind` is train, development or note."""
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        storage.append_line(self.path, json.dumps({"kind": kind, "step": step, "seen": seen} | rounded))
        for name, value in figures.items():
            self._events.add_scalar(f"{kind}/{name}", value, seen)

    def tell(self, step: int, seen: int, texts: dict[str, str]) -> None:
        """One line of kind `guard` in words; a line that is there already is not written again."""
        line = json.dumps({"kind": "guard", "step": step, "seen": seen} | texts)
        if line not in lines_of(self.path):
            storage.append_line(self.path, line)
            self._events.add_text("guard", ": ".join(texts.values()), seen)

    def rewind(self, step: int) -> None:
        """Forget what was written after `step`: the resumed run will write it again."""
        kept = [line for line in lines_of(self.path) if json.loads(line)["step"] <= step]
        storage.write_text(self.path, "".join(line + "\n" for line in kept))

    def close(self) -> None:
        """Flush TensorBoard's event file."""
        self._events.close()


def lines_of(path: Path) -> list[str]:
    """Complete lines of a log; none if it is not there yet."""
    try:
        return storage.read_lines(path)
    except FileMissing:
        return []


def read_log(run: Path) -> list[dict[str, float | str]]:
    """All entries of a run's log, in order."""
    return [json.loads(line) for line in lines_of(run / "log.jsonl")]


def remarks(run: Path) -> list[str]:
    """What whoever started the run should know: pairs that were left out, and what the guard said and did."""
    found = [f"{entry['alarm']}: {entry['answer']}" for entry in read_log(run) if entry["kind"] == "guard"]
    left_out = len(lines_of(run / QUARANTINE))
    return [f"{left_out} pairs in quarantine were left out"] * bool(left_out) + found


def sample_sheet(rows: list[tuple[UInt8, ...]]) -> UInt8:
    """Rows of pictures, such as (source, generated, target), side by side with white gaps of 4 px: one picture."""
    return np.concatenate([_pad(np.concatenate([_pad(p, 1) for p in row], 1), 0) for row in rows], 0)


def _pad(picture: UInt8, axis: int) -> UInt8:
    widths = [(0, 0), (0, 0), (0, 0)]
    widths[axis] = (0, 4)
    return np.pad(picture, widths, constant_values=255)


def contact_sheet(rows: list[tuple[UInt8, ...]]) -> UInt8:
    """Many rows of pictures, reduced, in CONTACT_COLUMNS columns: all samples at a glance."""
    small = [sample_sheet([tuple(thumbnail(picture, CONTACT_SIDE) for picture in row)]) for row in rows]
    height, width = (max(piece.shape[axis] for piece in small) for axis in (0, 1))
    columns = min(CONTACT_COLUMNS, len(small))
    lines = -(-len(small) // columns)
    sheet = np.full((lines * height, columns * (width + CONTACT_GAP), 3), 255, np.uint8)
    for n, piece in enumerate(small):
        top, left = n // columns * height, n % columns * (width + CONTACT_GAP)
        sheet[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return sheet


def write_contact(run: Path, step: int, rows: list[tuple[UInt8, ...]]) -> None:
    """Keep a contact sheet as samples/contact-000123.png."""
    storage.make_folder(run / "samples")
    path = run / "samples" / CONTACT.format(f"{step:06d}")
    images.write_image(path, contact_sheet(rows), overwrite=True)


def write_sample(run: Path, step: int, sheet: UInt8) -> None:
    """Keep a sample sheet as samples/step-000123.png."""
    storage.make_folder(run / "samples")
    images.write_image(run / "samples" / f"step-{step:06d}.png", sheet, overwrite=True)
