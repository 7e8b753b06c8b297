"""Tiles of an array on a loopback server, as XYZ, TMS, quadkeys, TileJSON or WMTS, with or without misbehaviour."""

import io
import json
import re
from collections.abc import Callable
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from badnet import Handler, Seen

EDGE = 20037508.342789244


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class World:
    """Pixels of a Web Mercator zoom that are known in one window; other tiles do not exist."""

    def __init__(self, pixels: np.ndarray, row: int, col: int, zoom: int, side: int = 256) -> None:
        """`pixels` (H, W, 3 or 4) begin at pixel (row, col) of the world, which must be a tile's corner."""
        assert row % side == col % side == 0 and not pixels.shape[0] % side and not pixels.shape[1] % side
        self.pixels, self.zoom, self.side = pixels, zoom, side
        self.first = row // side, col // side
        self.rows, self.cols = pixels.shape[0] // side, pixels.shape[1] // side
        self.holes: set[tuple[int, int]] = set()

    def tile(self, zoom: int, col: int, row: int) -> bytes | None:
        """Return a tile as PNG, None where there is none."""
        down, across = row - self.first[0], col - self.first[1]
        is_here = 0 <= down < self.rows and 0 <= across < self.cols and (row, col) not in self.holes
        if zoom != self.zoom or not is_here:
            return None
        side = self.side
        return png(self.pixels[down * side : (down + 1) * side, across * side : (across + 1) * side])

    def bbox(self, inset: float = 0.0) -> tuple[float, float, float, float]:
        """Return west, south, east, north of all tiles, `inset` pixels inside their outline."""
        size = 2 * EDGE / (self.side << self.zoom)
        left = self.first[1] * self.side * size - EDGE + inset * size
        top = EDGE - self.first[0] * self.side * size - inset * size
        right = left + (self.pixels.shape[1] - 2 * inset) * size
        bottom = top - (self.pixels.shape[0] - 2 * inset) * size

        def degrees(x: float, y: float) -> tuple[float, float]:
            return float(np.degrees(x / 6378137)), float(np.degrees(np.arctan(np.sinh(y / 6378137))))

        return *degrees(left, bottom), *degrees(right, top)

    @property
    def origin(self) -> tuple[float, float, float]:
        """Left, top and pixel size of the pixels in EPSG:3857."""
        size = 2 * EDGE / (self.side << self.zoom)
        return self.first[1] * self.side * size - EDGE, EDGE - self.first[0] * self.side * size, size


def xyz(path: str) -> tuple[int, int, int] | None:
    """Read zoom, column and row out of any path that holds them in this order."""
    found = re.search(r"/(\d+)/(\d+)/(-?\d+)", path)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def serving(world: World, documents: dict[str, tuple[str, Callable[[str], str]]] | None = None) -> Callable:
    """Return an answer for `badnet.Server`: documents (path -> type, base address -> text), else tiles by z/x/y."""

    def answer(handler: Handler, seen: Seen, number: int) -> None:
        path = seen.path.partition("?")[0]
        if documents and path in documents:
            kind, text = documents[path]
            body = text(f"http://127.0.0.1:{handler.server.port}").encode()
            return handler.send(body, Content_Type=kind)
        where = xyz(path)
        body = world.tile(*where) if where else None
        return handler.send(b"", 404) if body is None else handler.send(body, Content_Type="image/png")

    return answer


def tilejson(template: str, **fields: object) -> Callable[[str], str]:
    return lambda base: json.dumps({"tilejson": "3.0.0", "tiles": [f"{base}{template}"], **fields})


def capabilities(
    world: World, *, layers: str = "", resource: str = "", crs: str = "urn:ogc:def:crs:EPSG::3857"
) -> Callable[[str], str]:
    """Return WMTS capabilities of one layer `ortho`, with more `layers` as XML, by resource template or by fields."""

    def text(base: str) -> str:
        west, south, east, north = world.bbox()
        scale = 2 * EDGE / world.side / 0.28e-3
        matrices = "".join(
            f"<TileMatrix><ows:Identifier>EPSG:3857:{z}</ows:Identifier>"
            f"<ScaleDenominator>{scale / 2**z!r}</ScaleDenominator>"
            f"<TopLeftCorner>-20037508.3427892 20037508.3427892</TopLeftCorner><TileWidth>{world.side}</TileWidth>"
            f"<TileHeight>{world.side}</TileHeight><MatrixWidth>{2**z}</MatrixWidth><MatrixHeight>{2**z}</MatrixHeight>"
            f"</TileMatrix>"
            for z in range(world.zoom + 2)
        )
        url = f'<ResourceURL format="image/png" resourceType="tile" template="{escape(base + resource)}"/>'
        url = url if resource else ""
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<Capabilities xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1"
  xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0">
<ows:ServiceIdentification><ows:AccessConstraints>CC BY 4.0</ows:AccessConstraints></ows:ServiceIdentification>
<ows:ServiceProvider><ows:ProviderName>Land &amp; Survey</ows:ProviderName></ows:ServiceProvider>
<ows:OperationsMetadata><ows:Operation name="GetTile"><ows:DCP><ows:HTTP>
<ows:Get xlink:href="{base}/kvp?"><ows:Constraint name="GetEncoding"><ows:AllowedValues><ows:Value>KVP</ows:Value>
</ows:AllowedValues></ows:Constraint></ows:Get></ows:HTTP></ows:DCP></ows:Operation></ows:OperationsMetadata>
<Contents><Layer><ows:Title>Aerial &lt;b&gt;picture&lt;/b&gt;</ows:Title>
<ows:WGS84BoundingBox><ows:LowerCorner>{west} {south}</ows:LowerCorner><ows:UpperCorner>{east} {north}</ows:UpperCorner>
</ows:WGS84BoundingBox><ows:Identifier>ortho</ows:Identifier>
<Style isDefault="true"><ows:Identifier>summer</ows:Identifier></Style>
<Style><ows:Identifier>winter</ows:Identifier></Style>
<Format>application/pdf</Format><Format>image/png</Format><Format>image/jpeg</Format>
<Dimension><ows:Identifier>Time</ows:Identifier><Default>2024</Default><Value>2023</Value><Value>2024</Value></Dimension>
<TileMatrixSetLink><TileMatrixSet>web</TileMatrixSet></TileMatrixSetLink>{url}</Layer>{layers}
<TileMatrixSet><ows:Identifier>web</ows:Identifier><ows:SupportedCRS>{crs}</ows:SupportedCRS>{matrices}</TileMatrixSet>
</Contents></Capabilities>"""

    return text
