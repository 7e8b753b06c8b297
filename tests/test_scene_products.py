"""A georeferenced scene becomes COGs on its grid: what the model says of it, and nothing where there is nothing."""

import pathlib
import random
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate

import fakes
import geotiffs
import tiny
from sat2map.bundle import find
from sat2map.cli.main import main
from sat2map.errors import OutputExists, UnsuitableModel, UnsupportedFormat, WrongBands
from sat2map.grid import Window
from sat2map.images import write_image
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.georeferenced import SceneOptions, translate_scene
from sat2map.scenes.pictures import Canvas, Picture, translate_image
from sat2map.scenes.translate import PRODUCTS, translate
from sat2map.storage import sha256

HEIGHT, WIDTH = 533, 709


def translator() -> fakes.FakeTranslator:
    return fakes.FakeTranslator(fakes.card(cell=64, halo=8))


def product(path: pathlib.Path, name: str) -> pathlib.Path:
    return path if name == "colour" else path.with_name(f"{path.stem}_{name}.tif")


def read(path: pathlib.Path) -> np.ndarray:
    with rasterio.open(path) as file:
        pixels = file.read()
    return np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A scene with a hole, translated: folder, pixels, mask, and what the model was shown of it."""
    folder = tmp_path_factory.mktemp("scene")
    pixels = geotiffs.texture(HEIGHT, WIDTH)
    mask = np.ones((HEIGHT, WIDTH), np.bool_)
    mask[100:420, 200:600] = False
    geotiffs.write(folder / "in.tif", pixels, mask=mask, tags={"AREA_OR_POINT": "Point"})
    model = translator()
    options = SceneOptions(products=PRODUCTS, window=256)
    translate_scene(model, folder / "in.tif", folder / "out.tif", options, checksum="c" * 64)
    shown = np.where(mask[..., None], pixels, 128).astype(np.uint8)
    return folder, mask, shown, len(model.shapes)


@pytest.mark.parametrize("name", PRODUCTS)
def test_each_product_is_what_the_model_says_of_the_scene_in_memory(job, name):
    folder, mask, shown, _ = job
    expected = translate_image(translator(), shown, (name,))[name]
    got = read(product(folder / "out.tif", name))
    assert (got[mask] == expected[mask]).all()
    assert (got[~mask] == (0 if name == "colour" else 255)).all()


@pytest.mark.parametrize("name", PRODUCTS)
def test_each_product_is_a_valid_cog_on_the_grid_of_the_scene(job, name):
    folder, mask, _, _ = job
    path = product(folder / "out.tif", name)
    is_valid, errors, warnings = cog_validate(path)
    assert is_valid and not errors and not warnings
    with rasterio.open(folder / "in.tif") as scene, rasterio.open(path) as made:
        assert (made.crs, made.transform, made.shape) == (scene.crs, scene.transform, scene.shape)
        assert made.tags()["AREA_OR_POINT"] == "Point"
        assert made.block_shapes[0] == (512, 512) and made.overviews(1) == [2]
        assert np.array_equal(made.dataset_mask() > 0, mask)
        assert "per_dataset" in [flag.name for flag in made.mask_flag_enums[0]]
    assert not list(folder.glob(".*")), "nothing is left over"


def test_overviews_hold_no_class_that_is_not_there(job):
    folder, mask, _, _ = job
    path = product(folder / "out.tif", "classes")
    with rasterio.open(path) as file:
        full, mask = file.read(1), file.dataset_mask() > 0
    with rasterio.open(path, overview_level=0) as file:
        small = file.read(1)
    assert set(np.unique(small)) <= set(np.unique(full[mask])) | {255}


def test_classes_have_colours_and_names(job):
    folder, *_ = job
    path = product(folder / "out.tif", "classes")
    with rasterio.open(path) as file:
        table, kinds = file.colormap(1), [kind.name for kind in file.colorinterp]
    assert kinds == ["palette"]
    for number, colour in enumerate(fakes.PALETTE.class_colours()):
        assert table[number] == (*colour, 255)
    names = ElementTree.parse(f"{path}.aux.xml").iter("Category")
    assert [name.text for name in names] == list(fakes.PALETTE.names)


def test_tags_name_the_model_and_say_that_the_content_is_generated(job):
    folder, *_ = job
    for name in PRODUCTS:
        with rasterio.open(product(folder / "out.tif", name)) as file:
            tags = file.tags()
        assert tags["SAT2MAP_MODEL"] == "fake" and tags["SAT2MAP_MODEL_SHA256"] == "c" * 64
        assert tags["SAT2MAP_PRODUCT"] == name and "uint8" in tags["SAT2MAP_SCALING"]
        assert "enerated" in tags["TIFFTAG_IMAGEDESCRIPTION"] and "sat2map" in tags["TIFFTAG_SOFTWARE"]


def test_cells_without_a_pixel_are_not_computed(job):
    _, mask, _, computed = job
    rows, cols = -(-HEIGHT // 64), -(-WIDTH // 64)
    padded = np.zeros((rows * 64, cols * 64), np.bool_)
    padded[:HEIGHT, :WIDTH] = mask
    cells = padded.reshape(rows, 64, cols, 64).any((1, 3))
    assert computed == cells.sum() < cells.size


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.9, 0, 5e5, 0, -0.9, 5e6),
        Affine(0.9, 0, 5e5, 0, 0.9, 5e6),  # south up
        Affine(0.7, 0.4, 5e5, 0.4, -0.7, 5e6),  # rotated
        Affine(-0.9, 0.1, 5e5 + 1 / 3, 0.1, 0.9, 5e6 + 1 / 7),
    ],
    ids=["north-up", "south-up", "rotated", "mirrored"],
)
def test_corners_stay_within_a_millionth_of_a_pixel(tmp_path, transform):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(70, 90), transform=transform)
    translate_scene(translator(), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions())
    with rasterio.open(tmp_path / "out.tif") as file:
        back = (
            ~transform @ file.transform if hasattr(transform, "__matmul__") else ~transform * file.transform
        )
    moved = np.array(back).reshape(3, 3)
    corners = np.array([[0, 90, 0, 90], [0, 0, 70, 70], [1, 1, 1, 1]])
    assert np.abs(moved @ corners - corners).max() < 1e-6


def test_without_georeference_there_is_a_map_and_a_notice(tmp_path, recwarn):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(40, 50), crs=None, transform=None)
    said: list[str] = []
    translate_scene(
        translator(), tmp_path / "in.tif", tmp_path / "out.tif", SceneOptions(), on_notice=said.append
    )
    assert any("no georeference" in text for text in said)
    assert read(tmp_path / "out.tif").shape == (40, 50, 3)


def test_progress_goes_on_while_the_files_are_written(tmp_path):
    geotiffs.write(tmp_path / "in.tif", geotiffs.texture(140, 150))
    told: list[tuple[int, int, str]] = []
    options = SceneOptions(products=PRODUCTS, window=64)
    translate_scene(
        translator(),
        tmp_path / "in.tif",
        tmp_path / "out.tif",
        options,
        on_progress=lambda *call: told.append(call),
    )
    assert all(0 <= done <= total for done, total, _ in told)
    notes = list(dict.fromkeys(note for *_, note in told if note))
    assert notes == ["putting blocks together", *(f"compressing {name}" for name in PRODUCTS)]
    rows = [done for done, total, note in told if note == notes[0]]
    assert rows == sorted(rows) and rows[-1] == 140 and len(rows) > 3
    assert told[-1] == (3, 3, "")


def test_refusals_leave_the_folder_as_it_was(tmp_path):
    source = geotiffs.write(tmp_path / "in.tif", geotiffs.texture(40, 50))
    (tmp_path / "there.tif").write_bytes(b"precious")
    (tmp_path / "named_classes.tif.aux.xml").write_bytes(b"precious too")
    rgb = fakes.FakeTranslator(fakes.card(kind="rgb", palette=None))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for model, out, options, error in [
        (translator(), "there.tif", SceneOptions(), OutputExists),
        (translator(), "in.tif", SceneOptions(overwrite=True), OutputExists),
        (translator(), "named.tif", SceneOptions(products=("colour", "classes")), OutputExists),
        (translator(), "map.tif", SceneOptions(scale=(0, 9, 0, 9)), WrongBands),
        (translator(), "map.tif", SceneOptions(bidx=(7,)), WrongBands),
        (translator(), "map.jp2", SceneOptions(), UnsupportedFormat),
        (rgb, "map.tif", SceneOptions(products=("classes",)), UnsuitableModel),
    ]:
        with pytest.raises(error):
            translate_scene(model, source, tmp_path / out, options)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# -- windows, order, workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("windowing", ["exact", "blend"])
def test_windows_and_workers_change_no_byte_of_the_files(windowing, tmp_path):
    pixels = geotiffs.texture(HEIGHT, WIDTH)
    mask = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 1000 > 3
    mask[64:300, 70:400] = False
    geotiffs.write(tmp_path / "in.tif", pixels, mask=mask)
    card = fakes.card(cell=64, halo=8 if windowing == "exact" else 32, windowing=windowing)
    made = set()
    for window in (256, 512, 1024, 2048):
        for jobs in (1, 2):
            model = fakes.FakeTranslator(card)
            options = SceneOptions(products=PRODUCTS, window=window, jobs=jobs, overwrite=True)
            translate_scene(model, tmp_path / "in.tif", tmp_path / "out.tif", options)
            made.add(tuple(product(tmp_path / "out.tif", name).read_bytes() for name in PRODUCTS))
    assert len(made) == 1


@pytest.mark.parametrize("window", [64, 256, 512])
def test_the_order_of_blocks_changes_no_pixel(window):
    pixels = geotiffs.texture(HEIGHT, WIDTH)
    expected = translate_image(translator(), pixels, PRODUCTS)
    canvas = Canvas(HEIGHT, WIDTH)
    found: list[Window] = []

    def note(block: Window) -> bool:
        found.append(block)
        return False

    translate(translator(), Picture(pixels), canvas, PRODUCTS, window=window, wanted=note)
    random.Random(window).shuffle(found)
    for block in found:
        translate(translator(), Picture(pixels), canvas, PRODUCTS, window=window, wanted=block.__eq__)
    assert all((canvas.products[name] == expected[name]).all() for name in PRODUCTS)


def test_the_map_of_a_real_scene_does_not_depend_on_windows(shared, tmp_path):
    scene = next((shared / "data" / "aerial" / "inria-austin-0.3m").glob("*[!k].tif"))
    made = set()
    for window, jobs in ((256, 2), (1024, 1)):
        options = SceneOptions(products=PRODUCTS, window=window, jobs=jobs, overwrite=True)
        translate_scene(translator(), scene, tmp_path / "out.tif", options)
        made.add(tuple(product(tmp_path / "out.tif", name).read_bytes() for name in PRODUCTS))
    assert len(made) == 1


# -- the command --------------------------------------------------------------------------------------------------


def test_the_command_names_the_map_itself_and_takes_options(tmp_path, capsys):
    bundle = tiny.bundle(tmp_path / "model").folder
    pixels = geotiffs.texture(60, 70, 4).astype(np.uint16) * 40
    source = geotiffs.write(tmp_path / "ortho.tif", pixels, photometric="minisblack")
    command = ["translate", str(source), "--model", str(bundle), "--products", "colour,classes"]
    assert main([*command, "--bidx", "4,2,1", "--scale", "0,8000", "--co", "compress=ZSTD", "-j", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / f"ortho_map{name}.tif") for name in ("", "_classes")]
    shown = np.floor(pixels[..., [3, 1, 0]] / 8000 * 255 + 0.5).clip(0, 255).astype(np.uint8)
    expected = translate_image(OnnxTranslator(find(bundle)), shown, ("colour", "classes"))
    for name in ("colour", "classes"):
        assert (read(product(tmp_path / "ortho_map.tif", name)) == expected[name]).all()
    with rasterio.open(tmp_path / "ortho_map.tif") as file:
        assert file.compression.name == "zstd" and file.tags()["SAT2MAP_SCALING"].startswith("0 to 8000")
        assert file.tags()["SAT2MAP_MODEL_SHA256"] == sha256(bundle / "model.onnx")
    assert main(command) == 2 and "already exists" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert "chosen from the scene" in capsys.readouterr().err


def test_options_of_scenes_are_refused_where_they_mean_nothing(tmp_path, capsys):
    bundle = tiny.bundle(tmp_path / "model").folder
    write_image(tmp_path / "photo.png", geotiffs.texture(30, 40), overwrite=False)
    source = geotiffs.write(tmp_path / "in.tif", geotiffs.texture(30, 40))
    out, png = str(tmp_path / "out.tif"), str(tmp_path / "out.png")
    for arguments, says in [
        ([str(tmp_path / "photo.png"), png, "--bidx", "1"], "--bidx"),
        ([str(tmp_path / "photo.png"), png, "--resume"], "--resume"),
        ([str(tmp_path / "photo.png")], "OUT"),
        ([str(source), out, "--scale", "5,5"], "--scale"),
        ([str(source), out, "--scale", "0,nan"], "--scale"),
        ([str(source), out, "--co", "SOURCE=/etc/passwd"], "--co"),
        ([str(source), out, "--co", "COMPRESS=../x"], "--co"),
        ([str(source), out, "--bidx", "1.5"], "--bidx"),
        ([str(source), out, "--gsd", "0"], "--gsd"),
    ]:
        assert main(["translate", *arguments, "--model", str(bundle)]) == 2, arguments
        assert says in capsys.readouterr().err
    assert main(["translate", str(source), png, "--model", str(bundle)]) == 0, "a scene may become a picture"


@pytest.mark.parametrize("compression", ["JPEG", "WEBP", "LZW"])
def test_lossy_colours_leave_classes_exact(compression, tmp_path):
    source = geotiffs.write(tmp_path / "in.tif", geotiffs.texture(100, 120))
    options = SceneOptions(products=PRODUCTS, creation={"COMPRESS": compression})
    translate_scene(translator(), source, tmp_path / "out.tif", options)
    expected = translate_image(translator(), geotiffs.texture(100, 120), PRODUCTS)
    for name in ("classes", "confidence"):
        assert (read(product(tmp_path / "out.tif", name)) == expected[name]).all()
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.compression.name == compression.lower()
        assert np.abs(np.moveaxis(file.read(), 0, -1).astype(int) - expected["colour"]).mean() < 12
