"""The loss study of a view model on a set of views: drawn × real match tables, as JSON and as a page."""

from collections.abc import Callable
from html import escape
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map import images, storage
from sat2map.data.views import Known, ViewPair, ViewSet, read_view, square_photo
from sat2map.errors import BadDataset
from sat2map.evaluation import matching, page
from sat2map.evaluation.matching import Match
from sat2map.evaluation.pictures import drawing, photo
from sat2map.views.crop import Crop
from sat2map.views.viewer import Viewer

UInt8 = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]
Progress = Callable[[int, int, str], None]

FORMAT = 1
TITLES = {"mse": "MSE", "ssim": "1 - SSIM", "layout": "layout (ours)"}
SHOWN = 3  # rows and columns of the tables that people read, as the seed has them
STRIPS = 24  # places on the page
WHOLE = 32  # views up to which tables are kept whole in the JSON


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What the three losses say of a model's views."""

    format: int = FORMAT
    model: str
    checksum: str  # SHA-256 of its graph
    data: str  # name of the set
    split: str
    n: int
    places: int
    side: int  # px at which views were compared
    matches: dict[str, Match]  # by loss
    names: tuple[str, ...]  # of the views, in the order of rows and columns
    first: dict[
        str, tuple[tuple[float, ...], ...]
    ]  # loss -> its first rows and columns; the whole table if N is small
    command: str = ""


class Seen(msgspec.Struct, frozen=True):
    """The pictures behind a study, in the order of its names."""

    crops: tuple[UInt8, ...]
    drawn: UInt8  # (N, S, S, 3), at the size at which they are compared
    true: UInt8
    tables: dict[str, Float64]


def crop_for(viewer: Viewer, pair: ViewPair, sat: UInt8) -> Crop:
    """Return a view's satellite picture as imagery around its standing point.

    Where nobody says how large its pixels are, all of it is taken for what the model wants to see.
    """
    height, width = sat.shape[:2]
    known: Known = pair.known
    metres = known.metres or viewer.side * viewer.metres / min(height, width)
    row = height / 2 if known.row is None else known.row
    col = width / 2 if known.col is None else known.col
    return Crop(sat, metres, row, col)


def study(
    viewer: Viewer,
    views: ViewSet,
    *,
    split: str,
    checksum: str = "",
    limit: int | None = None,
    command: str = "",
    on_progress: Progress = lambda done, total, note: None,
) -> tuple[Study, Seen]:
    """Draw all views of a split and compare each with every photo.

    Photos are cut to the model's frame: the square of its field of view, of panoramas what a camera with its field and
    horizon sees straight ahead; models of panoramas are shown whole ones. Raises BadDataset for fewer than two views,
    and what reading and drawing raise.
    """
    chosen = list(views.of(split))[:limit]
    if len(chosen) < 2:
        raise BadDataset(f"{views.folder} has one view in {split}", "Matching needs two or more")
    crops, drawn, true = [], [], []
    for number, pair in enumerate(chosen, 1):
        sat, ground = read_view(pair)
        crop, heading = crop_for(viewer, pair, sat), pair.known.heading or 0.0
        crops.append(images.within(sat, 256))
        drawn.append(_compared(viewer(crop, heading)))
        true.append(_compared(ground) if viewer.camera.is_panorama else _square(pair, ground, viewer))
        on_progress(number, len(chosen), "drawing")
    seen = np.stack(drawn), np.stack(true)
    tables = matching.tables(*seen, lambda done, all_: on_progress(done, all_, "comparing"))
    places = [pair.place for pair in chosen]
    rows = len(chosen) if len(chosen) <= WHOLE else SHOWN
    found = Study(
        model=viewer.card.id,
        checksum=checksum,
        data=views.folder.name,
        split=split,
        n=len(chosen),
        places=len(set(places)),
        side=matching.SIDE,
        matches={name: matching.judge(table, places) for name, table in tables.items()},
        names=tuple(pair.name for pair in chosen),
        first={
            name: tuple(tuple(round(float(v), 4) for v in row[:rows]) for row in table[:rows])
            for name, table in tables.items()
        },
        command=command,
    )
    return found, Seen(tuple(crops), *seen, tables)


def _square(pair: ViewPair, ground: UInt8, viewer: Viewer) -> UInt8:
    camera = viewer.camera
    return square_photo(pair, ground, matching.SIDE, camera.field, camera.horizon)


def _compared(picture: UInt8) -> UInt8:
    return images.resized(picture, matching.SIDE, matching.SIDE)


def to_json(found: Study) -> bytes:
    """Return the study as JSON for machines."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def seed_table(found: Study, loss: str) -> list[list[str]]:
    """Return the first rows as the seed shows them: the losses of a drawn view against real 1, 2, 3."""
    return [[f"{value:.2f}" for value in row[:SHOWN]] for row in found.first[loss][:SHOWN]]


def sentence(found: Study, loss: str) -> str:
    """Say what a loss found."""
    match = found.matches[loss]
    return (
        f"{match.hits} of {match.n} rows have their minimum at the true pair: {match.share:.1%} "
        f"(95 % {match.low:.1%} to {match.high:.1%}; chance {match.chance:.1%}); the true photo fits better than "
        f"{match.preferred:.1%} of the others (95 % {match.preferred_low:.1%} to {match.preferred_high:.1%}; "
        "chance 50 %)"
    )


def write_page(path: Path, found: Study, seen: Seen, *, overwrite: bool = False) -> None:
    """Write one HTML file with pictures. Raises OutputExists, StorageFailed."""
    heads = [
        (TITLES[loss], f"{match.share:.1%}", f"rows won; chance {match.chance:.1%}")
        for loss, match in found.matches.items()
    ]
    body = [
        f"<header><h1>{escape(found.model)}: does a view match its own photo?</h1></header>",
        page.paragraph(
            f"{found.n} views of {found.places} places ({found.data}, {found.split}), compared at {found.side} px. "
            "Each drawn view is compared with every photo; a row is won where the true photo is the nearest."
        ),
        page.heads(heads),
        *(page.paragraph(f"{TITLES[loss]}: {sentence(found, loss)}.") for loss in found.matches),
        page.section(
            "The first views, as the seed shows its tables", *(_table(found, n) for n in found.matches)
        ),
        page.section("Whole tables", _maps(seen)),
        page.section("Places", *_strips(found, seen)),
        page.paragraph(found.command),
    ]
    storage.write_text(path, page.page(f"{found.model}: loss study", body), overwrite=overwrite)


def _table(found: Study, loss: str) -> str:
    head = "".join(f'<th scope="col">real {n + 1}</th>' for n in range(min(SHOWN, found.n)))
    rows = []
    for number, row in enumerate(found.first[loss][:SHOWN]):
        part = row[:SHOWN]
        best = [' class="best"' if value == min(part) else "" for value in part]
        cells = "".join(f"<td{kind}>{value:.2f}</td>" for kind, value in zip(best, part, strict=True))
        rows.append(f'<tr><th scope="row">drawn {number + 1}</th>{cells}</tr>')
    return (
        f'<h3>{escape(TITLES[loss])}</h3><div class="scroll"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _maps(seen: Seen) -> str:
    """All losses as pictures: row by row from the least (light) to the greatest (dark)."""
    panels = []
    for loss, table in seen.tables.items():
        rank = table.argsort(1).argsort(1) / max(table.shape[1] - 1, 1)
        levels = np.rint(255 * (1 - rank) ** 3).astype(np.uint8)
        times = max(1, 400 // len(levels))
        panels.append(
            page.Panel(TITLES[loss], drawing(np.stack([levels.repeat(times, 0).repeat(times, 1)] * 3, -1)))
        )
    return page.strip(
        "drawn (down) × real (across)",
        "light: a small loss in its row; true pairs are on the diagonal",
        panels,
    )


def _strips(found: Study, seen: Seen) -> list[str]:
    chosen = range(0, found.n, max(1, found.n // STRIPS))[:STRIPS]
    ours = found.matches["layout"]
    strips = []
    for number in chosen:
        nearest = ours.nearest[number]
        panels = [
            page.Panel("from above, north up", photo(seen.crops[number])),
            page.Panel("drawn", photo(seen.drawn[number])),
            page.Panel("photo of this place", photo(seen.true[number])),
            page.Panel(f"photo that fits best (layout): {found.names[nearest]}", photo(seen.true[nearest])),
        ]
        remark = f"{ours.order[number]} of {found.n - 1} other photos fit better"
        strips.append(page.strip(found.names[number], remark, panels))
    return strips
