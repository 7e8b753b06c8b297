"""What the funnel is asked to keep."""

from dataclasses import dataclass

from sat2map.collect.funnel.scene import NATURAL
from sat2map.collect.region import Region


@dataclass(frozen=True)
class Settings:
    """Thresholds of the stages. None: the stage lets everything pass."""

    region: Region | None = None
    months: frozenset[int] | None = None  # 1 to 12
    sun: float | None = 6.0  # degrees above the horizon, at least; below is golden light, dusk and night
    dated: bool = False  # reject what does not say when it was taken
    smallest: int = 256  # px of the shorter side
    scenes: tuple[str, ...] = NATURAL
    scene_share: float = 0.5  # probability that the scene is one of these
    keeps_people: bool = False
    person: float = 0.35  # score of a person
    face: float = 0.6  # score of a face
    distance: int = 40  # bits of 256 in which copies may differ
    sharpness: float = 8.0  # grey levels, see `picture.sharpness`
    light: float = 45.0  # mean grey level
    contrast: float = 12.0  # deviation of grey levels
