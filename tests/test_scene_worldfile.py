"""Maps as ordinary pictures that lie where the scene lies."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

import fakes
import geotiffs
from sat2map.errors import ImageTooLarge, OutputExists, UnsupportedFormat, UnusableCrs
from sat2map.scenes import worldfile
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.translate import PRODUCTS

TURNED = Affine(0.72, 0.54, 500_000.25, 0.54, -0.72, 5_000_000.75)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    mask = np.ones((70, 90), np.bool_)
    mask[10:30, 20:50] = False
    folder = tmp_path_factory.mktemp("world")
    return geotiffs.write(folder / "in.tif", geotiffs.texture(70, 90), mask=mask, transform=TURNED)


def translated(scene, out, **options):
    return translate_scene(fakes.FakeTranslator(), scene, out, SceneOptions(**options))


@pytest.mark.parametrize("suffix", worldfile.WORLD)
def test_a_picture_has_the_pixels_and_the_place_of_the_geotiff(scene, tmp_path, suffix):
    translated(scene, tmp_path / "tif.tif", products=PRODUCTS)
    made = translated(scene, tmp_path / f"map{suffix}", products=PRODUCTS)
    for path, product in zip(made, PRODUCTS, strict=True):
        twin = tmp_path / ("tif.tif" if product == "colour" else f"tif_{product}.tif")
        with rasterio.open(twin) as right, rasterio.open(path) as picture:
            assert picture.crs == right.crs and picture.transform.almost_equals(right.transform, 1e-9)
            assert picture.tags()["SAT2MAP_MODEL"] == "fake"
            valid = right.dataset_mask() > 0
            assert np.array_equal(picture.dataset_mask() > 0, valid) or suffix in (".jpg", ".jpeg")
            bands = picture.read()[: right.count]
            if product == "colour" and suffix in (".jpg", ".jpeg"):
                assert np.abs(bands.astype(int) - right.read())[:, valid].mean() < 6
                assert bands[:, ~valid].mean() > 240
            else:
                assert np.array_equal(bands[:, valid], right.read()[:, valid])
        numbers = [float(line) for line in path.with_suffix(worldfile.WORLD[path.suffix]).read_text().split()]
        x, y = TURNED.a * 0.5 + TURNED.b * 0.5 + TURNED.c, TURNED.d * 0.5 + TURNED.e * 0.5 + TURNED.f
        assert numbers == pytest.approx([TURNED.a, TURNED.d, TURNED.b, TURNED.e, x, y], abs=1e-6)
        assert rasterio.CRS.from_wkt(path.with_suffix(".prj").read_text()).to_epsg(20) == 32632


def test_the_world_file_alone_is_enough_to_place_it(scene, tmp_path):
    (made,) = translated(scene, tmp_path / "map.png")
    (tmp_path / "map.png.aux.xml").unlink()
    with rasterio.open(made) as picture:
        assert picture.transform.almost_equals(TURNED, 1e-6)


def test_class_numbers_stay_numbers_and_have_names(scene, tmp_path):
    (made,) = translated(scene, tmp_path / "classes.png", products=("classes",))
    numbers = np.asarray(Image.open(made))
    assert set(np.unique(numbers)) <= {*fakes.PALETTE.classes, 255} and (numbers == 255).sum() == 600
    text = (tmp_path / "classes.png.aux.xml").read_text()
    assert all(f"<Category>{name}</Category>" in text for name in fakes.PALETTE.names)


def test_finished_work_is_known_again_and_changed_work_is_not(scene, tmp_path):
    out = tmp_path / "map.png"
    translated(scene, out)
    before = out.stat().st_mtime_ns
    translated(scene, out, resume=True)
    assert out.stat().st_mtime_ns == before and not list(tmp_path.glob(".*"))
    with pytest.raises(OutputExists):
        translated(scene, out)
    out.write_bytes(out.read_bytes() + b" ")
    with pytest.raises(OutputExists):
        translated(scene, out, resume=True)
    translated(scene, out, overwrite=True)
    assert not out.read_bytes().endswith(b" ")


def test_what_a_picture_cannot_be_is_refused(scene, tmp_path, monkeypatch):
    with pytest.raises(UnsupportedFormat, match="classes"):
        translated(scene, tmp_path / "map.jpg", products=("classes",))
    (tmp_path / "other.pgw").write_text("precious")
    with pytest.raises(OutputExists, match="pgw"):
        translated(scene, tmp_path / "other.png")
    bare = geotiffs.write(tmp_path / "bare.tif", geotiffs.texture(20, 20), transform=None)
    with pytest.raises(UnusableCrs):
        translated(bare, tmp_path / "map.png")
    monkeypatch.setattr(worldfile, "MOST", 1000)
    with pytest.raises(ImageTooLarge):
        translated(scene, tmp_path / "map.png")
    assert {path.name for path in tmp_path.iterdir()} == {"other.pgw", "bare.tif"}
