"""A server on loopback that misbehaves by plan, and a clock that nobody has to wait for."""

import contextlib
import email.utils
import gzip
import http.server
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from sat2map.network import Clock


class FakeClock(Clock):
    """Sleeping takes no time, it only makes time pass; threads share one time."""

    def __init__(self) -> None:
        self._time, self._lock = 1000.0, threading.Lock()
        self.slept: list[float] = []

    def elapsed(self) -> float:
        return self._time

    def now(self) -> float:
        return 1_700_000_000 + self._time

    def sleep(self, seconds: float, ended: threading.Event | None = None) -> None:
        with self._lock:
            self._time += max(seconds, 0.0)
            self.slept.append(seconds)
        time.sleep(0)


class Seen(NamedTuple):
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    at: float  # by the clock of the test


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands each request to the answer of its server."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            seen = Seen(self.path, headers, self.server.clock.elapsed())
            self.server.seen.append(seen)
            number = sum(1 for other in self.server.seen if other.path == self.path)
        with contextlib.suppress(OSError):
            self.server.answer(self, seen, number)

    def log_message(self, *args: object) -> None:
        """Stay silent."""

    def send(self, body: bytes, status: int = 200, **fields: object) -> None:
        self.begin(status, **{"Content_Length": len(body), **fields})
        self.wfile.write(body)

    def begin(self, status: int = 200, **fields: object) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def end(self) -> None:
        """Close the connection after this answer."""
        self.close_connection = True

    def reset(self) -> None:
        """Drop the connection the rude way."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.end()


Answer = Callable[[Handler, Seen, int], None]  # what to do with the n-th request for a path


class Server(http.server.ThreadingHTTPServer):
    """Use it as a context manager; `url(path)` is an address of it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answer, clock: Clock | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.clock, self.lock = answer, clock or Clock(), threading.Lock()
        self.seen: list[Seen] = []

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what these tests are about."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def always(body: bytes, status: int = 200, **fields: object) -> Answer:
    return lambda handler, seen, number: handler.send(body, status, **fields)


def in_turn(*answers: Answer) -> Answer:
    """The n-th request for a path gets the n-th answer, later ones the last."""
    return lambda handler, seen, number: answers[min(number, len(answers)) - 1](handler, seen, number)


def to(answer: Answer, **paths: Answer) -> Answer:
    """Answer some paths (without the slash) otherwise."""
    return lambda handler, seen, number: paths.get(seen.path.strip("/").partition("?")[0], answer)(
        handler, seen, number
    )


def hang_up(handler: Handler, seen: Seen, number: int) -> None:
    handler.reset()


def silence(handler: Handler, seen: Seen, number: int) -> None:
    time.sleep(3)
    handler.end()


def drip(handler: Handler, seen: Seen, number: int) -> None:
    """One byte of the body now and then: no timeout of a socket ever fires."""
    handler.begin(200, Content_Length=10_000)
    for _ in range(60):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)
    handler.end()


def drip_headers(handler: Handler, seen: Seen, number: int) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    for _ in range(60):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)
    handler.end()


def bomb(handler: Handler, seen: Seen, number: int) -> None:
    """Some kilobytes that unpack to 100 MB."""
    handler.send(gzip.compress(bytes(100 << 20), 1), Content_Encoding="gzip", Content_Type="image/png")


def endless(handler: Handler, seen: Seen, number: int) -> None:
    handler.begin(200, Transfer_Encoding="chunked")
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


FAULTS = ("reset", "short", "long", "429", "503 date", "500", "502", "html", "truncated", "gzip", "status")


class Faulty:
    """Gives `content(path)`, but for a share of the requests one of `FAULTS`, from a seed."""

    def __init__(self, content: Callable[[str], bytes | None], share: float, seed: int) -> None:
        self._content, self._share, self._random = content, share, random.Random(seed)
        self.told: list[str] = []
        self.held: list[tuple[str, float, float]] = []  # path, when told to wait, until when
        self.delivered: dict[str, int] = {}

    def __call__(self, handler: Handler, seen: Seen, number: int) -> None:
        with handler.server.lock:
            fault = self._random.choice(FAULTS) if self._random.random() < self._share else ""
            self.told.append(fault)
        body = self._content(seen.path)
        if body is None:
            return handler.send(b"", 404)
        if fault:
            return self._misbehave(fault, body, handler, seen)
        with handler.server.lock:
            self.delivered[seen.path] = self.delivered.get(seen.path, 0) + 1
        return handler.send(body, Content_Type="image/png")

    def _misbehave(self, fault: str, body: bytes, handler: Handler, seen: Seen) -> None:
        clock = handler.server.clock
        kind = {"Content_Type": "image/png"}
        match fault:
            case "reset":
                handler.reset()
            case "short":  # the connection ends before the announced length
                handler.send(body[: len(body) // 2], Content_Length=len(body), **kind)
                handler.end()
            case "long":  # announces less than it sends: the rest must not be taken for the next answer
                handler.begin(200, Content_Length=len(body) // 2, **kind)
                handler.wfile.write(body)
            case "429":
                self.held.append((seen.path, clock.elapsed(), clock.elapsed() + 2))
                handler.send(b"slow down", 429, Retry_After="2")
            case "503 date":
                until = email.utils.formatdate(clock.now() + 3, usegmt=True)  # whole seconds, rounded down
                self.held.append((seen.path, clock.elapsed(), clock.elapsed() + 2))
                handler.send(b"", 503, Retry_After=until)
            case "500" | "502":
                handler.send(b"<h1>Oops</h1>", int(fault), Content_Type="text/html")
            case "html":
                handler.send(b"<html>Please log in</html>", Content_Type="text/html")
            case "truncated":  # whole as HTTP has it, half as an image
                handler.send(body[: len(body) // 2], **kind)
            case "gzip":  # says that it is packed, and is not
                handler.send(body, Content_Encoding="gzip", **kind)
            case "status":
                handler.wfile.write(b"HTTP/1.1 banana\r\n\r\n")
                handler.end()
