"""Road lines: the graph that people would draw, and the same one whatever the blocks."""

import numpy as np
import pytest

from sat2map.scenes.vectors.graph import Limits, graph
from sat2map.scenes.vectors.paths import Networks
from sat2map.scenes.vectors.roads import Road, roads
from sat2map.scenes.vectors.shapes import Frame
from sat2map.scenes.vectors.thinning import ROUNDS, SPECK, squared_distance, thinned, without_specks
from vector_cases import blobs, networks, true_classes

shapely = pytest.importorskip("shapely")
PIXELS = Frame(1.0, 1.0)


def painted(lines: list[list[tuple[float, float]]], width: float, shape: tuple[int, int]) -> np.ndarray:
    """Pixels within `width` / 2 of lines of (col, row)."""
    from rasterio.features import rasterize

    area = shapely.union_all([shapely.LineString(line).buffer(width / 2, cap_style="flat") for line in lines])
    return rasterize([area], out_shape=shape, dtype="uint8") > 0


def found(is_road: np.ndarray, side: int = 256) -> list[Road]:
    return [
        road for paths in networks(is_road, side) for road in roads(paths, PIXELS, is_road.shape, 10.0, 1.0)
    ]


def ends(lines: list[Road]) -> dict[tuple[float, float], int]:
    """How many lines end at each place."""
    places: dict[tuple[float, float], int] = {}
    for road in lines:
        for point in (road.line[0], road.line[-1]):
            key = (round(float(point[0]), 3), round(float(point[1]), 3))
            places[key] = places.get(key, 0) + 1
    return places


def canonical(lines: list[Road]) -> list[object]:
    return sorted((road.line.tolist(), road.class_, road.width, str(road.confidence)) for road in lines)


def test_a_grid_of_streets_gives_its_junctions_and_edges() -> None:
    streets = [[(0, y), (200, y)] for y in (40, 100, 160)] + [[(x, 0), (x, 200)] for x in (30, 90, 170)]
    lines = found(painted(streets, 9, (200, 200)))
    degrees = ends(lines)
    junctions = [place for place, count in degrees.items() if count > 1]
    assert sorted(degrees.values()) == [1] * 12 + [4] * 9
    assert len(lines) == (12 + 9 * 4) // 2
    for x, y in junctions:
        assert min(abs(x - a) for a in (30, 90, 170)) <= 1 and min(abs(-y - b) for b in (40, 100, 160)) <= 1
    assert all(road.width == pytest.approx(9, abs=1) for road in lines)
    for x, y in degrees.keys() - set(junctions):
        assert min(x, -y, 200 - x, 200 + y) <= 0.01  # they go on to the border of the scene
    assert sum(shapely.LineString(road.line).length for road in lines) == pytest.approx(6 * 200, rel=0.01)


@pytest.mark.parametrize("width", [3, 6, 15])
@pytest.mark.parametrize("way", [(140, 40), (140, 140), (60, 150)])
def test_a_slanting_street_is_one_line_from_end_to_end(width: int, way: tuple[int, int]) -> None:
    (road,) = found(painted([[(20, 20), way]], width, (160, 160)))
    line = shapely.LineString(road.line * (1, -1))
    truth = shapely.LineString([(20, 20), way])
    assert shapely.hausdorff_distance(line, truth) < 1.5 + width / 6
    assert line.length == pytest.approx(truth.length, abs=2 + width / 3)
    assert road.width == pytest.approx(width, abs=1)


def test_a_ring_is_one_closed_line() -> None:
    row, col = np.mgrid[:150, :150] + 0.5
    far = np.hypot(row - 75, col - 75)
    (road,) = found((far > 46) & (far < 54))
    assert road.line[0].tolist() == road.line[-1].tolist()
    assert shapely.LineString(road.line).length == pytest.approx(2 * np.pi * 50, rel=0.03)
    assert road.width == pytest.approx(8, abs=1)


def test_bumps_are_no_roads_and_lanes_are() -> None:
    street = painted([[(0, 50), (200, 50)]], 10, (100, 200))
    street[42:46, 60:64] = street[55:58, 120:123] = True  # a bump on each side
    assert len(found(street)) == 1
    street |= painted([[(100, 50), (100, 90)]], 8, (100, 200))
    assert len(found(street)) == 3


def test_what_is_drawn_on_a_road_does_not_split_it() -> None:
    street = painted([[(0, 50), (200, 50)]], 11, (100, 200))
    street[48:53, 90:110] = False  # an arrow
    (road,) = found(street)
    line = shapely.LineString(road.line)
    assert line.hausdorff_distance(shapely.LineString([(0, -50), (200, -50)])) < 2
    around = [[(0, 50), (60, 50)], [(60, 25), (140, 25)], [(60, 75), (140, 75)], [(140, 50), (200, 50)]]
    around += [[(60, 20), (60, 80)], [(140, 20), (140, 80)]]
    assert sorted(ends(found(painted(around, 10, (100, 200)))).values()) == [1, 1, 3, 3]


def test_two_junctions_within_a_road_are_one() -> None:
    lines = [[(0, 60), (200, 60)], [(100, 0), (100, 60)], [(104, 60), (104, 120)]]
    degrees = ends(found(painted(lines, 10, (120, 200))))
    assert sorted(degrees.values()) == [1, 1, 1, 1, 4]


@pytest.mark.parametrize("seed", range(4))
def test_blocks_cannot_be_told_from_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    is_road = painted(
        [random.uniform(0, 110, (3, 2)).tolist() for _ in range(4)], float(random.uniform(2, 14)), (101, 97)
    )
    is_road ^= blobs(seed, is_road.shape, 30) == 0  # specks, holes and ragged sides
    whole = canonical(found(is_road, 1000))
    assert whole
    for side in (16, 37, 64):
        assert canonical(found(is_road, side)) == whole


def test_noise_has_one_graph_too() -> None:
    is_road = blobs(5, (90, 90), 2, 2) > 0
    whole = found(is_road, 1000)
    assert len(whole) > 20
    assert canonical(found(is_road, 25)) == canonical(whole)


def test_a_square_wider_than_thinning_reaches_is_one_junction() -> None:
    side = 2 * ROUNDS + 80
    field = np.zeros((side + 200, side + 200), bool)
    field[100 : 100 + side, 100 : 100 + side] = True
    field[100 + side // 2 :, 195:205] = True
    whole = found(field, 1000)
    assert canonical(found(field, 128)) == canonical(whole)
    assert max(shapely.LineString(road.line).length for road in whole) > 50


def test_networks_are_handed_out_when_they_are_whole() -> None:
    is_road = np.zeros((400, 60), bool)
    for row in range(20, 400, 40):
        is_road[row : row + 5, 10:50] = True
    assert len(networks(is_road, 50)) == 10
    alone = Networks()
    assert alone.finish_row() == [] and alone.held == 0


def test_thinning_keeps_what_hangs_together() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    eight = np.ones((3, 3), int)
    for seed in range(5):
        is_road = blobs(seed, (80, 80), 2, 3) > 0
        line = thinned(is_road)
        assert (line <= is_road).all()
        assert ndimage.label(line, eight)[1] == ndimage.label(is_road, eight)[1]
        assert ndimage.label(~np.pad(line, 1))[1] == ndimage.label(~np.pad(is_road, 1))[1]


def test_distances_are_those_of_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    is_road = ndimage.binary_dilation(blobs(3, (150, 150), 400) > 398, iterations=12)
    row, col = np.nonzero(is_road)
    theirs = ndimage.distance_transform_edt(is_road)[row, col] ** 2
    assert np.allclose(squared_distance(is_road, row, col), theirs)


def test_specks_are_small() -> None:
    is_road = np.ones((40, 40), bool)
    is_road[5:9, 5:9] = is_road[20:25, 20:24] = False  # 16 and 20 px
    changed = without_specks(is_road) != is_road
    assert changed.sum() == 16 == SPECK


def test_cleaning_does_not_depend_on_the_order_of_paths() -> None:
    is_road = blobs(9, (100, 100), 2, 5) > 0
    for paths in networks(is_road, 1000):
        one, other = graph(paths, PIXELS), graph([path.turned() for path in paths[::-1]], PIXELS)
        for net in (one, other):
            net.clean(Limits(10.0))
        lines = [sorted(edge.line.tolist() for edge in net.edges.values()) for net in (one, other)]
        assert lines[0] == lines[1]


def test_roads_of_a_true_map_are_its_streets(shared) -> None:
    from sat2map.images import read_image
    from sat2map.palette import HIGHWAY, ROAD

    classes = true_classes(read_image(shared / "data" / "maps" / "val" / "1015.jpg"))
    is_road = (classes == ROAD) | (classes == HIGHWAY)
    lines = found(is_road, 512)
    area = shapely.union_all([shapely.LineString(road.line).buffer(road.width / 2) for road in lines])
    from rasterio.features import rasterize

    drawn = rasterize([shapely.transform(area, lambda xy: xy * (1, -1))], out_shape=classes.shape) > 0
    assert (drawn & is_road).sum() > 0.9 * is_road.sum()
    assert (drawn & is_road).sum() > 0.9 * drawn.sum()
