"""Real files of other projects with something odd about each: what becomes of every one of them."""

import pathlib
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import rasterio

import fakes
from sat2map.errors import Sat2MapError, WrongResolution
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.raster import Place, RasterSource, metres_per_pixel, open_scene


class Fact(NamedTuple):
    """What is to be found in a file, and what `translate` says to it without options."""

    bands: tuple[int, ...]  # read as red, green, blue
    missing: float  # share of pixels
    metres: tuple[float, float] | None  # per pixel: height, width
    error: type[Sat2MapError] | None  # for a model of 0.9 m per pixel
    says: str = ""  # in an error, or in a notice


FACTS = {
    "RGB.byte.tif": Fact((1, 2, 3), 0.3254, (299.9, 299.9), WrongResolution, "300 m"),
    "RGBA.uint16.tif": Fact((3, 2, 1), 0.5114, (1.38, 1.38), None, "chosen from the scene"),
    "cog_dateline.tif": Fact((1, 1, 1), 0.0, (100.0, 100.0), WrongResolution, "100"),
    "cog_gcps.tif": Fact((1, 1, 1), 0.0, (203.6, 200.0), WrongResolution, "20"),
    "cog_hirise_mars.tif": Fact((1, 2, 3), 0.0, (5.0, 5.0), WrongResolution, "5"),
    "cog_rgb_mask.tif": Fact((1, 2, 3), 0.0308, (0.15, 0.15), None, "own grid"),
    "cog_rgba.tif": Fact((1, 2, 3), 0.113, (0.15, 0.15), None, "own grid"),
    "colorado_hro_0.15m.tif": Fact((1, 2, 3), 0.0, (0.15, 0.15), None, "own grid"),
    "colorado_hro_0.15m_nodata.tif": Fact((1, 2, 3), 0.0266, (0.15, 0.15), None, "own grid"),
    "dem_lv95_float32.tif": Fact((1, 1, 1), 0.0, (2.5, 2.5), None, "chosen from the scene"),
    "drone_0.06m.tif": Fact((1, 2, 3), 0.0, (0.059, 0.059), None, "own grid"),
    "nocog.tif": Fact((1, 1, 1), 0.0, (100.0, 100.0), WrongResolution, "100"),
    "oils_epsg3857_rgba.tif": Fact((1, 2, 3), 0.0, (1.164, 1.168), None),
    "pix4d_alpha_nodata.tif": Fact((1, 2, 3), 0.1244, (0.35, 0.35), None, "own grid"),
    "sentinel2_TCI_100m.tif": Fact((1, 2, 3), 0.2605, (100.0, 100.0), WrongResolution, "100"),
    "world.rgb.tif": Fact((1, 2, 3), 0.0, (78_000.0, 78_000.0), WrongResolution, "780"),
}


def translator() -> fakes.FakeTranslator:
    return fakes.FakeTranslator(fakes.card(cell=256, halo=8))


@pytest.fixture
def folder(shared) -> pathlib.Path:
    return shared / "data" / "fixtures" / "geotiff-misc"


def test_the_table_is_complete(folder):
    assert {path.name for path in folder.glob("*.tif")} == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_each_file_is_read_for_what_it_is(name, folder):
    fact = FACTS[name]
    with open_scene(folder / name) as dataset:
        source = RasterSource(dataset, name)
        assert source.bands.colour == fact.bands
        height, width, _ = source.shape
        missing = sum(
            (~source.valid(window)).sum() for window in strips(height, width) if source.has_missing
        ) / (height * width)
        assert missing == pytest.approx(fact.missing, abs=5e-4)
        found = metres_per_pixel(Place.of(dataset))
        assert found == (None if fact.metres is None else pytest.approx(fact.metres, rel=0.01))


def strips(height: int, width: int) -> list[Any]:
    from sat2map.grid import Window

    return [Window(row, 0, min(256, height - row), width) for row in range(0, height, 256)]


@pytest.mark.parametrize("name", FACTS)
def test_each_file_is_translated_or_refused_with_a_reason(name, folder, tmp_path):
    fact, said = FACTS[name], []
    source = folder / name
    if fact.error:
        with pytest.raises(fact.error, match=fact.says):
            translate_scene(translator(), source, tmp_path / "map.tif", SceneOptions())
        assert not list(tmp_path.iterdir())
    options = SceneOptions(gsd=told(fact)) if fact.error else SceneOptions()
    translate_scene(translator(), source, tmp_path / "map.tif", options, on_notice=said.append)
    if not fact.error:
        assert fact.says in " ".join(said)
    with (
        warnings.catch_warnings(action="ignore"),
        rasterio.open(source) as scene,
        rasterio.open(tmp_path / "map.tif") as made,
    ):
        assert made.shape == scene.shape and made.crs == scene.crs and made.transform == scene.transform
        assert made.tags()["AREA_OR_POINT"] == scene.tags()["AREA_OR_POINT"]
        assert len(made.gcps[0]) == len(scene.gcps[0]) and made.gcps[1] == scene.gcps[1]
        for one, other in zip(made.gcps[0], scene.gcps[0], strict=True):
            assert np.allclose((one.row, one.col, one.x, one.y), (other.row, other.col, other.x, other.y))
        assert (made.dataset_mask() == 0).mean() == pytest.approx(fact.missing, abs=5e-4)


def told(fact: Fact) -> float | None:
    """The scene's own resolution, so that nothing is resampled."""
    return None if fact.metres is None else (fact.metres[0] * fact.metres[1]) ** 0.5
