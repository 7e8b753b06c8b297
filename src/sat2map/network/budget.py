"""How much may be asked of others in all: requests and bytes, counted in a journal that survives restarts."""

import threading
from pathlib import Path

from sat2map import storage
from sat2map.errors import TooMuchToFetch


class Budget:
    """Caps on requests and bytes. A request is noted before it is sent, its bytes when they are here.

    So after a kill requests are never counted too low, and bytes only by those of the requests under way.
    """

    def __init__(
        self, requests: int | None = None, size: int | None = None, journal: Path | None = None
    ) -> None:
        """At most `requests` and `size` bytes (None: any number). Without a `journal` the process alone counts."""
        self._most_requests, self._most_bytes = requests, size
        self._journal, self._lock = journal, threading.Lock()
        self.requests = self.bytes = 0
        if journal is not None and journal.is_file():
            for line in storage.read_lines(journal):
                if line == "request":
                    self.requests += 1
                elif line.isdigit():
                    self.bytes += int(line)

    def request(self) -> None:
        """Note a request. Raises TooMuchToFetch, before it is sent, if there are none left, or no bytes."""
        with self._lock:
            for done, most, what in (
                (self.requests, self._most_requests, "requests"),
                (self.bytes, self._most_bytes, "bytes"),
            ):
                if most is not None and done >= most:
                    raise TooMuchToFetch(
                        f"{done:,} {what} were used, and {most:,} are allowed",
                        "What arrived is kept; allow more and go on with --resume",
                    )
            self.requests += 1
            if self._journal is not None:
                storage.append_line(self._journal, "request")

    def received(self, size: int) -> None:
        """Note bytes as they came over the wire."""
        with self._lock:
            self.bytes += size
            if self._journal is not None and size:
                storage.append_line(self._journal, str(size))
