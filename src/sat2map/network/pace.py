"""When the next request may go out: a rate per host, the times that servers ask for, pauses, and the retry budget."""

import email.utils
import random
import re
import threading
import time

from sat2map.errors import DownloadFailed

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses that another try may change


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date; None if it says nothing.

    `now` is the time of day in seconds since 1970 (default: by the clock). RFC 9110, section 10.2.3.
    """
    if not value:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", value):
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, at - (time.time() if now is None else now))


class Clock:
    """Time, so that tests need not wait for it."""

    def elapsed(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float, ended: threading.Event | None = None) -> None:
        """Wait, but no longer than until `ended`."""
        (ended or threading.Event()).wait(seconds)


class Waiting:
    """The waiting of one client, which can be ended for all of its threads."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self._ended = clock, threading.Event()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises DownloadFailed if the waiting is ended before."""
        if not self._ended.is_set():
            self.clock.sleep(seconds, self._ended)
        if self._ended.is_set():
            raise DownloadFailed("fetching was stopped", "What arrived is kept; go on with --resume")

    def end(self) -> None:
        """End it, for good."""
        self._ended.set()


class Pace:
    """The turns of one host. Threads may share it."""

    def __init__(self, rate: float, waiting: Waiting) -> None:
        """`rate` requests per second at most."""
        self._interval, self._waiting, self._clock = 1 / rate, waiting, waiting.clock
        self._lock = threading.Lock()
        self._next = self._held = -float("inf")
        self.failures = 0  # in a row

    def wait(self) -> None:
        """Return when it is this caller's turn, and nobody asked for more time."""
        while True:
            with self._lock:
                now = self._clock.elapsed()
                at = max(self._next, self._held)
                if at <= now:
                    self._next = now + self._interval
                    return
            self._waiting.sleep(at - now)

    def hold(self, seconds: float) -> None:
        """Let nobody have a turn for so long."""
        with self._lock:
            self._held = max(self._held, self._clock.elapsed() + seconds)

    def succeeded(self) -> None:
        """Note an answer."""
        self.failures = 0

    def failed(self, most: int, host: str, why: str) -> None:
        """Note a failure; after `most` in a row raise DownloadFailed: the host has troubles that we only add to."""
        with self._lock:
            self.failures += 1
        if self.failures >= most:
            raise DownloadFailed(
                f"{host} failed {self.failures} times in a row, the last time: {why}",
                "Try again later; what arrived is kept",
            )


def pause(base: float, longest: float, failures: int) -> float:
    """Return seconds to wait after so many failures: doubling, with jitter, lest all clients come back together."""
    return min(longest, base * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


class RetryBudget:
    """How many retries there may be: some, and a share of the requests, so that troubles never multiply the load."""

    def __init__(self, reserve: int, share: float) -> None:
        self._reserve, self._share, self._lock = reserve, share, threading.Lock()
        self.requests = self.retries = 0

    def request(self) -> None:
        """Count a request that is no retry."""
        with self._lock:
            self.requests += 1

    def retry(self) -> bool:
        """Tell whether there may be one more retry, and count it."""
        with self._lock:
            allowed = self.retries < self._reserve + self._share * self.requests
            self.retries += allowed
            return allowed
