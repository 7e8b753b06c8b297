"""A picture and what was made of it, one over the other with a line to drag: the part that our pages share.

Pages hold all they need: pictures, style and script stand in the page itself, and nothing is loaded from anywhere.
"""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sat2map.palette import Palette

UInt8 = npt.NDArray[np.uint8]
HERE = Path(__file__).parent

# What a page may load and run: itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Layer(NamedTuple):
    """A picture that lies over the first one."""

    id: str  # map, classes or confidence
    picture: str  # data URI
    alt: str


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its `{{name}}` replaced, in one pass: values are never templates themselves."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def data_uri(kind: str, content: bytes) -> str:
    """Return content as an address that needs nothing else; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def style(width: int, widest: str) -> str:
    """Return the style sheet; `width` is that of the pictures in pixels, `widest` a length in CSS."""
    return filled((HERE / "style.css").read_text("utf-8"), {"width": str(width), "widest": widest})


def script() -> str:
    """Return the script that moves the line and chooses the layer."""
    return (HERE / "script.js").read_text("utf-8")


def markup(source: str, layers: Sequence[Layer], width: int, height: int, more: str = "") -> str:
    """Return the slider: `source` (a data URI) under one of the layers, all of `width` by `height` px.

    `more` is further markup that lies over the pictures.
    """
    size = f'width="{width}" height="{height}"'
    choices = "\n".join(
        f'<label><input type="radio" name="layer" value="{layer.id}"{" checked" if not number else ""}>'
        f" {layer.id.capitalize()}</label>"
        for number, layer in enumerate(layers)
    )
    over = "\n".join(
        f'<img id="{layer.id}" src="{layer.picture}" {size} alt="{html.escape(layer.alt)}"'
        f"{' hidden' if number else ''}>"
        for number, layer in enumerate(layers)
    )
    choice = f"<fieldset>\n<legend>On the right</legend>\n{choices}\n</fieldset>" if len(layers) > 1 else ""
    return f"""{choice}
<div class="compare" id="compare">
<img src="{source}" {size} alt="The picture that was translated">
<div class="over">
{over}
</div>
{more}<div class="bar"></div>
<input id="slider" type="range" min="0" max="100" value="50" step="any" \
aria-label="Part of the width that shows the picture, in percent; the rest shows the result">
</div>
<p class="ends soft" aria-hidden="true"><span>Picture</span><span id="shown">{layers[0].id.capitalize()}</span></p>
<p class="soft">Drag the line, or press Tab until it is framed and use the arrow keys.</p>"""


def shares(classes: UInt8, count: int) -> list[float]:
    """Return the share of the area that each of `count` classes covers; sums to 1."""
    return [float(n) / classes.size for n in np.bincount(classes.ravel(), minlength=count)]


def legend(palette: Palette, area: Sequence[float] | None) -> str:
    """Return one table row per class of the palette with its share, the largest first; without shares if None."""
    colours = palette.class_colours()
    known = sorted(set(palette.classes), key=lambda number: -area[number] if area else number)
    swatch = '<span class="swatch" style="background: rgb{}"></span>'
    return "\n".join(
        f"<tr><td>{swatch.format(colours[number])}{html.escape(palette.names[number])}</td>"
        f'<td class="number">{f"{100 * area[number]:.1f} %" if area else ""}</td></tr>'
        for number in known
    )


def rows(facts: Mapping[str, str]) -> str:
    """Return facts as table rows."""
    return "\n".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in facts.items()
    )
