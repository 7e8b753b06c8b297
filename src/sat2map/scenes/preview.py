"""A quick look at a translated scene: one HTML file with reduced pictures, a slider, a legend and a scale bar."""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sat2map import __version__, storage
from sat2map.card import ModelCard
from sat2map.images import encode_jpeg, encode_png
from sat2map.scenes.job import NOTICE
from sat2map.scenes.sketch import Sketch
from sat2map.slider import POLICY, Layer, data_uri, filled, legend, markup, rows, script, style

UInt8 = npt.NDArray[np.uint8]

SOURCE = "source"  # the scene itself, in a sketch
IDS = {"colour": "map", "classes": "classes", "confidence": "confidence"}
ALTS = {
    "colour": "Street map made from the picture",
    "classes": "Class of each pixel in its colour",
    "confidence": "Confidence of each pixel, white is certain",
}
PAPER = 255
_BAR = 0.3  # of the width, at most


@dataclass(frozen=True)
class About:
    """What the page says of a scene."""

    title: str
    subtitle: str
    metres: tuple[float, float] | None  # height and width of the scene on the ground
    facts: Mapping[str, str]


def preview_path(out: Path) -> Path:
    """Return where the page of an output lies: beside it."""
    return out.with_name(f"{out.stem}_preview.html")


def write_preview(
    path: Path, sketch: Sketch, products: tuple[str, ...], card: ModelCard, about: About
) -> None:
    """Write the page, which is replaced. The sketch holds `SOURCE` and the products. Raises StorageFailed."""
    storage.write_text(path, page(sketch, products, card, about))


def page(sketch: Sketch, products: tuple[str, ...], card: ModelCard, about: About) -> str:
    """Return the page as HTML."""
    height, width = sketch.shape
    layers = [
        Layer(IDS[name], data_uri("image/png", _png(sketch, name, card)), ALTS[name]) for name in products
    ]
    source = np.where(sketch.valid[..., None], sketch.picture(SOURCE), PAPER).astype(np.uint8)
    safe = {
        "title": about.title,
        "subtitle": about.subtitle,
        "version": __version__,
        "notice": NOTICE,
    }
    parts = {
        "policy": POLICY,
        # Small scenes are enlarged, but not beyond what a screen shows at once.
        "style": style(width, f"min({max(width, 640)}px, calc(85vh * {width / height:.4f}))"),
        "script": script(),
        "slider": markup(
            data_uri("image/jpeg", encode_jpeg(source)), layers, width, height, scale_bar(about.metres)
        ),
        "legend": _legend(card, sketch),
        "scene": rows(about.facts),
        "model": rows(_model(card)),
        "limits": "<ul>\n" + "\n".join(f"<li>{html.escape(text)}</li>" for text in card.limits) + "\n</ul>",
    }
    template = (Path(__file__).parent / "preview.html").read_text("utf-8")
    return filled(template, {**{name: html.escape(value) for name, value in safe.items()}, **parts})


def about_scene(source: Path, size: tuple[int, int], metres: tuple[float, float] | None, grid: str) -> About:
    """Describe a map of `size` (height, width) px, each of `metres` on the ground, on a `grid` with this name."""
    height, width = size
    facts = {"File": source.name, "Map": f"{width:,} x {height:,} px"}
    extent = None
    if metres:
        extent = height * metres[0], width * metres[1]
        facts["Pixel"] = f"{metres[1]:.3g} x {metres[0]:.3g} m"
        facts["Extent"] = f"{length(extent[1])} x {length(extent[0])}"
    facts["Grid"] = grid
    ground = f", {facts['Extent']}" if extent else ""
    return About(f"Map of {source.name}", f"{facts['Map']}{ground}, {grid}", extent, facts)


def _png(sketch: Sketch, name: str, card: ModelCard) -> bytes:
    """Return a product as PNG, transparent where the scene has no pixel."""
    pixels, valid = sketch.picture(name), sketch.valid
    if name == "classes" and card.palette:
        pixels = np.array(card.palette.class_colours(), np.uint8)[pixels]
    if valid.all():
        return encode_png(pixels)
    if pixels.ndim == 2:
        pixels = pixels[..., None].repeat(3, -1)
    return encode_png(np.dstack([pixels, np.where(valid, 255, 0).astype(np.uint8)]))


def scale_bar(metres: tuple[float, float] | None) -> str:
    """Return a bar of a round length; nothing for a scene of unknown size."""
    if metres is None:
        return ""
    length = round_length(metres[1] * _BAR)
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    return f'<div class="scale" style="width: {100 * length / metres[1]:.3f}%">{label}</div>\n'


def round_length(most: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above `most`."""
    power = 10.0 ** math.floor(math.log10(most))
    best = max(step for step in (1.0, 2.0, 5.0) if step * power <= most * (1 + 1e-9))
    return best * power


def _legend(card: ModelCard, sketch: Sketch) -> str:
    if card.palette is None:
        return ""
    area = sketch.areas()
    share = "Share of area" if area else ""
    return (
        '<h2 style="margin-top: 0">Legend</h2>\n<table>\n<thead><tr><th scope="col">Class</th>'
        f'<th scope="col" class="number">{share}</th></tr></thead>\n<tbody>\n'
        f"{legend(card.palette, area)}\n</tbody>\n</table>"
    )


def _model(card: ModelCard) -> dict[str, str]:
    return {
        "Name": card.id,
        "Made for": f"RGB at about {card.metres_per_pixel:g} m per pixel",
        "Trained on": f"{card.training.data} ({card.training.licence})",
    }


def length(metres: float) -> str:
    """Return a length as people write it."""
    return f"{metres / 1000:.3g} km" if metres >= 1000 else f"{metres:.3g} m"
