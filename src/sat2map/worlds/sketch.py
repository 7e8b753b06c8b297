"""Drawn and foreign maps become maps of this product's style: same colours, no specks, streets of even width.

Three steps. Every pixel gets a class: that of the nearest colour in a table of what people and other maps paint
things with. Specks vanish by majority among the pixels around. Streets are thinned to their middle lines,
straightened (Douglas and Peucker, Cartographica 1973) and drawn again with the pen of the street map painter.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sat2map.grid import Window
from sat2map.palette import BUILDING, GREEN, HIGHWAY, LAND, OTHER, ROAD, WATER
from sat2map.worlds.painting import street_map
from sat2map.worlds.painting.fill import Canvas, covered
from sat2map.worlds.painting.strokes import stroked
from sat2map.worlds.shapes import ARTERIAL, HIGHWAY_LINE, RAMP, STREET, WIDTHS, gathered

if TYPE_CHECKING:
    from sat2map.scenes.vectors.roads import Road

UInt8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

# What things are painted with: in the `maps` style, in other web maps, with felt pens.
INKS: dict[int, list[tuple[int, int, int]]] = {
    LAND: [(234, 230, 222), (238, 226, 210), (242, 239, 233), (224, 223, 223), (245, 243, 240), (222, 218, 214)],
    BUILDING: [(217, 208, 201), (190, 173, 160), (200, 170, 150), (160, 120, 100), (139, 90, 60), (196, 182, 171)],
    ROAD: [(255, 255, 255), (128, 128, 128), (96, 96, 96), (0, 0, 0), (60, 60, 60), (160, 160, 160)],
    HIGHWAY: [(250, 158, 38), (254, 226, 102), (254, 226, 154), (232, 146, 162), (255, 165, 0), (255, 215, 0),
              (230, 60, 40), (252, 214, 164), (249, 178, 156)],
    GREEN: [(202, 222, 174), (186, 210, 186), (194, 218, 158), (34, 139, 34), (0, 160, 60), (173, 209, 158),
            (200, 250, 204), (120, 190, 90), (60, 110, 50)],
    WATER: [(178, 210, 254), (166, 198, 254), (170, 211, 223), (60, 120, 220), (0, 0, 255), (90, 160, 220),
            (30, 60, 140), (0, 170, 220)],
}  # fmt: skip
# The building colour of `maps` is within 12 levels of land: only there is it told from paper.
PALE_BUILDING = (242, 242, 234)
SHORTEST = 14.0  # metres; shorter dead ends are smudges
STRAY = 1.5  # px that a straightened street may leave its middle line
_ENTRY = {LAND: 0, BUILDING: 2, ROAD: 3, HIGHWAY: 4, GREEN: 7, WATER: 10, OTHER: 12}


def clean_sketch(rgb: UInt8, *, smooth: int = 2, gsd: float = 0.9) -> UInt8:
    """(H, W, 3) drawing -> (H, W, 3) street map of the same size.

    `smooth` is the radius in px of the majority filter; `gsd` the metres that a pixel is to have, which fixes how wide
    streets are drawn. Raises MissingExtra without the vector parts.
    """
    from sat2map.scenes.vectors.writing import require

    require()
    classes = majority(inked(rgb), smooth)
    height, width = classes.shape
    canvas = Canvas(0, 0, height, width, gsd).finer(street_map.FINE)
    ground = majority(_without_streets(classes), smooth)
    entries = np.array([_ENTRY[number] for number in range(len(_ENTRY))], np.uint8)
    fine = np.repeat(np.repeat(entries[ground], street_map.FINE, 0), street_map.FINE, 1)
    found = streets(classes, gsd)
    for number, kinds, entry in (
        (ROAD, (STREET, ARTERIAL), street_map.ROAD),
        (HIGHWAY, (RAMP, HIGHWAY_LINE), street_map.HIGHWAY),
    ):
        these = [road for road in found if road.class_ == number]
        lines = gathered([road.line for road in these], {})
        widths = np.array(
            [min((WIDTHS[kind] for kind in kinds), key=lambda w: abs(w - road.width)) for road in these]
        )
        for grow, colour in ((2 * street_map.CASING, street_map.EDGE), (0.0, entry)):
            if these:
                fine[covered(canvas, stroked(lines, widths + grow))] = colour
    return street_map.street_map(fine)


def inked(rgb: UInt8) -> UInt8:
    """(H, W, 3) -> (H, W) class of the nearest ink; hue counts more than lightness, which pens and papers vary."""
    inks = [(colour, number) for number, colours in INKS.items() for colour in colours]
    if _is_maps_style(rgb):
        inks.append((PALE_BUILDING, BUILDING))
    table = _opponent(np.array([colour for colour, _ in inks], np.float32))
    numbers = np.array([number for _, number in inks], np.uint8)
    flat, inverse = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)
    out = np.empty(len(flat), np.uint8)
    for start in range(0, len(flat), 1 << 15):
        part = _opponent(flat[start : start + (1 << 15)].astype(np.float32))
        out[start : start + (1 << 15)] = numbers[((part[:, None] - table) ** 2).sum(-1).argmin(-1)]
    return out[inverse.reshape(-1)].reshape(rgb.shape[:2])


def _is_maps_style(rgb: UInt8) -> bool:
    """Whether the land of `maps` (or its buildings) is a common colour here."""
    away = np.abs(rgb.astype(np.int16) - np.array((234, 230, 222), np.int16)).max(-1)
    return bool((away <= 4).mean() > 0.05)


def _opponent(rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Lightness, red against green, yellow against blue."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.stack([0.55 * (red + green + blue) / 1.732, red - green, 0.5 * (red + green) - blue], -1)


def majority(classes: UInt8, radius: int) -> UInt8:
    """(H, W) most common class in the square of 2·radius + 1 px around each pixel; its own where there is a tie."""
    if not radius:
        return classes
    best, most = classes.copy(), np.zeros(classes.shape, np.int32)
    counts = {int(n): _box_sums(classes == n, radius) for n in np.unique(classes)}
    for number, count in counts.items():
        own = 2 * count + (classes == number)
        best = np.where(own > most, np.uint8(number), best)
        most = np.maximum(most, own)
    return best


def _box_sums(mask: Bools, radius: int) -> npt.NDArray[np.int32]:
    padded = np.pad(mask, radius, mode="edge").astype(np.int32)
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = 2 * radius + 1
    return np.asarray(
        sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side], np.int32
    )


def _without_streets(classes: UInt8) -> UInt8:
    """Streets become what lies beside them, ring by ring from their edges."""
    out = classes.copy()
    todo = (out == ROAD) | (out == HIGHWAY)
    if todo.all():
        return np.full_like(out, LAND)
    while todo.any():
        known = np.pad(np.where(todo, np.uint8(255), out), 1, constant_values=255)
        before = todo.sum()
        for d_row, d_col in ((0, 1), (2, 1), (1, 0), (1, 2)):
            beside = known[d_row : d_row + out.shape[0], d_col : d_col + out.shape[1]]
            take = todo & (beside != 255)
            out[take] = beside[take]
            todo &= ~take
        assert todo.sum() < before, "streets end at something else"
    return out


def streets(classes: UInt8, gsd: float) -> "list[Road]":
    """Streets of a class raster as straightened middle lines, in metres from the top left corner, y to the north."""
    from sat2map.scenes.vectors.paths import Networks, trace
    from sat2map.scenes.vectors.roads import roads
    from sat2map.scenes.vectors.shapes import Frame
    from sat2map.scenes.vectors.sources import NOTHING, ClassArray, read_mirrored
    from sat2map.scenes.vectors.thinning import MARGIN, centres

    window = Window(0, 0, *classes.shape)
    around = read_mirrored(ClassArray(classes), window.grown(MARGIN))
    is_street = (around == ROAD) | (around == HIGHWAY)
    if not is_street.any():
        return []
    found = centres(is_street, window, classes.shape)
    values = np.full((len(found.row), 5), NOTHING, np.int32)
    values[:, 0], values[:, 1], values[:, 2] = found.row, found.col, found.square
    values[:, 3] = around[found.row + MARGIN, found.col + MARGIN]
    networks = Networks()
    networks.add(trace(found, values, window, classes.shape[1]))
    return [
        road
        for network in networks.finish_row()
        for road in roads(network, Frame(gsd, gsd), classes.shape, SHORTEST, STRAY * gsd)
    ]
