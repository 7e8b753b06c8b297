"""Polygons follow pixels exactly, whatever the blocks, and stay valid when they are simplified."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat2map.scenes.vectors.buildings import house
from sat2map.scenes.vectors.components import components
from sat2map.scenes.vectors.polygons import Region, Stitcher
from sat2map.scenes.vectors.rings import arrange
from sat2map.scenes.vectors.shapes import Frame, shapes, simplified
from sat2map.scenes.vectors.sources import ClassArray, read_padded
from vector_cases import blobs, blocks, regions, true_classes

shapely = pytest.importorskip("shapely")
PIXELS = Frame(1.0, 1.0)


def canonical(found: list[Region]) -> list[tuple[object, ...]]:
    """Everything there is to know of the regions, in an order of its own."""
    rings = arrange(
        [ring for region in found for ring in region.rings],
        [number for number, region in enumerate(found) for _ in region.rings],
    )
    parts: list[list[object]] = [[] for _ in found]
    for number, owner in enumerate(rings.owner):
        parts[owner].append(rings.corners[rings.bounds[number] : rings.bounds[number + 1]].tolist())
    return sorted(
        (tuple(part[0][0]), r.class_, r.pixels, r.confidence, r.measured, part)  # type: ignore[index]
        for r, part in zip(found, parts, strict=True)
    )


def burned(polygons: list[object], values: list[int], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie in the polygons, by rasterio; 255 elsewhere."""
    from rasterio.features import rasterize

    up = [shapely.transform(polygon, lambda xy: xy * (1, -1)) for polygon in polygons]
    return rasterize(zip(up, values, strict=True), out_shape=shape, fill=255, dtype="uint8")


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    values=st.integers(2, 5),
    grain=st.sampled_from([1, 3, 9]),
    side=st.integers(16, 128),
)
def test_blocks_cannot_be_told_from_the_whole(seed, height, width, values, grain, side) -> None:
    classes = blobs(seed, (height, width), values, grain)
    confidence = blobs(seed + 1, (height, width), 101)
    assert canonical(regions(classes, side, confidence)) == canonical(regions(classes, 1000, confidence))


@pytest.mark.parametrize("seed", range(6))
def test_polygons_are_valid_and_give_back_every_pixel(seed: int) -> None:
    classes = blobs(seed, (70, 83), 3, 1 + seed % 3)
    found = regions(classes, 32)
    polygons = shapes(found, PIXELS)
    assert shapely.is_valid(polygons).all()
    assert [p.area for p in polygons] == [region.pixels for region in found]
    assert sum(region.pixels for region in found) == classes.size
    assert np.array_equal(burned(polygons, [r.class_ for r in found], classes.shape), classes)
    assert all(shapely.is_ccw(polygon.exterior) for polygon in polygons)


def test_a_component_that_touches_itself_at_corners_is_one_valid_polygon() -> None:
    # a hole at the corner of the outside, two holes at a corner, and a diagonal that is no connection
    classes = np.array(
        [
            [1, 1, 1, 1, 1, 0],
            [1, 0, 1, 1, 1, 1],
            [1, 1, 0, 1, 0, 1],
            [1, 1, 1, 1, 1, 0],
            [1, 1, 1, 1, 0, 1],
        ],
        np.uint8,
    )
    found = regions(classes, 16)
    polygons = shapes(found, PIXELS)
    assert shapely.is_valid(polygons).all()
    assert len(found) == len({(r.class_, r.rings[0].tobytes()) for r in found})
    assert np.array_equal(burned(polygons, [r.class_ for r in found], classes.shape), classes)


def test_components_are_those_of_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    for seed in range(5):
        values = blobs(seed, (60, 45), 2)
        labels, count = components(values)
        total = 0
        for value in (0, 1):
            theirs, number = ndimage.label(values == value)
            total += number
            pairs = np.unique(np.stack([theirs[theirs > 0], labels[theirs > 0]]), axis=1)
            assert pairs.shape[1] == number
        assert total == count


def test_what_is_whole_is_forgotten() -> None:
    # Squares of 6 px with 4 px between them: none is larger than a block, so few can wait at a time.
    height, width, side = 600, 200, 32
    classes = np.zeros((height, width), np.uint8)
    for row in range(2, height, 10):
        for col in range(2, width, 10):
            classes[row : row + 6, col : col + 6] = 1
    source, stitcher = ClassArray(classes), Stitcher(width, [1])
    found, most = 0, 0
    for window, ends_row in blocks(classes.shape, side):
        found += len(stitcher.add(window, read_padded(source, window, 1), None, height))
        if ends_row:
            found += len(stitcher.finish_row())
            most = max(most, stitcher.held)
            assert len(stitcher._by_first) <= 4 * stitcher.held
            assert len(stitcher._parent) == stitcher.held
    assert found + len(stitcher.finish()) == 60 * 20
    assert most <= 20  # one row of squares


def test_small_holes_are_filled_and_large_ones_stay() -> None:
    classes = np.ones((20, 20), np.uint8)
    classes[2:4, 2:4], classes[8:16, 8:16] = 0, 0
    (outer,) = (region for region in regions(classes, 16) if region.class_ == 1)
    assert shapes([outer], Frame(0.5, 0.5), fill=2.0)[0].area == (400 - 64) / 4
    assert shapes([outer], Frame(0.5, 0.5), fill=0.0)[0].area == (400 - 64 - 4) / 4


@pytest.mark.parametrize("seed", range(4))
def test_simplified_polygons_are_valid_and_near(seed: int) -> None:
    exact = shapes(regions(blobs(seed, (90, 90), 3, 2), 64), PIXELS)
    simple = simplified(exact, 2.0)
    assert shapely.is_valid(simple).all()
    assert not shapely.is_empty(simple).any()
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(exact).sum()
    assert (shapely.hausdorff_distance(shapely.boundary(simple), shapely.boundary(exact)) <= 2 * 2.0).all()


def drawn(corners: list[tuple[float, float]]) -> np.ndarray:
    """A polygon given as (col, row) painted into 80 x 80 px."""
    from rasterio.features import rasterize

    return rasterize([(shapely.Polygon(corners), 1)], out_shape=(80, 80), dtype="uint8")


def turned(corners: list[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    shape = shapely.affinity.rotate(shapely.Polygon(corners), degrees, origin=(40, 40))
    return list(shape.exterior.coords)


def squared(classes: np.ndarray) -> tuple[object, object]:
    """(outline along the pixels, house) of class 1."""
    (region,) = (r for r in regions(classes, 128) if r.class_ == 1)
    exact = shapes([region], PIXELS)
    return exact[0], house(exact[0], simplified(exact, 0.75)[0], 0.75, 0.75)


@pytest.mark.parametrize("degrees", [0, 7, 20, 33, 45, 61, 80])
@pytest.mark.parametrize(
    "plan",
    [
        [(22, 28), (58, 28), (58, 50), (22, 50)],
        [(18, 20), (60, 20), (60, 40), (36, 40), (36, 62), (18, 62)],
    ],
    ids=["rectangle", "L"],
)
def test_a_house_gets_back_its_walls(plan: list[tuple[float, float]], degrees: float) -> None:
    exact, shape = squared(drawn(turned(plan, degrees)))
    corners = shapely.get_coordinates(shape)
    sides = np.diff(corners, axis=0)
    assert len(sides) == len(plan)
    cosines = (sides * np.roll(sides, 1, 0)).sum(1) / np.prod(
        [np.hypot(*sides.T), np.roll(np.hypot(*sides.T), 1)], axis=0
    )
    assert np.abs(cosines).max() < 1e-9
    assert shape.intersection(exact).area / shape.union(exact).area > 0.9


def test_what_has_no_right_angles_is_left_as_it_is() -> None:
    round_ = [(40 + 30 * np.cos(a), 40 + 30 * np.sin(a)) for a in np.linspace(0, 6.2, 60)]
    exact, shape = squared(drawn(round_))
    assert shape.intersection(exact).area / shape.union(exact).area > 0.9
    angle = [(10, 10), (70, 10), (10, 70)]
    exact, shape = squared(drawn(angle))
    assert len(shapely.get_coordinates(shape)) <= 5
    assert shape.intersection(exact).area / shape.union(exact).area > 0.9


def test_true_maps_come_back_from_their_polygons(shared) -> None:
    from sat2map.images import read_image

    for path in sorted((shared / "data" / "maps" / "val").glob("*.jpg"))[:40:20]:
        classes = true_classes(read_image(path))
        found = regions(classes, 256)
        values = [region.class_ for region in found]
        exact = shapes(found, PIXELS)
        assert np.array_equal(burned(exact, values, classes.shape), classes)
        order = np.argsort(-shapely.area(exact))  # small ones last, as in a map
        simple = simplified(exact, 0.75)
        again = burned(list(simple[order]), [values[i] for i in order], classes.shape)
        assert (again == classes).mean() > 0.9
