"""Runs a server until a signal: opens, listens, drains, closes."""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from sat2map.errors import PortTaken
from sat2map.serve.app import application
from sat2map.serve.connections import Connection, Open
from sat2map.serve.service import Service
from sat2map.serve.settings import Settings

BACKLOG = 1024  # connections that the system keeps for us
KEEP_ALIVE = 15.0  # seconds between two requests of one connection

Started = Callable[[Service, str], None]


class _Server(uvicorn.Server):
    """Leaves signals to us: SIGTERM is a way to end that is no failure."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise PortTaken(
            f"cannot listen on {host} port {port}: {error.strerror or error}",
            "Another server may be there; choose another --port (0 takes a free one)",
        ) from error
    return made


def run(settings: Settings, on_start: Started | None = None) -> None:
    """Serve until SIGINT or SIGTERM; `on_start` gets the service and its address once everything is open.

    Raises PortTaken, WorkerFailed, and what opening scenes and models raises.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # nonsense from the network is no news
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        asyncio.run(_serve(settings, listening, on_start))


async def _serve(settings: Settings, listening: socket.socket, on_start: Started | None) -> None:
    service = Service(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    opening = asyncio.ensure_future(service.start())
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({opening, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        return
    await opening
    limits = settings.limits
    config = uvicorn.Config(
        application(service),
        http=functools.partial(Connection, Open(limits)),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(KEEP_ALIVE),
        timeout_graceful_shutdown=int(limits.grace),
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    if on_start:
        host, port = listening.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        on_start(service, f"http://{name}:{port}{settings.root_path}")
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        await service.drain()
        server.should_exit = True
        await serving
    finally:
        stopped.cancel()
        await service.close()
