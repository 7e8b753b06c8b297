"""Whose imagery a scene is: tags that go with the pixels, whatever is made of them."""

from typing import Any

from sat2map.scenes.raster.gate import translated_errors

SOURCE = "SAT2MAP_SOURCE"  # where the tiles of a scene were fetched from
COPYRIGHT = "TIFFTAG_COPYRIGHT"  # attribution, where TIFF has a place for it
_CARRIED = (COPYRIGHT, SOURCE, f"{SOURCE}_LAYER", f"{SOURCE}_ZOOM", f"{SOURCE}_FETCHED")
_LONGEST = 1000  # characters


def origin_of(dataset: Any, name: str = "the scene") -> dict[str, str]:
    """Return the tags of a dataset that say where its pixels come from. Raises CorruptImage."""
    with translated_errors(name):
        tags = dataset.tags()
    found = {tag: "".join(c for c in str(tags.get(tag, "")) if c.isprintable()) for tag in _CARRIED}
    return {tag: text[:_LONGEST] for tag, text in found.items() if text}
