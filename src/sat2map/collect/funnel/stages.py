"""What each stage decides of a photo, from what is known of it: pure functions. Reasons are `kind: details`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sat2map.collect.funnel.settings import Settings
from sat2map.collect.manifest import Measure, Photo
from sat2map.collect.sun import elevation, instant

# In the order in which photos pass them.
STAGES = {
    "coordinates": "a place on earth",
    "region": "in the area",
    "season": "in the months asked for",
    "daylight": "with the sun up",
    "picture": "readable and large enough",
    "scene": "of the scenes asked for",
    "people": "without people and faces",
    "duplicates": "the best of its copies",
    "quality": "sharp, lit, not flat",
    "review": "kept by a person",
}
_SHOWN = 3  # scenes named in a reason


class Opinion(NamedTuple):
    """Whether a photo passes, and why (not)."""

    kept: bool
    reason: str = ""


PASSED = Opinion(True)


def coordinates(photo: Photo, settings: Settings) -> Opinion:
    """Is there a place?"""
    return Opinion(False, "no coordinates") if photo.longitude is None or photo.latitude is None else PASSED


def region(photo: Photo, settings: Settings) -> Opinion:
    """Does it lie in the region?"""
    assert photo.longitude is not None and photo.latitude is not None, "the stage before sees to it"
    if settings.region is None or settings.region.holds(photo.longitude, photo.latitude):
        return PASSED
    return Opinion(False, f"outside the region: {photo.longitude:.4f}, {photo.latitude:.4f}")


def season(photo: Photo, settings: Settings) -> Opinion:
    """Was it taken in one of the months? The month is that of the calendar on the spot."""
    if settings.months is None:
        return _dated(photo, settings)
    try:
        month = datetime.fromisoformat(photo.taken).month
    except ValueError:
        return Opinion(not settings.dated, "no date")
    return PASSED if month in settings.months else Opinion(False, f"other season: month {month}")


def daylight(photo: Photo, settings: Settings) -> Opinion:
    """Was the sun high enough?"""
    assert photo.longitude is not None and photo.latitude is not None
    if settings.sun is None:
        return _dated(photo, settings)
    found = instant(photo.taken, photo.longitude)
    if found is None:
        return Opinion(not settings.dated, "no date")
    when, is_guessed = found
    # clocks without a zone may be ahead of the sun, in summer in the west of a zone by more than two hours
    shifts = (0, 1, 2) if is_guessed else (0,)
    height = max(elevation(when - timedelta(hours=h), photo.longitude, photo.latitude) for h in shifts)
    guess = ", zone guessed" if is_guessed else ""
    return PASSED if height >= settings.sun else Opinion(False, f"sun too low: {height:.0f} degrees{guess}")


def _dated(photo: Photo, settings: Settings) -> Opinion:
    return Opinion(False, "no date") if settings.dated and not photo.taken else PASSED


def picture(photo: Photo, measure: Measure, settings: Settings) -> Opinion:
    """Can it be read, and is it large enough?"""
    if "error" in measure.values:
        return Opinion(False, f"unreadable: {measure.values['error']}")
    if min(photo.height, photo.width) < settings.smallest:
        return Opinion(False, f"too small: {photo.width} x {photo.height} px")
    return PASSED


def scene(measure: Measure, settings: Settings) -> Opinion:
    """Is it of the scenes, in sum likely enough?"""
    chances = {name: value for name, value in measure.values.items() if isinstance(value, float)}
    share = sum(value for name, value in chances.items() if name in settings.scenes)
    best = ", ".join(f"{name} {value:.2f}" for name, value in list(chances.items())[:_SHOWN])
    text = f"{best} (wanted {share:.2f})"
    return Opinion(True, text) if share >= settings.scene_share else Opinion(False, f"other scene: {text}")


def people(measures: Mapping[str, Measure], settings: Settings) -> Opinion:
    """Is nobody in sight? `measures` of people and of faces, as far as there are detectors."""
    for what, one, least in (("people", "person", settings.person), ("faces", "face", settings.face)):
        boxes = detections(measures[what]) if what in measures else []
        sure = [box for box in boxes if box[0] >= least]
        if sure and not settings.keeps_people:
            tallest = max(bottom - top for _, _, top, _, bottom in sure)
            return Opinion(
                False, f"{one}: {len(sure)}, score {sure[0][0]:.2f}, {100 * tallest:.0f} % of the height"
            )
    return PASSED


def detections(measure: Measure) -> list[tuple[float, ...]]:
    """Return (score, left, top, right, bottom) of each box, the surest first; shares of width and height."""
    flat = measure.values.get("boxes", [])
    assert isinstance(flat, list), "boxes are numbers"
    return [tuple(flat[i : i + 5]) for i in range(0, len(flat), 5)]


def quality(measure: Measure, settings: Settings) -> Opinion:
    """Is it sharp, light and not flat?"""
    for what, least, fault in (
        ("light", settings.light, "dark"),
        ("contrast", settings.contrast, "flat"),
        ("sharpness", settings.sharpness, "blurred"),
    ):
        value = number(measure, what)
        if value < least:
            return Opinion(False, f"{fault}: {what} {value:.1f}, at least {least:g}")
    return PASSED


def number(measure: Measure, what: str) -> float:
    """Return a value of a measure that is a number."""
    value = measure.values[what]
    assert isinstance(value, int | float), f"{what} is a number"
    return float(value)
