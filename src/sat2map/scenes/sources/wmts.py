"""WMTS capabilities (OGC 07-057r7, version 1.0.0) to tile layers: layer, matrix set, style, format and addresses."""

import difflib
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote
from xml.etree.ElementTree import Element

from sat2map import mercator
from sat2map.errors import BadTileSource, UnusableCrs
from sat2map.mercator import Degrees
from sat2map.network.address import Address
from sat2map.scenes import raster
from sat2map.scenes.sources.layer import TileLayer, listed
from sat2map.scenes.sources.matrix import Level, snapped
from sat2map.scenes.sources.template import Template
from sat2map.scenes.sources.text import parse_xml, plain

_PIXEL = 0.28e-3  # metres: the pixel that scale denominators are about (section 6.1)
_KVP = (
    "service",
    "request",
    "version",
    "acceptversions",
    "sections",
    "updatesequence",
    "acceptformats",
    "format",
)
_FORMATS = ("image/png", "image/jpeg", "image/webp", "image/tiff", "image/jpgpng", "image/vnd.jpeg-png")
_EPSG = re.compile(
    r"(?:urn:(?:x-)?ogc:def:crs:|https?://www\.opengis\.net/def/crs/)?EPSG(?:[:/][^:/]*)?[:/](\d{4,6})"
)
_MERCATORS = {"900913", "3785", "102100", "102113", "3857"}
_REMEDY = "Ask the provider for a WMTS 1.0.0 capabilities address, or give a template with {z}/{x}/{y}"


class Wanted(NamedTuple):
    """What the user says; empty: not said."""

    layer: str = ""
    matrix_set: str = ""
    style: str = ""
    image_format: str = ""


def parse(body: bytes, address: str, shown: str, wanted: Wanted) -> TileLayer:
    """Return the layer that is wanted. `address` is what the user gave; `shown` how it may be shown.

    Raises BadTileSource, listing what there is, if the document leaves a choice that the user did not make.
    """
    root = parse_xml(body, shown)
    contents = root.find("Contents")
    if root.tag != "Capabilities" or contents is None:
        raise BadTileSource(
            f"{shown} is XML, but no WMTS capabilities (its root is {root.tag[:60]})", _REMEDY
        )
    layer = _chosen(_named(contents, "Layer"), wanted.layer, "layer", "--layer")
    name = _text(layer, "Identifier")
    links = {_text(link, "TileMatrixSet"): link for link in layer.findall("TileMatrixSetLink")}
    sets = {key: found for key, found in _named(contents, "TileMatrixSet").items() if key in links}
    matrix_set = _matrix_set(sets, wanted.matrix_set, name)
    style = _style(layer, wanted.style)
    image_format = _format(layer, wanted.image_format)
    extent = _extent(layer)
    levels = _levels(matrix_set, links[_text(matrix_set, "Identifier")], extent)
    template = _template(root, layer, address, shown, _text(matrix_set, "Identifier"), style, image_format)
    return TileLayer(plain(_text(layer, "Title") or name, 200), template, levels, _attribution(root), extent)


def _text(element: Element | None, path: str) -> str:
    found = element.find(path) if element is not None else None
    return (found.text or "").strip() if found is not None else ""


def _named(parent: Element, tag: str) -> dict[str, Element]:
    return {_text(element, "Identifier"): element for element in parent.findall(tag)}


def _chosen(offered: dict[str, Element], wanted: str, what: str, option: str) -> Element:
    """Return what the user names, or the only one there is."""
    if wanted in offered:
        return offered[wanted]
    if not offered:
        raise BadTileSource(f"the service offers no {what}", _REMEDY)
    if not wanted and len(offered) == 1:
        return next(iter(offered.values()))
    near = difflib.get_close_matches(wanted, offered, 3) if wanted else []
    problem = f"the service has no {what} {wanted!r}" if wanted else f"the service has {len(offered)} {what}s"
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise BadTileSource(problem, f"{hint}Choose one with {option}: {listed(sorted(offered))}")


def _matrix_set(offered: dict[str, Element], wanted: str, layer: str) -> Element:
    """Return the matrix set that the user names, else one in Web Mercator, else the only one."""
    if not wanted:
        for found in offered.values():
            if _crs(_text(found, "SupportedCRS")) == mercator.CRS:
                return found
    return _chosen(offered, wanted, f"matrix set of layer {layer!r}", "--matrix-set")


def _style(layer: Element, wanted: str) -> str:
    """Return the style that the user names, else the default one, else the first; many services have none."""
    styles = _named(layer, "Style")
    if wanted:
        return _text(_chosen(styles, wanted, "style", "--style"), "Identifier")
    default = [name for name, found in styles.items() if found.get("isDefault", "").lower() in ("true", "1")]
    return next(iter([*default, *styles]), "")


def _format(layer: Element, wanted: str) -> str:
    """Return the format that the user names, else the first on offer that we read: the provider's own order."""
    offered = [(found.text or "").strip() for found in layer.findall("Format")]
    if wanted:
        same = [one for one in offered if wanted.lower() in (one.lower(), one.lower().rpartition("/")[2])]
        if same:
            return same[0]
        raise BadTileSource(
            f"the layer has no format {wanted!r}", f"Choose one with --image-format: {listed(offered)}"
        )
    readable = [one for one in offered if one.partition(";")[0].strip().lower() in _FORMATS]
    if not readable:
        raise BadTileSource(
            f"the layer comes as {listed(offered) or 'nothing'}, which are no pictures that we read", _REMEDY
        )
    return readable[0]


def _extent(layer: Element) -> Degrees | None:
    box = layer.find("WGS84BoundingBox")
    corners = [*_text(box, "LowerCorner").split(), *_text(box, "UpperCorner").split()]
    try:
        west, south, east, north = map(float, corners)
    except ValueError:
        return None
    return Degrees(west, south, east + 360 if east < west else east, north)


def _crs(name: str) -> str:
    """Return AUTHORITY:CODE of a name as services write it, empty if it is neither EPSG nor OGC.

    Only digits are taken from the document; what reaches PROJ is ours.
    """
    if re.search(r"CRS:?84$", name):
        return "OGC:CRS84"
    found = _EPSG.fullmatch(name)
    if found is None:
        return ""
    return mercator.CRS if found[1] in _MERCATORS else f"EPSG:{found[1]}"


# -- levels -----------------------------------------------------------------------------------------------------


def _levels(matrix_set: Element, link: Element, extent: Degrees | None) -> tuple[Level, ...]:
    """Return the matrices as levels, from coarse to fine."""
    name, crs = _text(matrix_set, "Identifier"), _crs(_text(matrix_set, "SupportedCRS"))
    if not crs:
        raise BadTileSource(
            f"the matrix set {name} is in {_text(matrix_set, 'SupportedCRS')[:80]!r}, which we do not know",
            "Choose another one with --matrix-set",
        )
    limits = {_text(one, "TileMatrix"): _limits(one) for one in link.iter("TileMatrixLimits")}
    try:
        units = raster.units_of(crs)
        found = [_level(matrix, crs, units, extent, limits) for matrix in matrix_set.findall("TileMatrix")]
    except (ValueError, UnusableCrs) as error:
        raise BadTileSource(f"the matrix set {name} cannot be used: {error}", _REMEDY) from error
    if limits:
        found = [level for level in found if level.label in limits]
    if not found:
        raise BadTileSource(
            f"the matrix set {name} has no matrix for this layer", "Choose another --matrix-set"
        )
    return tuple(sorted(found, key=lambda level: -level.size))


def _limits(element: Element) -> tuple[int, int, int, int]:
    first_col, last_col, first_row, last_row = (
        int(_text(element, name)) for name in ("MinTileCol", "MaxTileCol", "MinTileRow", "MaxTileRow")
    )
    return first_col, last_col, first_row, last_row


def _level(
    matrix: Element, crs: str, units: raster.Units, extent: Degrees | None,
    limits: dict[str, tuple[int, int, int, int]],
) -> Level:  # fmt: skip
    """Raises ValueError for numbers that are none, or impossible."""
    first, second = map(float, _text(matrix, "TopLeftCorner").split())
    scale = float(_text(matrix, "ScaleDenominator"))
    wide, high = int(_text(matrix, "TileWidth")), int(_text(matrix, "TileHeight"))
    cols, rows = int(_text(matrix, "MatrixWidth")), int(_text(matrix, "MatrixHeight"))
    label = _text(matrix, "Identifier")
    if not (0 < scale < 1e12 and 16 <= wide <= 4096 and 16 <= high <= 4096 and min(cols, rows) > 0):
        raise ValueError(f"matrix {label[:40]!r} has impossible sizes")
    size = scale * _PIXEL / units.metres

    def hung_at(left: float, top: float) -> Level:
        return snapped(Level(label, crs, left, top, size, wide, high, cols, rows, limits.get(label)))

    plain_order, swapped = hung_at(first, second), hung_at(second, first)
    usual, other = (swapped, plain_order) if units.is_north_first else (plain_order, swapped)
    # Many services get the order of axes wrong; where the layer lies tells.
    if extent is not None and not _holds(usual, extent) and _holds(other, extent):
        return other
    return usual


def _holds(level: Level, extent: Degrees) -> bool:
    try:
        return level.window_of(raster.box_in(level.crs, extent)) is not None
    except UnusableCrs:
        return False


# -- addresses --------------------------------------------------------------------------------------------------


def _template(
    root: Element, layer: Element, address: str, shown: str, matrix_set: str, style: str, image_format: str
) -> Template:
    """Return the template of a layer: that of a resource, else the operation GetTile with fields in the query."""
    known = {"Style": style, "style": style, "TileMatrixSet": matrix_set, **_dimensions(layer)}
    for resource in layer.findall("ResourceURL"):
        text = resource.get("template", "")
        is_ours = resource.get("resourceType") == "tile" and resource.get("format") == image_format
        if is_ours and text and "{env:" not in text:
            filled = re.sub(
                r"\{(\w+)\}", lambda m: quote(known[m[1]], safe="") if m[1] in known else m[0], text
            )
            return Template.parse(_with_own_fields(filled, address))
    for place in _get_tile(root):
        if "{" in place:
            continue
        base = place if place.endswith(("?", "&")) else place + ("&" if "?" in place else "?")
        fields = {
            "SERVICE": "WMTS", "REQUEST": "GetTile", "VERSION": "1.0.0", "LAYER": _text(layer, "Identifier"),
            "STYLE": style, "FORMAT": image_format, "TILEMATRIXSET": matrix_set, **_dimensions(layer),
        }  # fmt: skip
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        text = f"{base}{query}&TILEMATRIX={{TileMatrix}}&TILEROW={{TileRow}}&TILECOL={{TileCol}}"
        return Template.parse(_with_own_fields(text, address))
    raise BadTileSource(
        f"{shown} does not say where tiles of {image_format} are", "Choose another one with --image-format"
    )


def _dimensions(layer: Element) -> dict[str, str]:
    """Return the default value of each dimension, such as the time of a mosaic."""
    return {
        name: _text(found, "Default") or _text(found, "Value")
        for name, found in _named(layer, "Dimension").items()
        if re.fullmatch(r"\w+", name)
    }


def _get_tile(root: Element) -> Iterator[str]:
    """Yield the addresses of GetTile that take fields in the query; those that say nothing are of that kind."""
    for operation in root.iterfind("OperationsMetadata/Operation"):
        if operation.get("name") == "GetTile":
            for get in operation.iterfind("DCP/HTTP/Get"):
                encodings = [value.text or "" for value in get.iter("Value")]
                if get.get("href") and (not encodings or "KVP" in encodings):
                    yield get.get("href", "")


def _with_own_fields(text: str, address: str) -> str:
    """Add the fields of the user's own address, a token for example, if the tiles come from the same server."""
    own = [
        part
        for part in address.partition("?")[2].partition("#")[0].split("&")
        if part and part.partition("=")[0].lower() not in _KVP
    ]
    theirs = {part.partition("=")[0].lower() for part in text.partition("?")[2].split("&")}
    own = [part for part in own if part.partition("=")[0].lower() not in theirs]
    blank = re.compile(r"\{[^{}]*\}")
    if not own or Address.parse(blank.sub("0", text)).origin != Address.parse(blank.sub("0", address)).origin:
        return text
    return text + ("&" if "?" in text else "?") + "&".join(own)


def _attribution(root: Element) -> str:
    """Return who provides the service, and under which conditions; WMTS has no better place for attribution."""
    provider = plain(_text(root, "ServiceProvider/ProviderName"), 200)
    terms = plain(_text(root, "ServiceIdentification/AccessConstraints"), 300)
    said = [provider, terms if terms.lower() not in ("", "none", "unknown") else ""]
    return "; ".join(part for part in said if part)
