"""Where the sun stands, and when a photo was taken by the clock that this needs.

Low-precision formulas of The Astronomical Almanac (U.S. Naval Observatory, "Computing Approximate Solar Coordinates"
and "Approximate Sidereal Time"): about 0.01 degrees between 1950 and 2050. Refraction is left out; by convention the
sun rises and sets at -0.833 degrees.
"""

import math
from datetime import UTC, datetime, timedelta

RISE = -0.833  # degrees: refraction at the horizon, and half the sun's disc
_EPOCH = datetime(2000, 1, 1, 12, tzinfo=UTC)  # J2000.0
_DATE = 10  # characters
_OBLIQUITY = 23.439  # degrees; its change of 0.0001 in a year is left out


def elevation(when: datetime, longitude: float, latitude: float) -> float:
    """Return the height of the sun's middle above the horizon in degrees; `when` has a zone."""
    days = (when - _EPOCH).total_seconds() / 86_400
    right_ascension, declination = _position(days)
    sidereal = 280.46061837 + 360.98564736629 * days + longitude  # degrees, at the place
    hour_angle = math.radians(sidereal) - right_ascension
    place = math.radians(latitude)
    height = math.sin(place) * math.sin(declination)
    height += math.cos(place) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))


def _position(days: float) -> tuple[float, float]:
    """Return right ascension and declination in radians, `days` after J2000.0."""
    anomaly = math.radians(357.529 + 0.98560028 * days)
    mean = 280.459 + 0.98564736 * days
    ecliptic = math.radians(mean + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(_OBLIQUITY)
    right_ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    return right_ascension, math.asin(math.sin(tilt) * math.sin(ecliptic))


def instant(taken: str, longitude: float) -> tuple[datetime, bool] | None:
    """Return when a photo was taken, and whether its zone was guessed; None if it does not say.

    A date alone does not say. `taken` is ISO 8601. Without a zone it is read as the mean solar time of the place,
    which clocks follow to an hour or two.
    """
    try:
        when = datetime.fromisoformat(taken)
    except ValueError:
        return None
    if len(taken) <= _DATE:
        return None
    if when.tzinfo is not None:
        return when, False
    return (when - timedelta(hours=longitude / 15)).replace(tzinfo=UTC), True
