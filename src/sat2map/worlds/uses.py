"""What a block is used for, and everything on it: lots, buildings, grounds, trees, cars."""

from dataclasses import dataclass, field

import numpy as np

from sat2map.worlds.building import House, halls, offices, perimeter, public, slabs, towers
from sat2map.worlds.building import houses as detached
from sat2map.worlds.building import rows as terraced
from sat2map.worlds.chance import Dice, Floats, noise
from sat2map.worlds.district import Block, District, Spur, spur_line
from sat2map.worlds.footprints import distances, rims
from sat2map.worlds.greenery import Area, car_park, outside, park_areas, pitch
from sat2map.worlds.lots import PAVEMENT, Frame, Lots, frame_of, half_widths, rows_of_lots, strips
from sat2map.worlds.shapes import (
    COURT,
    GARDEN,
    PARK,
    PATH,
    PITCH,
    PLAZA,
    SCHOOL,
    STREET,
    TURNING,
    WIDTHS,
    WOOD,
    WORKS,
)
from sat2map.worlds.terrain import Terrain

USES = ("homes", "terraces", "tenements", "estate", "towers", "offices", "works", "shops", "school", "park",
        "wood", "car park", "plaza")  # fmt: skip

# Weights of uses by the kind of district; parks are weighed by the town's green besides.
MIX: dict[str, dict[str, float]] = {
    "core": {"offices": 0.34, "tenements": 0.4, "terraces": 0.08, "plaza": 0.03, "park": 0.1, "car park": 0.06,
             "school": 0.03},
    "rows": {"terraces": 0.55, "tenements": 0.22, "homes": 0.08, "school": 0.04, "park": 0.1, "car park": 0.02,
             "shops": 0.05},
    "suburb": {"homes": 0.84, "terraces": 0.04, "school": 0.05, "park": 0.11, "shops": 0.04, "wood": 0.02},
    "loops": {"homes": 0.86, "school": 0.04, "park": 0.12, "wood": 0.06, "shops": 0.03},
    "estate": {"estate": 0.52, "towers": 0.24, "school": 0.08, "park": 0.14, "terraces": 0.08, "car park": 0.05},
    "works": {"works": 0.66, "shops": 0.16, "car park": 0.1, "wood": 0.05, "park": 0.04},
    "park": {"park": 0.7, "wood": 0.3},
}  # fmt: skip


@dataclass
class Built:
    """What the blocks of a district hold, collected block by block."""

    lots: list[Floats] = field(default_factory=list)  # rings
    lot_uses: list[int] = field(default_factory=list)
    grounds: list[Area] = field(default_factory=list)
    houses: list[House] = field(default_factory=list)
    trees: list[Floats] = field(default_factory=list)  # (n, 2)
    cars: list[Floats] = field(default_factory=list)  # (n, 4)

    def divide(self, lots: Lots, use: str) -> None:
        """Note the lots as parcels."""
        count = len(lots)
        corners = lots.quads(np.zeros(count), np.ones(count), np.zeros(count), np.ones(count))
        self.lots += list(corners)
        self.lot_uses += [USES.index(use)] * count

    def whole(self, frame: Frame, use: str) -> None:
        """Note the whole frame as one parcel."""
        self.lots.append(frame.outline())
        self.lot_uses.append(USES.index(use))


def build_blocks(terrain: Terrain, district: District) -> Built:
    """Use every block of a district."""
    built = Built()
    spurs = dict(district.spurs)
    for number, block in enumerate(district.blocks):
        first = len(built.houses)
        frame = frame_of(district.patch, block)
        if frame is None:
            continue
        dice = Dice(terrain.town.seed, 90, *district.key, number)
        mix = {
            use: weight * (2.2 * terrain.town.green if use in ("park", "wood") else 1.0)
            for use, weight in MIX[district.kind].items()
        }
        if not any(mix.values()):
            mix = MIX[district.kind]
        use = dice.pick(mix)
        if not any(block.fronts):  # nobody could get there: banks of rivers, mostly
            use = "wood" if dice.roll() < 0.25 else "park"
        if number in spurs:
            use = use if use in ("homes", "estate", "towers") else "homes"
            for part, fronts in around_spur(frame, block, spurs[number]):
                use_block(terrain, part, fronts, use, dice, built)
        else:
            use_block(terrain, frame, block.fronts, use, dice, built)
        built.houses[first:] = _off_the_street(built.houses[first:], district, block, spurs.get(number))
    return built


def _off_the_street(houses: list[House], district: District, block: Block, spur: Spur | None) -> list[House]:
    """Leave out houses that a bent street comes too near to."""
    if not houses:
        return houses
    a0, a1, b0, b1 = block.rect
    lines = list(zip(Frame(district.patch, a0, a1, b0, b1).sides(), half_widths(block), strict=True))
    if spur:
        axis = spur_line(district.patch, spur)
        lines += [(axis, WIDTHS[STREET] / 2), (axis[[-1, -1]], TURNING)]
    points = rims(np.stack([house.quad for house in houses]))
    clear = np.all([distances(points, line).min(1) > half + 0.8 for line, half in lines], axis=0)
    return [houses[n] for n in np.flatnonzero(clear)]


def around_spur(frame: Frame, block: Block, spur: Spur) -> list[tuple[Frame, tuple[bool, bool, bool, bool]]]:
    """The three parts of a block that a cul-de-sac opens up: left and right of it, and beyond its circle."""
    across, along = frame.size
    half = (WIDTHS[STREET] / 2 + PAVEMENT) / across * 1.25
    p = (spur.start[0] - frame.a0) / (frame.a1 - frame.a0)
    q = (spur.end[1] - frame.b0) / (frame.b1 - frame.b0)
    head = (TURNING + PAVEMENT) / along * 1.3
    bottom, right, top, left = block.fronts
    upward = spur.end[1] > spur.start[1]
    low, high = (0.0, q - 0.2 * head) if upward else (q + 0.2 * head, 1.0)
    # beside the turning circle lots must stay clear of it
    beside = max(half, (TURNING + PAVEMENT) / across * 1.25)
    parts = [
        (frame.sub(0, p - beside, low, high), (bottom and upward, True, top and not upward, left)),
        (frame.sub(p + beside, 1, low, high), (bottom and upward, right, top and not upward, True)),
    ]
    if upward and q + head < 0.97:
        parts.append((frame.sub(0, 1, q + head, 1), (False, right, top, left)))
    if not upward and q - head > 0.03:
        parts.append((frame.sub(0, 1, 0, q - head), (bottom, right, False, left)))
    return [part for part in parts if min(part[0].size) > 14]


def use_block(
    terrain: Terrain, frame: Frame, fronts: tuple[bool, bool, bool, bool], use: str, dice: Dice, built: Built
) -> None:
    """Lay out one block (or part of one) for a use."""
    if min(frame.size) < 16 and use not in ("park", "wood", "plaza"):
        use = "park"
    first = len(built.houses)
    match use:
        case "homes" | "terraces" | "tenements" | "offices":
            middle = _built_up(frame, fronts, use, dice, built)
            if middle is not None:
                _yard(middle, use, dice, built)
        case "estate" | "towers":
            built.whole(frame, use)
            built.grounds.append((GARDEN, frame.outline()))
            built.houses += slabs(frame, dice) if use == "estate" else towers(frame, dice)
        case "works" | "shops":
            _works(frame, use, dice, built)
        case "school":
            _school(frame, dice, built)
        case "car park":
            built.whole(frame, use)
            grounds, cars = car_park(frame, dice)
            built.grounds += grounds
            built.cars.append(cars)
        case _:
            _open(frame, use, dice, built)
    _plant(terrain, frame, use, built.houses[first:], dice, built)


def _built_up(
    frame: Frame, fronts: tuple[bool, bool, bool, bool], use: str, dice: Dice, built: Built
) -> Frame | None:
    width, depth = {
        "homes": (dice.between(12, 19), 38.0),
        "terraces": (dice.between(5.8, 8.0), 31.0),
        "tenements": (dice.between(15, 27), 30.0),
        "offices": (dice.between(28, 52), 44.0),
    }[use]
    lots, middle = rows_of_lots(frame, fronts, width, depth, dice)
    built.divide(lots, use)
    build = {
        "homes": detached,
        "terraces": terraced,
        "tenements": perimeter,
        "offices": offices,
    }[use]
    if len(lots):
        built.houses += build(lots, dice)
    return middle


def _yard(middle: Frame, use: str, dice: Dice, built: Built) -> None:
    """The inside of a block: gardens, or a paved court, or cars."""
    if use in ("tenements", "offices") and min(middle.size) > 26 and dice.roll() < 0.5:
        grounds, cars = car_park(middle.sub(0.08, 0.92, 0.08, 0.92), dice)
        built.grounds += grounds
        built.cars.append(cars)
    else:
        built.grounds.append((COURT if use == "offices" else GARDEN, middle.outline()))


def _works(frame: Frame, use: str, dice: Dice, built: Built) -> None:
    """Halls with yards; shops have their car park in front."""
    built.grounds.append((WORKS, frame.outline()))
    across, along = frame.size
    if use == "shops" and min(across, along) > 60:
        lower = dice.roll() < 0.5
        part = dice.between(0.4, 0.55)
        lot = frame.sub(0, 1, 0, part) if lower else frame.sub(0, 1, 1 - part, 1)
        grounds, cars = car_park(lot.sub(0.03, 0.97, 0.04, 0.96), dice)
        built.grounds += grounds
        built.cars.append(cars)
        frame = frame.sub(0, 1, part, 1) if lower else frame.sub(0, 1, 0, 1 - part)
    lots = strips(frame, dice.between(38, 90), dice)
    built.divide(lots, use)
    built.houses += halls(lots, dice)


def _school(frame: Frame, dice: Dice, built: Built) -> None:
    built.whole(frame, "school")
    built.grounds.append((SCHOOL, frame.outline()))
    across, along = frame.size
    lengthwise = across > along
    one = frame.sub(0, 0.55, 0, 1) if lengthwise else frame.sub(0, 1, 0, 0.55)
    other = frame.sub(0.55, 1, 0, 1) if lengthwise else frame.sub(0, 1, 0.55, 1)
    built.houses += public(one, dice)
    field_ring = pitch(other, dice, 60, 38)
    if field_ring is None:
        field_ring = pitch(other, dice, 28, 16)
    if field_ring is not None:
        built.grounds.append((PITCH, field_ring))


def _open(frame: Frame, use: str, dice: Dice, built: Built) -> None:
    """Ground without buildings, up to the kerb."""
    built.whole(frame, use)
    ground = {"park": PARK, "wood": WOOD, "plaza": PLAZA}[use]
    built.grounds.append((ground, frame.outline()))
    if use == "park":
        areas = park_areas(frame, dice)
        built.grounds += areas
        if min(frame.size) > 90 and dice.roll() < 0.5 and all(kind in (PARK, PATH) for kind, _ in areas):
            built.houses += public(frame.sub(0.1, 0.5, 0.1, 0.5), dice)


# Trees per hectare, and metres that they stay away from walls.
TREES = {"homes": 64, "terraces": 36, "tenements": 11, "estate": 48, "towers": 42, "offices": 3, "works": 3, "shops": 3,
         "school": 26, "park": 75, "wood": 330, "car park": 5, "plaza": 25}  # fmt: skip


def _plant(terrain: Terrain, frame: Frame, use: str, houses: list[House], dice: Dice, built: Built) -> None:
    """Trees where there is room for them: in clumps, as they stand in parks and back gardens."""
    across, along = frame.size
    green = 0.5 + terrain.town.green
    count = int(TREES[use] * green * across * along / 1e4)
    if not count:
        return
    p, q = dice.rolls(3 * count), dice.rolls(3 * count)
    points = frame.at(0.01 + 0.98 * p, 0.01 + 0.98 * q)
    clump = noise(terrain.town.seed, 95, points[:, 0], points[:, 1], 38.0)
    wanted = dice.rolls(3 * count) < 0.33 + (0.32 if use in ("park", "homes") else 0.15) * clump
    points = points[wanted]
    if houses:
        points = points[outside(points, np.stack([house.quad for house in houses]), 1.5)]
    kept_clear = [ring for kind, ring in built.grounds if kind == PITCH]
    if kept_clear:
        points = points[outside(points, np.stack(kept_clear), 1.0)]
    built.trees.append(points)
