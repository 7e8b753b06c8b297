"""A web server for one person: on the loopback interface only, with a key that only that person has been told.

Other pages in the same browser, other users of the machine and names that somebody else resolves to this address must
not read photos or decide anything: every request needs the cookie that the printed address gives once, and the host
that we are; what changes something must come from our own page. No path of a request ever names a file.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sat2map import images
from sat2map.collect.review.session import Review
from sat2map.errors import PortTaken, StorageFailed

COOKIE = "sat2map-review"
MOST_BODY = 1 << 20  # bytes
PATIENCE = 30.0  # seconds without a byte of a request
FILES = {
    "/": ("review.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
}
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WebP": "image/webp"}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"  # noqa: E501
_PICTURE = re.compile(r"/(preview|photo)/(\d{1,9})")
_HERE = Path(__file__).parent


class ReviewServer(ThreadingHTTPServer):
    """Serves the review page until it is shut down."""

    daemon_threads = True

    def __init__(self, review: Review, port: int = 0) -> None:
        """Listen on a loopback port; 0 takes a free one. Raises PortTaken."""
        self.review, self.key = review, secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise PortTaken(
                f"cannot listen on port {port} of 127.0.0.1: {error.strerror}", "Name another with --port"
            ) from error

    @property
    def address(self) -> str:
        """What to open in a browser; whoever has it may look and decide."""
        return f"http://127.0.0.1:{self.server_port}/?key={self.key}"


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "sat2map", ""
    timeout = PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses hold the key."""

    def do_GET(self) -> None:
        """Give the page, its state or a picture."""
        address = urlsplit(self.path)
        given = parse_qs(address.query).get("key", [""])[0]
        if (
            address.path == "/"
            and self._is_at_home()
            and hmac.compare_digest(given.encode(), self.server.key.encode())
        ):
            self._let_in()
        elif not self._may_enter():
            self._refuse(HTTPStatus.FORBIDDEN, "Open the address that sat2map has printed.")
        elif address.path in FILES:
            name, kind = FILES[address.path]
            self._answer(HTTPStatus.OK, (_HERE / name).read_bytes(), kind)
        elif address.path == "/state":
            self._json(self.server.review.state())
        elif found := _PICTURE.fullmatch(address.path):
            self._picture(found[1], int(found[2]))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing of that name.")

    def do_POST(self) -> None:
        """Decide, or take back."""
        actions = {"/decide": self._decide, "/undo": self._undo}
        origin = self.headers.get("Origin", "")
        if not self._may_enter() or origin not in self._homes("http://"):
            self._refuse(HTTPStatus.FORBIDDEN, "Only the review page decides.")
        elif self.path not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing of that name.")
        else:
            self._act(actions[self.path])

    def _act(self, action: Callable[[dict[str, Any]], object]) -> None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,9}", length) or int(length) > MOST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {MOST_BODY} bytes, announced.")
            return
        try:
            answer = action(json.loads(self.rfile.read(int(length)) or b"{}"))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST, "That is no decision.")
        except StorageFailed as error:
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        else:
            self._json(answer)

    def _decide(self, wish: dict[str, Any]) -> object:
        numbers, keep = wish["photos"], wish["keep"]
        if not (keep is None or isinstance(keep, bool)) or not all(type(number) is int for number in numbers):
            raise TypeError("keep is true, false or null; photos are numbers")
        self.server.review.decide(numbers, keep)
        return {"progress": self.server.review.progress()}

    def _undo(self, wish: dict[str, Any]) -> object:
        review = self.server.review
        numbers = review.undo()
        return {"photos": [[n, review.decision(n)] for n in numbers], "progress": review.progress()}

    def _picture(self, what: str, number: int) -> None:
        review = self.server.review
        try:
            data = review.preview(number) if what == "preview" else review.original(number)
        except (OSError, IndexError):
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such picture.")
            return
        kind = images.sniff(data[:12])
        if kind not in _TYPES:  # browsers show no TIFF
            data, kind = images.encode_png(images.within(images.decode_image(data), 2048)), "PNG"
        self._answer(HTTPStatus.OK, data, _TYPES[kind], cache="private, max-age=3600")

    def _let_in(self) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Set-Cookie", f"{COOKIE}={self.server.key}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Location", "/")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _may_enter(self) -> bool:
        try:
            morsel = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return False
        shown = morsel.value if morsel else ""
        return self._is_at_home() and hmac.compare_digest(shown.encode(), self.server.key.encode())

    def _is_at_home(self) -> bool:
        return self.headers.get("Host", "") in self._homes()

    def _homes(self, scheme: str = "") -> tuple[str, ...]:
        return tuple(f"{scheme}{host}:{self.server.server_port}" for host in ("127.0.0.1", "localhost"))

    def _json(self, thing: object) -> None:
        self._answer(HTTPStatus.OK, json.dumps(thing).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True  # what is left of the request is not read
        self._answer(status, text.encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, cache: str = "no-store") -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": cache,
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
