"""Tokens: taken from the environment where an address or a header says `{env:NAME}`, and masked in all that is said."""

import base64
import os
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

from sat2map.errors import BadAddress

_PLACE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_MASK = "***"
_SHORTEST = 4  # characters; masking shorter ones would garble every text and protect nothing


class Secrets:
    """The values that `{env:NAME}` stands for in the texts that a user gave."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` by name. Raises BadAddress for one that cannot stand in a header: it would be cut or split there."""
        self._values = dict(values)
        for name, value in self._values.items():
            if not value or not value.isascii() or not value.isprintable():
                raise BadAddress(
                    f"the environment variable {name} is empty or holds more than plain printable characters",
                    f"Set {name} to the token alone, without line ends",
                )
        self._forms = sorted({f for v in self._values.values() for f in _forms(v)}, key=len, reverse=True)

    @classmethod
    def named_in(cls, *texts: str, environ: Mapping[str, str] | None = None) -> "Secrets":
        """Look up every name that the texts mention. Raises BadAddress for one that the environment lacks."""
        environ = os.environ if environ is None else environ
        names = {name for text in texts for name in _PLACE.findall(text)}
        missing = sorted(names - set(environ))
        if missing:
            raise BadAddress(
                f"the environment has no variable {missing[0]}",
                f"Set it: export {missing[0]}=… and run the command again",
            )
        return cls({name: environ[name] for name in names})

    def fill(self, text: str, *, in_url: bool) -> str:
        """Return `text` with the values in place, percent-encoded `in_url`."""
        return _PLACE.sub(
            lambda found: quote(self._values[found[1]], safe="") if in_url else self._values[found[1]], text
        )

    def mask(self, text: str) -> str:
        """Return `text` without any of the values, however they are written in it."""
        for form in self._forms:
            text = text.replace(form, _MASK)
        return text


def _forms(value: str) -> set[str]:
    """Return the spellings in which a value could turn up in the text of a library or a server."""
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value), raw.hex(), repr(value)[1:-1]}
    forms |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return {form for form in forms if len(form) >= _SHORTEST}
