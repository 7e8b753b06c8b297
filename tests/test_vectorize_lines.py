"""Roads on fine grids: found on squares of pixels, as lines of the same places, the same whatever the blocks."""

import numpy as np
import pytest

from sat2map.grid import Window
from sat2map.palette import GREEN, HIGHWAY, LAND, ROAD
from sat2map.scenes.vectors.lines import WIDEST, Lines, Squares, block_side, square_for
from sat2map.scenes.vectors.roads import Road
from sat2map.scenes.vectors.shapes import Frame
from sat2map.scenes.vectors.sources import ClassArray, RasterArray
from sat2map.scenes.vectors.thinning import ROUNDS
from vector_cases import blobs, blocks, true_classes

shapely = pytest.importorskip("shapely")


def found(
    classes: np.ndarray, pixel: float, block: int = 256, percent: np.ndarray | None = None
) -> list[Road]:
    """The roads of a raster with pixels of so many metres."""
    side = square_for(pixel)
    confidence = None if percent is None else RasterArray(percent)
    lines = Lines(ClassArray(classes), confidence, Frame(pixel, pixel), side, 10.0, None)
    roads = []
    for window, ends_row in blocks(classes.shape, block_side(block, side)):
        lines.add(window)
        if ends_row:
            roads += [road for network in lines.finish_row() for road in network]
    return roads


def canonical(roads: list[Road]) -> list[object]:
    return sorted(
        (np.round(r.line, 9).tolist(), r.class_, round(r.width, 9), str(r.confidence)) for r in roads
    )


def town(seed: int, side: int = 150) -> np.ndarray:
    """A raster of pixels of half a metre: land, parks, and crossing roads, one of them a highway."""
    random = np.random.default_rng(seed)
    classes = np.where(blobs(seed, (side, side), 2, 20) > 0, GREEN, LAND).astype(np.uint8)
    row, col = np.mgrid[:side, :side] + 0.5
    for number in range(5):
        angle, (y, x), half = random.uniform(0, np.pi), random.uniform(0, side, 2), random.uniform(3, 9)
        on = np.abs((row - y) * np.cos(angle) - (col - x) * np.sin(angle)) < half
        classes[on] = ROAD if number else HIGHWAY
    return classes


def enlarged(classes: np.ndarray, times: int) -> np.ndarray:
    return np.repeat(np.repeat(classes, times, 0), times, 1)


def test_squares_let_the_widest_road_become_a_line_and_leave_coarse_pixels_alone() -> None:
    for pixel in (0.01, 0.05, 0.13, 0.25, 0.3, 0.46, 0.5, 0.9, 30.0):
        side = square_for(pixel)
        assert 2 * ROUNDS * pixel * side >= WIDEST
        assert side == 1 or 2 * ROUNDS * pixel * (side - 1) < WIDEST
    assert square_for(0.47) == 1


def test_a_square_is_what_most_of_it_is() -> None:
    classes = np.full((4, 7), LAND, np.uint8)
    classes[:2, :2] = [[ROAD, HIGHWAY], [HIGHWAY, LAND]]
    classes[:2, 2:4] = [[ROAD, ROAD], [LAND, 255]]  # half of it is enough
    classes[:2, 4:6] = [[ROAD, LAND], [LAND, LAND]]
    classes[2:, 6] = [ROAD, GREEN]  # the last square has but one column
    squares = Squares(ClassArray(classes), 2)
    assert squares.shape == (2, 4)
    assert squares.read(Window(0, 0, 2, 4)).tolist() == [[HIGHWAY, ROAD, 255, 255], [255, 255, 255, ROAD]]


def test_windows_of_squares_are_those_of_the_whole() -> None:
    classes = blobs(3, (101, 83), 7, 3)
    squares = Squares(ClassArray(classes), 4)
    height, width = squares.shape
    whole = squares.read(Window(0, 0, height, width))
    for row, col in np.random.default_rng(0).integers(0, (height - 5, width - 5), (20, 2)).tolist():
        assert (squares.read(Window(row, col, 5, 5)) == whole[row : row + 5, col : col + 5]).all()


@pytest.mark.parametrize("times", [2, 4, 7])
def test_a_finer_grid_has_the_same_roads(times: int) -> None:
    for seed in range(2):
        classes = town(seed)
        roads = found(classes, 0.5)
        assert roads
        assert canonical(found(enlarged(classes, times), 0.5 / times)) == canonical(roads)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_cannot_be_told_from_the_whole(seed: int) -> None:
    fine = enlarged(town(seed, 70), 4)[: 280 - seed, : 279 - seed]
    percent = np.random.default_rng(seed).integers(0, 101, fine.shape, np.uint8)
    whole = canonical(found(fine, 0.125, 1000, percent))
    assert whole and not any(road[-1] == "None" for road in whole)
    for block in (70, 128):
        assert canonical(found(fine, 0.125, block, percent)) == whole


def test_lines_end_at_the_border_of_a_scene_that_holds_no_whole_squares() -> None:
    for beyond in range(4):
        classes = np.full((161, 400 + beyond), LAND, np.uint8)
        classes[60:90] = ROAD
        (road,) = found(classes, 0.125)
        assert road.line[:, 0].min() == 0 and road.line[:, 0].max() == (400 + beyond) * 0.125
        assert np.abs(road.line[:, 1] + 75 * 0.125).max() < 0.5 and road.width == pytest.approx(
            30 * 0.125, abs=0.5
        )


@pytest.mark.parametrize("metres", [8, 25, 50])
def test_a_wide_road_on_a_fine_grid_is_one_line(metres: int) -> None:
    row, col = np.mgrid[:1000, :1200] * 0.13
    wobble = np.sin(row / 7) + np.sin(col / 5)  # metres
    classes = np.where(np.abs(row - 40 - 0.3 * col + wobble) < metres / 2, ROAD, LAND).astype(np.uint8)
    (road,) = found(classes, 0.13)
    line = shapely.LineString(road.line)
    middle = shapely.LineString([(0, -40), (156, -40 - 0.3 * 156)])
    assert shapely.hausdorff_distance(shapely.segmentize(line, 1.0), middle) < max(3.5, 0.3 * metres)
    assert road.width == pytest.approx(metres * np.cos(np.arctan(0.3)), rel=0.1, abs=1)


def test_the_streets_of_a_true_map_survive_a_finer_grid(shared) -> None:
    """Pixels of 0.9 m written at 0.132 m, as of drone imagery; grids that do not fit together."""
    from sat2map.images import read_image

    classes = true_classes(read_image(sorted((shared / "data/maps/val").glob("*.jpg"))[0]))[:200, :200]
    places = np.minimum(((np.arange(1364) + 0.5) / 6.82).astype(int), 199)
    coarse, fine = found(classes, 0.9), found(classes[np.ix_(places, places)], 0.9 / 6.82)
    assert len(fine) == pytest.approx(len(coarse), abs=2)
    one, other = (shapely.union_all([shapely.LineString(r.line) for r in roads]) for roads in (coarse, fine))
    for here, there in ((one, other), (other, one)):
        assert here.intersection(there.buffer(1.0)).length > 0.95 * here.length
