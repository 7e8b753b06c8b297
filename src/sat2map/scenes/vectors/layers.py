"""The layers of a vector map: what is in them, what they are called and what they look like."""

import math
from typing import Literal, NamedTuple

from sat2map.palette import (
    BUILDING,
    CLASS_NAMES,
    GREEN,
    HIGHWAY,
    LAND,
    MAPS,
    OTHER,
    ROAD,
    WATER,
    Colour,
)


class Layer(NamedTuple):
    """A layer: classes drawn as polygons or as lines."""

    name: str
    classes: tuple[int, ...]
    kind: Literal["polygons", "lines"]


# In the order in which they are painted, the lowest first.
LAYERS = {
    layer.name: layer
    for layer in (
        Layer("land", (LAND,), "polygons"),
        Layer("other", (OTHER,), "polygons"),
        Layer("green", (GREEN,), "polygons"),
        Layer("water", (WATER,), "polygons"),
        Layer("surfaces", (ROAD, HIGHWAY), "polygons"),
        Layer("roads", (ROAD, HIGHWAY), "lines"),
        Layer("buildings", (BUILDING,), "polygons"),
    )
}
DEFAULT = ("green", "water", "roads", "buildings")


def class_colour(number: int) -> Colour:
    """Return the map colour of a class."""
    return MAPS.class_colours()[number]


def qml(layer: Layer, width_field: str, metric: bool) -> str:
    """Return the QGIS style of a layer: map colours per class, roads as wide as `width_field` says.

    `metric`: the field is in metres; otherwise in units of the map.
    """
    symbols, categories = [], []
    for place, number in enumerate(layer.classes):
        name = CLASS_NAMES[number]
        if layer.kind == "polygons":
            symbols.append(_symbol("fill", place, _fill(class_colour(number))))
        else:
            lines = _line(_darker(class_colour(number)), width_field, 1.3, metric)
            lines += _line(class_colour(number), width_field, 1.0, metric)
            symbols.append(_symbol("line", place, lines))
        categories.append(f'<category render="true" symbol="{place}" value="{name}" label="{name}"/>')
    # symbollevels: all casings lie under all carriageways, so that crossings stay open
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.28.0" styleCategories="Symbology">'
        f'<renderer-v2 type="categorizedSymbol" attr="class" symbollevels="{int(layer.kind == "lines")}" '
        'forceraster="0" enableorderby="0">'
        f"<categories>{''.join(categories)}</categories><symbols>{''.join(symbols)}</symbols>"
        "</renderer-v2><blendMode>0</blendMode><layerOpacity>1</layerOpacity></qgis>\n"
    )


def _darker(colour: Colour) -> Colour:
    red, green, blue = (math.floor(0.78 * level) for level in colour)
    return red, green, blue


def _rgba(colour: Colour) -> str:
    return f"{colour[0]},{colour[1]},{colour[2]},255"


def _symbol(kind: str, place: int, content: str) -> str:
    return (
        f'<symbol type="{kind}" name="{place}" alpha="1" clip_to_extent="1" force_rhr="0">{content}</symbol>'
    )


def _option(name: str, value: str) -> str:
    return f'<Option type="QString" name="{name}" value="{value}"/>'


def _fill(colour: Colour) -> str:
    options = {
        "color": _rgba(colour),
        "outline_color": _rgba(_darker(colour)),
        "outline_style": "solid",
        "outline_width": "0.2",
        "outline_width_unit": "MM",
        "style": "solid",
    }
    content = "".join(_option(name, value) for name, value in options.items())
    return (
        '<layer class="SimpleFill" enabled="1" locked="0" pass="0">'
        f'<Option type="Map">{content}</Option></layer>'
    )


def _line(colour: Colour, width_field: str, factor: float, metric: bool) -> str:
    options = {
        "line_color": _rgba(colour),
        "line_style": "solid",
        "line_width": "5",
        "line_width_unit": "RenderMetersInMapUnits" if metric else "MapUnit",
        "capstyle": "round",
        "joinstyle": "round",
    }
    content = "".join(_option(name, value) for name, value in options.items())
    bound = (
        '<Option type="Map" name="outlineWidth"><Option type="bool" name="active" value="true"/>'
        + _option("expression", f"{factor} * &quot;{width_field}&quot;")
        + '<Option type="int" name="type" value="3"/></Option>'
    )
    return (
        f'<layer class="SimpleLine" enabled="1" locked="0" pass="{int(factor == 1.0)}">'
        f'<Option type="Map">{content}</Option><data_defined_properties><Option type="Map">'
        f'{_option("name", "")}<Option type="Map" name="properties">{bound}</Option>'
        f"{_option('type', 'collection')}</Option></data_defined_properties></layer>"
    )
