"""Routes of tiles and of the documents that describe them."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sat2map.mercator import Tile
from sat2map.serve import documents
from sat2map.serve.catalogue import Layer, is_tile
from sat2map.serve.guard import base_of
from sat2map.serve.lane import Refused
from sat2map.serve.pages import resource
from sat2map.serve.problems import of_error, problem
from sat2map.serve.service import Service
from sat2map.serve.supervisor import WorkerLost, WorkFailed
from sat2map.serve.tilecache import Entry, entry_of
from sat2map.serve.waiting import ClientGone, while_wanted

_NUMBER = 10  # digits


class LayerRoutes:
    """What a map client asks for."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._empty = {kind: entry_of(resource(f"empty.{kind}")) for kind in documents.FORMATS}

    async def tile(self, request: Request) -> Response:
        """Answer with a tile; empty and transparent where the scene has no pixel, 404 for what is no tile of ours."""
        request.scope["sat2map.route"] = "tile"
        layer, tile, kind = self._named(request)
        if layer is None or tile is None:
            return problem(
                404, "NoSuchTile", "there is no such layer, or no such tile in it", "See layers.json"
            )
        placed = layer.placed(tile)
        entry = self._empty[kind] if placed is None else self._service.tiles.recent(_key(layer, kind), placed)
        if entry is None:
            assert placed is not None
            try:
                entry = await while_wanted(request, self._made(layer, placed, kind))
            except (Refused, WorkerLost, WorkFailed) as error:
                if isinstance(error, Refused):
                    self._service.metrics.refusals[error.reason] += 1
                return of_error(error)
            except ClientGone:
                return Response(status_code=499)
        return self._answer(request, layer, entry if entry.data else self._empty[kind], kind)

    async def _made(self, layer: Layer, tile: Tile, kind: str) -> Entry:
        """Return a tile from the cache, or have it made."""
        tiles, key = self._service.tiles, _key(layer, kind)
        entry = await tiles.find(key, tile)
        if entry is None:
            await self._service.upstream.bring(layer, tile)
            try:
                entry = tiles.keep(key, tile, await self._service.lane.tile(layer, tile, kind))
            except WorkFailed:
                self._service.upstream.forget(layer, tile)
                raise
        return entry

    def _named(self, request: Request) -> tuple[Layer | None, Tile | None, str]:
        """Look up what the address names."""
        words = request.path_params
        layer = self._service.catalogue.layers.get(words["layer"])
        z, x, y = (words[name] for name in "zxy")
        if layer is None or max(map(len, (z, x, y))) > _NUMBER or not (z + x + y).isascii():
            return None, None, ""
        if not (z.isdigit() and x.isdigit() and y.isdigit()) or words["format"] not in documents.FORMATS:
            return None, None, ""
        tile = Tile(int(z), int(x), int(y))
        is_offered = is_tile(*tile) and layer.zooms[0] <= tile.z <= layer.zooms[1]
        return layer, tile if is_offered else None, words["format"]

    def _answer(self, request: Request, layer: Layer, entry: Entry, kind: str) -> Response:
        """Answer by RFC 9110, section 13: with the tile, or with 304 if the client has it."""
        versioned = request.query_params.get("v") == documents.version(layer)
        scope = "private" if self._service.settings.token else "public"
        headers = {
            "ETag": entry.etag,
            "Cache-Control": f"{scope}, max-age=86400, immutable" if versioned else f"{scope}, no-cache",
        }
        known = request.headers.get("if-none-match", "")
        if known == "*" or entry.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(entry.data, 200, headers, documents.FORMATS[kind])

    async def tilejson(self, request: Request) -> Response:
        """Answer with a layer as TileJSON."""
        request.scope["sat2map.route"] = "tilejson"
        layer = self._service.catalogue.layers.get(request.path_params["layer"])
        if layer is None:
            return problem(404, "NoSuchLayer", "there is no such layer", "See layers.json")
        return JSONResponse(documents.tilejson(layer, base_of(request, self._service.settings)))

    async def wmts(self, request: Request) -> Response:
        """Answer with the WMTS capabilities."""
        request.scope["sat2map.route"] = "wmts"
        text = documents.capabilities(self._service.catalogue, base_of(request, self._service.settings))
        return Response(text, media_type="application/xml")

    async def facts(self, request: Request) -> Response:
        """Answer with all that the page shows."""
        request.scope["sat2map.route"] = "layers"
        settings = self._service.settings
        return JSONResponse(
            documents.page_facts(
                self._service.catalogue, needs_token=bool(settings.token), upload=settings.limits.upload
            ),
            headers={"Cache-Control": "no-cache"},
        )


def _key(layer: Layer, kind: str) -> str:
    return layer.digest if kind == "png" else f"{layer.digest}.{kind}"
