"""`sat2map collect filter`: the funnel from all photos to those worth a look."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sat2map.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sat2map.collect.funnel.measuring import Detectors
    from sat2map.collect.funnel.run import Row
    from sat2map.collect.funnel.settings import Settings


class Months(click.ParamType[frozenset[int]]):
    """Months as a list of numbers and ranges; a range may run over the end of the year."""

    name = "months"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[int]:
        """Return the numbers of the months."""
        if isinstance(value, frozenset):
            return value
        found: set[int] = set()
        for part in str(value).split(","):
            first, _, last = part.partition("-")
            try:
                start, stop = int(first), int(last or first)
            except ValueError:
                start = stop = 0
            if not (1 <= start <= 12 and 1 <= stop <= 12):
                self.fail(f"{value!r}: give months like 5-9, 11-2 or 4,5,9", param, ctx)
            found |= {(start - 1 + step) % 12 + 1 for step in range((stop - start) % 12 + 1)}
        return frozenset(found)


@click.command("filter", short_help="Keep the photos that show what is wanted, and no people.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--bbox", metavar="W,S,E,N", help="Keep photos of this area, in degrees.")
@click.option(
    "--area", type=click.Path(path_type=Path), metavar="FILE", help="Or of the polygons in this GeoJSON file."
)
@click.option(
    "--months", type=Months(), metavar="LIST", help="Keep photos of these months, e.g. 5-9 or 11-2."
)
@click.option(
    "--sun",
    type=click.FloatRange(-90, 90),
    default=6.0,
    show_default=True,
    metavar="DEGREES",
    help="Keep photos with the sun at least so high; -90: any.",
)
@click.option(
    "--smallest",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="PX",
    help="Least length of the shorter side.",
)
@click.option("--dated", is_flag=True, help="Reject photos that do not say when they were taken.")
@click.option(
    "--scene-model", type=click.Path(path_type=Path), metavar="ONNX", help="Network trained on Places365."
)
@click.option(
    "--scene-labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Names of its classes, one in a line.",
)
@click.option("--scenes", metavar="LIST|FILE", help="Classes to keep; outdoor nature if not given.")
@click.option(
    "--scene-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Probability that the scene is one of these.",
)
@click.option(
    "--person-model", type=click.Path(path_type=Path), metavar="ONNX", help="Detector of people: YOLOX."
)
@click.option(
    "--face-model", type=click.Path(path_type=Path), metavar="ONNX", help="Detector of faces: YuNet."
)
@click.option(
    "--person-score",
    type=click.FloatRange(0, 1),
    default=0.35,
    show_default=True,
    help="Score from which something is a person.",
)
@click.option(
    "--face-score",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Score from which something is a face.",
)
@click.option("--keep-people", is_flag=True, help="Keep photos that show people.")
@click.option(
    "--distance",
    type=click.IntRange(0, 120),
    default=40,
    show_default=True,
    metavar="BITS",
    help="How far the hashes (256 bits) of copies may differ.",
)
@click.option(
    "--sharpness",
    type=click.FloatRange(0),
    default=8.0,
    show_default=True,
    help="Least sharpness in grey levels.",
)
@click.option(
    "--light", type=click.FloatRange(0, 255), default=45.0, show_default=True, help="Least mean grey level."
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of a network."
)
@click.option("--json", "as_json", is_flag=True, help="Print the funnel as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def filter_(folder: Path, as_json: bool, quiet: bool, threads: int, **options: Any) -> None:
    """Keep those photos of the collection DIR that show what is wanted, and no people.

    Stages, in this order: coordinates, region, season, daylight (height of the sun at place and time), picture
    (readable, large enough), scene class, people and faces, duplicates (the best of each group stays), sharpness and
    light. The result of `collect filter` is a verdict with its reason for every photo, in the manifest; a table of the
    funnel; and the contact sheet DIR/funnel.html. No file is removed.

    Photos that show people are rejected unless you say --keep-people, so at least one detector must be named. No
    detector finds everybody, so large pictures are looked at in quarters, too; look the rest through with
    `collect review`. Networks are files of yours; nothing is fetched. What was measured is kept: other thresholds take
    seconds, and a run that was interrupted goes on.

    \b
    Examples:
      sat2map collect filter landscapes --person-model yolox_nano.onnx --face-model yunet.onnx
      sat2map collect filter landscapes --months 5-9 --sun 15 --bbox 37,55,40,57 \\
          --scene-model places365.onnx --scene-labels categories_places365.txt \\
          --person-model yolox_nano.onnx --face-model yunet.onnx
      sat2map collect filter landscapes --keep-people --scenes beach,coast,cliff \\
          --scene-model places365.onnx --scene-labels categories_places365.txt
    """
    from sat2map.collect.collection import Collection
    from sat2map.collect.funnel.page import NAME, write_page
    from sat2map.collect.funnel.run import Funnel

    settings = _settings(options)
    detectors = _detectors(options, threads)
    with Collection.held(folder) as collection, progress("filtering", quiet=quiet) as bar:
        rows = Funnel(collection, settings, detectors, bar).run()
        write_page(folder / NAME, collection, rows)
    if as_json:
        click.echo(
            json.dumps([{**dataclasses.asdict(row), "reasons": dict(row.reasons)} for row in rows], indent=2)
        )
    elif not quiet:
        _show(rows)
        click.echo(f"Contact sheet: {folder / NAME}")


def _settings(options: dict[str, Any]) -> "Settings":
    from sat2map.cli.collect import Box, region_of
    from sat2map.collect.funnel.scene import NATURAL
    from sat2map.collect.funnel.settings import Settings

    if not (options["keep_people"] or options["person_model"] or options["face_model"]):
        raise click.UsageError(
            "Name a detector of people (--person-model, --face-model), or say --keep-people if they may stay."
        )
    if bool(options["scene_model"]) != bool(options["scene_labels"]):
        raise click.UsageError(
            "--scene-model and --scene-labels belong together: a network and the names of its classes"
        )
    if options["scenes"] and not options["scene_model"]:
        raise click.UsageError("--scenes needs --scene-model and --scene-labels")
    bbox = Box().convert(options["bbox"], None, None) if options["bbox"] else None
    return Settings(
        region=region_of(bbox, options["area"]),
        months=options["months"],
        sun=None if options["sun"] == -90 else options["sun"],
        dated=options["dated"],
        smallest=options["smallest"],
        scenes=_names(options["scenes"]) if options["scenes"] else NATURAL,
        scene_share=options["scene_share"],
        keeps_people=options["keep_people"],
        person=options["person_score"],
        face=options["face_score"],
        distance=options["distance"],
        sharpness=options["sharpness"],
        light=options["light"],
    )


def _names(given: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, or one in each line of a file."""
    text = Path(given).read_text("utf-8").replace("\n", ",") if Path(given).is_file() else given
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _detectors(options: dict[str, Any], threads: int) -> "Detectors":
    from sat2map.collect.funnel.faces import Faces
    from sat2map.collect.funnel.measuring import Detectors
    from sat2map.collect.funnel.people import People
    from sat2map.collect.funnel.scene import Scenes

    scenes = None
    if options["scene_model"]:
        scenes = Scenes(options["scene_model"], options["scene_labels"], threads)
        unknown = sorted(set(_names(options["scenes"] or "")) - set(scenes.labels))
        if unknown:
            raise click.UsageError(
                f"--scenes: the network has no class {unknown[0]!r}; see {options['scene_labels']}"
            )
    return Detectors(
        scenes,
        People(options["person_model"], threads) if options["person_model"] else None,
        Faces(options["face_model"], threads) if options["face_model"] else None,
    )


def _show(rows: "Sequence[Row]") -> None:
    """Print the funnel as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title, side in (("stage", "left"), ("in", "right"), ("out", "right"), ("rejected", "left")):
        table.add_column(title, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in row.reasons.most_common())
        table.add_row(row.stage, str(row.entered), str(row.kept), "not asked" if row.is_idle else reasons)
    Console(highlight=False).print(table)
