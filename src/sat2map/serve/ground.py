"""Routes of views from the ground: a place and a heading in the query, a picture as the answer.

Nothing of a request becomes a name of a file: places are numbers, scenes and models are looked up in dictionaries.
"""

import asyncio
import math
from collections import OrderedDict

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from sat2map.serve import messages
from sat2map.serve.catalogue import Catalogue
from sat2map.serve.lane import Refused
from sat2map.serve.metrics import Metrics
from sat2map.serve.problems import of_error, problem
from sat2map.serve.supervisor import Supervisor, WorkerLost, WorkFailed
from sat2map.serve.tilecache import Entry, entry_of
from sat2map.serve.towns import STYLES
from sat2map.serve.waiting import ClientGone, while_wanted

HOW = "Start the server with one: sat2map serve SCENE --model carto --model view-geo (or the folder of your own)"
_KEPT = 256  # pictures
_WAITING = 8  # of them being drawn or in the queue
_SILENCE = 90.0  # seconds
_LONGEST = 30  # characters of a number
_FAR = 1e6  # metres from a town's origin

Key = tuple[str, str, str, int, float, float, float]  # model, view, style, seed, x, y, heading


class BadQuery(ValueError):
    """What is wrong with the query, for the client."""


class GroundRoutes:
    """Pictures drawn one at a time in the worker; equal requests share one, and the latest are kept."""

    def __init__(self, supervisor: Supervisor, metrics: Metrics) -> None:
        self._supervisor, self._metrics = supervisor, metrics
        self._kept: OrderedDict[Key, Entry] = OrderedDict()
        self._flights: dict[Key, asyncio.Task[Entry]] = {}
        self.catalogue: Catalogue | None = None

    async def view(self, request: Request) -> Response:
        """Answer with the view at lon, lat."""
        request.scope["sat2map.route"] = "view"
        return await self._answer(request, self._place_of_scene)

    async def town(self, request: Request) -> Response:
        """Answer with the view at x, y of an invented town."""
        request.scope["sat2map.route"] = "town_view"
        return await self._answer(request, self._place_of_town)

    async def _answer(self, request: Request, place: object) -> Response:
        assert self.catalogue is not None and callable(place)
        model = request.query_params.get("model") or next(
            (name for name, facts in self.catalogue.models.items() if facts.ground), ""
        )
        facts = self.catalogue.models.get(model)
        if facts is None or facts.ground is None:
            return problem(404, "NoViewModel", "this server has no such ground-view model", HOW)
        try:
            key: Key | None = place(request, model)
        except BadQuery as error:
            return problem(400, "BadQuery", str(error), "See openapi.json")
        if key is None:
            return problem(404, "NoSuchPlace", "there is no such scene or town", "See layers.json")
        try:
            entry = await while_wanted(request, self._drawn(key))
        except (Refused, WorkerLost, WorkFailed) as error:
            if isinstance(error, Refused):
                self._metrics.refusals[error.reason] += 1
            return of_error(error)
        except ClientGone:
            return Response(status_code=499)
        headers = {"ETag": entry.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match", "") == entry.etag:
            return Response(status_code=304, headers=headers)
        return Response(entry.data, 200, headers, "image/png")

    def _place_of_scene(self, request: Request, model: str) -> Key | None:
        assert self.catalogue is not None
        query = request.query_params
        lon, lat = _number(query, "lon", 180), _number(query, "lat", 85)
        views = [layer.view for layer in self.catalogue.layers.values()]
        wanted = query.get("scene") or (views[0].scene if views else "")
        view = next((view for view in views if view.scene == wanted), None)
        if view is None:
            return None
        return model, view.id, "", 0, round(lon, 7), round(lat, 7), _heading(query)

    def _place_of_town(self, request: Request, model: str) -> Key | None:
        style, seed = request.path_params["style"], request.path_params["seed"]
        if style not in STYLES or not (seed.isascii() and seed.isdigit() and len(seed) <= 10):
            return None
        query = request.query_params
        x, y = _number(query, "x", _FAR), _number(query, "y", _FAR)
        return model, "", style, int(seed), round(x, 2), round(y, 2), _heading(query)

    async def _drawn(self, key: Key) -> Entry:
        """Return a picture that is kept, under way, or drawn now. Raises Refused, WorkerLost, WorkFailed."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._flights:
            if len(self._flights) >= _WAITING:
                raise Refused("views", 2)
            task = self._flights[key] = asyncio.create_task(self._draw(key))
            task.add_done_callback(lambda done: self._flights.pop(key, None) and done.exception())
        return await asyncio.shield(self._flights[key])

    async def _draw(self, key: Key) -> Entry:
        model, view, style, seed, x, y, heading = key
        look = messages.Look(self._supervisor.next_number(), model, view, style, seed, x, y, heading)
        made = await self._supervisor.call(look, _SILENCE)
        assert isinstance(made, messages.Made) and made.tiles[0] is not None
        entry = self._kept[key] = entry_of(made.tiles[0])
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return entry


def _number(query: QueryParams, name: str, most: float) -> float:
    """Return a number of the query. Raises BadQuery."""
    text = query.get(name, "")
    try:
        value = float(text) if len(text) <= _LONGEST else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= most:  # NaN fails too
        raise BadQuery(f"{name} must be a number between -{most:g} and {most:g}")
    return value


def _heading(query: QueryParams) -> float:
    return round(_number(query, "heading", 1e4), 1) % 360 if "heading" in query else 0.0
