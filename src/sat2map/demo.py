"""The demonstration: the shipped model, the shipped sample, and one page to compare the two.

`build` makes a folder with the pictures as files and `index.html`, which holds copies of them and needs nothing else:
no network, no server, no other file.
"""

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sat2map import __version__
from sat2map.card import Metrics, ModelCard
from sat2map.errors import OutputExists
from sat2map.images import encode_png, read_image
from sat2map.runtime import Translator
from sat2map.scenes.pictures import translate_image, write_products
from sat2map.scenes.translate import PRODUCTS
from sat2map.slider import POLICY, Layer, data_uri, filled, legend, markup, rows, script, shares, style
from sat2map.storage import committing_folder, write_bytes, write_text

UInt8 = npt.NDArray[np.uint8]
HERE = Path(__file__).parent
SAMPLE = HERE / "samples" / "banepa.jpg"
PAGE = "index.html"
FILES = {"colour": "map.png", "classes": "classes.png", "confidence": "confidence.png"}
TASKS = {"sat2map": "satellite or aerial picture to street map", "map2sat": "street map to picture"}
SUBTITLE = "A part of Banepa, Nepal, from the air (OpenAerialMap), and what the model makes of it."


def build(translator: Translator, folder: Path, *, overwrite: bool = False) -> Path:
    """Translate the sample into `folder` and return the page in it.

    The folder appears whole or not at all. Raises OutputExists, also with `overwrite` if the folder is there and is
    not a demonstration; UnsuitableModel for a model without classes; StorageFailed.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / PAGE).is_file():
        raise OutputExists(f"{folder} holds other things than a demonstration", "Name another folder")
    with committing_folder(folder, overwrite=overwrite) as draft:
        image = read_image(SAMPLE)
        products = translate_image(translator, image, PRODUCTS)
        write_bytes(draft / "source.png", encode_png(image))
        paths = {product: draft / name for product, name in FILES.items()}
        write_products(products, paths, translator.card, overwrite=False)
        pictures = {name: paths[product].read_bytes() for product, name in FILES.items()}
        write_text(draft / PAGE, page(translator.card, products, pictures))
    return folder / PAGE


def page(card: ModelCard, products: Mapping[str, UInt8], pictures: Mapping[str, bytes]) -> str:
    """Return the HTML page. `products` as `translate_image` gives them, `pictures` file name -> PNG."""
    height, width = products["classes"].shape
    values = {
        "title": card.title,
        "subtitle": SUBTITLE,
        "version": __version__,
        "mean_confidence": f"{products['confidence'].mean():.0f}",
    }
    safe = {name: html.escape(value) for name, value in values.items()}
    parts = {
        "slider": _slider(pictures, width, height),
        "style": style(width, f"calc({width}px * 1.6)"),
        "script": script(),
        "policy": POLICY,
        "legend": _legend(card, products["classes"]),
        "facts": rows(_facts(card)),
        "figures": "\n".join(_figures(metrics) for metrics in card.metrics),
        "limits": _items(card.limits) if card.limits else "<p>None are stated.</p>",
        "attribution": _attribution((HERE / "samples" / "ATTRIBUTION.md").read_text("utf-8")),
    }
    text = (HERE / "demo.html").read_text("utf-8")
    return filled(text, {**safe, **parts})


def _slider(pictures: Mapping[str, bytes], width: int, height: int) -> str:
    """Return the sample under the pictures that were made of it."""
    alts = {
        "map": ("colour", "Street map made from the picture"),
        "classes": ("classes", "Class of each pixel in its colour"),
        "confidence": ("confidence", "Confidence of each pixel, white is certain"),
    }
    layers = [
        Layer(name, data_uri("image/png", pictures[FILES[product]]), alt)
        for name, (product, alt) in alts.items()
    ]
    return markup(data_uri("image/jpeg", SAMPLE.read_bytes()), layers, width, height)


def _legend(card: ModelCard, classes: UInt8) -> str:
    assert card.palette is not None, "a demonstration needs classes"
    return legend(card.palette, shares(classes, len(card.palette.names)))


def _facts(card: ModelCard) -> dict[str, str]:
    training = card.training
    return {
        "Name": card.id,
        "Task": TASKS[card.direction],
        "Network": f"{card.architecture}, {card.parameter_count / 1e6:.2f} million parameters",
        "Made for": f"RGB at about {card.metres_per_pixel:g} m per pixel",
        "Trained on": f"{training.data}, {training.pairs:,} pairs ({training.licence})",
        "Training": f"{training.images_seen:,} images seen in {training.hours:.1f} hours",
        "Licence": card.licence,
        "Created": card.created,
    }


def _figures(metrics: Metrics) -> str:
    """Return one evaluation as a table with the model and its baselines side by side."""
    columns = {"model": metrics.figures, **metrics.baselines}
    head = "".join(f'<th scope="col" class="number">{html.escape(name)}</th>' for name in columns)
    lines = []
    for figure in metrics.figures:
        cells = "".join(
            f'<td class="number">{column[figure]:.3g}</td>'
            if figure in column
            else '<td class="number"></td>'
            for column in columns.values()
        )
        lines.append(f'<tr><th scope="row">{html.escape(figure)}</th>{cells}</tr>')
    caption = html.escape(f"{metrics.protocol}, split {metrics.split}, n = {metrics.n}")
    return (
        f'<h2>Figures</h2>\n<div class="wide"><table><caption>{caption}</caption>\n'
        f'<thead><tr><th scope="col">figure</th>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def _items(sentences: Iterable[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "\n</ul>"


def _attribution(markdown: str) -> str:
    """Return the paragraphs of the attribution, without its heading, as HTML; links keep their address as text."""
    paragraphs = [part.strip() for part in markdown.split("\n\n") if not part.startswith("#")]
    plain = (re.sub(r"\[(.*?)\]\(", r"\1 (", part).replace("`", "") for part in paragraphs)
    return "\n".join(f"<p>{html.escape(' '.join(part.split()))}</p>" for part in plain)
