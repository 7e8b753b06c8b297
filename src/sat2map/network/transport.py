"""One request over one connection, with urllib3: to the network address that was checked, never longer than allowed.

Timeouts of sockets start anew with every byte; a server that sends one byte now and then holds its client for ever. So
a timer ends each exchange when its time is up, wherever it is.
"""

import logging
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from sat2map.errors import DownloadFailed
from sat2map.network.address import Address
from sat2map.network.secrets import Secrets

CHUNK = 1 << 16  # bytes
_LOG = "urllib3.connectionpool"  # writes the target of each request, tokens included, at the level DEBUG


class Broken(Exception):
    """The exchange ended for a reason that may pass. The text is fit to be shown."""

    def __init__(self, why: str, *, wait: float | None = None, tries: int | None = None) -> None:
        """`wait`: seconds that the server asks for; `tries`: at most so many with this kind of trouble."""
        super().__init__(why)
        self.wait, self.tries = wait, tries


class Unconnected(Broken):
    """No connection came about."""


class _Guard:
    """Ends the exchange of one thread when its time is up, by closing the socket under it."""

    def __init__(self) -> None:
        self.sock: socket | None = None
        self.has_fired = False
        self._turn, self._lock = 0, threading.Lock()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        with self._lock:
            self._turn += 1
            self.has_fired, self.sock = False, None
        timer = threading.Timer(seconds, self._cut, (self._turn,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._turn += 1

    def _cut(self, turn: int) -> None:
        with self._lock:
            if turn == self._turn:
                self.has_fired = True
                if self.sock is not None:
                    with suppress(OSError):
                        self.sock.shutdown(SHUT_RDWR)


def _pool_classes(guard: _Guard) -> dict[str, Any]:
    """Return urllib3's pools by scheme, with connections that show their socket to `guard`."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            guard.sock = self.sock

        def request(self, *arguments: Any, **options: Any) -> None:
            guard.sock = self.sock
            super().request(*arguments, **options)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            guard.sock = self.sock

        def request(self, *arguments: Any, **options: Any) -> None:
            guard.sock = self.sock
            super().request(*arguments, **options)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Masking(logging.Filter):
    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the text of a record by one without queries and tokens."""
        record.msg, record.args = re.sub(r"\?[^\s\"]+", "?***", self._secrets.mask(record.getMessage())), ()
        return True


class _Local(threading.local):
    def __init__(self) -> None:
        self.guard = _Guard()
        self.classes = _pool_classes(self.guard)
        self.pools: dict[tuple[str, str, int, str], Any] = {}


class Transport:
    """Connections, kept open for the next request; each thread has its own."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets, self._local = secrets, _Local()
        self._tls = ssl.create_default_context()
        self._masking = _Masking(secrets)
        logging.getLogger(_LOG).addFilter(self._masking)

    def close(self) -> None:
        """Stop looking after the log; connections close with their threads."""
        logging.getLogger(_LOG).removeFilter(self._masking)

    @contextmanager
    def exchange(
        self, address: Address, place: str, headers: Mapping[str, str], *, connect: float, silence: float, total: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:  # fmt: skip
        """Send a GET request to the network address `place` and yield the answer, whose body is still to be read.

        An empty `place` stands for the proxy that the environment names, which looks up names itself.
        Times are seconds: until there is a connection, without a byte, and for everything after the connection. Raises
        Broken, also for what goes wrong while the body is read, and DownloadFailed for a certificate that is not valid.
        """
        guard = self._local.guard
        response: urllib3.BaseHTTPResponse | None = None
        is_whole = False
        with guard.within(connect + total):
            try:
                response = self._pool(address, place).urlopen(
                    "GET",
                    address.url if address.scheme == "http" and not place else address.target,
                    headers={"Host": address.authority, **headers},
                    redirect=False,
                    retries=False,
                    assert_same_host=False,
                    preload_content=False,
                    timeout=urllib3.Timeout(connect=connect, read=silence),
                )
                yield response
                if (
                    guard.has_fired
                ):  # a connection that ends in the headers looks like an answer without a body
                    raise Broken(f"no whole answer within {total:.0f} s")
                is_whole = True
            except (HTTPError, OSError) as error:
                raise self._explained(error, address, guard.has_fired, total) from None
            finally:
                if response is not None and not is_whole:
                    response.close()
                elif response is not None:
                    response.release_conn()

    def _explained(self, error: Exception, address: Address, in_time: bool, total: float) -> Exception:
        """Return the error to raise; what libraries say names the target, tokens included, so little of it is kept."""
        if in_time:
            return Broken(f"no whole answer within {total:.0f} s")
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return DownloadFailed(
                    f"the certificate of {address.host} is not valid: {cause.verify_message}",
                    "Check the address and the clock; a certificate of your own goes into SSL_CERT_FILE",
                )
            reason = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
            cause = cause.__cause__ or (reason if isinstance(reason, BaseException) else None)
        kind = type(error).__name__.removesuffix("Error")
        if isinstance(error, NewConnectionError | ConnectTimeoutError):
            return Unconnected(f"no connection to {address.authority} ({kind})")
        return Broken(f"the connection to {address.authority} failed ({kind})")

    def _pool(self, address: Address, place: str) -> Any:
        """Return this thread's pool for a host at one network address, or by way of the proxy if that is empty."""
        key = (*address.origin, place)
        if key not in self._local.pools:
            if place:
                tls = {
                    "ssl_context": self._tls,
                    "server_hostname": address.host,
                }  # what the certificate is for
                options = tls if address.scheme == "https" else {}
                self._local.pools[key] = self._local.classes[address.scheme](place, address.port, **options)
            else:
                manager = urllib3.ProxyManager(proxy_for(address), ssl_context=self._tls)
                manager.pool_classes_by_scheme = self._local.classes
                self._local.pools[key] = manager.connection_from_host(
                    address.host, address.port, address.scheme
                )
        return self._local.pools[key]


def proxy_for(address: Address) -> str:
    """Return the proxy that the environment names for an address, empty for none; never one for this machine itself."""
    if address.host in ("localhost", "127.0.0.1", "::1") or proxy_bypass(address.host):
        return ""
    return getproxies().get(address.scheme, "")
