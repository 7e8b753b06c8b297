"""What every request goes through: our name, the token, the origin of pages, headers of answers, counting.

Plain ASGI, because it also has to see answers that are streamed.
"""

import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from sat2map.serve.metrics import Metrics
from sat2map.serve.problems import problem
from sat2map.serve.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {ancestors}"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
PUBLIC = ("/", "/healthz", "/readyz")  # and everything below /web/: nothing of the user's is in there
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 2048  # characters of path and query


class Guard:
    """Wraps the app."""

    def __init__(self, app: App, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._headers = {
            "Content-Security-Policy": CSP.replace("{ancestors}", settings.frame_ancestors),
            **HEADERS,
        }
        if settings.frame_ancestors == "'none'":
            self._headers["X-Frame-Options"] = "DENY"  # for browsers that do not know the other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        self._place(scope)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._sign(MutableHeaders(scope=message), origin)
            await send(message)

        try:
            refusal = self._refusal(scope, headers, origin)
            if refusal is not None:
                await refusal(scope, receive, sending)
            else:
                await self._app(scope, receive, sending)
        finally:
            self._metrics.answered(scope.get("sat2map.route", "other"), status, time.perf_counter() - start)

    def _place(self, scope: Scope) -> None:
        """Set root_path, whether the proxy in front of us takes it off the path or not."""
        root = self._settings.root_path
        if root:
            path = scope["path"]
            scope["root_path"] = root
            scope["path"] = path if path == root or path.startswith(f"{root}/") else root + path

    def _refusal(self, scope: Scope, headers: Headers, origin: str) -> Response | None:
        path = scope["path"].removeprefix(self._settings.root_path)
        if len(scope["path"]) + len(scope["query_string"]) > _LONGEST:
            return problem(414, "AddressTooLong", f"addresses have at most {_LONGEST} characters")
        if sum(len(name) + len(value) for name, value in headers.raw) > self._settings.limits.header_bytes:
            return problem(
                431, "HeadersTooLong", f"headers have at most {self._settings.limits.header_bytes:,} bytes"
            )
        if host_name(headers.get("host", "")) not in self._settings.known_hosts and path not in (
            "/healthz",
            "/readyz",
        ):
            return problem(
                421, "UnknownHost", "this server is not known by the name in the request",
                "Call it by the name it was started with, or start it with --allow-host",
            )  # fmt: skip
        if scope["method"] == "OPTIONS" and origin:
            return Response(status_code=204)
        if scope["method"] not in _SAFE and origin and not self._is_ours(origin, headers):
            return problem(403, "ForeignOrigin", "pages of other sites may not ask for work", "See --cors")
        if not self._is_allowed(path, headers):
            return problem(
                401, "TokenNeeded", "this needs the bearer token that the server was started with",
                "Send it as Authorization: Bearer TOKEN", {"WWW-Authenticate": 'Bearer realm="sat2map"'},
            )  # fmt: skip
        return None

    def _is_ours(self, origin: str, headers: Headers) -> bool:
        """Tell whether a page of ours, or of an origin that may read our answers, asks."""
        if origin in self._settings.cors or "*" in self._settings.cors:
            return True
        if self._settings.public_url and origin == self._settings.public_url.rstrip("/"):
            return True
        return origin.partition("://")[2].lower() == headers.get("host", "").lower()

    def _is_allowed(self, path: str, headers: Headers) -> bool:
        token = self._settings.token
        if not token or path in PUBLIC or path.startswith("/web/"):
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())

    def _sign(self, headers: MutableHeaders, origin: str) -> None:
        for name, value in self._headers.items():
            headers.setdefault(name, value)
        cors = self._settings.cors
        if origin and (origin in cors or "*" in cors):
            headers["Access-Control-Allow-Origin"] = origin if origin in cors else "*"
            headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, DELETE, OPTIONS"
            headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, Location"
            headers.add_vary_header("Origin")
        headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if cors else "same-origin")


def host_name(host: str) -> str:
    """Return a Host header without its port, in lower case; brackets of IPv6 are taken off."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def base_of(request: Request, settings: Settings) -> str:
    """Return the address of the server as the client called it, or as it was told that it is called."""
    if settings.public_url:
        return settings.public_url.rstrip("/") + settings.root_path
    return f"{request.url.scheme}://{request.headers.get('host', '')}{settings.root_path}"
