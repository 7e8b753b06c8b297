"""Pictures of invented towns: windows join, painters agree, and what is far away changes nothing."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sat2map.grid import Window
from sat2map.palette import BUILDING, MAPS, WATER
from sat2map.worlds import STYLES, Bounds, Eye, Town, World, paint, paint_large, paint_view, standpoint
from sat2map.worlds.painting import street_map
from sat2map.worlds.painting.fill import Canvas, covered, numbered
from sat2map.worlds.shapes import Shapes, gathered

TOWN = Town(11, "organic", water=0.6)


def test_any_window_shows_what_a_larger_window_shows_there() -> None:
    whole_window = Window(-70, 300, 110, 130)
    world = World(TOWN)
    whole = paint(world, whole_window)
    for part in (Window(-70, 300, 64, 64), Window(-13, 345, 53, 61), Window(31, 421, 9, 9)):
        for large, small in zip(whole, paint(world, part), strict=True):
            assert np.array_equal(large[part.slices(whole_window)], small)


@pytest.mark.parametrize("style", ["radial", "coastal"])
def test_windows_far_from_the_origin_join_at_other_resolutions(style: str) -> None:
    town = Town(5, style)
    window = Window(40_001, -29_997, 40, 36)
    world = World(town)
    whole = paint(world, window, 0.37)
    left, right = Window(40_001, -29_997, 40, 17), Window(40_001, -29_980, 40, 19)
    for large, *small in zip(whole, *(paint(world, part, 0.37) for part in (left, right)), strict=True):
        assert np.array_equal(large, np.concatenate(small, 1))


def test_a_world_does_not_remember_what_was_painted_before() -> None:
    window, fresh = Window(0, 0, 48, 48), World(TOWN)
    used = World(TOWN)
    paint(used, Window(900, 1200, 32, 32))
    for one, other in zip(paint(fresh, window), paint(used, window), strict=True):
        assert np.array_equal(one, other)


def test_processes_and_pieces_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(-40, -30, 80, 80)
    whole = paint(World(TOWN), window)
    monkeypatch.setattr("sat2map.worlds.pictures.WINDOW", 48)
    reports: list[int] = []
    for jobs in (1, 2):
        pieces = paint_large(TOWN, window, 0.9, jobs, lambda done, total, note: reports.append(done))
        for one, other in zip(whole, pieces, strict=True):
            assert np.array_equal(one, other)
    assert reports == [1, 2, 3, 4] * 2


def test_other_seeds_and_parameters_are_other_towns() -> None:
    window = Window(0, 0, 64, 64)
    towns = [TOWN, Town(11, "organic", density=0.9, water=0.6), Town(12, "organic", water=0.6)]
    assert len({paint(World(town), window).sat.tobytes() for town in towns}) == len(towns)


@pytest.mark.parametrize("seed", range(0, 28, 7))
def test_classes_read_from_the_map_are_the_class_raster(seed: int) -> None:
    world = World(Town(seed, STYLES[seed % 4], density=seed / 40, water=0.7))
    canvas = Canvas(-60, seed * 50, 120, 120, 0.9)
    fine = street_map.samples(world.plan(canvas.bounds.grown(5)), canvas.finer(street_map.FINE))
    street, classes = street_map.street_map(fine), street_map.class_raster(fine)
    assert np.array_equal(MAPS.to_classes(MAPS.encode(street)), classes)
    flat = (fine.reshape(120, 4, 120, 4) == fine[::4, None, ::4, None]).all((1, 3))
    colours = np.array(MAPS.colours)
    assert (street[flat][:, None] == colours).all(-1).any(-1).all(), "flat areas have colours of the palette"
    assert flat.mean() > 0.5 and len(np.unique(street[~flat], axis=0)) > 20, "and edges are smooth"


def test_the_class_raster_shows_the_plans_buildings_and_water() -> None:
    world = World(Town(7, "coastal"))
    around = np.stack(np.meshgrid(np.arange(-400, 400, 25.0), np.arange(-400, 400, 25.0)), -1).reshape(-1, 2)
    x, y = around[np.abs(world.terrain.shore(around)).argmin()]  # a place on the shore
    canvas = Canvas(round(-y / 0.9) - 90, round(x / 0.9) - 90, 180, 180, 0.9)
    plan = world.plan(canvas.bounds)
    classes = street_map.class_raster(street_map.samples(plan, canvas.finer(street_map.FINE)))
    x, y = (np.broadcast_to(axis, classes.shape).ravel() for axis in canvas.centres())
    for shapes, number in ((plan.buildings, BUILDING), (plan.water, WATER)):
        everything = shapely.union_all([shapely.Polygon(ring) for ring in shapes])
        inside = shapely.contains_xy(everything.buffer(-1.3), x, y).reshape(classes.shape)
        outside = ~shapely.contains_xy(everything.buffer(1.3), x, y).reshape(classes.shape)
        assert inside.sum() > 200
        covered_by_streets = (classes == 2) | (classes == 3)
        assert (
            classes[inside & ~covered_by_streets] == number
        ).mean() > 0.98  # thin walls are drawn on houses
        assert not (classes[outside] == number).any() or number == WATER  # ponds are water, too


rings = st.lists(st.tuples(st.integers(-40, 140), st.integers(-40, 140)), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(rings, min_size=1, max_size=4), st.integers(-7, 7), st.integers(-7, 7))
def test_filling_agrees_with_geometry_and_does_not_depend_on_the_window(
    triangles, row: int, col: int
) -> None:
    shapes = gathered([np.array(ring, float) / 10 for ring in triangles], {})
    canvas = Canvas(-14, -4, 18, 18, 1.0)
    filled = covered(canvas, shapes)
    everything = shapely.union_all([shapely.Polygon(ring).buffer(0) for ring in shapes])
    x, y = (np.broadcast_to(axis, filled.shape).ravel() for axis in canvas.centres())
    away = shapely.distance(everything.boundary, shapely.points(x, y)).reshape(filled.shape) > 0.02
    expected = shapely.contains_xy(everything, x, y).reshape(filled.shape)
    assert np.array_equal(filled[away], expected[away])
    moved = covered(Canvas(-14 + row, -4 + col, 18, 18, 1.0), shapes)
    ours = slice(max(row, 0), 18 + min(row, 0)), slice(max(col, 0), 18 + min(col, 0))
    theirs = slice(max(-row, 0), 18 + min(-row, 0)), slice(max(-col, 0), 18 + min(-col, 0))
    assert np.array_equal(filled[ours], moved[theirs])


def test_neighbours_share_no_sample_and_leave_none_out() -> None:
    corners = np.array([(0, 0), (6.3, 1.1), (9.7, 8.2), (2.2, 7.9), (4.4, 4.6)])
    fans = [corners[[n, (n + 1) % 4, 4]] for n in range(4)]
    canvas = Canvas(-100, -10, 110, 120, 0.1)
    whole = covered(canvas, gathered([corners[:4]], {}))
    parts = np.stack([covered(canvas, gathered([fan], {})) for fan in fans])
    assert np.array_equal(parts.sum(0), whole)
    assert np.array_equal(
        numbered(canvas, gathered(fans, {})), (parts * np.arange(1, 5)[:, None, None]).sum(0)
    )


def test_a_satellite_picture_looks_like_what_is_there() -> None:
    """Roofs in the sun, trees, water and asphalt keep to their tones, and shadows lie opposite to the sun."""
    world = World(Town(3, "coastal", density=0.8))
    pictures = paint(world, Window(-120, -120, 240, 240))
    assert 35 < pictures.sat.mean() < 125 and pictures.sat.std() > 15
    water = pictures.sat[pictures.classes == WATER].astype(float)
    roofs = pictures.sat[pictures.classes == BUILDING].astype(float)
    assert water.mean() < roofs.mean() - 20
    assert water.std() < roofs.std()


def test_views_show_houses_from_where_one_stands() -> None:
    world = World(Town(1, "grid", density=0.7))
    eye = standpoint(world, 40.0, -25.0)
    ahead, back = (
        paint_view(world, eye._replace(heading=h), 60, 96) for h in (eye.heading, eye.heading + 180)
    )
    assert ahead.shape == (60, 96, 3) and not np.array_equal(ahead, back)
    assert np.array_equal(ahead, paint_view(World(world.town), eye, 60, 96))
    sky, road = ahead[:6].astype(float), ahead[-6:].astype(float)
    assert sky.mean() > road.mean(), "the sky is above"


def test_a_wall_covers_what_is_behind_it_and_nearer_things_are_larger() -> None:
    """A single building on an empty plain, seen from the south at two distances."""
    world = World(Town(0, "grid", water=0.0))
    plan = world.plan(Bounds(0, 0, 1, 1))
    ring = np.array([(-6.0, 20), (6, 20), (6, 30), (-6, 30)])
    columns = {name: column[:0] for name, column in plan.buildings.columns.items()}
    columns |= {
        "kind": np.array([4]),
        "roof": np.array([1]),
        "height": np.array([8.0]),
        "tint": np.array([0.4]),
        "quad": ring[None],
    }
    house = Shapes(ring, np.array([0, 4]), columns)
    nothing = np.zeros(len(plan.lines), bool)
    plain = plan._replace(
        lines=plan.lines.chosen(nothing), grounds=plan.grounds.chosen(np.zeros(len(plan.grounds), bool)),
        buildings=house,
        trees=np.empty((0, 4)), cars=np.empty((0, 4)), water=plan.water.chosen(np.zeros(len(plan.water), bool)),
    )  # fmt: skip
    from sat2map.worlds.painting.ground import ground_view

    empty = plain._replace(buildings=house.chosen(np.array([False])))
    seen = []
    for distance in (20.0, 60.0):
        eye = Eye(0.0, 20.0 - distance, 0.0)
        difference = (
            ground_view(plain, eye, 90, 120, 0).astype(int) - ground_view(empty, eye, 90, 120, 0)
        ) != 0
        _, cols = np.nonzero(difference.any(-1)[:50])  # above the horizon only the wall differs
        assert abs((cols.min() + cols.max()) / 2 - 59.5) <= 1, "straight ahead"
        seen.append(cols.max() - cols.min() + 1)
    assert 2.5 < seen[0] / seen[1] < 3.5, "three times as near, three times as wide"


def test_the_plan_is_written_as_layers_that_a_gis_opens(tmp_path: Path) -> None:
    import pyogrio

    from sat2map.worlds import Place, write_plan

    plan = World(Town(4, "radial")).plan(Bounds(-120, -120, 120, 120))
    write_plan(tmp_path / "plan.gpkg", plan, Place(13.4, 52.5), overwrite=False)
    write_plan(tmp_path / "plan.geojson", plan, Place(13.4, 52.5), overwrite=False)
    write_plan(tmp_path / "metres.geojson", plan, None, overwrite=False)
    names = {str(name) for name, _ in pyogrio.list_layers(tmp_path / "plan.gpkg")}
    assert {"parcels", "grounds", "water", "roads", "buildings", "trees"} <= names
    info = pyogrio.read_info(tmp_path / "plan.gpkg", layer="buildings")
    assert info["features"] == len(plan.buildings) and {"class", "kind", "height", "roof"} <= set(
        info["fields"]
    )
    left, bottom, right, top = pyogrio.read_info(tmp_path / "plan.geojson", force_total_bounds=True)[
        "total_bounds"
    ]
    assert 13.38 < left < 13.4 < right < 13.42 and 52.48 < bottom < 52.5 < top < 52.52
    left, bottom, right, top = pyogrio.read_info(tmp_path / "metres.geojson", force_total_bounds=True)[
        "total_bounds"
    ]
    assert left < -100 and right > 100 and top - bottom < 3000
