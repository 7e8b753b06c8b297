"""Invented towns for the page: a street map and the imagery that a painter, not a model, makes of it."""

import asyncio
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import Response

from sat2map.serve import messages
from sat2map.serve.lane import Refused
from sat2map.serve.problems import of_error, problem
from sat2map.serve.supervisor import Supervisor, WorkerLost, WorkFailed
from sat2map.serve.tilecache import Entry, entry_of
from sat2map.serve.waiting import ClientGone, while_wanted

STYLES = ("grid", "organic", "radial", "coastal")
PICTURES = ("map", "imagery")
_KEPT = 16  # towns
_WAITING = 4  # towns
_SILENCE = 120.0  # seconds
_DIGITS = 10

Pair = tuple[Entry, Entry]


class Towns:
    """Pictures of towns by style and seed, made one at a time, when the worker has nothing better to do."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._kept: OrderedDict[tuple[str, int], Pair] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def pictures(self, style: str, seed: int) -> Pair:
        """Return map and imagery as PNG files. Raises Refused, WorkerLost, WorkFailed."""
        key = style, seed
        if key not in self._kept and self._waiting >= _WAITING:
            raise Refused("jobs", 5)
        self._waiting += 1
        try:
            async with self._turn:
                if key not in self._kept:
                    request = messages.Invent(self._supervisor.next_number(), style, seed)
                    made = await self._supervisor.call(request, _SILENCE)
                    assert isinstance(made, messages.Made)
                    self._kept[key] = entry_of(made.tiles[0]), entry_of(made.tiles[1])
                    while len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
                self._kept.move_to_end(key)
                return self._kept[key]
        finally:
            self._waiting -= 1

    async def answer(self, request: Request) -> Response:
        """Answer with a picture of a town."""
        request.scope["sat2map.route"] = "town"
        style, seed, picture = (request.path_params[name] for name in ("style", "seed", "picture"))
        is_number = seed.isascii() and seed.isdigit() and len(seed) <= _DIGITS
        if style not in STYLES or not is_number or picture not in PICTURES:
            return problem(
                404, "NoSuchTown", "there is no such town or picture", f"Styles: {', '.join(STYLES)}"
            )
        try:
            entries = await while_wanted(request, self.pictures(style, int(seed)))
        except (Refused, WorkerLost, WorkFailed) as error:
            return of_error(error)
        except ClientGone:
            return Response(status_code=499)
        entry = entries[PICTURES.index(picture)]
        headers = {"ETag": entry.etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match", "") == entry.etag:
            return Response(status_code=304, headers=headers)
        return Response(entry.data, 200, headers, "image/png")
