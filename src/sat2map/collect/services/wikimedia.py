"""Wikimedia Commons: freely licensed photos by place, by its action API.

https://www.mediawiki.org/wiki/API:Geosearch gives at most 500 files of a box, without a way to the others, and
refuses boxes that are too large (`toobig`); both are answered by cutting the box into quarters. Properties of many
files may come in several answers (`continue`). With `maxlag` a busy server answers 200 with an error and says in
Retry-After how long to wait (https://www.mediawiki.org/wiki/Manual:Maxlag_parameter); User-Agent and rate follow the
policy of Wikimedia.
"""

from datetime import date, datetime
from typing import Any

from sat2map.collect.manifest import Photo
from sat2map.collect.provider import Page
from sat2map.collect.region import Region
from sat2map.collect.services.asking import Api, number, rows, text
from sat2map.collect.services.quarters import box_of, following
from sat2map.errors import DownloadFailed
from sat2map.network import Reply
from sat2map.network.pace import retry_after

BASE = "https://commons.wikimedia.org/w/api.php"
DOMAINS = ("wikimedia.org",)
RATE = 4.0  # requests per second
MOST = 500  # files of one answer
WIDTH = 1600  # px of the picture that is fetched, if the original is wider
_BUSY = frozenset({"maxlag", "ratelimited", "readonly"})
_KINDS = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff"})
_ANSWERS = 50  # parts of one answer, at most


class Commons:
    """Photos of Wikimedia Commons in a region."""

    name = "commons"

    def __init__(self, api: Api, region: Region, base: str = BASE) -> None:
        self._api, self._region, self._base = api, region, base

    @property
    def query(self) -> str:
        """The box."""
        return f"commons {self._base} {','.join(f'{side:g}' for side in self._region.box)}"

    def page(self, token: str) -> Page:
        """Return the files of one part of the box."""
        west, south, east, north = box_of(token, self._region.box)
        fields: dict[str, object] = {
            "action": "query",
            "format": "json",
            "formatversion": 2,
            "maxlag": 5,
            "generator": "geosearch",
            "ggsbbox": f"{north:.7f}|{west:.7f}|{south:.7f}|{east:.7f}",
            "ggsnamespace": 6,
            "ggsprimary": "all",
            "ggslimit": MOST,
            "prop": "coordinates|imageinfo",
            "colimit": MOST,
            "coprop": "type",
            "iiprop": "url|size|mime|extmetadata",
            "iiextmetadatafilter": "Artist|LicenseShortName|DateTimeOriginal|Restrictions",
            "iiurlwidth": WIDTH,
        }
        found: dict[int, dict[str, Any]] = {}
        more: dict[str, Any] = {}
        for _ in range(_ANSWERS):
            answer = self._api.json(self._base, {**fields, **more}, _patience)
            if _code(answer) == "toobig":
                return Page([], following(token, self._region.box, is_full=True))
            for row in rows(answer.get("query", {}).get("pages")):
                found.setdefault(int(row.get("pageid", -1)), {}).update(row)
            more = answer.get("continue") or {}
            if not more:
                break
        photos = [photo for row in found.values() if (photo := _photo(row))]
        return Page(photos, following(token, self._region.box, is_full=len(found) >= MOST))

    def fetch(self, photo: Photo) -> bytes:
        """Return the file."""
        return self._api.picture(photo.url)


def _code(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    return text(error.get("code")) if isinstance(error, dict) else ""


def _patience(answer: dict[str, Any], reply: Reply) -> float | None:
    code = _code(answer)
    if code in _BUSY:
        return retry_after(reply.headers.get("retry-after")) or 5.0
    if code and code != "toobig":
        raise DownloadFailed(f"Commons answers with the error {code[:40]!r}", "Try again later")
    return None


def _photo(row: dict[str, Any]) -> Photo | None:
    """Return a file as a photo; None for what is no picture."""
    facts = next(iter(rows(row.get("imageinfo"))), {})
    url = text(facts.get("thumburl")) or text(facts.get("url"))
    if not url or text(facts.get("mime")) not in _KINDS:
        return None
    place = next(iter(rows(row.get("coordinates"))), {})
    longitude, latitude = number(place.get("lon"), -180, 180), number(place.get("lat"), -90, 90)
    said = facts.get("extmetadata") if isinstance(facts.get("extmetadata"), dict) else {}
    assert isinstance(said, dict)
    values = {key: text(value.get("value")) for key, value in said.items() if isinstance(value, dict)}
    return Photo(
        key=f"commons:{row.get('pageid')}",
        page=text(facts.get("descriptionurl")),
        url=url,
        licence=values.get("LicenseShortName", ""),
        author=values.get("Artist", ""),
        title=text(row.get("title")).removeprefix("File:"),
        longitude=None if latitude is None else longitude,
        latitude=None if longitude is None else latitude,
        taken=_moment(values.get("DateTimeOriginal", "")),
    )


def _moment(said: str) -> str:
    """Return "2019-07-14 11:02:33" as ISO 8601, a date alone as it is, and nothing for all the other ways to say it."""
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(said.strip()).isoformat()
        except ValueError:
            continue
    return ""
