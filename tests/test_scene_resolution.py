"""Scenes of another resolution or on another grid: resampled once, the same for every window, and put back in place."""

import math

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
import geotiffs
from sat2map.errors import UnusableCrs, WrongResolution
from sat2map.grid import Window
from sat2map.runtime import Translation
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.raster import SHOWN
from sat2map.scenes.resolution import Factors, Resampled, choose, places


class Memory:
    """A scene in memory with holes."""

    def __init__(self, pixels: np.ndarray, mask: np.ndarray) -> None:
        self._pixels, self._mask, self.shape = pixels, mask, pixels.shape

    def read(self, window: Window) -> np.ndarray:
        assert window.clipped(*self.shape[:2]) == window
        return self._pixels[window.slices()]

    def valid(self, window: Window) -> np.ndarray:
        return self._mask[window.slices()]


class Same:
    """A translator that gives back what it is shown."""

    def __init__(self, **changes) -> None:
        self.card = fakes.card(**{"kind": "rgb", "palette": None, "cell": 32, "halo": 8, **changes})

    def __call__(self, batch, want) -> Translation:
        return Translation(colour=batch)


def slow(pixels: np.ndarray, mask: np.ndarray, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
    """Resample pixel by pixel with areas and straight lines, written for reading."""
    height, width, bands = pixels.shape
    rows = max(math.ceil(height / factors.down - 1e-9), 1)
    cols = max(math.ceil(width / factors.across - 1e-9), 1)
    colours, valid = np.zeros((rows, cols, bands)), np.zeros((rows, cols), np.bool_)

    def share(number: int, at: int, factor: float, size: int) -> float:
        if factor > 1:
            found = min(at + 1, (number + 1) * factor) - max(at, number * factor)
        else:
            found = 1 - abs(min(max((number + 0.5) * factor - 0.5, 0), size - 1) - at)
        return found if found >= 1e-6 else 0.0  # less is rounding

    for row in range(rows):
        down = np.array([share(row, at, factors.down, height) for at in range(height)])
        for col in range(cols):
            across = np.array([share(col, at, factors.across, width) for at in range(width)])
            weight = down[:, None] * across * mask
            valid[row, col] = weight.any()
            if valid[row, col]:
                colours[row, col] = (pixels * weight[..., None]).sum((0, 1)) / weight.sum()
    return colours, valid


SIDES = st.integers(1, 40)
FACTOR = st.one_of(st.floats(0.2, 5), st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, 1.5]))


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, FACTOR, FACTOR, st.integers(0, 9), st.sampled_from([0.0, 0.3, 1.0]))
def test_resampling_is_area_means_and_straight_lines(height, width, down, across, seed, holes):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    mask = random.random((height, width)) >= holes
    shown = Resampled(Memory(pixels, mask), Factors(down, across))
    rows, cols, _ = shown.shape
    whole = Window(0, 0, rows, cols)
    expected, valid = slow(pixels, mask, Factors(down, across))
    got = shown.read(whole)
    assert np.array_equal(shown.valid(whole), valid)
    assert np.abs(got - expected)[valid].max(initial=0) <= 0.51
    assert (got[~valid] == 128).all()


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, FACTOR, FACTOR, st.data())
def test_no_window_changes_a_resampled_pixel(height, width, down, across, data):
    random = np.random.default_rng(height * width)
    scene = Memory(
        random.integers(0, 256, (height, width, 3), np.uint8), random.random((height, width)) > 0.2
    )
    shown = Resampled(scene, Factors(down, across))
    rows, cols, _ = shown.shape
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    part = Window(top, left, data.draw(st.integers(1, rows - top)), data.draw(st.integers(1, cols - left)))
    whole = shown.read(Window(0, 0, rows, cols))
    assert np.array_equal(Resampled(scene, Factors(down, across)).read(part), whole[part.slices()])


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, FACTOR, FACTOR, st.integers(1, 20))
def test_windows_of_the_resampled_scene_tile_the_scene(height, width, down, across, side):
    shown = Resampled(
        Memory(np.zeros((height, width, 3), np.uint8), np.ones((height, width))), Factors(down, across)
    )
    rows, cols, _ = shown.shape
    covered = np.zeros((height, width), int)
    for row in range(0, rows, side):
        for col in range(0, cols, side):
            window = Window(row, col, min(side, rows - row), min(side, cols - col))
            inside, down_to, across_to = shown.repeated(window)
            covered[inside.slices()] += 1
            assert len(down_to) == inside.height and len(across_to) == inside.width
            assert ((down_to >= 0) & (down_to < window.height)).all()
            assert ((across_to >= 0) & (across_to < window.width)).all()
    assert (covered == 1).all()


def test_each_pixel_gets_the_one_it_lies_in():
    assert places(6, 2.0, 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert places(3, 0.5, 6).tolist() == [1, 3, 5]
    assert places(5, 3.0, 2).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("scene", "told", "factors", "says"),
    [
        ((1.0, 1.0), None, None, None),
        ((1.05, 0.95), None, None, None),
        ((0.7, 0.7), None, (1 / 0.7, 1 / 0.7), None),
        ((0.5, 0.5), None, (2, 2), "0.5 m per pixel; it is translated at 1 m"),
        ((0.1, 0.1), None, (10, 10), "0.1 m per pixel; it is translated at 1 m"),
        ((2.0, 1.0), None, (0.5, 1.0), None),
        ((3.9, 3.9), None, (1 / 3.9, 1 / 3.9), "own grid"),
        ((10.0, 10.0), 10.0, None, "trained at 1 m"),
        ((10.0, 10.0), 1.0, (0.1, 0.1), "translated at 1 m"),
        (None, None, None, "unknown"),
    ],
)
def test_what_is_done_about_another_resolution(scene, told, factors, says):
    found, notice = choose(scene, 1.0, told)
    assert found == (None if factors is None else pytest.approx(factors))
    assert (notice is None) if says is None else (notice is not None and says in notice)


@pytest.mark.parametrize(
    ("scene", "told"), [((4.1, 4.1), None), ((0.01, 0.01), None), ((100.0, 100.0), 1.0), (None, 1.0)]
)
def test_resolutions_too_far_apart_are_refused(scene, told):
    with pytest.raises(WrongResolution, match="gsd"):
        choose(scene, 1.0, told)


def test_a_finer_scene_is_translated_coarsely_and_repeated_on_its_own_grid(tmp_path):
    pixels = geotiffs.texture(96, 130)
    mask = np.ones((96, 130), np.bool_)
    mask[:30, :50] = False
    geotiffs.write(tmp_path / "in.tif", pixels, mask=mask, transform=Affine(0.45, 0, 5e5, 0, -0.45, 5e6))
    translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions(gsd=0.90036))
    with rasterio.open(tmp_path / "out.tif") as file:
        got, valid = np.moveaxis(file.read(), 0, -1), file.dataset_mask() > 0
        assert file.tags()[SHOWN] == "0.90036"
    assert np.array_equal(valid, mask)
    squares = pixels.reshape(48, 2, 65, 2, 3).mean((1, 3)).repeat(2, 0).repeat(2, 1)
    assert np.abs(got - squares)[mask].max() <= 1 and not got[~mask].any()


@pytest.mark.parametrize("window", [32, 64, 256])
def test_no_window_changes_a_byte_of_a_resampled_job(window, tmp_path):
    geotiffs.write(
        tmp_path / "in.tif", geotiffs.texture(150, 170), transform=Affine(0.6, 0, 5e5, 0, -0.6, 5e6)
    )
    made = []
    for name, side, jobs in (("one.tif", 2048, 1), ("other.tif", window, 2)):
        model = fakes.FakeTranslator(fakes.card(cell=32, halo=8))
        translate_scene(model, tmp_path / "in.tif", tmp_path / name, SceneOptions(window=side, jobs=jobs))
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


# -- another grid -------------------------------------------------------------------------------------------------


def test_another_crs_and_resolution(tmp_path):
    """A plane of colour that grows to the east and the south is still that plane, wherever it is looked at."""
    rows, cols = np.mgrid[0:200, 0:220]
    pixels = np.stack([cols, rows, 0 * rows + 77], -1).astype(np.uint8)
    affine = Affine(1, 0, 500_000, 0, -1, 5_000_000)
    geotiffs.write(tmp_path / "in.tif", pixels, transform=affine)
    options = SceneOptions(output_crs="EPSG:3857", res=2.0, gsd=1.4)
    translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", options)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.crs == rasterio.CRS.from_epsg(3857) and file.res == (2.0, 2.0)
        got, valid, transform = file.read(), file.dataset_mask() > 0, file.transform
    assert 0.9 < valid.mean() < 1  # the scene is turned a little
    row, col = (axis[::37] for axis in np.nonzero(valid))
    east = transform.c + transform.a * (col + 0.5)
    north = transform.f + transform.e * (row + 0.5)
    x, y = rasterio.warp.transform("EPSG:3857", "EPSG:32632", east, north)
    inner = (
        (np.array(x) > 500_004)
        & (np.array(x) < 500_210)
        & (np.array(y) < 4_999_996)
        & (np.array(y) > 4_999_806)
    )
    assert inner.sum() > 100
    assert np.abs(got[0, row, col] - (np.array(x) - 500_000 - 0.5))[inner].max() < 1.2
    assert np.abs(got[1, row, col] - (5_000_000 - np.array(y) - 0.5))[inner].max() < 1.2
    assert (got[2, row, col][inner] == 77).all()


def test_control_points_are_carried_or_used(tmp_path):
    from rasterio.control import GroundControlPoint

    points = [
        GroundControlPoint(row=r, col=c, x=500_000 + 0.9 * c, y=5_000_000 - 0.9 * r)
        for r in (0, 50, 100)
        for c in (0, 60, 120)
    ]
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(100, 120), gcps=points, transform=None)
    translate_scene(Same(), tmp_path / "in.tif", tmp_path / "same.tif", SceneOptions())
    with rasterio.open(tmp_path / "same.tif") as file:
        assert [(p.row, p.col, p.x, p.y) for p in file.gcps[0]] == [(p.row, p.col, p.x, p.y) for p in points]
        assert file.gcps[1] == rasterio.CRS.from_string(geotiffs.UTM)
    translate_scene(
        Same(), tmp_path / "in.tif", tmp_path / "map.tif", SceneOptions(output_crs=geotiffs.UTM, res=0.9)
    )
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.crs == rasterio.CRS.from_string(geotiffs.UTM)
        assert file.transform.almost_equals(Affine(0.9, 0, 500_000, 0, -0.9, 5_000_000), 1e-3)


@pytest.mark.parametrize(
    ("crs", "scene_crs"),
    [
        ("EPSG:0", geotiffs.UTM),
        ("nonsense", geotiffs.UTM),
        ("/etc/passwd", geotiffs.UTM),
        ("http://127.0.0.1/crs", geotiffs.UTM),
        ("EPSG:3857", None),
        ("EPSG:3857", "+proj=eqc +R=3396190 +units=m +no_defs"),  # Mars
    ],
)
def test_crs_without_a_way_there_are_refused(crs, scene_crs, tmp_path):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(30, 30), crs=scene_crs)
    with pytest.raises(UnusableCrs):
        translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions(output_crs=crs))


def test_degrees_beyond_the_poles_are_a_wrong_crs(tmp_path):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(30, 30), crs="EPSG:4326")
    with pytest.raises(UnusableCrs, match="EPSG:4326"):
        translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions())


def test_a_grid_beyond_all_measure_is_refused(tmp_path):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(30, 30))
    with pytest.raises(WrongResolution, match="res"):
        translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions(res=1e-7))


@pytest.mark.parametrize("missing", ["mask", "alpha", "nodata", "told"])
def test_missing_pixels_stay_missing_on_another_grid(missing, tmp_path):
    """Twice as fine: the hole is where it was, and no colour of the hole gets into its surroundings."""
    pixels = np.full((80, 90, 4 if missing == "alpha" else 3), 200, np.uint8)
    hole = np.zeros((80, 90), np.bool_)
    hole[20:50, 30:70] = True
    pixels[hole] = 3
    more = {"mask": ~hole} if missing == "mask" else {"nodata": 3} if missing == "nodata" else {}
    if missing == "alpha":
        pixels[..., 3] = np.where(hole, 0, 255)
    geotiffs.write(tmp_path / "in.tif", pixels, **more)
    options = SceneOptions(res=0.45, gsd=0.45, nodata=3 if missing == "told" else None)
    translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", options)
    with rasterio.open(tmp_path / "out.tif") as file:
        got, valid = np.moveaxis(file.read(), 0, -1), file.dataset_mask() > 0
    expected = hole.repeat(2, 0).repeat(2, 1)
    wrong = valid == expected
    assert not wrong[:38].any() and not wrong[:, :58].any() and not wrong[102:].any()  # one pixel of play
    assert wrong.sum() < 400
    assert (got[valid] == 200).all()
