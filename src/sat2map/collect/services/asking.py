"""JSON from an API, and picture files: what all services have in common."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from sat2map import images
from sat2map.collect.provider import Gone
from sat2map.errors import BadAddress, DownloadFailed
from sat2map.network import Client, Clock, Reply, Unacceptable

JSON = ("application/json", "application/geo+json", "text/json", "text/javascript")
GONE = frozenset({400, 401, 403, 404, 410, 451})  # of a picture: no other request will bring it
_WAITS = 6  # times that an API may ask for patience inside an answer with status 200


class Api:
    """Asks one service."""

    def __init__(self, client: Client, clock: Clock | None = None) -> None:
        self._client, self._clock = client, clock or Clock()

    def json(
        self,
        url: str,
        fields: Mapping[str, object] | None = None,
        patience: Callable[[dict[str, Any], Reply], float | None] = lambda answer, reply: None,
    ) -> dict[str, Any]:
        """Return the object that an address answers with; `fields` become its query.

        Many APIs answer 200 and say inside that they are busy: `patience` returns for such an answer how many seconds
        to wait, None for a good one, and raises for one that waiting will not mend. Raises DownloadFailed.
        """
        if fields:
            url += ("&" if "?" in url else "?") + urlencode(fields)
        for _ in range(_WAITS):
            reply = self._client.get(url, kinds=JSON, check=_is_object)
            answer: dict[str, Any] = json.loads(reply.body)
            wait = patience(answer, reply)
            if wait is None:
                return answer
            self._clock.sleep(wait, threading.Event())
        raise DownloadFailed(f"{url.partition('?')[0]} was busy {_WAITS} times in a row", "Try again later")

    def picture(self, url: str) -> bytes:
        """Return the bytes of a picture. Raises Gone if the server will never give one, DownloadFailed if not now."""
        try:
            reply = self._client.get(
                url, kinds=("image/", "application/octet-stream"), also=GONE, check=_is_picture
            )
        except BadAddress as error:
            raise Gone(f"its address is refused: {error.what}") from error
        if reply.status != 200:
            raise Gone(f"the server answers {reply.status}")
        return reply.body


def _is_object(reply: Reply) -> None:
    try:
        thing = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise Unacceptable("the answer is no JSON") from error
    if not isinstance(thing, dict):
        raise Unacceptable("the answer is no JSON object")


def _is_picture(reply: Reply) -> None:
    """Decode the header at least, and the end of a JPEG: a cut-off file must not count as one that is here."""
    kind = images.sniff(reply.body[:12])
    if kind is None:
        raise Unacceptable("the answer is no picture")
    if kind == "JPEG" and b"\xff\xd9" not in reply.body[-64:]:
        raise Unacceptable("the picture is cut off")


def number(value: object, low: float, high: float) -> float | None:
    """Return a number of an answer if it lies in a range, else None; texts of numbers count."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if low <= found <= high else None


def text(value: object) -> str:
    """Return a text of an answer; empty if it is none."""
    return value if isinstance(value, str) else ""


def rows(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list of an answer; what is no object is left out."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
