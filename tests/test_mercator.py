"""Tiles of the web: the same names and places as morecantile's, and arithmetic that goes both ways."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat2map import mercator
from sat2map.grid import Window
from sat2map.mercator import Degrees, Tile

ZOOMS = st.integers(0, mercator.MOST_ZOOM)


@st.composite
def tiles(draw, least=0):
    z = draw(st.integers(least, mercator.MOST_ZOOM))
    last = (1 << z) - 1
    return Tile(z, draw(st.integers(0, last)), draw(st.integers(0, last)))


@settings(deadline=None)  # the first call sets PROJ up
@given(tiles())
def test_tiles_lie_where_morecantile_has_them(tile):
    morecantile = pytest.importorskip("morecantile", reason="morecantile is not installed (dev extra)")
    grid = morecantile.tms.get("WebMercatorQuad")
    box = grid.xy_bounds(morecantile.Tile(tile.x, tile.y, tile.z))
    ours = mercator.bounds(tile.window, tile.z)
    size = mercator.pixel_size(tile.z)
    assert ours == pytest.approx((box.left, box.bottom, box.right, box.top), abs=1e-6 + size * 1e-4)


@given(tiles())
def test_a_tile_is_found_again_by_its_bounds(tile):
    box = mercator.degrees(tile.window, tile.z)
    assert list(mercator.tiles(mercator.window_of(box, tile.z), tile.z)) == [tile]


@given(tiles(least=1))
def test_parents_and_children_cover_the_same_ground(tile):
    assert tile in tile.parent.children and all(child.parent == tile for child in tile.children)
    assert mercator.at_zoom(tile.window, tile.z, tile.z + 1) == mercator.aligned(
        Window(tile.y * 512, tile.x * 512, 512, 512), 512
    )
    assert mercator.at_zoom(tile.parent.window, tile.z - 1, tile.z)[2:] == (512, 512)
    assert mercator.at_zoom(tile.window, tile.z, tile.z - 1) == Window(tile.y * 128, tile.x * 128, 128, 128)


@given(st.floats(-180, 180), st.floats(-85, 85))
def test_degrees_and_metres_go_both_ways(longitude, latitude):
    back = mercator.to_degrees(*mercator.to_metres(longitude, latitude))
    assert back == pytest.approx((longitude, latitude), abs=1e-9)


@given(st.floats(0.02, 5000), st.floats(-80, 80))
def test_no_zoom_is_nearer_than_the_nearest(metres, latitude):
    def off(zoom):
        return abs(math.log(mercator.ground_size(zoom, latitude) / metres))

    best = mercator.nearest_zoom(metres, latitude)
    assert off(best) <= min(off(zoom) for zoom in range(mercator.MOST_ZOOM + 1)) + 1e-9


def test_beyond_the_last_column_the_world_goes_on_at_the_first():
    box = Degrees(179.5, -17, 180.5, -16)
    names = {tile.wrapped.x for tile in mercator.tiles(mercator.window_of(box, 10), 10)}
    assert names == {1022, 1023, 0, 1}


def test_what_lies_beyond_the_edge_of_the_raster_is_on_it():
    assert mercator.window_of(Degrees(-180, -90, 180, 90), 3) == Window(0, 0, 2048, 2048)
    assert pytest.approx(85.0511287798) == mercator.LATITUDE


@given(st.integers(-300, 5000), st.integers(-300, 5000), st.integers(1, 900), st.integers(1, 900), ZOOMS)
def test_the_tiles_of_a_window_are_those_that_share_a_pixel_with_it(row, col, height, width, zoom):
    window = Window(row, col, height, width)
    found = list(mercator.tiles(window, zoom))
    assert len(set(found)) == len(found)
    for tile in found:
        across = min(col + width, (tile.x + 1) * 256) - max(col, tile.x * 256)
        down = min(row + height, (tile.y + 1) * 256) - max(row, tile.y * 256)
        assert across > 0 and down > 0
    assert mercator.aligned(window, 256).covers(window)
    assert len(found) * 256**2 == math.prod(mercator.aligned(window, 256)[2:])
