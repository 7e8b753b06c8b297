"""The application: which address leads where."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sat2map.serve.guard import App, Guard
from sat2map.serve.layers import LayerRoutes
from sat2map.serve.openapi import document
from sat2map.serve.pages import PageRoutes
from sat2map.serve.problems import problem
from sat2map.serve.service import Service
from sat2map.serve.translations import TranslationRoutes


class StateRoutes:
    """What machines ask that look after the server; answered without looking at the network."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, request: Request) -> Response:
        """Say that we are here."""
        request.scope["sat2map.route"] = "health"
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    async def ready(self, request: Request) -> Response:
        """Say whether tiles can be made."""
        request.scope["sat2map.route"] = "ready"
        if self._service.is_closing or not self._service.supervisor.is_ready:
            what = "closing" if self._service.is_closing else "the inference process is starting"
            return problem(503, "NotReady", what, headers={"Retry-After": "2"})
        return PlainTextResponse("ready\n", headers={"Cache-Control": "no-store"})

    async def metrics(self, request: Request) -> Response:
        """Answer with all counters."""
        request.scope["sat2map.route"] = "metrics"
        text = self._service.metrics.text(self._service.gauges())
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        """Answer with the description of all this."""
        request.scope["sat2map.route"] = "openapi"
        catalogue, settings = self._service.catalogue, self._service.settings
        described = document([*catalogue.layers], [*catalogue.models], needs_token=bool(settings.token))
        described["servers"] = [{"url": settings.root_path or "/"}]
        return JSONResponse(described)


def application(service: Service) -> App:
    """Return the ASGI application of a service that has been started."""
    layers, pages, state, made = (
        LayerRoutes(service), PageRoutes(), StateRoutes(service), TranslationRoutes(service),
    )  # fmt: skip
    routes = [
        Route("/tiles/{layer}/{z}/{x}/{y}.{format}", layers.tile),
        Route("/tilejson/{layer}.json", layers.tilejson),
        Route("/wmts/WMTSCapabilities.xml", layers.wmts),
        Route("/layers.json", layers.facts),
        Route("/translate", made.translate, methods=["POST"]),
        Route("/extract/{layer}", made.extract, methods=["POST"]),
        Route("/jobs/{job}", made.job, methods=["GET"]),
        Route("/jobs/{job}", made.cancel, methods=["DELETE"]),
        Route("/jobs/{job}/events", made.events),
        Route("/jobs/{job}/{result}", made.result),
        Route("/view", service.ground.view),
        Route("/towns/{style}/{seed}/view.png", service.ground.town),
        Route("/towns/{style}/{seed}/{picture}.png", service.towns.answer),
        Route("/healthz", state.health),
        Route("/readyz", state.ready),
        Route("/metrics", state.metrics),
        Route("/openapi.json", state.openapi),
        Route("/", pages.index),
        Route("/web/{name:path}", pages.file),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http, Exception: _fault})
    app.router.redirect_slashes = False
    return Guard(app, service.settings, service.metrics)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kinds = {404: "NoSuchAddress", 405: "MethodNotAllowed"}
    return problem(
        error.status_code, kinds.get(error.status_code, "BadRequest"), error.detail or "", "See openapi.json",
        error.headers,
    )  # fmt: skip


async def _fault(request: Request, error: Exception) -> Response:
    return problem(500, "InternalError", f"unexpected {type(error).__name__}", "This is a fault in sat2map")
