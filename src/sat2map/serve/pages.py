"""The page and what belongs to it: files of the package, read once at start, looked up by name in a dictionary."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from sat2map.serve.problems import problem

_WEB = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".txt": "text/plain; charset=utf-8",
}


def resource(name: str) -> bytes:
    """Return a file of the page by its name in this package."""
    return _resources()[name][0]


@cache
def _resources() -> dict[str, tuple[bytes, str]]:
    """Return name -> (content, media type) of every file of the page."""
    return {
        path.relative_to(_WEB).as_posix(): (path.read_bytes(), TYPES[path.suffix])
        for path in sorted(_WEB.rglob("*"))
        if path.suffix in TYPES
    }


class PageRoutes:
    """What a browser asks for."""

    def __init__(self) -> None:
        self._etags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            for name, (content, _) in _resources().items()
        }

    async def index(self, request: Request) -> Response:
        """Answer with the page."""
        return self._answer(request, "index.html")

    async def file(self, request: Request) -> Response:
        """Answer with what belongs to the page."""
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        request.scope["sat2map.route"] = "page"
        if name not in self._etags:
            return problem(404, "NoSuchFile", "there is no such file")
        headers = {"ETag": self._etags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match", "") == self._etags[name]:
            return Response(status_code=304, headers=headers)
        content, kind = _resources()[name]
        return Response(content, 200, headers, kind)
