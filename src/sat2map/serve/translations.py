"""Routes of translations on request: the body of a POST is the file, its answer a picture or a job."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from sat2map.images import sniff
from sat2map.serve.jobs import Job
from sat2map.serve.lane import Refused
from sat2map.serve.problems import of_error, of_failure, problem
from sat2map.serve.service import Service
from sat2map.serve.spool import UPLOAD, TooLarge
from sat2map.serve.waiting import ClientGone, while_wanted

NAMES = {
    "map.png": "image/png",
    "map.tif": "image/tiff; application=geotiff",
    "map_classes.tif": "image/tiff; application=geotiff",
    "map_confidence.tif": "image/tiff; application=geotiff",
    "map.gpkg": "application/geopackage+sqlite3",
}  # what results are called, whatever the upload was called
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
        model = request.query_params.get("model") or next(iter(service.catalogue.models), "")
        if model not in service.catalogue.models:
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
            job = service.jobs.add(name, model, is_scene=kind == "TIFF")
        except Refused as error:
            return of_error(error)
        if job.is_scene or request.query_params.get("wait") == "no":
            return JSONResponse(job.told(), 202, {"Location": f"jobs/{job.id}", "Cache-Control": "no-store"})
        return await self._picture(request, job)

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
        if job is None or name not in NAMES:
            return _no_job()
        path = self._service.spool.folder(job.id) / name
        size = path.stat().st_size
        headers = {**_headers(name), "Content-Length": str(size)}
        return StreamingResponse(_chunks(path), 200, headers, NAMES[name])


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
