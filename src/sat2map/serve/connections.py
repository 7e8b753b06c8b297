"""Connections with deadlines: slow headers, slow bodies and slow readers are cut, and too many make room for new ones.

uvicorn has no such deadlines, and a few hundred open sockets would keep everybody else out. Every deadline is absolute:
a client that sends or takes a byte now and then gains nothing by it.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sat2map.serve.limits import ServeLimits


class Open:
    """All connections of a server; `waiting` are those that have not sent the whole headers yet, the oldest first."""

    def __init__(self, limits: ServeLimits) -> None:
        self.limits = limits
        self.all: set[Connection] = set()
        self.waiting: dict[Connection, None] = {}
        self.cut = 0

    def enter(self, connection: "Connection") -> None:
        """Count a connection in; if there are too many, the one that has waited for longest goes."""
        self.all.add(connection)
        self.waiting[connection] = None
        if len(self.all) > self.limits.connections:
            next(iter(self.waiting)).cut()

    def leave(self, connection: "Connection") -> None:
        """Count a connection out."""
        self.all.discard(connection)
        self.waiting.pop(connection, None)


class Connection(H11Protocol):
    """One connection, HTTP/1.1."""

    def __init__(self, open_: Open, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._open, self._limits = open_, open_.limits
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._received = 0  # bytes of the body, and what else came since the headers
        self._began = 0.0

    # -- what the transport calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._open.enter(self)
        self._after("headers", self._limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for name in list(self._timers):
            self._stop(name)
        self._open.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see how far the request has come."""
        if self._is_between() and "headers" not in self._timers:
            self._open.waiting[self] = None
            self._after("headers", self._limits.header_timeout)
        self._received += len(data)
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # more nonsense from somebody who has been told so already
            self.cut()
            return
        self._look()

    def pause_writing(self) -> None:
        """Give the reader some time to make room in the buffers."""
        super().pause_writing()
        self._after("reading", self._limits.write_timeout)

    def resume_writing(self) -> None:
        """The reader has made room."""
        super().resume_writing()
        self._stop("reading")

    def on_response_complete(self) -> None:
        """Watch what is still in the buffers; the next request begins anew."""
        self._stop("body")
        if self.transport.get_write_buffer_size() and "reading" not in self._timers:
            self._after("flushing", self._limits.write_timeout)
        super().on_response_complete()
        if self._is_between() and self.conn.their_state is h11.SEND_BODY and "headers" not in self._timers:
            self._after("headers", self._limits.header_timeout)  # the rest of a body that nobody wants
        self._look()

    # -- deadlines --------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """End the connection at once."""
        self._open.cut += 1
        self._open.leave(self)
        if self.transport is not None:
            self.transport.abort()

    def _is_between(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        if self._is_between():
            return
        self._stop("headers")
        self._stop("flushing")
        self._open.waiting.pop(self, None)
        if self.conn.their_state is h11.SEND_BODY and not self.cycle.response_complete:
            if "body" not in self._timers:
                self._received, self._began = 0, self.loop.time()
                self._after("body", self._limits.body_timeout)
        else:
            self._stop("body")

    def _after(self, name: str, seconds: float) -> None:
        self._stop(name)
        self._timers[name] = self.loop.call_later(seconds, self._late, name)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer:
            timer.cancel()

    def _late(self, name: str) -> None:
        del self._timers[name]
        if name == "body":
            allowed = self._limits.body_timeout + self._received / self._limits.body_rate
            left = allowed - (self.loop.time() - self._began)
            if left > 0:
                self._after("body", left)
                return
        if name == "flushing" and not self.transport.get_write_buffer_size():
            return
        self.cut()
