"""What is read of a scene, against plain NumPy on the arrays from which the file was made: every kind of file."""

import itertools
import math
import pathlib
import random
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

import fakes
import geotiffs
from sat2map.errors import WrongBands
from sat2map.grid import Window
from sat2map.runtime import Translation
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.raster import Place, RasterSource, metres_per_pixel, open_scene

COMBINATIONS = 320
TYPES = ("uint8", "uint16", "int16", "float32")
BANDS = ("grey", "grey+alpha", "rgb", "rgba", "bgr+alpha", "rgb+infrared", "five", "palette")
MISSING = ("nothing", "nodata", "mask", "nan", "told")
LAYOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate", "predictor": 2},
    {"compress": "lzw", "interleave": "band"},
    {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "zstd", "interleave": "pixel"},
    {"blockysize": 3, "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
)
TRANSFORMS = (
    Affine(0.9, 0, 5e5, 0, -0.9, 5e6),
    Affine(0.9, 0, 5e5, 0, 0.9, 5e6),
    Affine(0.6, 0.5, 5e5, 0.5, -0.6, 5e6),
    Affine(-0.9, 0, 5e5, 0, 0.9, 5e6),
    None,
)
SYSTEMS = ("EPSG:32632", "EPSG:2056", "EPSG:3857", "EPSG:4326", None)
COLOURS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


class Case(NamedTuple):
    kind: str
    bands: str
    missing: str
    layout: dict[str, Any]
    transform: Affine | None
    crs: str | None
    is_point: bool
    scale: tuple[float, float] | None


def cases() -> list[Case]:
    """A fixed choice of the cross product in which every pair of type, bands and way to be missing occurs."""
    rng = random.Random(3)
    every = [c for c in itertools.product(TYPES, BANDS, MISSING) if is_possible(*c)]
    chosen = every + [rng.choice(every) for _ in range(COMBINATIONS - len(every))]
    return [
        Case(
            *one,
            rng.choice(LAYOUTS[:1] if one[0] == "float32" else LAYOUTS),
            rng.choice(TRANSFORMS),
            rng.choice(SYSTEMS),
            rng.random() < 0.3,
            rng.choice((None, (10, 200), (-300.5, 900))),
        )
        for one in chosen
    ]


def is_possible(kind: str, bands: str, missing: str) -> bool:
    if bands == "palette":
        return kind == "uint8" and missing in ("nothing", "mask", "nodata")
    return missing != "nan" or kind == "float32"


class Made(NamedTuple):
    colour: np.ndarray  # (H, W, 3) samples that are red, green and blue
    valid: np.ndarray  # (H, W)
    options: dict[str, Any]


def make(case: Case, path: pathlib.Path, seed: int) -> Made:
    """Write the file of a case; what must be read from it is put together beside it, from the arrays."""
    random = np.random.default_rng(seed)
    height, width = (int(n) for n in random.integers(1, 60, 2))
    low, high = {"uint8": (0, 256), "uint16": (0, 4000), "int16": (-900, 4000), "float32": (-2, 3)}[case.kind]
    count = {"grey": 1, "palette": 1, "grey+alpha": 2, "rgb": 3, "five": 5}.get(case.bands, 4)
    pixels = random.uniform(low, high, (height, width, count)).astype(case.kind)
    holes = random.random((height, width)) < 0.2
    valid = np.ones((height, width), np.bool_)
    extra: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if "alpha" in case.bands or case.bands == "rgba":
        pixels[..., -1] = random.integers(0, 3, (height, width))
        valid &= pixels[..., -1] > 0
        extra["interp"] = interpretation(case.bands)
    if case.bands == "rgb+infrared":
        extra["interp"] = [*COLOURS.values(), ColorInterp.undefined]
    table = None
    if case.bands == "palette":
        table = random.integers(0, 256, (256, 4), np.uint8)
        table[:, 3] = 255  # the format has no transparent entries
        extra["colormap"] = {number: tuple(int(v) for v in entry) for number, entry in enumerate(table)}
    order = [2, 1, 0] if case.bands == "bgr+alpha" else [0, 1, 2] if count >= 3 else [0]
    if case.missing in ("nodata", "told", "nan"):
        value = math.nan if case.missing == "nan" else {"float32": -9999.5}.get(case.kind, 17)
        near = random.random((height, width)) < 0.1
        pixels[near, order[0]] = value  # one band alone says nothing, unless it is NaN
        pixels[holes[..., None] & np.isin(np.arange(count), order)] = value
        same = np.isnan if case.missing == "nan" else lambda v: v == value
        found = same(pixels[..., order])
        valid &= ~(found.any(-1) if case.missing == "nan" else found.all(-1))
        (options if case.missing == "told" else extra)["nodata"] = value
    if case.missing == "mask":
        extra["mask"] = ~holes
        valid &= ~holes
    geotiffs.write(
        path, pixels, transform=case.transform, crs=case.crs,
        tags={"AREA_OR_POINT": "Point" if case.is_point else "Area"}, **case.layout, **extra,
    )  # fmt: skip
    colour = pixels[..., order] if len(order) == 3 else np.repeat(pixels[..., :1], 3, -1)
    if table is not None:
        colour = table[pixels[..., 0]][..., :3]
    return Made(colour, valid, options)


def interpretation(bands: str) -> list[ColorInterp]:
    if bands == "grey+alpha":
        return [ColorInterp.gray, ColorInterp.alpha]
    names = ("blue", "green", "red") if bands == "bgr+alpha" else ("red", "green", "blue")
    return [*(COLOURS[name] for name in names), ColorInterp.alpha]


def expected(case: Case, made: Made) -> np.ndarray:
    """(H, W, 3) uint8, with 128 where the scene has no pixel; written differently from the product's arithmetic."""
    if case.bands == "palette" or (case.kind == "uint8" and not case.scale):
        levels = made.colour.astype(np.float64)
    else:
        bands = made.colour if case.bands not in ("grey", "grey+alpha") else made.colour[..., :1]
        sample = np.sort(bands[made.valid].astype(np.float64).ravel())
        if case.scale:
            low, high = case.scale
        elif sample.size:
            low, high = percentile(sample, 0.02), percentile(sample, 0.98)
        else:
            low, high = 0.0, 1.0
        if high <= low:
            high = low + max(abs(low) * 1e-6, 1.0)
        colour = np.where(np.isnan(made.colour), low, made.colour.astype(np.float64))
        levels = (colour - low) / (high - low) * 255
    shown = np.clip(np.floor(levels + 0.5), 0, 255)
    shown[~made.valid] = 128
    return shown


def percentile(ordered: np.ndarray, share: float) -> float:
    """Straight line between the two nearest ranks."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (at - below))


@pytest.mark.parametrize("group", range(8))
def test_pixels_masks_and_places_agree_with_numpy(group, tmp_path):
    for number, case in list(enumerate(cases()))[group::8]:
        made = make(case, tmp_path / "in.tif", number)
        height, width, _ = made.colour.shape
        with open_scene(tmp_path / "in.tif") as dataset:
            source = RasterSource(dataset, "in.tif", scale=case.scale, **made.options)
            got = source.read(Window(0, 0, height, width))
            valid = source.valid(Window(0, 0, height, width))
            place = Place.of(dataset)
            part = Window(height // 3, width // 2, height - height // 3, width - width // 2)
            assert np.array_equal(source.read(part), got[part.slices()]), case
        assert np.array_equal(valid, made.valid), case
        difference = np.abs(got - expected(case, made))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01, case  # rounding of a division
        if case.kind == "uint8" and not case.scale:
            assert difference.max() == 0, case
        check_place(case, place)


def check_place(case: Case, place: Place) -> None:
    assert (place.crs is not None) == (case.crs is not None)
    if case.crs:
        assert place.crs == rasterio.CRS.from_string(case.crs)
    assert place.is_point == case.is_point
    if case.transform is None:
        assert place.transform is None
        return
    for col, row in ((0, 0), (60, 0), (0, 60), (60, 60)):
        t, u = case.transform, place.transform
        x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
        back_x, back_y = u.a * col + u.b * row + u.c, u.d * col + u.e * row + u.f
        assert math.hypot(back_x - x, back_y - y) < 1e-6 * math.hypot(t.a, t.d), case


def test_the_cases_are_many_and_cover_what_they_say():
    found = cases()
    assert len(found) >= 300
    assert {case.bands for case in found} == set(BANDS) and {case.missing for case in found} == set(MISSING)


class Same:
    """A translator that gives back what it is shown."""

    def __init__(self) -> None:
        self.card = fakes.card(kind="rgb", palette=None, cell=32, halo=8)

    def __call__(self, batch: np.ndarray, want: Any) -> Translation:
        return Translation(colour=batch)


@pytest.mark.parametrize("number", [n for n, case in enumerate(cases()) if case.crs != "EPSG:4326"][::14])
def test_a_translator_that_changes_nothing_gives_the_scene_back(number, tmp_path):
    case = cases()[number]
    made = make(case, tmp_path / "in.tif", number)
    with open_scene(tmp_path / "in.tif") as dataset:
        size = metres_per_pixel(Place.of(dataset))
        said = {"gsd": (size[0] * size[1]) ** 0.5} if size else {}
    options = SceneOptions(scale=case.scale, **made.options, **said)
    translate_scene(Same(), tmp_path / "in.tif", tmp_path / "out.tif", options)
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.open(tmp_path / "in.tif") as scene,
        rasterio.open(tmp_path / "out.tif") as file,
    ):
        got, valid = np.moveaxis(file.read(), 0, -1), file.dataset_mask() > 0
        assert (file.crs, file.transform, file.shape) == (scene.crs, scene.transform, scene.shape)
    assert np.array_equal(valid, made.valid)
    assert np.abs(got - expected(case, made))[valid].max(initial=0) <= 1
    assert not got[~valid].any()


@pytest.mark.parametrize(
    ("count", "bidx", "says"),
    [(2, None, "2 bands"), (3, (4, 1, 1), "no band 4"), (3, (0,), "no band 0"), (3, (1, 2), "2 bands")],
)
def test_bands_that_cannot_be_told_are_refused(count, bidx, says, tmp_path):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(8, 9, count), photometric="minisblack")
    with open_scene(tmp_path / "in.tif") as dataset, pytest.raises(WrongBands, match=says):
        RasterSource(dataset, "in.tif", bidx=bidx)


def test_the_user_may_name_bands_also_one_that_the_file_calls_alpha(tmp_path):
    pixels = geotiffs.texture(20, 30, 4)
    pixels[:5] = 0
    interp = [*COLOURS.values(), ColorInterp.alpha]
    geotiffs.write(tmp_path / "in.tif", pixels, interp=interp)
    with open_scene(tmp_path / "in.tif") as dataset:
        source = RasterSource(dataset, "in.tif", bidx=(4, 1, 2))
        assert not source.has_missing
        assert np.array_equal(source.read(Window(0, 0, 20, 30)), pixels[..., [3, 0, 1]])
        assert source.valid(Window(0, 0, 20, 30)).all()


def test_one_bit_and_white_is_zero_are_read_as_people_see_them(tmp_path):
    bits = (geotiffs.texture(20, 30, 1) > 128).astype(np.uint8)
    geotiffs.write(tmp_path / "bit.tif", bits, nbits=1, photometric="minisblack")
    geotiffs.write(tmp_path / "white.tif", geotiffs.texture(20, 30, 1), photometric="miniswhite")
    for name, shown in (("bit.tif", bits * 255), ("white.tif", 255 - geotiffs.texture(20, 30, 1))):
        with open_scene(tmp_path / name) as dataset:
            assert np.array_equal(RasterSource(dataset, name).read(Window(0, 0, 20, 30)), shown.repeat(3, 2))


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:32632", Affine(0.5, 0, 5e5, 0, -0.5, 5e6), (0.5, 0.5)),
        ("EPSG:3857", Affine(2, 0, 2.0e6, 0, -2, 8_399_737), (1.0, 1.0)),  # 60 degrees north
        ("EPSG:4326", Affine(1e-5, 0, 9, 0, -1e-5, 60), (1.114, 0.558)),
        ("EPSG:2263", Affine(1, 0, 980_000, 0, -1, 200_000), (0.3048, 0.3048)),  # feet
        ("EPSG:32632", Affine(0.3, 0.4, 5e5, 0.4, -0.3, 5e6), (0.5, 0.5)),  # rotated
        (None, Affine(1, 0, 9, 0, -1, 60), None),
    ],
)
def test_metres_per_pixel_are_those_on_the_ground(crs, transform, metres, tmp_path):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(30, 30), crs=crs, transform=transform)
    with open_scene(tmp_path / "in.tif") as dataset:
        found = metres_per_pixel(Place.of(dataset))
    assert found == (None if metres is None else pytest.approx(metres, rel=0.003))
