"""Addresses of tiles as templates: `{z}/{x}/{y}` and the variants that people paste from other programs."""

import re
from typing import NamedTuple

from sat2map.errors import BadTileSource
from sat2map.network import Address, public
from sat2map.scenes.sources.matrix import Level, Place

FIELDS = ("z", "x", "y", "-y", "q", "s", "r", "TileMatrix", "TileCol", "TileRow")
_PLACE = re.compile(r"\{([^{}]*)\}")
_SECRET = re.compile(r"env:[A-Za-z_]\w*")
_NEEDED = ({"z", "x", "y"}, {"z", "x", "-y"}, {"q"}, {"TileMatrix", "TileCol", "TileRow"})


class Template(NamedTuple):
    """A sound template, whose alternatives (`{s}`, `{switch:…}`, several addresses) share the tiles among them."""

    alternatives: tuple[str, ...]

    @classmethod
    def parse(cls, *texts: str) -> "Template":
        """Raise BadTileSource if it names no tile or has a field that is not known, BadAddress if it is no address."""
        alternatives = tuple(one for text in texts for one in _switched(text))
        for text in alternatives:
            fields = {name for name in _PLACE.findall(text) if not _SECRET.fullmatch(name)}
            unknown = sorted(fields - set(FIELDS))
            if unknown:
                raise BadTileSource(
                    f"{public(text)} has a field {{{unknown[0]}}}",
                    "Fields are {z} {x} {y} {-y} {q} {s} {switch:a,b} {r} {env:NAME} "
                    "and {TileMatrix} {TileCol} {TileRow}",
                )
            if not any(needed <= fields for needed in _NEEDED):
                raise BadTileSource(
                    f"{public(text)} does not say where column, row and zoom go",
                    "Give a template like https://host/{z}/{x}/{y}.png, a TileJSON or a WMTS capabilities address",
                )
            if "{" in text.partition("://")[2].partition("/")[0]:
                raise BadTileSource(
                    f"the host in {public(text)} depends on a field",
                    "Only {s} and {switch:a,b} may stand there",
                )
            Address.parse(_PLACE.sub("0", text))
        return cls(alternatives)

    def fill(self, level: Level, place: Place) -> str:
        """Return the address of a tile; {env:NAME} stays for the client."""
        col = place.col % level.cols
        text = self.alternatives[(place.row + col) % len(self.alternatives)]
        values = {
            "z": level.label,
            "x": str(col),
            "y": str(place.row),
            "-y": str(level.rows - 1 - place.row),
            "q": quadkey(level.label, col, place.row),
            "r": "@2x" if level.tile_width == 512 else "",
            "TileMatrix": level.label,
            "TileCol": str(col),
            "TileRow": str(place.row),
        }
        return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)

    @property
    def homes(self) -> list[str]:
        """An address on each host that the alternatives name."""
        return [_PLACE.sub("0", text) for text in self.alternatives]

    @property
    def is_double(self) -> bool:
        """Whether the template itself says that tiles have 512 px."""
        return "@2x" in self.alternatives[0]


def is_template(text: str) -> bool:
    """Tell whether an address has fields to be filled in, apart from tokens."""
    return any(not _SECRET.fullmatch(name) for name in _PLACE.findall(text))


def quadkey(zoom: str, col: int, row: int) -> str:
    """Return the name of a Web Mercator tile as one digit out of 0 to 3 for each zoom (Bing Maps Tile System)."""
    count = int(zoom) if zoom.isascii() and zoom.isdigit() else 0
    return "".join(str((col >> n & 1) + 2 * (row >> n & 1)) for n in reversed(range(count)))


def _switched(text: str) -> list[str]:
    """Return the template once for each host that {s} or {switch:…} may stand for; both mean the same in all places."""
    found = re.search(r"\{switch:([^{}]*)\}", text)
    choices = found[1].split(",") if found else ["a", "b", "c"] if "{s}" in text else [""]
    return [re.sub(r"\{switch:[^{}]*\}|\{s\}", choice.strip(), text) for choice in choices]
