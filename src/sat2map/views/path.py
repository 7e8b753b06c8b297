"""Walking: places along a line, a step apart, each with the heading in which one walks."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from sat2map.errors import BadPath, FileMissing
from sat2map.views.imagery.source import Imagery, Place

MOST = 500  # steps
LARGEST = 4 << 20  # bytes of a file
AHEAD = 12.0  # metres: one looks at where one will be then, so that corners are turned gently


class Step(NamedTuple):
    """A place on the way, and where one looks there."""

    place: Place
    heading: float  # degrees clockwise from north


def places_in(text: str) -> list[Place]:
    """Return the places of `X,Y X,Y …`, or of the first line in a GeoJSON file of that name. Raises BadPath."""
    if re.search(r"\.(geo)?json$", text.strip(), re.IGNORECASE):
        return _line(Path(text.strip()))
    found = []
    for word in re.split(r"[\s;]+", text.strip()):
        numbers = word.split(",")
        try:
            x, y = (float(number) for number in numbers)
        except ValueError:
            raise BadPath(
                f"{word!r} in the path is no place",
                "Give places as X,Y with spaces between them, or a .geojson file",
            ) from None
        found.append(Place(x, y))
    return _checked(found)


def _line(path: Path) -> list[Place]:
    try:
        if path.stat().st_size > LARGEST:
            raise BadPath(f"{path} has more than {LARGEST:,} bytes", "Cut the line out of it")
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise FileMissing(f"{path}: {error.strerror}", "Check the path") from error
    except (ValueError, RecursionError) as error:
        raise BadPath(f"{path} is not JSON: {error}", "Give a GeoJSON file with a LineString") from error
    corners = _first_line(tree)
    try:
        return _checked([Place(float(corner[0]), float(corner[1])) for corner in corners or ()])
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise BadPath(f"{path}: the line is no list of positions", "Give a GeoJSON LineString") from error


def _first_line(tree: Any) -> Any:
    """Return the coordinates of the first LineString of a GeoJSON object, None if there is none."""
    if not isinstance(tree, dict):
        return None
    if tree.get("type") == "LineString":
        return tree.get("coordinates")
    if tree.get("type") == "MultiLineString":
        return next(iter(tree.get("coordinates") or ()), None)
    inner = [tree.get("geometry"), *(tree.get("features") or ()), *(tree.get("geometries") or ())]
    return next((line for part in inner if (line := _first_line(part)) is not None), None)


def _checked(places: list[Place]) -> list[Place]:
    if len(places) < 2 or not all(math.isfinite(value) for place in places for value in place):
        raise BadPath(f"the path has {len(places)} places", "Give two or more")
    return places


def bearing(east: float, north: float) -> float:
    """Return the heading towards an offset, degrees clockwise from north in [0, 360)."""
    return math.degrees(math.atan2(east, north)) % 360


def walked(places: list[Place], imagery: Imagery, step: float, heading: float | None = None) -> list[Step]:
    """Return places every `step` metres along a line, first and last included; `heading` is kept if it is given.

    Raises BadPath for a line without length or of more than 500 steps.
    """
    lengths = [math.hypot(*imagery.offset(one, two)) for one, two in itertools.pairwise(places)]
    whole = sum(lengths)
    if whole == 0:
        raise BadPath("all places of the path are the same", "Give two that differ")
    count = max(round(whole / step), 1)
    if count > MOST:
        raise BadPath(
            f"the path is {whole:,.0f} m long and would need {count:,} steps of {step:g} m",
            f"Choose a --step of {whole / MOST:.1f} or more",
        )

    def at(metres: float) -> Place:
        for one, two, length in zip(places, places[1:], lengths, strict=False):
            if metres <= length and length:
                return one.towards(two, max(metres, 0.0) / length)
            metres -= length
        return places[-1]

    found = []
    for number in range(count + 1):
        here = whole * number / count
        ahead = min(here + AHEAD, whole)
        behind = max(ahead - AHEAD, 0.0)
        away = imagery.offset(at(min(here, behind)), at(ahead))
        found.append(Step(at(here), bearing(*away) if heading is None else heading))
    return found
