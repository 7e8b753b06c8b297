"""Services of photos and imagery on loopback, built from their public documentation, misbehaviour included.

Each fake answers the parameters that its documentation names, with its limits (how many photos an answer holds, which
boxes are too large, which errors come with status 200), and refuses what the real service refuses.
"""

import functools
import json
import math
import random
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

import badnet
import photos
from sat2map import images

STARTED = 1_690_000_000  # seconds since 1970; photos are uploaded a minute apart


class Shot(NamedTuple):
    """A photo that a service knows."""

    number: int
    longitude: float | None
    latitude: float | None


def shots(count: int, box: tuple[float, float, float, float], seed: int = 0, without: int = 0) -> list[Shot]:
    """Photos spread over a box, the last few without a place."""
    random_ = random.Random(seed)
    west, south, east, north = box
    placed = [
        Shot(n, round(random_.uniform(west, east), 6), round(random_.uniform(south, north), 6))
        for n in range(count - without)
    ]
    return placed + [Shot(count - without + n, None, None) for n in range(without)]


@functools.cache
def picture(number: int) -> bytes:
    """The file of a photo."""
    return photos.jpeg(photos.landscape(number, 48, 64))


class Answer(NamedTuple):
    body: bytes
    kind: str = "application/json; charset=utf-8"
    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()


def as_json(thing: object, **fields: str) -> Answer:
    return Answer(
        json.dumps(thing).encode(), fields=tuple((k.replace("_", "-"), v) for k, v in fields.items())
    )


class Service:
    """What all fakes share: `say` answers a path and its query; pictures lie below /file/."""

    busy: Answer | None = None  # what a busy service says with status 200
    patience = 0.0  # seconds that it asks for

    def __init__(self, known: list[Shot], page: int) -> None:
        self.known, self.page = known, page
        self.home = ""  # address of the server, once it runs
        self.files = ""  # where pictures lie; the same server if empty

    def say(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        raise NotImplementedError

    def file(self, number: int) -> str:
        return f"{self.files or self.home}/file/{number}.jpg"

    def answer(self, seen: badnet.Seen) -> Answer:
        parts = urlsplit(seen.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/file/"):
            return Answer(picture(int(parts.path[6:-4])), "image/jpeg")
        return self.say(unquote(parts.path), query, seen.headers)


class Vk(Service):
    """api.vk.com: photos.search, photos.getAll; errors come with status 200."""

    busy = as_json({"error": {"error_code": 6, "error_msg": "Too many requests per second"}})
    patience = 1.0
    most = 3000

    def __init__(self, known: list[Shot], page: int = 1000, token: str = "t0ken") -> None:
        super().__init__(known, page)
        self.token = token
        self.closed: set[int] = set()

    def say(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if headers.get("authorization") != f"Bearer {self.token}":
            return self.error(5, "User authorization failed: invalid access_token (4).")
        if not query.get("v", "").startswith("5."):
            return self.error(8, "Invalid request: v is required")
        offset, count = int(query.get("offset", 0)), int(query.get("count", 100))
        if path == "/method/photos.getAll":
            owner = int(query["owner_id"])
            if owner in self.closed:
                return self.error(30, "This profile is private")
            found = [shot for shot in self.known if self.owner(shot) == owner]
            return self.listed(found, offset, min(count, 200, self.page))
        if path == "/method/photos.search":
            if query.get("radius") not in ("10", "100", "800", "6000", "50000"):
                return self.error(100, "One of the parameters specified was missing or invalid")
            found = [
                shot for shot in self.known if self.is_near(shot, query) and self.is_in_time(shot, query)
            ]
            return self.listed(found, offset, min(count, 1000, self.page))
        return self.error(3, "Unknown method passed")

    def error(self, code: int, text: str) -> Answer:
        return as_json({"error": {"error_code": code, "error_msg": text, "request_params": []}})

    def owner(self, shot: Shot) -> int:
        return 100 + shot.number % 3

    def is_near(self, shot: Shot, query: dict[str, str]) -> bool:
        if shot.longitude is None or shot.latitude is None:
            return False
        north = (shot.latitude - float(query["lat"])) * 111_195
        east = (shot.longitude - float(query["long"]) + 180) % 360 - 180
        east *= 111_195 * math.cos(math.radians(shot.latitude))
        return math.hypot(north, east) <= float(query["radius"])

    def is_in_time(self, shot: Shot, query: dict[str, str]) -> bool:
        date = STARTED + 60 * shot.number
        return float(query.get("start_time", 0)) <= date <= float(query.get("end_time", 4e9))

    def listed(self, found: list[Shot], offset: int, count: int) -> Answer:
        """The newest come first; beyond the first 3,000 there is nothing."""
        found = sorted(found, key=lambda shot: -shot.number)
        items = [self.item(shot) for shot in found[: self.most][offset : offset + count]]
        return as_json({"response": {"count": len(found), "items": items}})

    def item(self, shot: Shot) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": 456_000_000 + shot.number, "owner_id": self.owner(shot), "album_id": -7, "text": f"No. {shot.number}",
            "date": STARTED + 60 * shot.number,
            "sizes": [
                {"type": "s", "url": f"{self.home}/file/99999.jpg", "width": 75, "height": 56},
                {"type": "w", "url": self.file(shot.number), "width": 2560, "height": 1920},
                {"type": "x", "url": f"{self.home}/file/99998.jpg", "width": 604, "height": 453},
            ],
        }  # fmt: skip
        if shot.longitude is not None:
            made |= {"lat": shot.latitude, "long": shot.longitude}
        return made


class Commons(Service):
    """commons.wikimedia.org/w/api.php: generator=geosearch with coordinates and imageinfo."""

    busy = as_json(
        {"error": {"code": "maxlag", "info": "Waiting for 10.64.48.35: 5.9 seconds lagged"}}, Retry_After="5"
    )
    patience = 5.0
    largest = 0.25  # degrees of a side; larger boxes are refused

    def __init__(self, known: list[Shot], page: int = 500, properties: int = 50) -> None:
        super().__init__(known, page)
        self.properties = properties  # files whose properties one answer holds

    def say(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if path != "/w/api.php" or query.get("generator") != "geosearch" or query.get("ggsnamespace") != "6":
            return as_json({"error": {"code": "badvalue", "info": "Unrecognized value"}})
        if "sat2map/" not in headers.get("user-agent", ""):
            return Answer(b"Please set a user-agent", "text/plain", 403)
        north, west, south, east = (float(side) for side in query["ggsbbox"].split("|"))
        if not (north > south and -180 <= west < east <= 180):
            return as_json({"error": {"code": "invalid-bbox", "info": "Invalid bounding box"}})
        if north - south > self.largest or east - west > self.largest:
            return as_json({"error": {"code": "toobig", "info": "Bounding box is too big"}})
        found = [
            s
            for s in self.known
            if s.latitude and south <= s.latitude <= north and west <= s.longitude <= east
        ]
        found = found[: min(int(query.get("ggslimit", 10)), self.page)]
        start = int(query.get("iistart_", 0))
        pages = [self.row(s, start <= i < start + self.properties) for i, s in enumerate(found)]
        answer: dict[str, Any] = {"batchcomplete": True, "query": {"pages": pages}}
        if start + self.properties < len(found):
            answer["continue"] = {"iistart_": start + self.properties, "continue": "||coordinates"}
        return as_json(answer if found else {"batchcomplete": True})

    def row(self, shot: Shot, is_whole: bool) -> dict[str, Any]:
        made: dict[str, Any] = {
            "pageid": 1000 + shot.number,
            "ns": 6,
            "title": f"File:Hill {shot.number}.jpg",
        }
        if is_whole:
            made["coordinates"] = [
                {"lat": shot.latitude, "lon": shot.longitude, "primary": True, "globe": "earth"}
            ]
            made["imageinfo"] = [
                {
                    "url": f"{self.home}/file/99999.jpg", "thumburl": self.file(shot.number), "mime": "image/jpeg",
                    "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Hill_{shot.number}.jpg",
                    "extmetadata": {
                        "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons-desc-page"},
                        "Artist": {"value": '<a href="//commons.wikimedia.org/wiki/User:Ann">Ann</a>'},
                        "DateTimeOriginal": {"value": "2021-06-05 12:30:00"},
                    },
                }
            ]  # fmt: skip
        return made


class Panoramax(Service):
    """A STAC API of photos. `pages`: with links to a next page; else only the first so many."""

    busy = Answer(b'{"message": "try later"}', status=503, fields=(("Retry-After", "4"),))
    patience = 4.0

    def __init__(self, known: list[Shot], page: int = 500, pages: bool = False) -> None:
        super().__init__(known, page)
        self.pages = pages

    def say(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if path != "/api/search":
            return Answer(b'{"message": "not found"}', status=404)
        west, south, east, north = (float(side) for side in query["bbox"].split(","))
        found = [
            s
            for s in self.known
            if s.latitude and south <= s.latitude <= north and west <= s.longitude <= east
        ]
        start, limit = int(query.get("token", 0)), min(int(query.get("limit", 10)), self.page)
        links = [{"rel": "self", "href": f"{self.home}/api/search"}]
        if self.pages and start + limit < len(found):
            onward = f"/api/search?bbox={quote(query['bbox'])}&limit={limit}&token={start + limit}"
            links.append({"rel": "next", "href": onward, "method": "GET"})
        items = [self.item(shot) for shot in found[start : start + limit]]
        return as_json({"type": "FeatureCollection", "features": items, "links": links})

    def item(self, shot: Shot) -> dict[str, Any]:
        return {
            "type": "Feature", "stac_version": "1.0.0", "id": f"{shot.number:08x}-0000-4000-8000-000000000000",
            "geometry": {"type": "Point", "coordinates": [shot.longitude, shot.latitude]},
            "properties": {
                "datetime": "2022-07-01T10:20:30+00:00", "datetimetz": "2022-07-01T12:20:30+02:00",
                "license": "CC-BY-SA-4.0", "geovisio:producer": "Eva", "view:azimuth": 90,
                "pers:interior_orientation": {"field_of_view": 360 if shot.number % 10 == 9 else 70},
            },
            "links": [{"rel": "self", "href": f"{self.home}/api/items/{shot.number}"}],
            "assets": {
                "hd": {"href": f"{self.home}/file/99999.jpg", "roles": ["data"], "type": "image/jpeg"},
                "sd": {"href": self.file(shot.number), "roles": ["visual"], "type": "image/jpeg"},
                "thumb": {"href": f"{self.home}/file/99998.jpg", "roles": ["thumbnail"], "type": "image/jpeg"},
            },
        }  # fmt: skip


class Yandex(Service):
    """static-maps.yandex.ru/1.x: one picture per place; errors are XML."""

    busy = Answer(b"", "text/plain", 429, (("Retry-After", "2"),))
    patience = 2.0

    def __init__(self, key: str = "") -> None:
        super().__init__([], 0)
        self.key = key

    def say(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if path != "/1.x/":
            return Answer(b"", status=404)
        if query.get("apikey", "") != self.key:
            return Answer(b"Invalid api key", "text/plain", 403)
        width, height = (int(side) for side in query["size"].split(","))
        longitude, latitude = (float(side) for side in query["ll"].split(","))
        if width > 650 or height > 450 or not 0 <= int(query["z"]) <= 17 or query["l"] != "sat":
            return Answer(b"<error><status>400</status><message>wrong</message></error>", "text/xml", 400)
        return Answer(self.ground(longitude, latitude, height), "image/png")

    @staticmethod
    def ground(longitude: float, latitude: float, side: int) -> bytes:
        return images.encode_png(photos.landscape(round(longitude * 1000) % 997, side, side))


class Fake:
    """An answer for `badnet.Server` of a service, unreliable for a share of the requests, from a seed."""

    def __init__(self, service: Service, share: float = 0.0, seed: int = 0) -> None:
        self.service, self._share, self._random = service, share, random.Random(seed)
        self._faulty = badnet.Faulty(lambda path: b"", 0.0, 0)
        self.faults = 0

    @property
    def held(self) -> list[tuple[str, float, float]]:
        """Path, when told to wait, until when."""
        return self._faulty.held

    def __call__(self, handler: badnet.Handler, seen: badnet.Seen, number: int) -> None:
        answer = self.service.answer(seen)
        if self._random.random() < self._share:
            self.faults += 1
            fault = self._random.choice((*badnet.FAULTS, "busy"))
            if fault != "busy":
                self._faulty._misbehave(fault, answer.body, handler, seen)
                return
            if self.service.busy and not seen.path.startswith("/file/"):
                now = handler.server.clock.elapsed()
                self.held.append((seen.path, now, now + self.service.patience))
                answer = self.service.busy
        fields = {"Content_Type": answer.kind, **dict(answer.fields)}
        handler.send(answer.body, answer.status, **fields)


def running(
    service: Service, share: float = 0.0, seed: int = 0, clock: badnet.Clock | None = None
) -> badnet.Server:
    """A server of a service; use it as a context manager."""
    server = badnet.Server(Fake(service, share, seed), clock)
    service.home = server.url("").rstrip("/")
    return server
