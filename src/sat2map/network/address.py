"""Addresses: parsed strictly, because what is odd in an address is there to be read differently by two readers."""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from sat2map.errors import BadAddress

PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_KEPT = "/%:=&?~+!$,;'@()*[]{}|"  # characters of a path or query that stay as they are
_LONGEST = 8192  # characters
# Query fields whose values say what is asked for; any other may be a key, and is masked where addresses are shown.
_PLAIN = frozenset(
    {
        *("service", "request", "version", "layer", "layers", "style", "styles", "format", "tilematrixset"),
        *("tilematrix", "tilerow", "tilecol", "crs", "srs", "bbox", "width", "height", "lang", "time"),
        *("x", "y", "z", "r", "s", "l", "v", "q", "t"),
    }
)


class Address(NamedTuple):
    """Where a request goes."""

    scheme: str  # http or https
    host: str  # lower case, ASCII; IPv6 without brackets
    port: int
    target: str  # path and query, encoded

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be the same for credentials to be sent again."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as they stand in an address and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole, secrets included."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Raise BadAddress for what is no plain http or https address."""
        remedy = "Give an address like https://host/path"
        if len(url) > _LONGEST:
            raise BadAddress(f"an address has {len(url)} characters", remedy)
        if "\\" in url or any(ord(sign) <= 32 or ord(sign) == 127 for sign in url):
            raise BadAddress(
                f"the address {public(url)} holds a space, a backslash or a control character", remedy
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadAddress(f"cannot read the address {public(url)}", remedy) from error
        if parts.scheme not in PORTS:
            raise BadAddress(f"{public(url)} is no http or https address", remedy)
        if "@" in parts.netloc:
            raise BadAddress(
                f"the address {public(url)} holds a user name or password",
                "Leave it out; send it as a header: --header 'Authorization: Basic {env:NAME}'",
            )
        host = ascii_host(parts.hostname or "")
        if port == 0:
            raise BadAddress(f"the address {public(url)} names port 0", remedy)
        target = quote(parts.path or "/", safe=_KEPT)
        if parts.query:
            target += "?" + quote(parts.query, safe=_KEPT)
        return cls(parts.scheme, host, port or PORTS[parts.scheme], target)


def ascii_host(host: str) -> str:
    """Return a host name or an address in its one spelling. Raises BadAddress."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        plain = host.lower().encode("idna").decode() if host and not host.isascii() else host.lower()
    except UnicodeError:
        plain = ""
    if not _NAME.fullmatch(plain):
        raise BadAddress(f"{host!r} is no host name", "Give an address like https://host/path")
    return plain.rstrip(".")


def public(url: str) -> str:
    """Return an address or template fit to be shown and kept: without values that may be keys, at most 300 signs."""
    head, sign, query = url.partition("?")
    scheme, slashes, rest = head.partition("://")
    authority, slash, path = rest.partition("/")
    shown = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}" if slashes else head
    if sign:
        shown += "?" + "&".join(_shown(part) for part in query.partition("#")[0].split("&"))
    shown = "".join(character if character.isprintable() else "?" for character in shown)
    return shown if len(shown) <= 300 else shown[:299] + "…"


def _shown(part: str) -> str:
    name, sign, value = part.partition("=")
    is_plain = name.lower() in _PLAIN or value == "" or re.fullmatch(r"(\{[^{}]*\}|\*\*\*)+", value)
    return part if is_plain else f"{name}{sign}***"
