"""The projection: against the worlds' own camera, against worlds with known things in them, and against itself."""

import numpy as np
import pytest

from sat2map.grid import Window
from sat2map.views.camera import Camera
from sat2map.views.crop import Crop
from sat2map.views.projection import UNSEEN, project
from sat2map.worlds import Eye
from sat2map.worlds.painting import ground, satellite
from sat2map.worlds.painting.fill import Canvas
from sat2map.worlds.plan import Plan, empty_plan
from sat2map.worlds.shapes import DARK, HALL, STREET, gathered

SIDE, FIELD = 160, 75.0
OWN = Camera(SIDE, SIDE, FIELD, horizon=0.56, eye=1.7)  # as `worlds.painting.ground` draws square views


def street(angle: float, *, aside: float = 0.0) -> Plan:
    """A straight street through the origin (or `aside` metres to the right of it), at a heading, and nothing else."""
    along = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    right = np.array([along[1], -along[0]])
    line = aside * right + np.linspace(-400, 400, 41)[:, None] * along
    columns = {"kind": [STREET], "dead_end": [0], "bridge": [0]}
    return empty_plan()._replace(lines=gathered([line], columns))


def seen_from_above(plan: Plan, metres: float = 0.25, half: float = 80.0) -> Crop:
    count = int(2 * half / metres)
    canvas = Canvas(-count // 2, -count // 2, count, count, metres)
    return Crop.centred(satellite.satellite(plan, canvas, 1), metres)


def is_light(picture: np.ndarray) -> np.ndarray:
    """Concrete is lighter than asphalt and yards in every light of the worlds."""
    return picture.astype(float).mean(-1)


def test_rays_are_those_of_the_worlds_own_camera() -> None:
    eye = Eye(0, 0, 30.0, OWN.eye, FIELD)
    theirs, ours = ground._rays(eye, SIDE, SIDE), OWN.rays()
    np.testing.assert_allclose(ours.right, theirs.u, atol=1e-12)
    np.testing.assert_allclose(ours.rise, theirs.v, atol=1e-12)
    assert (ours.ahead == 1).all()


@pytest.mark.parametrize("heading", [0.0, 35.0, 200.0])
def test_a_street_lands_where_the_worlds_paint_it(heading) -> None:
    """Kerbs and the ends of pavements in the projected satellite picture against the painted view, row by row."""
    plan = street(heading, aside=3.0)
    eye = Eye(0, 0, heading, OWN.eye, FIELD)
    view = is_light(ground.ground_view(plan, eye, SIDE, SIDE, 1))
    crop = seen_from_above(plan)
    ours = is_light(project(crop, OWN, heading, (0.0,)))
    errors = []
    for row in range(100, SIDE, 2):  # below the horizon at row 89.6: 16 m away and nearer
        edges = []
        for line in (view[row - 1 : row + 2].mean(0), ours[row]):
            smooth = np.convolve(line, np.ones(5) / 5, "same")[5:-5]
            bright = smooth > (smooth.max() + smooth.min()) / 2
            edges.append(np.flatnonzero(np.diff(bright.astype(int))) + 5.5)
        if len(edges[0]) == len(edges[1]):
            errors += list(np.abs(edges[0] - edges[1]))
    assert len(errors) >= 30 and np.median(errors) <= 1 and np.quantile(errors, 0.9) <= 2


def test_a_roof_appears_in_the_plane_of_its_height_where_its_wall_ends() -> None:
    """A box of 10 m, 30 m to the north: its wall's upper edge in the view is its roof's near edge in that plane."""
    box = np.array([[-8.0, 30.0], [8.0, 30.0], [8.0, 60.0], [-8.0, 60.0]])
    columns = {
        "kind": [HALL], "roof": [DARK], "height": [10.0], "tint": [0.5], "quad": box[None],
    }  # fmt: skip
    plan = empty_plan()._replace(buildings=gathered([box], columns))
    crop = seen_from_above(plan)
    eye = Eye(0, 0, 0, 1.7, FIELD)
    with_box, without = (
        ground.ground_view(p, eye, SIDE, SIDE, 1)[:, SIDE // 2].astype(int) for p in (plan, empty_plan())
    )
    top = np.flatnonzero(np.abs(with_box - without).max(1) > 12)[0]
    depth = OWN.depths(10.0)
    predicted = np.flatnonzero(depth >= 30.0)[0]
    assert abs(int(top) - int(predicted)) <= 1
    planes = project(crop, OWN, 0.0, (10.0,))
    column = planes[:, SIDE // 2].astype(int)
    seen = (column != UNSEEN).any(1)
    edge = predicted if seen[predicted] else np.flatnonzero(seen)[-1]
    above, below = column[edge - 6 : edge - 2].mean(0), column[edge + 2 : edge + 6].mean(0)
    assert np.abs(above - below).max() > 15, "the roof ends there"


@pytest.mark.parametrize("heading", [0.0, 90.0, 245.0])
def test_turning_the_crop_is_turning_the_viewer(heading) -> None:
    crop = seen_from_above(street(20.0, aside=4.0), 0.5)
    turned = crop._replace(up=-heading)
    one, two = project(crop, OWN, heading, (0.0, 6.0)), project(turned, OWN, 0.0, (0.0, 6.0))
    np.testing.assert_array_equal(one, two)


def test_a_panorama_holds_every_perspective() -> None:
    """A point of the ground has, in both kinds of picture, the pixel that its direction says."""
    panorama = Camera(256, 1024, 360.0)
    flat = OWN.rays()
    round_ = panorama.rays()
    depth = OWN.depths(0.0)
    for row, col in ((120, 20), (140, 100), (150, 159)):
        ahead, right = depth[row], depth[row] * flat.right[col]
        bearing, away = np.arctan2(right, ahead), np.hypot(ahead, right)
        column = (bearing / (2 * np.pi) + 0.5) * panorama.width - 0.5
        nearest = round(column)
        assert np.arctan2(round_.right[nearest], round_.ahead[nearest]) == pytest.approx(bearing, abs=0.004)
        elevation = np.arctan2(-OWN.eye, away)
        there = panorama.horizon * panorama.height - elevation * panorama.width / (2 * np.pi) - 0.5
        low, high = panorama.depths(0.0)[int(there)], panorama.depths(0.0)[int(there) + 1]
        assert high <= away * 1.001 and low >= away * 0.999


def test_planes_below_the_eye_fill_the_lower_part_and_planes_above_it_the_upper() -> None:
    crop = Crop.centred(np.full((300, 300, 3), 10, np.uint8), 1.0)
    stack = project(crop, OWN, 0.0, (0.0, 8.0))
    horizon = round(OWN.horizon * SIDE)
    assert (stack[:horizon, :, :3] == UNSEEN).all() and (stack[horizon:, :, 3:] == UNSEEN).all()
    assert (stack[-1, :, :3] == 10).all() and (stack[0, :, 3:] == 10).all()


def test_what_lies_beyond_the_crop_is_not_seen() -> None:
    crop = Crop.centred(np.full((40, 40, 3), 10, np.uint8), 1.0)
    low = project(crop, OWN, 0.0, (0.0,))
    far = OWN.depths(0.0) >= 20.0  # metres to the crop's edge, straight ahead
    middle = low[:, SIDE // 2]
    assert (middle[far] == UNSEEN).all() and (middle[~far] == 10).all()


def test_distant_ground_is_a_mean_and_does_not_flicker() -> None:
    """A chessboard of single pixels, far away, is even grey, wherever one stands."""
    board = np.indices((400, 400)).sum(0) % 2 * 255
    crop = Crop.centred(np.repeat(board[..., None], 3, 2).astype(np.uint8), 0.5)
    camera = OWN._replace(horizon=0.5)
    for shift in (0.0, 0.3):
        row = np.flatnonzero(camera.depths(0.0) < 60)[0]  # a pixel covers metres there
        seen = project(crop._replace(row=crop.row + shift), camera, 17.0, (0.0,))[row, :, 0]
        assert np.abs(seen.astype(int) - 127).max() <= 2


def test_paint_and_projection_agree_on_where_a_pixel_of_a_window_lies() -> None:
    """The crop that `WorldImagery` cuts has its standing point where the world says."""
    from sat2map.views.imagery import Place, WorldImagery
    from sat2map.worlds import Town, World, paint

    imagery, place = WorldImagery(Town(seed=3)), Place(31.37, -12.81)
    crop = imagery.crop(place, 64, 0.5)
    top, left = round(-place.y / 0.5 - crop.row), round(place.x / 0.5 - crop.col)
    assert abs(-place.y / 0.5 - crop.row - top) < 1e-9 and abs(place.x / 0.5 - crop.col - left) < 1e-9
    np.testing.assert_array_equal(crop.pixels, paint(World(Town(seed=3)), Window(top, left, 64, 64), 0.5).sat)
    assert 31 <= crop.row <= 33 and 31 <= crop.col <= 33
