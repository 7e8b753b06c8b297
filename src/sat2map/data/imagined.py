"""A paired set of invented towns: perfectly aligned, free of anybody's licence, as large as one likes.

A place is a few tiles side by side in a world of its own; training and validation have no world in common. Tiles
wait in a hidden folder beside the set until all are there, and a journal names finished places, so a killed run goes
on where it was. The set is the same for any number of processes.
"""

import contextlib
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from sat2map import images, storage
from sat2map.data.manifest import write_manifest
from sat2map.data.pairs import Pair, PairedSet, Picture
from sat2map.data.views.listed import ViewRecord, write_list
from sat2map.errors import BadWorld, NothingToResume, OutputExists
from sat2map.grid import Window
from sat2map.worlds.chance import Dice, key_of
from sat2map.worlds.painting.ground import Eye
from sat2map.worlds.pictures import in_processes, paint, paint_view
from sat2map.worlds.standpoints import stand_within
from sat2map.worlds.terrain import STYLES, Style, Town
from sat2map.worlds.world import World

Progress = Callable[[int, int, str], None]
JOB, JOURNAL, SETTINGS = "job.json", "journal.jsonl", "imagined.json"
FORMAT = 2  # changes when the same settings could give other pixels
LICENCE = "CC0-1.0"
ATTRIBUTION = "Towns that do not exist, by sat2map imagine"
VIEW = 256  # px
REACH = 0.25  # of a tile's side: how far from its middle one stands at most, each way


class PairSettings(msgspec.Struct, frozen=True):
    """All that a set's pixels depend on."""

    count: int  # pairs
    seed: int
    style: Style | None = None  # None: every style in turn
    density: float | None = None  # None: another one in each place
    water: float | None = None
    green: float | None = None
    tile: int = 256  # px
    gsd: float = 0.9  # metres per pixel
    val: float = 0.1  # share of places
    views: bool = False  # a ground view from near the middle of each tile

    def check(self) -> None:
        """Raise BadWorld for what makes no set."""
        for name, low, high in (
            ("count", 1, 10_000_000),
            ("tile", 16, 2048),
            ("gsd", 0.05, 20.0),
            ("val", 0.0, 0.9),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadWorld(f"{name} {value:g} is out of range", f"Use a number from {low:g} to {high:g}")
        self.town(0)

    @property
    def side(self) -> int:
        """Tiles along one side of a place: fewer where there would be too few places to split."""
        return 4 if self.count >= 320 else 2 if self.count >= 40 else 1

    @property
    def places(self) -> int:
        """How many places there are; the last one may have fewer tiles than the others."""
        return math.ceil(self.count / self.side**2)

    def tiles(self, place: int) -> int:
        """How many tiles a place has."""
        return min(self.side**2, self.count - place * self.side**2)

    def town(self, place: int) -> Town:
        """Return the world of a place."""
        dice = Dice(self.seed, 400, place)
        seed = int(key_of(self.seed, 401, place)[0] >> np.uint64(1))
        drawn = {
            "density": dice.between(0.15, 0.95),
            "water": dice.between(0, 0.6),
            "green": dice.between(0.15, 0.7),
        }
        given = {name: getattr(self, name) for name in drawn}
        return Town(
            seed,
            self.style or STYLES[place % len(STYLES)],
            **{name: drawn[name] if given[name] is None else given[name] for name in drawn},
        )

    def splits(self) -> list[str]:
        """Return "val" for the share of places with the smallest hashes, at least one of two, else "train"."""
        wanted = max(round(self.val * self.places), 1) if self.val and self.places > 1 else 0
        order = np.argsort(key_of(self.seed, 402, np.arange(self.places)), kind="stable")
        val = set(order[:wanted].tolist())
        return ["val" if place in val else "train" for place in range(self.places)]


class _Task(NamedTuple):
    folder: str
    settings: PairSettings
    place: int
    split: str


def _corner(world: World, settings: PairSettings, dice: Dice) -> tuple[int, int]:
    """(row, col) of the first pixel of a place: somewhere near the origin, and not all at sea."""
    side = settings.side * settings.tile
    share = np.linspace(0.05, 0.95, 8) * side
    for _ in range(12):
        row, col = (round(dice.between(-1400, 1400) / settings.gsd) - side // 2 for _ in range(2))
        x, y = np.meshgrid((col + share) * settings.gsd, -(row + share) * settings.gsd)
        if (world.terrain.shore(np.stack([x, y], -1)) > 0).mean() > 0.55:
            return row, col
    return -(side // 2), -(side // 2)


class _Made(msgspec.Struct, frozen=True):
    """What a line of the journal says of a finished place."""

    place: int
    files: dict[str, str]  # path within the folder -> SHA-256
    views: list[ViewRecord] = []


def _make_place(task: _Task) -> _Made:
    """Paint one place and write its files."""
    settings, folder = task.settings, Path(task.folder)
    world = World(settings.town(task.place))
    row, col = _corner(world, settings, Dice(settings.seed, 403, task.place))
    side, tile = settings.side, settings.tile
    count = settings.tiles(task.place)
    rows = math.ceil(count / side)
    whole = paint(world, Window(row, col, rows * tile, side * tile), settings.gsd)
    written, views = {}, []
    for number in range(count):
        window = Window(number // side * tile, number % side * tile, tile, tile)
        name = f"{task.place:06d}-{number:02d}.png"
        made = {"sat": whole.sat[window.slices()], "street": whole.street[window.slices()]}
        if settings.views:
            x = (col + window.col + tile / 2) * settings.gsd
            y = -(row + window.row + tile / 2) * settings.gsd
            eye = stand_within(world, x, y, REACH * tile * settings.gsd)
            made["view"] = paint_view(world, eye, VIEW, VIEW)
            views.append(_record(task, name, eye, window.row + row, window.col + col))
        for half, pixels in made.items():
            path = f"{task.split}/{half}/{name}"
            data = images.encode_png(pixels)
            storage.write_bytes(folder / path, data, overwrite=True)
            written[path] = hashlib.sha256(data).hexdigest()
    return _Made(task.place, written, views)


def _record(task: _Task, name: str, eye: Eye, row: int, col: int) -> ViewRecord:
    """What is known of a view from the tile whose first pixel is (row, col) of its world."""
    gsd = task.settings.gsd
    return ViewRecord(
        f"{task.split}/{Path(name).stem}",
        task.split,
        f"{task.split}/sat/{name}",
        f"{task.split}/view/{name}",
        round(eye.heading, 3),
        eye.field,
        gsd,
        round(-eye.y / gsd - row, 3),
        round(eye.x / gsd - col, 3),
        f"{task.place:06d}",
    )


def make_pairs(
    out: Path,
    settings: PairSettings,
    jobs: int,
    report: Progress,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> PairedSet:
    """Make the set as folder `out`: `train/` and `val/` with `sat/`, `street/` (and `view/`), and its manifest.

    With views, `views.jsonl` says of each where one stands in the satellite picture and where one looks (`data.views`).

    Raises BadWorld, OutputExists, NothingToResume (what was begun there was another set), StorageFailed.
    """
    settings.check()
    storage.refuse_existing(out, overwrite=overwrite)
    if out.is_dir() and any(out.iterdir()) and not (out / SETTINGS).is_file():
        raise OutputExists(f"{out} holds other things than invented pairs", "Name another folder")
    job = storage.make_folder(out.parent / f".{out.name}.job")
    with storage.locked(job):
        done = _begin(job, settings, resume=resume, overwrite=overwrite)
        splits = settings.splits()
        left = [
            _Task(str(job), settings, place, splits[place])
            for place in range(settings.places)
            if place not in done
        ]
        ready = sum(settings.tiles(place) for place in done)
        report(ready, settings.count, "")
        for made in in_processes(_make_place, left, jobs):
            storage.append_line(job / JOURNAL, msgspec.json.encode(made).decode())
            done[made.place] = made
            ready += settings.tiles(made.place)
            report(ready, settings.count, "")
        found = _publish(job, out, settings, done, overwrite=overwrite)
    shutil.rmtree(job, ignore_errors=True)
    return found


def _begin(job: Path, settings: PairSettings, *, resume: bool, overwrite: bool) -> dict[int, _Made]:
    """Places that an earlier run of the same job has finished; an empty job otherwise."""
    key = {"format": FORMAT, **msgspec.to_builtins(settings)}
    found: dict[str, Any] | None = None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((job / JOB).read_bytes())
    if found is not None and resume:
        if found != key:
            raise NothingToResume(
                f"the unfinished set in {job} was made with other settings",
                "Repeat them, or leave out --resume",
            )
        return _finished(job)
    if found is not None and not overwrite and (job / JOURNAL).is_file():
        raise OutputExists(
            f"{job} holds a part of an unfinished set",
            "Give the command as it was with --resume to go on, or with --overwrite to begin anew",
        )
    for path in job.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    (job / JOURNAL).unlink(missing_ok=True)
    storage.write_json(job / JOB, key, overwrite=True)
    return {}


def _finished(job: Path) -> dict[int, _Made]:
    """Places of the journal whose files are all as they were written."""
    done = {}
    lines = storage.read_lines(job / JOURNAL) if (job / JOURNAL).is_file() else []
    for line in lines:
        made = msgspec.json.decode(line, type=_Made)
        if all((job / p).is_file() and storage.sha256(job / p) == sha for p, sha in made.files.items()):
            done[made.place] = made
    return done


def _publish(
    job: Path, out: Path, settings: PairSettings, done: dict[int, _Made], *, overwrite: bool
) -> PairedSet:
    """Move all files into a folder that gets its name when it is complete."""
    digests = {path: digest for place in sorted(done) for path, digest in done[place].files.items()}
    with storage.committing_folder(out, overwrite=overwrite) as draft:
        for path in digests:
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (job / path).rename(draft / path)
        storage.write_json(draft / SETTINGS, {"format": FORMAT, **msgspec.to_builtins(settings)})
        pairs = []
        for path, digest in digests.items():
            split, half, name = path.split("/")
            if half == "sat":
                street = f"{split}/street/{name}"
                pairs.append(
                    Pair(
                        f"{split}/{Path(name).stem}",
                        split,
                        Picture(draft / path, "whole", digest),
                        Picture(draft / street, "whole", digests[street]),
                    )
                )
        sizes = {pair.name: (settings.tile, settings.tile) for pair in pairs}
        write_manifest(PairedSet(draft, pairs, LICENCE, ATTRIBUTION), sizes)
        views = [view for place in sorted(done) for view in done[place].views]
        if views:
            write_list(draft / "views.jsonl", views)
    return PairedSet.open(out)
