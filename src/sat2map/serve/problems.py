"""What went wrong, as HTTP says it: one table from errors to status codes, and bodies by RFC 9457."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from sat2map.serve.lane import Refused
from sat2map.serve.messages import Failed
from sat2map.serve.supervisor import WorkerLost, WorkFailed

# Classes of errors.py, by name: what a client sent. Whatever is not here is ours, and 500.
STATUS = {
    "UnsupportedFormat": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "CorruptImage": HTTPStatus.UNPROCESSABLE_ENTITY,
    "ImageTooLarge": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "WrongBands": HTTPStatus.UNPROCESSABLE_ENTITY,
    "UnusableCrs": HTTPStatus.UNPROCESSABLE_ENTITY,
    "WrongResolution": HTTPStatus.UNPROCESSABLE_ENTITY,
    "UnsuitableModel": HTTPStatus.BAD_REQUEST,
    "UnknownModel": HTTPStatus.NOT_FOUND,
    "NoImagery": HTTPStatus.NOT_FOUND,
    "Cancelled": HTTPStatus.GONE,
    "DownloadFailed": HTTPStatus.BAD_GATEWAY,  # of a tile source; 503 if it asks for a pause
    "BadAddress": HTTPStatus.BAD_GATEWAY,  # it sends us elsewhere
    "StorageFailed": HTTPStatus.INSUFFICIENT_STORAGE,
    "WorkerLost": HTTPStatus.SERVICE_UNAVAILABLE,
}
REASONS = {
    "full": "the queue is full",
    "slow": "the queue is too long",
    "late": "it waited too long",
    "closing": "the server is closing",
    "quarantined": "this has ended the worker before",
    "jobs": "too many translations wait already",
    "uploads": "too many uploads are under way",
    "spool": "the space for uploads is full",
    "streams": "too many listeners",
    "views": "too many views wait already",
    "upstream": "the tile source wants a pause, or too many wait for it",
}

_UPSTREAM_PAUSE = 5  # seconds, where a source does not say how long


def problem(
    status: int, kind: str, what: str, remedy: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer in application/problem+json: `kind` is a class of errors.py or a word of this room."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"kind": kind, "detail": what, **({"remedy": remedy} if remedy else {})}
    return JSONResponse(
        body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/problem+json"
    )


def of_failure(failed: Failed, name: str = "the file") -> Response:
    """Return the answer for what the worker could not do; paths in its message become `name`."""
    status = STATUS.get(failed.kind, HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if status == HTTPStatus.BAD_GATEWAY:
        status = HTTPStatus.SERVICE_UNAVAILABLE if failed.wait else status
        headers = {"Retry-After": str(math.ceil(failed.wait or _UPSTREAM_PAUSE))}
    return problem(status, failed.kind or "InternalError", failed.what, failed.remedy, headers)


def of_error(error: Exception) -> Response:
    """Return the answer for whatever the lane raises."""
    match error:
        case Refused():
            return problem(
                503, "Refused", REASONS.get(error.reason, error.reason), f"Try again in {error.retry_after} s",
                {"Retry-After": str(error.retry_after), "X-Refused": error.reason},
            )  # fmt: skip
        case WorkerLost():
            return problem(
                503, "WorkerLost", "the process that had this work ended; it is being started anew",
                "Try again in a moment", {"Retry-After": "2"},
            )  # fmt: skip
        case WorkFailed():
            return of_failure(error.failed)
    raise error
