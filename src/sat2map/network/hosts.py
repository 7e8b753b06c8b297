"""Which hosts may be asked, and at which network address: looked up once, checked, and kept (no DNS rebinding).

A server may send us anywhere, by a redirect, by a document that names other servers, or by a name that resolves to a
machine behind our firewall. So only hosts that the user named are asked, and of these none in a private network, unless
what the user named is that very address (or `localhost`), or the name was given with `--allow-host`.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable

from sat2map.errors import BadAddress, DownloadFailed
from sat2map.network.address import PORTS, Address, ascii_host

Resolver = Callable[[str, int], list[str]]  # (host, port) -> network addresses
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MOST = 4  # network addresses tried of one host
# Servers whose terms forbid to fetch tiles in bulk: https://operations.osmfoundation.org/policies/tiles/
_NO_BULK = ("tile.openstreetmap.org",)


def resolve(host: str, port: int) -> list[str]:
    """Return the network addresses of a host in the order of the system. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


class HostRules:
    """The hosts that a user named."""

    def __init__(
        self, urls: Iterable[str], allowed: Iterable[str] = (), *, resolver: Resolver = resolve
    ) -> None:
        """`urls` were given by the user; `allowed` are further hosts, HOST or HOST:PORT. Raises BadAddress."""
        self._ports: dict[str, set[int]] = {}
        self._trusted: set[str] = set()  # hosts that may lie in a private network
        self._pins: dict[tuple[str, int], list[str]] = {}
        self._resolver, self._lock = resolver, threading.Lock()
        for url in urls:
            self._name(Address.parse(url))
        for host in allowed:
            self._allow(host)

    def _name(self, address: Address) -> None:
        ports = {address.port} | ({443} if address.port == 80 else set())
        self._ports.setdefault(address.host, set()).update(ports)
        if _is_literal(address.host) or address.host == "localhost" or address.host.endswith(".localhost"):
            self._trusted.add(address.host)

    def _allow(self, host: str) -> None:
        if any(sign in host for sign in "/@?#"):
            raise BadAddress(f"{host!r} is no host", "Give --allow-host HOST or HOST:PORT, without a path")
        name, sign, port = host.rpartition(":")
        if not sign or (host.count(":") > 1 and not host.startswith("[")):
            name, port = host, ""
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise BadAddress(f"{host!r} names no port", "Give --allow-host HOST or HOST:PORT")
        name = ascii_host(name.strip("[]"))
        self._ports.setdefault(name, set()).update({int(port)} if port else PORTS.values())
        self._trusted.add(name)

    def check(self, address: Address) -> None:
        """Raise BadAddress for a host that was not named, or one whose terms forbid what we do."""
        if any(address.host == host or address.host.endswith(f".{host}") for host in _NO_BULK):
            raise BadAddress(
                f"the terms of {address.host} forbid to fetch tiles in bulk (and its tiles are maps already)",
                "Name a source of imagery that permits it",
            )
        if address.port not in self._ports.get(address.host, ()):
            raise BadAddress(
                f"{address.authority} is a host that you did not name",
                f"If it is to be trusted, add --allow-host {address.authority}",
            )

    def addresses(self, address: Address) -> list[str]:
        """Return the network addresses to connect to, the same ones every time.

        Raises BadAddress if the host was not named or leads into a private network, DownloadFailed if it is unknown.
        """
        self.check(address)
        with self._lock:
            key = address.host, address.port
            if key not in self._pins:
                self._pins[key] = self._looked_up(address)
            return self._pins[key]

    def by_proxy(self, address: Address) -> list[str]:
        """Return what stands for the proxy, after the checks that are possible where it looks up the names.

        Raises BadAddress if the host was not named, or if it is a private address itself.
        """
        self.check(address)
        if _is_literal(address.host):
            self.addresses(address)
        return [""]

    def forget(self, address: Address) -> None:
        """Look a host up anew, and check it anew, the next time: it no longer answers where it was."""
        with self._lock:
            self._pins.pop((address.host, address.port), None)

    def _looked_up(self, address: Address) -> list[str]:
        if _is_literal(address.host):
            found = [address.host]
        else:
            try:
                found = self._resolver(address.host, address.port)
            except (OSError, UnicodeError) as error:
                raise DownloadFailed(
                    f"there is no host {address.host}", "Check the name and the network connection"
                ) from error
        inside = [one for one in found if not is_public(one)]
        if inside and address.host not in self._trusted:
            raise BadAddress(
                f"{address.host} leads to {inside[0]}, an address in a private network",
                f"If that is meant, add --allow-host {address.authority}",
            )
        return found[:_MOST]


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(text: str) -> bool:
    """Tell whether a network address is one of the Internet; those wrapped in IPv6 count as what they wrap."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved
