"""Hosts of a service whose answers name further hosts of its own for the files."""

from collections.abc import Iterable

from sat2map.network import Address, HostRules
from sat2map.network.hosts import Resolver, resolve


class ServiceHosts(HostRules):
    """The hosts that a user named, and those below the domains of a service, by https only.

    What a service names elsewhere stays forbidden, and so do its own names that lead into a private network.
    """

    def __init__(
        self,
        urls: Iterable[str],
        domains: Iterable[str] = (),
        allowed: Iterable[str] = (),
        *,
        resolver: Resolver = resolve,
    ) -> None:
        """`domains` as in "userapi.com": the domain and all names below it. Raises BadAddress."""
        super().__init__(urls, allowed, resolver=resolver)
        self._domains = tuple(domains)

    def check(self, address: Address) -> None:
        """Raise BadAddress for a host that is neither named nor the service's own."""
        is_own = any(
            address.host == domain or address.host.endswith(f".{domain}") for domain in self._domains
        )
        if not (is_own and address.scheme == "https" and address.port == 443):
            super().check(address)
