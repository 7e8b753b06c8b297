"""What clients read to find the tiles: TileJSON 3.0.0, WMTS 1.0.0 capabilities, and what the page must know.

Addresses in them begin with `base`, the address by which the server was called. WMTS: OGC 07-057r7; the tile matrix set
is WebMercatorQuad of OGC 17-083r4.
"""

import hashlib
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import sat2map
from sat2map import mercator
from sat2map.mercator import TILE
from sat2map.palette import MAPS
from sat2map.scenes.job import NOTICE
from sat2map.serve.catalogue import SOURCE, Catalogue, Layer

FORMATS = {"png": "image/png", "webp": "image/webp"}
_PIXEL = 0.00028  # metres; the "standardised rendering pixel" of WMTS scales
_MOST = 24


def version(layer: Layer) -> str:
    """Return a short hash that changes with the content of a layer; addresses with it may be kept for ever."""
    return hashlib.sha256(layer.digest.encode()).hexdigest()[:12]


def template(layer: Layer, base: str, kind: str = "png") -> str:
    """Return the address of tiles with {z}, {x}, {y}."""
    return f"{base}/tiles/{quote(layer.id)}/{{z}}/{{x}}/{{y}}.{kind}"


def bounds(layer: Layer) -> tuple[float, float, float, float]:
    """Return west, south, east, north in degrees; west is larger than east where the scene crosses 180 degrees."""
    west, south, east, north = (round(value, 7) for value in layer.extent)
    return west, max(south, -mercator.LATITUDE), east if east <= 180 else round(east - 360, 7), north


def tilejson(layer: Layer, base: str) -> dict[str, Any]:
    """Return a layer as TileJSON."""
    west, south, east, north = layer.extent
    middle = (west + east) / 2
    return {
        "tilejson": "3.0.0",
        "name": layer.title,
        "description": _describe(layer),
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [f"{template(layer, base)}?v={version(layer)}"],
        "minzoom": layer.zooms[0],
        "maxzoom": layer.zooms[1],
        "bounds": list(bounds(layer)),
        "center": [
            round(middle - 360 if middle > 180 else middle, 7),
            round((south + north) / 2, 7),
            min(max(layer.view.zoom - 1, layer.zooms[0]), layer.zooms[1]),
        ],
        **({"attribution": escape(layer.view.attribution)} if layer.view.attribution else {}),
        "generator": f"sat2map {sat2map.__version__}",
        "sat2map_product": layer.product,
        "sat2map_model": "" if layer.product == SOURCE else layer.view.model,
        "sat2map_zoom": layer.view.zoom,
    }


def _describe(layer: Layer) -> str:
    return "The scene as it is" if layer.product == SOURCE else NOTICE


def page_facts(catalogue: Catalogue, *, needs_token: bool, upload: int) -> dict[str, Any]:
    """Return what the page needs, with relative addresses."""
    return {
        "version": sat2map.__version__,
        "needs_token": needs_token,
        "largest_upload": upload,
        "paints": [
            {"name": name, "colour": list(colour)}
            for name, colour in zip(MAPS.names, MAPS.class_colours(), strict=True)
        ],
        "layers": [
            {
                "id": layer.id,
                "title": layer.title,
                "scene": layer.view.scene,
                "model": layer.view.model,
                "product": layer.product,
                "tiles": f"{template(layer, '.')}?v={version(layer)}",
                "minzoom": layer.zooms[0],
                "maxzoom": layer.zooms[1],
                "own_zoom": layer.view.zoom,
                "extent": list(layer.extent),
                "notices": list(layer.view.notices),
                "attribution": layer.view.attribution,
            }
            for layer in catalogue.layers.values()
        ],
        "models": [
            {
                "id": model.id,
                "title": model.title,
                "direction": model.direction,
                "metres_per_pixel": model.metres_per_pixel,
                "classes": [{"name": c.name, "colour": list(c.colour)} for c in model.classes if c.known],
                "palette": [{"colour": list(c[:3]), "class": c[3]} for c in model.colours],
                "limits": list(model.limits),
                "ground": None
                if model.ground is None
                else {
                    "field": model.ground.field,
                    "width": model.ground.width,
                    "height": model.ground.height,
                },
                "licence": model.licence,
            }
            for model in catalogue.models.values()
        ],
    }


def capabilities(catalogue: Catalogue, base: str) -> str:
    """Return the WMTS capabilities: each layer once, by addresses of resources (REST)."""
    layers = "\n".join(_wmts_layer(layer, base) for layer in catalogue.layers.values())
    most = max((layer.zooms[1] for layer in catalogue.layers.values()), default=_MOST)
    matrices = "\n".join(_matrix(zoom) for zoom in range(most + 1))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
<ows:ServiceIdentification>
<ows:Title>sat2map</ows:Title>
<ows:ServiceType>OGC WMTS</ows:ServiceType>
<ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion>
</ows:ServiceIdentification>
<Contents>
{layers}
<TileMatrixSet>
<ows:Identifier>WebMercatorQuad</ows:Identifier>
<ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>
<WellKnownScaleSet>urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible</WellKnownScaleSet>
{matrices}
</TileMatrixSet>
</Contents>
<ServiceMetadataURL xlink:href="{escape(base)}/wmts/WMTSCapabilities.xml"/>
</Capabilities>
"""


def _wmts_layer(layer: Layer, base: str) -> str:
    west, south, east, north = bounds(layer)
    if west > east:
        west, east = -180.0, 180.0
    parts = [
        f"<Layer>\n<ows:Title>{escape(layer.title)}</ows:Title>\n<ows:Abstract>{escape(_describe(layer))}</ows:Abstract>",
        f"<ows:WGS84BoundingBox><ows:LowerCorner>{west} {south}</ows:LowerCorner>"
        f"<ows:UpperCorner>{east} {north}</ows:UpperCorner></ows:WGS84BoundingBox>",
        f"<ows:Identifier>{escape(layer.id)}</ows:Identifier>",
        '<Style isDefault="true"><ows:Identifier>default</ows:Identifier></Style>',
        *(f"<Format>{kind}</Format>" for kind in FORMATS.values()),
        "<TileMatrixSetLink><TileMatrixSet>WebMercatorQuad</TileMatrixSet>",
        f"<TileMatrixSetLimits>{''.join(_limits(layer))}</TileMatrixSetLimits></TileMatrixSetLink>",
    ]
    for ending, kind in FORMATS.items():
        address = template(layer, base, ending)
        for name, field in (("z", "TileMatrix"), ("x", "TileCol"), ("y", "TileRow")):
            address = address.replace(f"{{{name}}}", f"{{{field}}}")
        parts.append(f'<ResourceURL format="{kind}" resourceType="tile" template="{escape(address)}"/>')
    return "\n".join([*parts, "</Layer>"])


def _limits(layer: Layer) -> list[str]:
    """Return which tiles there are, zoom by zoom."""
    found = []
    for zoom in range(layer.zooms[0], layer.zooms[1] + 1):
        box = mercator.window_of(layer.extent, zoom)
        low_x, low_y = box.col // TILE, box.row // TILE
        high_x, high_y = (box.col + box.width - 1) // TILE, (box.row + box.height - 1) // TILE
        if high_x >= 1 << zoom:  # beyond 180 degrees: WMTS has no word for that
            low_x, high_x = 0, (1 << zoom) - 1
        found.append(
            f"<TileMatrixLimits><TileMatrix>{zoom}</TileMatrix><MinTileRow>{low_y}</MinTileRow>"
            f"<MaxTileRow>{high_y}</MaxTileRow><MinTileCol>{low_x}</MinTileCol><MaxTileCol>{high_x}</MaxTileCol>"
            "</TileMatrixLimits>"
        )
    return found


def _matrix(zoom: int) -> str:
    count = 1 << zoom
    return (
        f"<TileMatrix><ows:Identifier>{zoom}</ows:Identifier>"
        f"<ScaleDenominator>{mercator.pixel_size(zoom) / _PIXEL!r}</ScaleDenominator>"
        f"<TopLeftCorner>{-mercator.EDGE!r} {mercator.EDGE!r}</TopLeftCorner>"
        f"<TileWidth>{TILE}</TileWidth><TileHeight>{TILE}</TileHeight>"
        f"<MatrixWidth>{count}</MatrixWidth><MatrixHeight>{count}</MatrixHeight></TileMatrix>"
    )
