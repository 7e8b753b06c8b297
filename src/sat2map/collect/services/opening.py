"""A service by its name, with a client that is polite to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sat2map.collect.provider import Provider
from sat2map.collect.region import Region
from sat2map.collect.services import stac, vk, wikimedia
from sat2map.collect.services.asking import Api
from sat2map.collect.services.hosts import ServiceHosts
from sat2map.errors import BadArea
from sat2map.network import Budget, Client, Clock, Limits, Secrets

SERVICES = {"vk": vk, "commons": wikimedia, "panoramax": stac}
LARGEST = 64 << 20  # bytes of a photo


@dataclass(frozen=True)
class Wish:
    """What is asked of a service."""

    service: str  # a key of SERVICES
    region: Region | None = None
    owners: tuple[int, ...] = ()  # VK: users, instead of a region
    panoramas: bool = False  # Panoramax: those too
    base: str = ""  # address of the API, if it is another one
    allowed: tuple[str, ...] = ()  # further hosts
    rate: float | None = None  # requests per second; the service's own if None


@contextmanager
def opened(wish: Wish, budget: Budget, *, clock: Clock | None = None) -> Iterator[Provider]:
    """Yield the provider. Raises BadArea without a region, BadAddress for an odd address or a token that is missing."""
    service = SERVICES[wish.service]
    base = wish.base or service.BASE
    token = f"Bearer {{env:{vk.TOKEN}}}" if service is vk else ""
    limits = Limits(rate=wish.rate or service.RATE, body=LARGEST)
    with Client(
        ServiceHosts([base], service.DOMAINS, wish.allowed),
        secrets=Secrets.named_in(token),
        headers={"Authorization": token} if token else {},
        homes=[base],
        limits=limits,
        budget=budget,
        clock=clock,
    ) as client:
        yield _provider(wish, Api(client, clock), base)


def _provider(wish: Wish, api: Api, base: str) -> Provider:
    if wish.owners:
        return vk.VkUsers(api, wish.owners, base)
    if wish.region is None:
        raise BadArea(f"{wish.service} knows photos of the whole world", "Say where: --bbox or --area")
    match wish.service:
        case "vk":
            return vk.VkArea(api, wish.region, datetime.now(UTC), base)
        case "commons":
            return wikimedia.Commons(api, wish.region, base)
        case _:
            return stac.Stac(api, wish.region, base, panoramas=wish.panoramas)
