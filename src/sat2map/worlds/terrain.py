"""What a town is told, and the fields over the plane that everything else asks: distortion, water, density."""

from typing import Literal, get_args

import msgspec
import numpy as np

from sat2map.errors import BadWorld
from sat2map.worlds.chance import Dice, Floats, layered, noise

Style = Literal["grid", "organic", "radial", "coastal"]
STYLES: tuple[Style, ...] = get_args(Style)

EMBANKMENT = 40.0  # metres that main junctions keep from rivers
DRY = 12.0  # metres between a house or a street's axis and the shore


class Town(msgspec.Struct, frozen=True):
    """The parameters of a world. Equal towns are equal worlds, down to the byte."""

    seed: int
    style: Style = "grid"
    density: float = 0.5  # 0 leafy suburbs, 1 city blocks
    water: float = 0.3  # 0 none, 1 wide rivers close to one another
    green: float = 0.4  # 0 hardly a park, 1 every other block

    def __post_init__(self) -> None:
        """Refuse what is no town; raises BadWorld."""
        if self.style not in STYLES:
            raise BadWorld(f"there is no style {self.style!r}", f"Use one of {', '.join(STYLES)}")
        if not 0 <= self.seed < 1 << 63:
            raise BadWorld(f"the seed {self.seed} is out of range", "Use a whole number from 0 to 2^63 - 1")
        for name in ("density", "water", "green"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise BadWorld(f"{name} {value} is out of range", "Use a number from 0 to 1")


class Terrain:
    """Fields of one town. Points are (..., 2) metres; plan points are those of the undistorted street lattice."""

    SHORE = 900.0  # metres over which the coast's shape fades inland

    def __init__(self, town: Town) -> None:
        self.town = town
        dice = Dice(town.seed, 1)
        angle = dice.between(0, 2 * np.pi) if town.style != "radial" else 0.0
        self._turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self._swing = {"grid": 14.0, "organic": 62.0, "radial": 26.0, "coastal": 20.0}[town.style]
        self._reach = {"grid": 900.0, "organic": 560.0, "radial": 700.0, "coastal": 700.0}[town.style]
        self._meander = 2100.0 / (
            0.45 + town.water
        )  # metres between knots of the noise whose zeros are rivers
        self._river = 18.0 + 75.0 * town.water  # half width, metres
        # The origin, where pictures start, must not lie in the sea, but should see it.
        self._offing = np.array([0.0, dice.between(60, 260)]) if town.style == "coastal" else np.zeros(2)
        self.displacement = 2.0 * self._swing + (330.0 if town.style == "coastal" else 0.0)

    def to_world(self, plan: Floats) -> Floats:
        """Distort plan points smoothly and one to one, then turn them."""
        x, y = plan[..., 0], plan[..., 1]
        seed, reach = self.town.seed, self._reach
        calm = np.clip((y - 100) / 500, 0, 1) if self.town.style == "coastal" else 1.0
        moved = np.stack(
            [
                x + self._swing * calm * layered(seed, 11, x, y, reach, 2),
                y + self._swing * calm * layered(seed, 13, x, y, reach, 2),
            ],
            -1,
        )
        if self.town.style == "coastal":
            moved[..., 1] += self._coast(moved[..., 0]) * np.exp(-np.abs(y) / self.SHORE)
        return np.asarray((moved - self._offing) @ self._turn.T)

    def to_plan(self, world: Floats) -> Floats:
        """Turn back; what is left of the distortion is at most `displacement` metres on either axis."""
        return np.asarray(world @ self._turn + self._offing)

    def _coast(self, x: Floats) -> Floats:
        """Height of the coastline above the plan's axis, within about ±300 metres."""
        flat = np.zeros_like(x)
        return 170 * noise(self.town.seed, 21, x, flat, 1300) + 80 * noise(self.town.seed, 22, x, flat, 520)

    def shore(self, world: Floats) -> Floats:
        """Metres to the nearest shore, roughly: positive on land, negative in water."""
        x, y = np.asarray(world[..., 0]), np.asarray(world[..., 1])
        seed = self.town.seed
        land = np.full(x.shape, 1e4)
        if self.town.water > 0:
            land = np.minimum(land, self._bank(x, y))
        if self.town.style == "coastal":
            turned = self.to_plan(world)
            land = np.minimum(land, (turned[..., 1] - self._coast(turned[..., 0])) * 0.9)
        ragged = 2.5 * noise(seed, 33, x, y, 45) + 1.5 * noise(seed, 34, x, y, 17)
        return np.asarray(np.where(land < 100, land + ragged, land))

    def _bank(self, x: Floats, y: Floats) -> Floats:
        """Metres to the nearest river bank, negative in the river: rivers run where a noise is zero."""
        usual = 1.9 / self._meander  # slope of the noise, per metre
        course = self._course(x, y)
        away = np.array(np.abs(course) / usual)
        near = away < 600
        if near.any():
            # by the true slope, rivers are about as wide everywhere; where it vanishes they become lakes
            x, y, here = x[near], y[near], course[near]
            step = 5.0
            slope = np.hypot(self._course(x + step, y) - here, self._course(x, y + step) - here) / step
            away[near] = np.abs(here) / np.clip(slope, 0.45 * usual, None)
        return away - self._river

    def _course(self, x: Floats, y: Floats) -> Floats:
        seed, meander = self.town.seed, self._meander
        return noise(seed, 31, x, y, meander) + 0.3 * noise(seed, 32, x, y, meander / 3)

    def ashore(self, world: Floats) -> Floats:
        """Move points in or near a river away from it, far enough for an embankment; others stay."""
        points = world.copy()
        for _ in range(6):
            depth = self.shore(points)
            if (depth >= EMBANKMENT).all():
                break
            step = 4.0
            beside = self.shore(points[..., None, :] + np.array([(step, 0.0), (0.0, step)]))
            slope = beside - depth[..., None]
            slope /= np.maximum(np.hypot(slope[..., 0], slope[..., 1]), 1e-9)[..., None]
            points += slope * np.clip(EMBANKMENT - depth, 0, 40)[..., None]
        return points

    def density(self, world: Floats) -> Floats:
        """How city-like a place is, within [0, 1]: the town's density with hills and dales of some kilometres."""
        x, y = world[..., 0], world[..., 1]
        local = self.town.density + 0.38 * noise(self.town.seed, 41, x, y, 1100)
        if self.town.style == "radial":
            local = local + 0.35 * np.exp(-np.hypot(x, y) / 700) - 0.1
        return np.clip(local, 0, 1)
