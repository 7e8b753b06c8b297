"""TileJSON documents (3.0.0 and before, https://github.com/mapbox/tilejson-spec) to tile layers."""

from typing import Any

import msgspec

from sat2map import mercator
from sat2map.errors import BadTileSource
from sat2map.mercator import Degrees
from sat2map.scenes.sources.layer import TileLayer
from sat2map.scenes.sources.matrix import web_level
from sat2map.scenes.sources.template import Template
from sat2map.scenes.sources.text import plain

_REMEDY = "Give a template like https://host/{z}/{x}/{y}.png instead"


class _Document(msgspec.Struct):
    tiles: list[str] = []
    minzoom: int = 0
    maxzoom: int = 22
    scheme: str = "xyz"
    bounds: list[float] = []
    attribution: str | None = None
    name: str | None = None
    format: str | None = None
    vector_layers: list[Any] = []
    tileSize: int = 0


def parse(body: bytes, address: str, tile: int | None = None) -> TileLayer:
    """Return the layer that a document describes; `tile` is the side of its tiles in px if the user says so.

    Raises BadTileSource.
    """
    try:
        found = msgspec.json.decode(body, type=_Document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadTileSource(f"{address} is no TileJSON: {error}", _REMEDY) from error
    if found.vector_layers or found.format in ("pbf", "mvt"):
        raise BadTileSource(f"{address} describes vector tiles, which are no imagery", "Name a raster layer")
    if not found.tiles or any("{env:" in text for text in found.tiles):
        raise BadTileSource(f"{address} names no tiles", _REMEDY)
    if not 0 <= found.minzoom <= found.maxzoom:
        raise BadTileSource(f"{address} has zooms from {found.minzoom} to {found.maxzoom}", _REMEDY)
    texts = [t.replace("{y}", "{-y}") if found.scheme == "tms" else t for t in found.tiles]
    template = Template.parse(*texts)
    side = tile or found.tileSize or (512 if template.is_double else mercator.TILE)
    if not 64 <= side <= 4096:
        raise BadTileSource(f"{address} has tiles of {side} px", "Say what they are: --tile-size 256")
    zooms = range(found.minzoom, min(found.maxzoom, mercator.MOST_ZOOM) + 1)
    return TileLayer(
        plain(found.name or "") or address,
        template,
        tuple(web_level(zoom, side) for zoom in zooms),
        plain(found.attribution or ""),
        _extent(found.bounds),
    )


def _extent(bounds: list[float]) -> Degrees | None:
    if len(bounds) != 4 or not (-360 <= bounds[0] < bounds[2] <= 540 and -90 <= bounds[1] < bounds[3] <= 90):
        return None
    return Degrees(*bounds)
