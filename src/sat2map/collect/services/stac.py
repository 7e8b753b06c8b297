"""Panoramax and other STAC APIs of photos: items with a point, a time, a licence, and pictures as assets.

https://github.com/radiantearth/stac-api-spec (item search, `rel=next`) and https://docs.panoramax.fr. Instances of
Panoramax answer a search with the first so many items and name no next page; such a box is cut into quarters.
Pictures lie on hosts of the instances that a search names; those must be below known domains or be allowed.
"""

from typing import Any
from urllib.parse import urljoin, urlsplit

from sat2map.collect.manifest import Photo
from sat2map.collect.provider import Page
from sat2map.collect.region import Region
from sat2map.collect.services.asking import Api, number, rows, text
from sat2map.collect.services.quarters import box_of, following

BASE = "https://api.panoramax.xyz/api"
DOMAINS = ("panoramax.xyz", "panoramax.fr", "panoramax.ign.fr", "panoramax.openstreetmap.fr")
RATE = 4.0  # requests per second
MOST = 100  # items of one answer: few enough that no service shortens a page unasked
_WANTED = ("visual", "data")  # roles of assets, the best first: 2,048 px wide, or the original
_WHOLE_CIRCLE = 300  # degrees of view from which a picture is a panorama
_NEXT = "next "  # begins a token that is an address


class Stac:
    """Photos of a STAC API in a region."""

    name = "panoramax"

    def __init__(self, api: Api, region: Region, base: str = BASE, *, panoramas: bool = False) -> None:
        """`panoramas`: the pictures that go all around, which are left out else."""
        self._api, self._region, self._panoramas = api, region, panoramas
        self._base = base.rstrip("/")

    @property
    def query(self) -> str:
        """The box."""
        box = ",".join(f"{side:g}" for side in self._region.box)
        return f"stac {self._base} {box}{' panoramas' if self._panoramas else ''}"

    def page(self, token: str) -> Page:
        """Return the items of a part of the box, or those behind a link."""
        path, _, link = token.partition(_NEXT)
        path = path.strip()
        if link:
            answer = self._api.json(link)
        else:
            part = box_of(path, self._region.box)
            fields = {"bbox": ",".join(f"{side:.7f}" for side in part), "limit": MOST}
            answer = self._api.json(f"{self._base}/search", fields)
        items = rows(answer.get("features"))
        photos = [photo for item in items if (photo := self._photo(item))]
        onward = self._next(answer)
        if onward and items:
            return Page(photos, f"{path or '0'} {_NEXT}{onward}")
        # an instance that pages has shown everything; one that does not may have more than it shows
        is_full = not link and len(items) >= MOST
        return Page(photos, following(path, self._region.box, is_full=is_full))

    def fetch(self, photo: Photo) -> bytes:
        """Return the picture."""
        return self._api.picture(photo.url)

    def _next(self, answer: dict[str, Any]) -> str:
        for link in rows(answer.get("links")):
            if link.get("rel") == "next" and text(link.get("method") or "GET").upper() == "GET":
                there = urljoin(f"{self._base}/search", text(link.get("href")))
                if urlsplit(there).netloc == urlsplit(self._base).netloc:
                    return there
        return ""

    def _photo(self, item: dict[str, Any]) -> Photo | None:
        """Return an item as a photo; None for one without a picture, and for panoramas that nobody wants."""
        said = item.get("properties")
        said = said if isinstance(said, dict) else {}
        lens = said.get("pers:interior_orientation")
        view = number(lens.get("field_of_view"), 0, 360) if isinstance(lens, dict) else None
        url = _picture(item.get("assets"))
        name = text(item.get("id"))
        if not name or not url or (not self._panoramas and view is not None and view >= _WHOLE_CIRCLE):
            return None
        geometry = item.get("geometry")
        corner = geometry.get("coordinates") if isinstance(geometry, dict) else None
        pair = corner if isinstance(corner, list) and len(corner) >= 2 else (None, None)
        longitude, latitude = number(pair[0], -180, 180), number(pair[1], -90, 90)
        return Photo(
            key=f"panoramax:{name}",
            page=next((text(k.get("href")) for k in rows(item.get("links")) if k.get("rel") == "self"), ""),
            url=urljoin(self._base + "/", url),
            licence=text(said.get("license")),
            author=text(said.get("geovisio:producer"))
            or _producer(item.get("providers") or said.get("providers")),
            longitude=None if latitude is None else longitude,
            latitude=None if longitude is None else latitude,
            direction=number(said.get("view:azimuth"), 0, 360),
            taken=text(said.get("datetimetz")) or text(said.get("datetime")),
        )


def _picture(assets: object) -> str:
    """Return the address of the asset to fetch."""
    found = rows(list(assets.values())) if isinstance(assets, dict) else []
    for role in _WANTED:
        for asset in found:
            roles = asset.get("roles")
            kind = text(asset.get("type"))
            if isinstance(roles, list) and role in roles and (not kind or kind.startswith("image/")):
                return text(asset.get("href"))
    return ""


def _producer(providers: object) -> str:
    names = [text(p.get("name")) for p in rows(providers) if "producer" in (p.get("roles") or [])]
    return ", ".join(name for name in names if name)
