"""A tour of towns that do not exist: invented map, the picture a model makes of it, and the map made of that again.

The way back is a measurement as well: where the second map shows the streets of the first, the picture had streets
that another network, trained on photographs alone, takes for streets. EVALUATION calls it cycle agreement.
"""

import html
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from sat2map import __version__, images, storage
from sat2map.errors import OutputExists, UnsuitableModel
from sat2map.evaluation.metrics import PairScore, score_pair, sum_scores
from sat2map.images import resized
from sat2map.runtime import Translator
from sat2map.scenes.pictures import translate_image
from sat2map.slider import filled
from sat2map.worlds import Town, paint_large
from sat2map.worlds.town import centred

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[int, int, str], None]
HERE = Path(__file__).parent
PAGE, FIGURES, SHEET = "index.html", "tour.json", "sheet.jpg"
SMALL, ACROSS = 200, 2  # px of a picture on the sheet, towns beside one another
LABELS = {"miou6": "mIoU6", "road_f1_3px": "road F1 within 3 px", "iou_building": "IoU of buildings"}
ALIKE = 0.35  # by which metres per pixel of towns and models may differ


class Stop(NamedTuple):
    """One town of the tour: three pictures (H, W, 3) and how well the last agrees with the first."""

    town: Town
    street: UInt8
    imagery: UInt8
    again: UInt8
    score: PairScore

    @property
    def figures(self) -> dict[str, float]:
        """Cycle agreement of this town alone."""
        found = sum_scores([self.score])
        return {name: found.figures()[name] for name in ("miou6", "road_f1_3px")} | {
            "iou_building": found.iou()["building"]
        }


def require_pair(painter: Translator, mapper: Translator, gsd: float) -> None:
    """Raise UnsuitableModel unless the models go from maps to imagery and back at about `gsd` metres per pixel."""
    for model, direction, what in (
        (painter, "map2sat", "paint imagery from maps"),
        (mapper, "sat2map", "draw maps from imagery"),
    ):
        card = model.card
        if card.direction != direction:
            raise UnsuitableModel(
                f"the model {card.id!r} is for {card.direction}; one is needed to {what}",
                "Name another model",
            )
        if abs(gsd / card.metres_per_pixel - 1) > ALIKE:
            raise UnsuitableModel(
                f"the model {card.id!r} knows {card.metres_per_pixel:g} m per pixel, the towns have {gsd:g} m",
                f"Use --gsd {card.metres_per_pixel:g}",
            )


def visit(
    town: Town,
    painter: Translator,
    mapper: Translator,
    size: float,
    gsd: float,
    jobs: int,
    report: Progress = lambda *_: None,
) -> Stop:
    """Paint the middle `size` metres of a town as a map, make imagery of it, and a map of that. Raises BadWorld."""
    street = paint_large(town, centred(size, gsd), gsd, jobs, report).street
    imagery = translate_image(painter, street, ("colour",), jobs=jobs)["colour"]
    again = translate_image(mapper, imagery, ("colour",), jobs=jobs)["colour"]
    return Stop(town, street, imagery, again, score_pair(f"town {town.seed}", street, again))


def write_tour(
    folder: Path,
    towns: Sequence[Town],
    painter: Translator,
    mapper: Translator,
    size: float,
    gsd: float,
    jobs: int,
    report: Progress,
    *,
    overwrite: bool,
) -> dict[str, float]:
    """Make a folder with three pictures for each town, a sheet of all, `tour.json`, and a page; return the figures.

    Raises UnsuitableModel, BadWorld, OutputExists (also with `overwrite` if the folder holds something else),
    StorageFailed.
    """
    require_pair(painter, mapper, gsd)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FIGURES).is_file():
        raise OutputExists(f"{folder} holds other things than a tour", "Name another folder")
    with storage.committing_folder(folder, overwrite=overwrite) as draft:
        scores, rows, sections, strips = [], [], [], []
        for number, town in enumerate(towns, 1):
            stop = visit(town, painter, mapper, size, gsd, jobs)
            name = f"{number:02d}-{town.style}-{town.seed}"
            for kind, pixels in (("map", stop.street), ("again", stop.again)):
                images.write_image(draft / f"{name}-{kind}.png", pixels, overwrite=False)
            images.write_image(draft / f"{name}-imagery.jpg", stop.imagery, overwrite=False)
            scores.append(stop.score)
            rows.append({"name": name, "town": msgspec.to_builtins(town), **stop.figures})
            sections.append(_section(name, stop))
            strips.append([resized(part, SMALL, SMALL) for part in (stop.street, stop.imagery, stop.again)])
            report(number, len(towns), name)
        total = sum_scores(scores)
        figures = {name: total.figures()[name] for name in ("miou6", "road_f1_3px")}
        described = {
            "version": __version__,
            "painter": painter.card.id,
            "mapper": mapper.card.id,
            "size": size,
            "gsd": gsd,
            "n": len(towns),
        }
        storage.write_json(draft / FIGURES, described | {"figures": figures, "towns": rows})
        storage.write_bytes(draft / SHEET, images.encode_jpeg(sheet(strips), 80), overwrite=False)
        storage.write_text(draft / PAGE, _page(sections, described, figures))
    return figures


def sheet(strips: Sequence[Sequence[UInt8]]) -> UInt8:
    """All towns in one picture, `ACROSS` beside one another: each a strip of equal squares (S, S, 3) without gaps."""
    gap, side = SMALL // 20, strips[0][0].shape[0]
    blank = np.full((side, side * len(strips[0]), 3), 255, np.uint8)
    towns = [np.concatenate(list(strip), 1) for strip in strips]
    towns += [blank] * (-len(towns) % ACROSS)
    rows = []
    for first in range(0, len(towns), ACROSS):
        row = np.concatenate([np.pad(town, ((0, 0), (0, gap), (0, 0)), constant_values=255)
                              for town in towns[first : first + ACROSS]], 1)  # fmt: skip
        rows.append(np.pad(row[:, :-gap], ((0, gap), (0, 0), (0, 0)), constant_values=255))
    return np.concatenate(rows)[:-gap]


def _section(name: str, stop: Stop) -> str:
    """One town as a row of three pictures."""
    given = json.dumps(msgspec.to_builtins(stop.town))[1:-1].replace('"', "")
    said = ", ".join(f"{LABELS[key]} {value:.2f}" for key, value in stop.figures.items())
    height, width = stop.street.shape[:2]
    figures = "\n".join(
        f'<figure><a href="{file}"><img src="{file}" width="{width}" height="{height}" loading="lazy" '
        f'alt="{html.escape(alt)}"></a><figcaption>{html.escape(caption)}</figcaption></figure>'
        for file, alt, caption in (
            (f"{name}-map.png", "Street map of an invented town", "The map, invented"),
            (f"{name}-imagery.jpg", "Picture from above made of the map", "Imagery made of the map"),
            (f"{name}-again.png", "Street map made of the picture", "Map made of the imagery"),
        )
    )
    title = f"{stop.town.style.capitalize()} town, seed {stop.town.seed}"
    return (
        f'<section>\n<h2>{html.escape(title)}</h2>\n<p class="soft">{html.escape(given)}. '
        f'Second map against first: {said}.</p>\n<div class="three">\n{figures}\n</div>\n</section>'
    )


def _page(sections: Sequence[str], described: Mapping[str, object], figures: Mapping[str, float]) -> str:
    said = {
        name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in described.items()
    }
    said |= {name: f"{value:.2f}" for name, value in figures.items()}
    safe = {name: html.escape(value) for name, value in said.items()}
    return filled((HERE / "tour.html").read_text("utf-8"), safe | {"sections": "\n".join(sections)})
