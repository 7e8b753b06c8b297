"""VK: public photos that users have given a place, by area or by user.

https://dev.vk.com/method/photos.search finds at most 3,000 photos around a point, so an area is covered with circles
and, where there are more, with spans of time; https://dev.vk.com/method/photos.getAll lists those of a user. The
token goes into a header, never into an address. Errors come with status 200 (https://dev.vk.com/reference/errors):
too many requests and internal troubles pass, a wrong token and an exhausted quota do not, and closed profiles are
passed over. The date is that of the upload, by day; when the picture was taken is not told.
"""

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sat2map.collect.manifest import Photo
from sat2map.collect.provider import Page
from sat2map.collect.region import Region
from sat2map.collect.services.asking import Api, number, rows, text
from sat2map.errors import DownloadFailed
from sat2map.network import Reply

BASE = "https://api.vk.com/method"
DOMAINS = ("userapi.com", "vkuserphoto.ru", "vk.com")
TOKEN = "VK_TOKEN"  # environment variable
RATE = 3.0  # requests per second, as VK allows a user's token
VERSION = "5.199"
RADIUS = 6000  # metres; the service knows 10, 100, 800, 6000 and 50000
MOST = 3000  # photos that a search gives in all
PAGE, PAGE_OF_USER = 1000, 200  # photos of one answer
FIRST = int(datetime(2006, 10, 1, tzinfo=UTC).timestamp())  # nothing on VK is older
_METRES = 111_195.0  # of a degree of latitude on the sphere
_PASSING = {1: 2.0, 6: 1.0, 9: 10.0, 10: 3.0}  # error code -> seconds to wait
_CLOSED = frozenset({7, 15, 18, 30, 200})  # no access, deleted, private


class Step(NamedTuple):
    """Where a query of an area is: which circle, which span of time (seconds since 1970), which photo."""

    circle: int
    start: int
    end: int
    offset: int

    @classmethod
    def parse(cls, token: str, end: int) -> "Step":
        """Return the step at a token, the first one for ""."""
        return cls(*(int(part) for part in token.split(":"))) if token else cls(0, FIRST, end, 0)

    def __str__(self) -> str:
        return ":".join(map(str, self))


class VkArea:
    """Public photos of an area."""

    name = "vk"

    def __init__(self, api: Api, region: Region, until: datetime, base: str = BASE) -> None:
        """`until`: no photos uploaded later, so that the same token always means the same photos."""
        self._api, self._region, self._base = api, region, base.rstrip("/")
        self._circles = circles(region)
        self._end = int(until.timestamp())

    @property
    def query(self) -> str:
        """The box."""
        return f"vk {self._base} {','.join(f'{side:g}' for side in self._region.box)}"

    def page(self, token: str) -> Page:
        """Return up to a thousand photos around one point in one span of time."""
        step = Step.parse(token, self._end)
        longitude, latitude = self._circles[step.circle]
        answer = ask(
            self._api,
            f"{self._base}/photos.search",
            {
                "lat": f"{latitude:.6f}",
                "long": f"{longitude:.6f}",
                "radius": RADIUS,
                "start_time": step.start,
                "end_time": step.end,
                "sort": 0,
                "offset": step.offset,
                "count": PAGE,
            },
        )
        count = int(number(answer.get("count"), 0, 1e12) or 0)
        if count > MOST and step.end > step.start:
            return Page([], str(step._replace(end=(step.start + step.end) // 2, offset=0)))
        return Page(_photos(rows(answer.get("items"))), self._after(step, min(count, MOST)))

    def fetch(self, photo: Photo) -> bytes:
        """Return the picture."""
        return self._api.picture(photo.url)

    def _after(self, step: Step, count: int) -> str | None:
        if (
            step.offset + PAGE < count
        ):  # a page may hold fewer than were asked for, and is not the last for that
            return str(step._replace(offset=step.offset + PAGE))
        if step.end < self._end:
            return str(Step(step.circle, step.end + 1, self._end, 0))
        following = step.circle + 1
        return str(Step(following, FIRST, self._end, 0)) if following < len(self._circles) else None


class VkUsers:
    """Public photos of users and communities (negative numbers)."""

    name = "vk"

    def __init__(self, api: Api, owners: tuple[int, ...], base: str = BASE) -> None:
        self._api, self._owners, self._base = api, owners, base.rstrip("/")

    @property
    def query(self) -> str:
        """The users."""
        return f"vk {self._base} users {','.join(map(str, self._owners))}"

    def page(self, token: str) -> Page:
        """Return up to 200 photos of one user."""
        which, offset = (int(part) for part in token.split(":")) if token else (0, 0)
        answer = ask(
            self._api,
            f"{self._base}/photos.getAll",
            {
                "owner_id": self._owners[which],
                "offset": offset,
                "count": PAGE_OF_USER,
                "no_service_albums": 0,
            },
        )
        photos = _photos(rows(answer.get("items")))
        if offset + PAGE_OF_USER < int(number(answer.get("count"), 0, 1e12) or 0):
            return Page(photos, f"{which}:{offset + PAGE_OF_USER}")
        return Page(photos, f"{which + 1}:0" if which + 1 < len(self._owners) else None)

    def fetch(self, photo: Photo) -> bytes:
        """Return the picture."""
        return self._api.picture(photo.url)


def ask(api: Api, url: str, fields: dict[str, object]) -> dict[str, Any]:
    """Return what a method responds; nothing where access is closed. Raises DownloadFailed."""
    answer = api.json(url, {**fields, "v": VERSION}, _patience)
    response = answer.get("response")
    return response if isinstance(response, dict) else {}


def _patience(answer: dict[str, Any], reply: Reply) -> float | None:
    error = answer.get("error")
    if not isinstance(error, dict):
        return None
    code = int(number(error.get("error_code"), 0, 1e6) or 0)
    if code in _PASSING:
        return _PASSING[code]
    if code in _CLOSED:
        return None
    remedy = "Try again tomorrow" if code == 29 else f"Check the token in {TOKEN} and what it permits"
    # what VK says besides may repeat the token
    raise DownloadFailed(f"VK answers with error {code}, see https://dev.vk.com/reference/errors", remedy)


def circles(region: Region) -> list[tuple[float, float]]:
    """Return the middles (longitude, latitude) of circles that cover the box of a region, row by row."""
    box, side = region.box, RADIUS * math.sqrt(2)  # the square inside a circle
    rows_of = max(1, math.ceil((box.north - box.south) * _METRES / side))
    found = []
    for row in range(rows_of):
        latitude = box.south + (row + 0.5) * (box.north - box.south) / rows_of
        nearest = min(abs(box.south + (row + k) * (box.north - box.south) / rows_of) for k in (0, 1))
        width = (box.east - box.west) * _METRES * math.cos(math.radians(nearest))  # where the row is widest
        cols = max(1, math.ceil(width / side))
        for col in range(cols):
            longitude = box.west + (col + 0.5) * (box.east - box.west) / cols
            found.append(((longitude + 180) % 360 - 180, latitude))
    return found


def _photos(items: list[dict[str, Any]]) -> list[Photo]:
    return [photo for item in items if (photo := _photo(item))]


def _photo(item: dict[str, Any]) -> Photo | None:
    """Return an item as a photo; None for one without a picture."""
    owner, name = item.get("owner_id"), item.get("id")
    sizes = [size for size in rows(item.get("sizes")) if text(size.get("url"))]
    if not isinstance(owner, int) or not isinstance(name, int) or not sizes:
        return None
    largest = max(sizes, key=lambda size: (number(size.get("width"), 0, 1e5) or 0, text(size.get("type"))))
    longitude, latitude = number(item.get("long"), -180, 180), number(item.get("lat"), -90, 90)
    date = number(item.get("date"), FIRST, 4e9)
    return Photo(
        key=f"vk:{owner}_{name}",
        page=f"https://vk.com/photo{owner}_{name}",
        url=text(largest.get("url")),
        licence="not stated; terms of VK",
        author=f"https://vk.com/{'id' if owner > 0 else 'club'}{abs(owner)}",
        title=text(item.get("text")),
        longitude=None if latitude is None else longitude,
        latitude=None if longitude is None else latitude,
        taken=datetime.fromtimestamp(date, UTC).date().isoformat() if date else "",
    )
