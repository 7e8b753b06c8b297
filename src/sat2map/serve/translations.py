"""Routes of translations on request: the body of a POST is the file, its answer a picture or a job."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from sat2map import mercator
from sat2map.grid import Window
from sat2map.images import sniff
from sat2map.serve import messages
from sat2map.serve.catalogue import Layer
from sat2map.serve.jobs import Job
from sat2map.serve.lane import Refused
from sat2map.serve.names import TYPES, UPLOAD
from sat2map.serve.problems import of_error, of_failure, problem
from sat2map.serve.service import Service
from sat2map.serve.spool import TooLarge
from sat2map.serve.waiting import ClientGone, while_wanted

_HEAD = 12  # bytes that tell a format
_CHUNK = 256 << 10


class TranslationRoutes:
    """What somebody with a picture asks for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def translate(self, request: Request) -> Response:
        """Take a picture or a scene. Pictures are waited for unless `wait=no`; scenes become jobs."""
        request.scope["sat2map.route"] = "translate"
        service = self._service
        translators = [name for name, facts in service.catalogue.models.items() if facts.ground is None]
        model = request.query_params.get("model") or next(iter(translators), "")
        if model not in translators:
            return problem(404, "UnknownModel", "there is no such model", "See layers.json")
        try:
            service.jobs.refuse_more()
            name = await service.spool.receive(request.stream(), _length(request))
        except TooLarge:
            most = service.settings.limits.upload
            return problem(
                413, "ImageTooLarge", f"uploads have at most {most:,} bytes", "Cut the file into smaller ones",
            )  # fmt: skip
        except Refused as error:
            service.metrics.refusals[error.reason] += 1
            return of_error(error)
        except ClientDisconnect:
            return Response(status_code=499)
        kind = sniff(await asyncio.to_thread(_head, service.spool.folder(name) / UPLOAD))
        if kind is None:
            service.spool.drop(name)
            return problem(
                415, "UnsupportedFormat", "the upload is no PNG, JPEG, WebP or TIFF", "Send the file itself as body"
            )  # fmt: skip
        try:
            path = str(service.spool.folder(name) / UPLOAD)
            work = messages.Work(service.jobs.number(), model, path, kind == "TIFF")
            job = service.jobs.add(name, model, work)
        except Refused as error:
            return of_error(error)
        if work.is_scene or request.query_params.get("wait") == "no":
            return JSONResponse(job.told(), 202, {"Location": f"jobs/{job.id}", "Cache-Control": "no-store"})
        return await self._picture(request, job)

    async def extract(self, request: Request) -> Response:
        """Begin a job that writes what a layer shows between two corners to GeoTIFFs and a GeoPackage."""
        request.scope["sat2map.route"] = "extract"
        service = self._service
        layer = service.catalogue.layers.get(request.path_params["layer"])
        window = part_of(layer, request.query_params.get("bbox", "")) if layer else None
        if layer is None or window is None:
            return problem(
                404, "NoSuchArea", "no such layer, or nothing there", "Send bbox=WEST,SOUTH,EAST,NORTH"
            )
        side, most = layer.view.side, service.settings.limits.overview_cells
        cells = (window.height // side + 1) * (window.width // side + 1)
        if cells > most:
            what = f"this area has {cells:,} cells, the limit is {most}"
            return problem(413, "TooLarge", what, "Choose a smaller one, or use sat2map translate")
        try:
            service.jobs.refuse_more()
            name = service.spool.reserve()
            folder = str(service.spool.folder(name))
            work = messages.Extract(service.jobs.number(), layer.view.id, (*window,), folder)
            job = service.jobs.add(name, layer.view.model, work)
        except Refused as error:
            service.metrics.refusals[error.reason] += 1
            return of_error(error)
        return JSONResponse(job.told(), 202, {"Location": f"jobs/{job.id}", "Cache-Control": "no-store"})

    async def _picture(self, request: Request, job: Job) -> Response:
        """Wait for a picture, and forget the job."""
        assert job.task
        try:
            await while_wanted(request, _ended(job.task))
            if job.failed:
                return of_failure(job.failed)
            path = self._service.spool.folder(job.id) / job.files["colour"]
            return Response(await asyncio.to_thread(path.read_bytes), 200, _headers("map.png"), "image/png")
        except ClientGone:
            return Response(status_code=499)
        finally:
            await self._service.jobs.cancel(job)

    async def job(self, request: Request) -> Response:
        """Say how a job is getting on."""
        request.scope["sat2map.route"] = "job"
        job = self._service.jobs.find(request.path_params["job"])
        return JSONResponse(job.told(), headers={"Cache-Control": "no-store"}) if job else _no_job()

    async def cancel(self, request: Request) -> Response:
        """Cancel a job and forget its files."""
        request.scope["sat2map.route"] = "job"
        job = self._service.jobs.find(request.path_params["job"])
        if job is None:
            return _no_job()
        await self._service.jobs.cancel(job)
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        """Say how a job is getting on whenever that changes (server-sent events)."""
        request.scope["sat2map.route"] = "events"
        job = self._service.jobs.find(request.path_params["job"])
        if job is None:
            return _no_job()
        changes = self._service.jobs.watch(job)
        try:
            first = await anext(changes)
        except Refused as error:
            return of_error(error)

        async def lines() -> AsyncIterator[str]:
            yield _event(first)
            async for change in changes:
                yield _event(change)

        return StreamingResponse(lines(), 200, {"Cache-Control": "no-store"}, "text/event-stream")

    async def result(self, request: Request) -> Response:
        """Answer with a result of a job."""
        request.scope["sat2map.route"] = "result"
        job = self._service.jobs.find(request.path_params["job"])
        name = job.files.get(request.path_params["result"]) if job else None
        if job is None or name not in TYPES:
            return _no_job()
        path = self._service.spool.folder(job.id) / name
        size = path.stat().st_size
        headers = {**_headers(name), "Content-Length": str(size)}
        return StreamingResponse(_chunks(path), 200, headers, TYPES[name])


def part_of(layer: Layer, corners: str) -> Window | None:
    """Return the window of the world between WEST,SOUTH,EAST,NORTH in degrees, as far as the scene reaches into it."""
    try:
        west, south, east, north = (float(word) for word in corners.split(","))
    except ValueError:
        return None
    if not (-180 <= west <= 180 and west < east <= 540 and -90 <= south < north <= 90):  # NaN fails too
        return None
    box = mercator.window_of(mercator.Degrees(west, south, east, north), layer.view.zoom)
    window = box.shared(Window(*layer.view.data))
    return window if window.area else None


def _no_job() -> Response:
    return problem(404, "NoSuchJob", "there is no such job or result, or not any more", "Send the file again")


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


def _event(told: object) -> str:
    return ": still here\n\n" if told is None else f"data: {json.dumps(told)}\n\n"


def _length(request: Request) -> int | None:
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdigit() and len(announced) < 20 else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


async def _ended(task: "asyncio.Task[None]") -> None:
    await asyncio.wait({task})


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
    finally:
        file.close()
