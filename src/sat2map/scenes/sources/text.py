"""Text that strangers wrote, fit for tags and messages; and their XML, read without doing what it says."""

import html
import re
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sat2map.errors import BadTileSource

_DEEPEST = 64
_MOST = 1_000_000  # elements


def plain(text: str, most: int = 500) -> str:
    """Return text without markup, control characters and line ends, at most `most` characters."""
    text = html.unescape(re.sub(r"<[^<>]*>", " ", text))
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def parse_xml(body: bytes, name: str) -> ET.Element:
    """Return the root of a document whose tags and attributes have lost their namespaces.

    A document type declaration is refused: it can define entities that grow without end or name files. So nothing
    outside the document is ever read. Raises BadTileSource.
    """
    builder, depth, count = ET.TreeBuilder(), 0, 0
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise BadTileSource(
            f"{name} has a document type declaration", "Name the service's capabilities address"
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _DEEPEST or count > _MOST:
            raise BadTileSource(
                f"{name} is nested too deeply or too long", "Name another address of the service"
            )
        builder.start(_local(tag), {_local(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(tag))

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: an encoding that nobody knows
        raise BadTileSource(
            f"{name} is no XML: {error}", "Name the service's capabilities address"
        ) from error
    return builder.close()


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
