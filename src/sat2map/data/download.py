"""Fetches one large file over HTTP and never trusts the connection, the server or the clock.

A transfer that breaks goes on where it stopped, with `Range` and `If-Range` so that two versions of a file are never
joined (RFC 9110, sections 13.1.5 and 14). Passing troubles (dropped connections, 408, 429, 5xx) are retried with
growing, jittered pauses, or with the pause that `Retry-After` asks for; anything else fails at once.
"""

import http.client
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sat2map.data.pieces import Chain, Origin, Pieces
from sat2map.errors import DownloadFailed
from sat2map.network.pace import PASSING, retry_after
from sat2map.storage import locked

Progress = Callable[[int, int], None]  # (bytes so far, total or 0)


@dataclass(frozen=True)
class Limits:
    """What a download may cost."""

    total: int = 4 << 30  # bytes
    piece: int = 4 << 20  # bytes made durable at a time
    tries: int = 5  # in a row without a new byte
    connections: int = 50  # in all
    timeout: float = 30.0  # seconds without any byte
    slowest: float = 256.0  # bytes per second over `patience` seconds
    patience: float = 60.0
    longest_wait: float = 120.0  # seconds between two tries, also when the server asks for more


class _Broken(Exception):
    """The transfer stopped for a reason that may pass; `wait` is what the server asked for, in seconds."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class Response(Protocol):
    """What is used of `http.client.HTTPResponse`."""

    status: int
    headers: http.client.HTTPMessage

    def read1(self, amount: int, /) -> bytes:
        """Return some bytes, none at the end."""

    def close(self) -> None:
        """End the connection."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows few redirects, over HTTP only, and never from an encrypted connection to a plain one."""

    max_redirections = 5
    max_repeats = 2

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        """Build the next request, or refuse; see the base class."""
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise DownloadFailed(
                f"{req.full_url} redirects to {newurl}, which is less safe",
                "Name the right address with --url",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS, proxies of the environment, and nothing else: no files, no FTP, no cookies, no passwords."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _validator(response: Response) -> str:
    """Return the strong ETag or the Last-Modified date of the version being sent; weak tags prove nothing."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _request(url: str, pieces: Pieces) -> urllib.request.Request:
    headers = {"User-Agent": "sat2map (paired image sets)", "Accept-Encoding": "identity"}
    origin = pieces.origin()
    if pieces.size and origin is not None and origin.validator:
        headers["Range"] = f"bytes={pieces.size}-"
        headers["If-Range"] = origin.validator
    return urllib.request.Request(url, headers=headers)


def _connect(
    opener: urllib.request.OpenerDirector, url: str, pieces: Pieces, limits: Limits
) -> Response | None:
    """Send the request; None means that the server says that all bytes are here already (416)."""
    request = _request(url, pieces)
    try:
        response: Response = opener.open(request, timeout=limits.timeout)
        return response
    except urllib.error.HTTPError as fault:
        with fault:
            if fault.code in PASSING:
                raise _Broken(
                    f"status {fault.code}", retry_after(fault.headers.get("Retry-After"))
                ) from fault
            if fault.code == 416 and request.has_header("Range"):
                return None
            raise DownloadFailed(
                f"{url} answers {fault.code} {fault.reason}", "Check the address, or name another with --url"
            ) from fault
    except (OSError, http.client.HTTPException) as fault:
        raise _Broken(str(fault) or type(fault).__name__) from fault


def _place(response: Response, url: str, pieces: Pieces) -> int:
    """Decide where the answer's bytes belong and what the whole will measure (-1: unknown); may drop old pieces."""
    length = response.headers.get("Content-Length", "")
    announced = int(length) if length.isdigit() else -1
    validator = _validator(response)
    known = pieces.origin()
    if response.status == 206 and known is not None:
        field = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        same = not validator or validator == known.validator
        if field and int(field[1]) == pieces.size and same and field[2] in ("*", str(known.total)):
            return known.total
        pieces.restart(Origin(url))
        raise _Broken("the server sent another range or version than was asked for")
    if response.status != 200:
        raise DownloadFailed(f"{url} answers {response.status}", "Name another address with --url")
    pieces.restart(Origin(url, validator, announced))
    return announced


def _receive(
    response: Response, total: int, pieces: Pieces, limits: Limits, progress: Progress | None
) -> None:
    """Append what arrives to the pieces; raises _Broken when it stops early, DownloadFailed over the cap."""
    waiting = bytearray()
    mark, since = time.monotonic(), 0
    try:
        while True:
            try:
                data = response.read1(1 << 16)
            except (OSError, http.client.HTTPException) as fault:
                raise _Broken(str(fault) or type(fault).__name__) from fault
            if not data:
                break
            waiting += data
            since += len(data)
            if pieces.size + len(waiting) > limits.total or pieces.size + len(waiting) > total >= 0:
                waiting.clear()
                raise DownloadFailed(
                    f"the server sends more than {total if total >= 0 else limits.total} bytes",
                    "Name another address with --url",
                )
            if len(waiting) >= limits.piece:
                pieces.append(waiting)
                waiting.clear()
            if progress:
                progress(pieces.size + len(waiting), max(total, 0))
            if time.monotonic() - mark > limits.patience:
                if since < limits.slowest * limits.patience:
                    raise _Broken(f"only {since} bytes in {limits.patience:.0f} s")
                mark, since = time.monotonic(), 0
    finally:
        if waiting:
            pieces.append(waiting)
    if 0 <= pieces.size < total:
        raise _Broken(f"the connection ended after {pieces.size} of {total} bytes")


def _attempt(
    opener: urllib.request.OpenerDirector, url: str, pieces: Pieces, limits: Limits, progress: Progress | None
) -> None:
    """One connection: return when the file is complete, else raise _Broken or DownloadFailed."""
    response = _connect(opener, url, pieces, limits)
    if response is None:
        known = pieces.origin()
        if known is not None and known.total == pieces.size:
            return
        pieces.restart(Origin(url))
        raise _Broken("the server has fewer bytes than were received before")
    with closing(response):
        total = _place(response, url, pieces)
        if total > limits.total:
            raise DownloadFailed(
                f"{url} announces {total} bytes, more than the {limits.total} allowed", "Check the address"
            )
        _receive(response, total, pieces, limits, progress)
        pieces.complete()


def download(
    url: str,
    folder: Path,
    *,
    sha256: str = "",
    limits: Limits | None = None,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Pieces:
    """Fetch `url` into pieces in `folder`, going on from what an earlier call left there.

    Raises DownloadFailed when the file does not arrive whole, is too large or has another checksum (then the pieces
    are removed), and RunLocked when another process fetches into the same folder.
    """
    limits = limits or Limits()
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadFailed(
            f"{url} is no http or https address", "Use --from for a file that is already here"
        )
    with locked(folder):
        pieces = Pieces(folder)
        known = pieces.origin()
        if known is None or known.url != url:
            pieces.restart(Origin(url))
        elif known.total == pieces.size:  # complete; only what follows failed
            return _checked(pieces, sha256, url)
        _persist(url, pieces, limits, progress, sleep)
        return _checked(pieces, sha256, url)


def _persist(
    url: str, pieces: Pieces, limits: Limits, progress: Progress | None, sleep: Callable[[float], None]
) -> None:
    """Try until the file is complete or trying makes no sense any more."""
    opener = _opener()
    fruitless, why, furthest = 0, "", pieces.size
    for _ in range(limits.connections):
        try:
            return _attempt(opener, url, pieces, limits, progress)
        except _Broken as fault:
            why = str(fault)
            fruitless = 0 if pieces.size > furthest else fruitless + 1
            furthest = max(furthest, pieces.size)
            if fruitless >= limits.tries:
                break
            if fault.wait is not None and fault.wait > limits.longest_wait:
                raise DownloadFailed(
                    f"{url}: {why}; the server asks to wait {fault.wait:.0f} s", "Try again after that time"
                ) from fault
            pause = min(limits.longest_wait, 2.0**fruitless) * random.uniform(0.5, 1.0)
            sleep(max(pause, fault.wait or 0.0))
    raise DownloadFailed(
        f"{url} did not arrive: {why}", f"Try again; the {pieces.size} bytes that are here are kept"
    )


def _checked(pieces: Pieces, sha256: str, url: str) -> Pieces:
    """Compare the checksum, if one is wanted; pieces of a wrong file are removed."""
    if not sha256:
        return pieces
    with closing(Chain(pieces.paths)) as stream:
        found = stream.drain()
    if found != sha256.lower():
        pieces.restart(Origin(url))
        raise DownloadFailed(
            f"{url} has the SHA-256 {found}, not {sha256.lower()}",
            "Try again; if it stays so, the file was changed at its source",
        )
    return pieces
