"""The one way to the network: who gets in, in which order, and who is told to come back later.

Work is counted in cells, because a cell is what costs: one run of the network gives the tiles of all products in it.
Requests for the same tile share one flight. The oldest request goes next, together with all that wait for the same
cell (the batch). A request is refused at the door if the queue is full or would be too slow, and later when it waited
for too long; it is forgotten when its client leaves.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from sat2map.mercator import Tile
from sat2map.serve import messages
from sat2map.serve.catalogue import SOURCE, Layer
from sat2map.serve.limits import ServeLimits
from sat2map.serve.messages import Wanted
from sat2map.serve.supervisor import Supervisor, WorkerLost, WorkFailed

Cell = tuple[str, int, int]  # view, row, col; tiles that need no network have -1 as row
_FIRST_GUESS = 1.0  # seconds per cell, until some have been timed
_CHEAP = 0.05  # seconds, about, of what needs no network
_KNOWN = 2048  # cells
_INERTIA = 0.8  # of the running mean of the time per cell


class Refused(Exception):
    """Come back in `retry_after` seconds; `reason` is one of a few words, for metrics and clients."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, max(1, round(retry_after + 0.5))


@dataclass
class _Flight:
    """One tile that somebody waits for."""

    layer: Layer
    tile: Tile
    format: str
    deadline: float
    landed: asyncio.Future[bytes | None]
    waiters: int = 0


@dataclass
class _Stop:
    """A cell, and the flights that wait for it."""

    flights: list[_Flight] = field(default_factory=list)


class Lane:
    """Tiles, through a bounded queue, from the worker."""

    def __init__(self, supervisor: Supervisor, limits: ServeLimits) -> None:
        self._supervisor, self._limits = supervisor, limits
        self._stops: OrderedDict[Cell, _Stop] = OrderedDict()  # the oldest first
        self._later: OrderedDict[Cell, _Stop] = OrderedDict()  # cells of overviews: when nothing else waits
        self._flights: dict[tuple[str, Tile, str], _Flight] = {}
        self._known: OrderedDict[Cell, None] = (
            OrderedDict()
        )  # cells that the worker has computed and may remember
        self._deaths: dict[Cell, deque[float]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.seconds = _FIRST_GUESS
        self.batches = self.batched = 0
        self._is_busy = False

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._run())

    @property
    def waiting(self) -> int:
        """Cells in the queue."""
        return len(self._stops) + len(self._later)

    @property
    def is_working(self) -> bool:
        """Whether anybody waits for a tile."""
        return bool(self._flights)

    @property
    def wait(self) -> float:
        """Seconds that a cell would wait that came now, as far as one can tell."""
        return sum(map(self._cost, self._stops)) + (self.seconds if self._is_busy else 0)

    def _cost(self, cell: Cell) -> float:
        return self.seconds if cell[1] >= 0 and cell not in self._known else _CHEAP

    async def tile(self, layer: Layer, tile: Tile, kind: str) -> bytes | None:
        """Return a tile of a layer as a file of some format, None if nothing is there.

        `tile` is counted as the scene does (`Layer.placed`). Cancel it when the client has left.
        Raises Refused, WorkerLost, WorkFailed.
        """
        key = layer.digest, tile, kind
        flight = self._flights.get(key) or self._admit(layer, tile, kind)
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.landed)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.landed.done():
                self._flights.pop(key, None)
                flight.landed.cancel()

    async def close(self) -> None:
        """Refuse all that waits."""
        self._closed = True
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for flight in list(self._flights.values()):
            self._land(flight, Refused("closing", 5))

    # -- the door ---------------------------------------------------------------------------------------------------

    def _admit(self, layer: Layer, tile: Tile, kind: str) -> _Flight:
        limits = self._limits
        if self._closed:
            raise Refused("closing", 5)
        is_overview = tile.z < layer.view.zoom
        patience = limits.overview_patience if is_overview else limits.patience
        needed = self._needed(layer, tile, is_overview)
        for cell in needed:
            self._refuse_poison(cell)
        new = [cell for cell in needed if cell not in self._stops and cell not in self._later]
        if self.waiting + len(new) > limits.queue and new:
            raise Refused("full", min(self.wait, limits.patience))
        ahead = self.wait + (len(self._later) + len(new) if is_overview else 0) * self.seconds
        if ahead > patience * limits.door and new:
            raise Refused("slow", min(ahead - patience * limits.door, limits.patience))
        landed: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        flight = _Flight(layer, tile, kind, time.monotonic() + patience, landed)
        self._flights[layer.digest, tile, kind] = flight
        if is_overview:  # its cells first, one by one and only when nothing else waits, then itself
            for cell in needed[:-1]:
                self._later.setdefault(cell, _Stop())
            self._later.setdefault(needed[-1], _Stop()).flights.append(flight)
        else:
            self._later.pop(needed[0], None)
            self._stops.setdefault(needed[0], _Stop()).flights.append(flight)
        self._wake.set()
        return flight

    def _needed(self, layer: Layer, tile: Tile, is_overview: bool) -> list[Cell]:
        """Return where a tile queues; the last place is where it is made."""
        view = layer.view
        if layer.product == SOURCE:
            return [(view.id, -1, hash((layer.digest, tile.parent if tile.z else tile)))]
        cells = [(view.id, row, col) for row, col in layer.cells(tile)]
        if not is_overview:
            return cells[:1]
        unknown = [cell for cell in cells if cell not in self._known]
        return [*unknown, (view.id, -2, hash(tile))]

    def _refuse_poison(self, cell: Cell) -> None:
        """Raise Refused for what has ended the worker too often of late."""
        deaths = self._deaths.get(cell)
        now = time.monotonic()
        while deaths and now - deaths[0] > self._limits.quarantine:
            deaths.popleft()
        if deaths and len(deaths) >= self._limits.deaths:
            raise Refused("quarantined", self._limits.quarantine)

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if not self._stops and not self._later:
                self._wake.clear()
                await self._wake.wait()
            await self._supervisor.ready()
            if not self._stops and not self._later:
                continue
            queue = self._stops or self._later
            cell, stop = queue.popitem(last=False)
            now = time.monotonic()
            for flight in [f for f in stop.flights if f.deadline < now]:
                self._land(flight, Refused("late", self.seconds))
            flights = [flight for flight in stop.flights if not flight.landed.done()]
            if flights:
                await self._fly(cell, flights)
            elif queue is self._later and not stop.flights:
                await self._prepare(cell)

    async def _fly(self, cell: Cell, flights: list[_Flight]) -> None:
        """Have the tiles of one cell made."""
        view = flights[0].layer.view.id
        wanted = tuple(Wanted(*flight.tile, flight.layer.product, flight.format) for flight in flights)
        try:
            made = await self._ask(cell, view, wanted)
        except (WorkerLost, WorkFailed) as error:
            for flight in flights:
                self._land(flight, error)
            return
        for flight, data in zip(flights, made, strict=True):
            self._land(flight, data)

    async def _prepare(self, cell: Cell) -> None:
        """Have a cell computed that an overview needs, if anybody still wants one."""
        needing = [
            flight
            for stop in self._later.values()
            for flight in stop.flights
            if flight.layer.view.id == cell[0] and not flight.landed.done()
            and (cell[1], cell[2]) in flight.layer.cells(flight.tile)
        ]  # fmt: skip
        if not needing:
            return
        layer = needing[0].layer
        tiles = layer.tiles_in((cell[1], cell[2]))
        if not tiles:
            return
        with contextlib.suppress(WorkerLost, WorkFailed):  # the overview itself will say so
            await self._ask(cell, layer.view.id, tuple(Wanted(*tile, layer.product, "png") for tile in tiles))

    async def _ask(self, cell: Cell, view: str, wanted: tuple[Wanted, ...]) -> tuple[bytes | None, ...]:
        request = messages.Tiles(self._supervisor.next_number(), view, wanted)
        self._is_busy = True
        # An overview whose cells the worker has forgotten takes as long as all of them.
        silence = self._limits.batch_timeout + (
            self._limits.overview_cells * self.seconds if cell[1] == -2 else 0
        )
        try:
            made = await self._supervisor.call(request, silence)
        except WorkerLost:
            self._deaths.setdefault(cell, deque()).append(time.monotonic())
            self._known.clear()
            raise
        finally:
            self._is_busy = False
        assert isinstance(made, messages.Made)
        self.batches, self.batched = self.batches + 1, self.batched + len(wanted)
        if cell[1] >= 0:
            if cell not in self._known:
                self.seconds = _INERTIA * self.seconds + (1 - _INERTIA) * made.seconds
            self._known[cell] = None
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return made.tiles

    def _land(self, flight: _Flight, result: bytes | Exception | None) -> None:
        self._flights.pop((flight.layer.digest, flight.tile, flight.format), None)
        if flight.landed.done():
            return
        if isinstance(result, Exception):
            flight.landed.set_exception(result)
            flight.landed.exception()  # its clients may have left: nobody else need be told
        else:
            flight.landed.set_result(result)
