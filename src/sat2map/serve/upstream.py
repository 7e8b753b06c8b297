"""Before a tile of a live source is made: have the worker bring what it needs from the servers of other people.

This is done beside the lane, so that a slow source holds up nobody but those who look at it. Equal requests share one
call; what nobody waits for any more is cancelled. When a source asks for a pause, everybody is told so at the door.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from sat2map.mercator import Tile
from sat2map.serve import messages
from sat2map.serve.catalogue import SOURCE, Layer
from sat2map.serve.lane import Refused
from sat2map.serve.limits import ServeLimits
from sat2map.serve.supervisor import Supervisor, WorkFailed

_ANSWER = 20.0  # seconds beyond the deadline, after which a silent worker counts as hung

Key = tuple[str, bool, Tile]
_BROUGHT = 4096  # tiles of which we remember that all is there


@dataclass
class _Bringing:
    task: "asyncio.Task[None]"
    waiters: int = 0


class Upstream:
    """All tile sources of a server."""

    def __init__(self, supervisor: Supervisor, limits: ServeLimits) -> None:
        self._supervisor, self._limits = supervisor, limits
        self._flights: dict[Key, _Bringing] = {}
        self._held: dict[str, float] = {}  # view -> until when nobody is asked, monotonic
        self._requests: dict[str, int] = {}
        self._brought: OrderedDict[Key, None] = OrderedDict()
        self.failures = 0

    @property
    def waiting(self) -> int:
        """Tiles for which something is being brought."""
        return len(self._flights)

    @property
    def requests(self) -> int:
        """Requests that the present worker has sent to sources."""
        return sum(self._requests.values())

    async def bring(self, layer: Layer, tile: Tile) -> None:
        """Return when all that a tile needs is on disk; at once for layers of files.

        Cancel it when the client has left. Raises Refused, WorkerLost, WorkFailed.
        """
        if not layer.view.is_live:
            return
        left = self._held.get(layer.view.id, 0) - time.monotonic()
        if left > 0:
            raise Refused("upstream", left)
        key = _key(layer, tile)
        if key in self._brought:
            self._brought.move_to_end(key)
            return
        flight = self._flights.get(key)
        if flight is None:
            if self.waiting >= self._limits.upstream_waiting:
                raise Refused("upstream", self._limits.upstream_patience / 4)
            flight = self._flights[key] = _Bringing(asyncio.create_task(self._bring(key, layer)))
        flight.waiters += 1
        try:
            await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                flight.task.cancel()

    def forget(self, layer: Layer, tile: Tile) -> None:
        """Bring it again the next time: something is not on disk any more."""
        self._brought.pop(_key(layer, tile), None)

    async def _bring(self, key: Key, layer: Layer) -> None:
        view, _, tile = key
        request = messages.Bring(
            self._supervisor.next_number(), view, (*tile,), layer.product, self._limits.upstream_patience
        )
        try:
            await self._supervisor.ready()
            made = await self._supervisor.call(request, self._limits.upstream_patience + _ANSWER)
            assert isinstance(made, messages.Brought)
            self._requests[view] = made.requests
            self._brought[key] = None
            if len(self._brought) > _BROUGHT:
                self._brought.popitem(last=False)
        except WorkFailed as error:
            self.failures += 1
            if error.failed.wait:
                self._held[view] = time.monotonic() + min(error.failed.wait, self._limits.upstream_pause)
            raise
        finally:
            self._flights.pop(key, None)


def _key(layer: Layer, tile: Tile) -> Key:
    return layer.view.id, layer.product == SOURCE, tile
