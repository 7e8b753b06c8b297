"""The client: one address to one reply, or an error that says why not. Threads may share a client."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urljoin

import sat2map
from sat2map.errors import BadAddress, DownloadFailed
from sat2map.network.address import Address, public
from sat2map.network.budget import Budget
from sat2map.network.cache import Cache, Entry
from sat2map.network.hosts import HostRules
from sat2map.network.pace import PASSING, Clock, Pace, RetryBudget, Waiting, pause, retry_after
from sat2map.network.secrets import Secrets
from sat2map.network.transport import CHUNK, Broken, Transport, Unconnected, proxy_for

AGENT = f"sat2map/{sat2map.__version__} (map making tool; polite, cached, rate-limited)"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_UNACCEPTABLE_TRIES = 6
_ERROR_BODY = 1 << 16  # bytes read of an answer that is no 200, so that its connection can be used again


@dataclass(frozen=True)
class Limits:
    """How a client behaves. Times are seconds, sizes bytes."""

    rate: float = 8.0  # requests per second and host
    body: int = 16 << 20  # of one answer, unpacked
    connect: float = 10.0  # until there is a connection
    silence: float = 30.0  # without a byte
    total: float = 60.0  # for one answer
    tries: int = 10  # for one address
    pause: float = 0.5  # before the second try; doubles
    longest_pause: float = 30.0
    longest_wait: float = 300.0  # that a server may ask for (Retry-After)
    redirects: int = 5
    failures: int = 12  # of one host in a row
    reserve: int = 20  # retries in all, besides
    share: float = 0.5  # of one for each request


class Reply(NamedTuple):
    """An answer, whole."""

    status: int
    body: bytes
    headers: Mapping[str, str]  # names in lower case
    is_new: bool = True  # False: from the cache, and nobody was asked for its body

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty if the server names none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Unacceptable(Exception):
    """Raised by a caller's check: the answer is whole and says 200, but is not what was asked for."""


class Client:
    """Asks hosts of one set of rules. Use it as a context manager."""

    def __init__(
        self,
        rules: HostRules,
        *,
        secrets: Secrets | None = None,
        headers: Mapping[str, str] | None = None,
        homes: Collection[str] = (),
        limits: Limits | None = None,
        cache: Cache | None = None,
        budget: Budget | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`headers` (values may say {env:NAME}) go to the origins of `homes` only: scheme, host and port."""
        self._rules, self._secrets = rules, secrets or Secrets({})
        self._own = {name: self._secrets.fill(value, in_url=False) for name, value in (headers or {}).items()}
        self._homes = {Address.parse(self._secrets.fill(home, in_url=True)).origin for home in homes}
        self.limits, self._cache, self._clock = limits or Limits(), cache, clock or Clock()
        self._waiting = Waiting(self._clock)
        self._budget = budget or Budget()
        self._retries = RetryBudget(self.limits.reserve, self.limits.share)
        self._transport = Transport(self._secrets)
        self._paces: dict[str, Pace] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()
        self._transport.close()

    def cancel(self) -> None:
        """End all waiting: calls of other threads that have no answer yet fail at once."""
        self._waiting.end()

    def get(
        self,
        url: str,
        *,
        kinds: Collection[str] = (),
        also: Collection[int] = (),
        check: Callable[[Reply], None] | None = None,
    ) -> Reply:
        """Return the reply to a GET request, status 200 or one out of `also`.

        `url` may say {env:NAME}. `kinds` are beginnings of media types that are right (none: any); `check` looks at
        a reply of status 200 and raises Unacceptable if it is not what it should be. What does not pass is never kept.
        Raises BadAddress, DownloadFailed and TooMuchToFetch.
        """
        address = Address.parse(self._secrets.fill(url, in_url=True))
        shown = self._secrets.mask(public(address.url))
        self._rules.check(address)
        key = self._secrets.mask(address.url)
        kept = self._cache.find(key) if self._cache else None
        if kept and kept[0].is_fresh(self._clock.now()):
            reply = Reply(200, kept[1], {"content-type": kept[0].content_type}, is_new=False)
            try:
                self._accept(reply, kinds, check)
                return reply
            except Broken:
                kept = None  # others asked for something else of this address
        reply = self._persist(address, shown, kept, kinds, also, check)
        if self._cache and reply.status == 200:
            if reply.is_new:
                self._cache.keep(key, shown, reply.headers, reply.body, self._clock.now())
            elif kept:
                self._cache.confirm(key, kept[0], reply.headers, reply.body, self._clock.now())
        return reply

    def _persist(
        self,
        address: Address,
        shown: str,
        kept: tuple[Entry, bytes] | None,
        kinds: Collection[str],
        also: Collection[int],
        check: Callable[[Reply], None] | None,
    ) -> Reply:
        """Try until there is an acceptable reply or trying makes no sense any more."""
        self._retries.request()
        pace = self._pace(address.host)
        troubles: Counter[int | None] = Counter()
        for attempt in range(1, self.limits.tries + 1):
            try:
                reply = self._follow(address, shown, kept, also)
                self._accept(reply, kinds, check)
                pace.succeeded()
                return reply
            except Broken as fault:
                why = f"{shown}: {fault}"
                if fault.wait is not None and fault.wait > self.limits.longest_wait:
                    raise DownloadFailed(
                        f"{why}; the server asks to wait {fault.wait:.0f} s",
                        "Try again after that time",
                        fault.wait,
                    ) from None
                if fault.wait is not None:
                    pace.hold(fault.wait)
                pace.failed(self.limits.failures, address.host, str(fault))
                troubles[fault.tries] += 1
                if attempt == self.limits.tries or troubles[fault.tries] == fault.tries:
                    raise DownloadFailed(f"{why}, {attempt} times", "Try again later") from None
                if not self._retries.retry():
                    raise DownloadFailed(
                        f"{why}; too many requests fail to try on", "Try again later; what arrived is kept"
                    ) from None
                if fault.wait is None:
                    self._waiting.sleep(pause(self.limits.pause, self.limits.longest_pause, attempt))
        raise AssertionError("the last try returns or raises")

    def _follow(
        self, address: Address, shown: str, kept: tuple[Entry, bytes] | None, also: Collection[int]
    ) -> Reply:
        """Ask, and go where redirects lead."""
        for _ in range(self.limits.redirects + 1):
            reply = self._once(address, kept)
            location = reply.headers.get("location", "")
            if reply.status not in _REDIRECTS or not location:
                return self._judged(reply, shown, kept, also)
            address = self._redirected(address, location, shown)
        raise DownloadFailed(
            f"{shown} redirects more than {self.limits.redirects} times", "Give the address where it leads"
        )

    def _redirected(self, address: Address, location: str, shown: str) -> Address:
        """Return where a redirect leads. Raises BadAddress if it must not be followed."""
        try:
            there = Address.parse(urljoin(address.url, location))
            if address.scheme == "https" and there.scheme != "https":
                raise BadAddress(
                    "from an encrypted connection to a plain one", "Give the address where it leads"
                )
            self._rules.check(there)
            return there
        except BadAddress as error:
            what = self._secrets.mask(error.what)
            raise BadAddress(f"{shown} redirects: {what}", self._secrets.mask(error.remedy)) from None

    def _once(self, address: Address, kept: tuple[Entry, bytes] | None) -> Reply:
        """Send one request and read the whole answer."""
        headers = {"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "gzip"}
        headers |= kept[0].conditions if kept else {}
        headers |= self._own if address.origin in self._homes else {}
        places = self._rules.addresses(address) if not proxy_for(address) else self._rules.by_proxy(address)
        for number, place in enumerate(places, 1):
            self._pace(address.host).wait()
            self._budget.request()
            try:
                return self._ask(address, place, headers)
            except Unconnected:
                if number == len(places):
                    self._rules.forget(address)
                    raise
        raise AssertionError("a host has at least one network address")

    def _ask(self, address: Address, place: str, headers: Mapping[str, str]) -> Reply:
        limits = self.limits
        with ExitStack() as stack:
            response = stack.enter_context(
                self._transport.exchange(
                    address,
                    place,
                    headers,
                    connect=limits.connect,
                    silence=limits.silence,
                    total=limits.total,
                )
            )
            most = limits.body if response.status == 200 else _ERROR_BODY
            body = bytearray()
            try:
                for chunk in response.stream(CHUNK, decode_content=True):
                    body += chunk
                    if len(body) > most:
                        response.close()
                        break
            finally:
                self._budget.received(response.tell())
            if len(body) > limits.body:
                raise DownloadFailed(
                    f"{self._secrets.mask(public(address.url))} sends more than {limits.body:,} bytes",
                    "Check that it is the right address",
                )
            fields = {name.lower(): value for name, value in response.headers.items()}
            if (
                response.status == 200
                and not body
                and not {"content-length", "transfer-encoding"} & set(fields)
            ):
                raise Broken("the connection ended before the answer did")  # maybe within its headers
            return Reply(response.status, bytes(body), fields)

    def _judged(
        self, reply: Reply, shown: str, kept: tuple[Entry, bytes] | None, also: Collection[int]
    ) -> Reply:
        """Return a reply that may be used. Raises Broken if another try may help, DownloadFailed if none will."""
        if reply.status == 304 and kept:
            return Reply(200, kept[1], {"content-type": kept[0].content_type, **reply.headers}, is_new=False)
        if reply.status == 200 or reply.status in also:
            return reply
        if reply.status in PASSING or 520 <= reply.status < 530:  # the latter are those of a large relay
            wait = retry_after(reply.headers.get("retry-after"), self._clock.now())
            raise Broken(f"status {reply.status}", wait=wait)
        raise DownloadFailed(
            f"{shown} answers {reply.status}",
            "Check the token and what it permits"
            if reply.status in (401, 402, 403)
            else "Check the address, and that the server has what it names",
        )

    def _accept(self, reply: Reply, kinds: Collection[str], check: Callable[[Reply], None] | None) -> None:
        if reply.status != 200:
            return
        kind = reply.content_type
        if kinds and kind and not kind.startswith(tuple(kinds)):
            raise Broken(f"the answer is {kind[:60]}, not {' or '.join(kinds)}", tries=_UNACCEPTABLE_TRIES)
        try:
            if check:
                check(reply)
        except Unacceptable as error:
            raise Broken(self._secrets.mask(str(error)), tries=_UNACCEPTABLE_TRIES) from None

    def _pace(self, host: str) -> Pace:
        with self._lock:
            return self._paces.setdefault(host, Pace(self.limits.rate, self._waiting))
