"""Pictures and folders of them, through the command line: right files, right sizes, nothing overwritten or lost."""

import json

import numpy as np
import pytest

import fakes
import tiny
from sat2map.cli.main import main
from sat2map.errors import CorruptImage, FileMissing, OutputExists, UnsupportedFormat
from sat2map.images import read_image, write_image
from sat2map.scenes import pictures
from sat2map.scenes.pictures import (
    images_in,
    output_paths,
    translate_folder,
    translate_image,
    translate_picture,
    write_products,
)

ALL = ("colour", "classes", "confidence")


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.bundle(tmp_path_factory.mktemp("pictures") / "tiny").folder)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    write_image(path, noise(70, 50), overwrite=False)
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number, name in enumerate(("a.png", "b.jpg", "c.webp")):
        write_image(folder / name, noise(30 + number, 40, number), overwrite=False)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"no image")
    (folder / "below").mkdir()
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_products_go_beside_out_and_keep_the_size(model, photo, tmp_path):
    out = tmp_path / "map.png"
    assert main(["translate", str(photo), str(out), "--model", model, "--products", ",".join(ALL), "-q"]) == 0
    assert {p.name for p in tmp_path.glob("map*")} == {"map.png", "map_classes.png", "map_confidence.png"}
    assert {read_image(p).shape for p in tmp_path.glob("map*")} == {(70, 50, 3)}


def test_the_class_raster_holds_class_numbers_and_shows_class_colours(tmp_path):
    from PIL import Image

    translator = fakes.FakeTranslator()
    products = translate_image(translator, noise(40, 60), ALL)
    paths = output_paths(tmp_path / "m.png", ALL)
    write_products(products, paths, translator.card, overwrite=False)
    with Image.open(paths["classes"]) as raster:
        assert raster.mode == "P" and (np.asarray(raster) == products["classes"]).all()
    colours = np.array(fakes.PALETTE.class_colours(), np.uint8)
    assert (read_image(paths["classes"]) == colours[products["classes"]]).all()
    with Image.open(paths["confidence"]) as grey:
        assert grey.mode == "L" and (np.asarray(grey) == products["confidence"]).all()
    assert (read_image(paths["colour"]) == products["colour"]).all()


def test_one_product_goes_to_out_itself(tmp_path):
    assert output_paths(tmp_path / "c.png", ["classes"]) == {"classes": tmp_path / "c.png"}
    assert output_paths(tmp_path / "c.jpg", ["colour", "classes"])["classes"] == tmp_path / "c_classes.png"


@pytest.mark.parametrize(
    ("name", "products"),
    [("m.gif", ["colour"]), ("m", ["colour"]), ("m.jpg", ["classes"]), ("m.tif", ["colour"])],
)
def test_suffixes_that_cannot_hold_a_product_are_refused_before_any_work(tmp_path, photo, name, products):
    translator = fakes.FakeTranslator()
    with pytest.raises(UnsupportedFormat, match=rf"{name}.*Use .*\.png"):
        translate_picture(translator, photo, tmp_path / name, products)
    assert not translator.shapes


def test_windows_and_jobs_do_not_change_a_file(model, photo, tmp_path):
    arguments = ["translate", str(photo), "--model", model, "--products", ",".join(ALL), "-q"]
    written = []
    for number, options in enumerate(([], ["--window", "1"], ["--window", "30", "-j", "3"])):
        out = tmp_path / str(number)
        out.mkdir()
        assert main([*arguments, str(out / "map.png"), *options]) == 0
        written.append(contents(out))
    assert written[0] == written[1] == written[2] and len(written[0]) == 3


@pytest.mark.parametrize("there", ["map.png", "map_classes.png", "map_confidence.png"])
def test_any_output_that_exists_stops_everything_before_any_work(photo, tmp_path, there):
    translator = fakes.FakeTranslator()
    (tmp_path / there).write_bytes(b"precious")
    before = contents(tmp_path)
    with pytest.raises(OutputExists, match=there):
        translate_picture(translator, photo, tmp_path / "map.png", ALL)
    assert contents(tmp_path) == before and not translator.shapes
    assert len(translate_picture(translator, photo, tmp_path / "map.png", ALL, overwrite=True)) == 3


def test_an_input_is_never_its_own_output(photo):
    before = photo.read_bytes()
    with pytest.raises(OutputExists, match="one of the inputs"):
        translate_picture(fakes.FakeTranslator(), photo, photo, overwrite=True)
    assert photo.read_bytes() == before


def test_a_folder_keeps_its_names_and_sizes(model, photos, tmp_path, capsys):
    out = tmp_path / "maps"
    assert main(["translate", str(photos), str(out), "--model", model, "--json"]) == 0
    assert {p.name: read_image(p).shape for p in out.iterdir()} == {
        "a.png": (30, 40, 3),
        "b.png": (31, 40, 3),
        "c.png": (32, 40, 3),
    }
    summary = json.loads(capsys.readouterr().out)
    assert summary["failed"] == {} and summary["model"] == "tiny" and len(summary["written"]) == 3


def test_a_folder_gives_what_its_images_give_one_by_one(photos, tmp_path):
    translator = fakes.FakeTranslator()
    translate_folder(translator, photos, tmp_path / "maps", ALL)
    for name in ("a.png", "b.jpg", "c.webp"):
        alone = tmp_path / "alone" / name.replace(name[1:], ".png")
        translate_picture(translator, photos / name, alone, ALL)
    assert contents(tmp_path / "maps") == contents(tmp_path / "alone")


def test_broken_images_do_not_stop_the_others_and_are_named(model, photos, tmp_path, capsys):
    (photos / "aa.png").write_bytes((photos / "a.png").read_bytes()[:200])
    (photos / "bb.jpg").write_bytes(b"<html>")
    before = contents(photos)
    assert main(["translate", str(photos), str(tmp_path / "maps"), "--model", model]) == 1
    error = capsys.readouterr().err
    assert "aa.png" in error and "bb.jpg" in error and "2 of the images" in error
    assert {p.name for p in (tmp_path / "maps").iterdir()} == {"a.png", "b.png", "c.png"}
    assert contents(photos) == before


def test_notices_of_a_large_folder_are_summed_up(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "warn", lambda card, source, name, tell: tell(name))
    for number in range(4):
        write_image(photos / f"d{number}.png", noise(30, 40), overwrite=False)
    told = []
    translate_folder(fakes.FakeTranslator(), photos, tmp_path / "maps", on_notice=told.append)
    assert told == ["a.png", "b.jpg", "c.webp", "so are 4 more of the 7 images"]


def test_the_errors_of_a_folder_are_typed(photos, tmp_path):
    (photos / "aa.png").write_bytes((photos / "a.png").read_bytes()[:200])
    result = translate_folder(fakes.FakeTranslator(), photos, tmp_path / "maps")
    assert {path.name: type(error) for path, error in result.failed.items()} == {"aa.png": CorruptImage}
    assert len(result.written) == 3


@pytest.mark.parametrize("other", ["a.jpg", "a_classes.png"])
def test_two_images_never_share_an_output(photos, tmp_path, other):
    write_image(photos / other, noise(8, 8), overwrite=False)
    translator = fakes.FakeTranslator()
    with pytest.raises(OutputExists, match="two images"):
        translate_folder(translator, photos, tmp_path / "maps", ALL)
    assert not translator.shapes and not (tmp_path / "maps").exists()


def test_a_folder_is_not_translated_onto_itself(photos):
    before = contents(photos)
    with pytest.raises(OutputExists):
        translate_folder(fakes.FakeTranslator(), photos, photos, overwrite=True)
    assert contents(photos) == before


def test_progress_of_a_folder_counts_images(photos, tmp_path):
    calls = []
    translate_folder(
        fakes.FakeTranslator(), photos, tmp_path / "maps", on_progress=lambda *call: calls.append(call)
    )
    assert calls == [(0, 3, "a.png"), (1, 3, "b.jpg"), (2, 3, "c.webp"), (3, 3, "")]


def test_a_folder_without_images_is_said_so(tmp_path):
    with pytest.raises(FileMissing, match="no images"):
        images_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--products", "colours"], "colour,classes,confidence"),
        (["--products", ","], "colour,classes,confidence"),
        (["--window", "0"], "window"),
        (["-j", "0"], "jobs"),
    ],
)
def test_wrong_options_are_refused_with_what_is_allowed(model, photo, tmp_path, capsys, arguments, words):
    assert main(["translate", str(photo), str(tmp_path / "m.png"), "--model", model, *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "m.png").exists()


def test_products_may_be_repeated_and_spaced(model, photo, tmp_path):
    options = ["--model", model, "--products", "classes, colour,classes", "-q"]
    assert main(["translate", str(photo), str(tmp_path / "m.png"), *options]) == 0
    assert {p.name for p in tmp_path.glob("m*.png")} == {"m.png", "m_classes.png"}
