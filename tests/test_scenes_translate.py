"""Scenes: no window, order or number of workers changes a byte, and the cells are those of the scene in one piece."""

import time

import msgspec
import numpy as np
import pytest

import fakes
import tiny
from sat2map.bundle import find
from sat2map.errors import UnsuitableModel, WrongBands
from sat2map.grid import Block, CellGrid, align_up
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.blend import taper
from sat2map.scenes.pictures import Canvas, Picture, translate_image
from sat2map.scenes.translate import PRODUCTS, check, read_reflected, translate

HEIGHT, WIDTH, CELL = 301, 267, 64


@pytest.fixture(scope="module")
def image():
    """A large random image with structure at several scales, so that all palette colours occur."""
    random = np.random.default_rng(7)
    picture = sum(
        np.kron(
            random.uniform(-50, 50, (-(-HEIGHT // step), -(-WIDTH // step), 3)), np.ones((step, step, 1))
        )[:HEIGHT, :WIDTH]
        for step in (1, 7, 40)
    )
    return (picture + 128).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def onnx_translator(tmp_path_factory):
    return OnnxTranslator(tiny.bundle(tmp_path_factory.mktemp("scenes") / "tiny", cell=CELL, halo=8))


def fake_translator():
    return fakes.FakeTranslator(fakes.card(cell=CELL, halo=8))


class Restless:
    """A translator whose calls take random times, so that strips end in any order."""

    def __init__(self, translator, seed):
        self._translator, self._random, self.card = translator, np.random.default_rng(seed), translator.card

    def __call__(self, batch, want):
        time.sleep(float(self._random.uniform(0, 0.002)))
        return self._translator(batch, want)


def windowings(translator, image, count, batch=1):
    """Products of `image` under random windows, worker counts and orders of completion."""
    random = np.random.default_rng(11)
    for number in range(count):
        canvas = Canvas(*image.shape[:2])
        chosen = Restless(translator, number) if number % 4 == 0 else translator
        window, jobs = int(random.integers(1, 400)), int(random.integers(1, 5))
        translate(chosen, Picture(image), canvas, PRODUCTS, window=window, jobs=jobs, batch=batch)
        yield canvas.products


@pytest.mark.parametrize("kind", ["fake", "onnx"])
def test_two_hundred_windowings_are_byte_equal(kind, image, onnx_translator):
    translator = onnx_translator if kind == "onnx" else fake_translator()
    expected = translate_image(translator, image, PRODUCTS, jobs=1)
    assert len(np.unique(expected["classes"])) >= 4
    for products in windowings(translator, image, 200):
        for name in PRODUCTS:
            assert products[name].tobytes() == expected[name].tobytes(), name


@pytest.mark.parametrize("batch", [2, 3, 7])
def test_windowings_are_byte_equal_for_any_batch(batch, image, onnx_translator):
    first, *others = windowings(onnx_translator, image, 8, batch)
    for products in others:
        assert all((products[name] == first[name]).all() for name in PRODUCTS)


def probabilities_by_cells(translator, image):
    height, width, _ = image.shape
    grid = CellGrid(height, width, translator.card.cell, translator.card.halo)
    out = np.empty((len(translator.card.palette), height, width), np.float32)
    inner = slice(grid.halo, grid.halo + grid.cell)
    for cell in grid.cells(Block(0, 0, grid.rows, grid.cols)):
        patch = read_reflected(Picture(image), grid.pixels(cell).grown(grid.halo))
        found = translator(patch[None], ("probabilities",)).probabilities[0, :, inner, inner]
        place = grid.pixels(cell).clipped(height, width)
        out[:, *place.slices()] = found[:, : place.height, : place.width]
    return out


def probabilities_in_one_piece(translator, image):
    card, (height, width, _) = translator.card, image.shape
    margin = align_up(card.receptive_radius, card.stride) + card.stride
    below, right = (align_up(side, card.stride) - side + margin for side in (height, width))
    padded = np.pad(image, ((margin, below), (margin, right), (0, 0)), mode="reflect")
    found = translator(padded[None], ("probabilities",)).probabilities[0]
    return found[:, margin : margin + height, margin : margin + width]


@pytest.mark.parametrize("kind", ["fake", "onnx"])
def test_cells_agree_with_the_scene_in_one_piece(kind, image, onnx_translator):
    translator = onnx_translator if kind == "onnx" else fake_translator()
    whole = probabilities_in_one_piece(translator, image)
    assert np.abs(probabilities_by_cells(translator, image) - whole).max() < 1e-4
    classes = translator.card.palette.to_classes(whole.argmax(0).astype(np.uint8))
    got = translate_image(translator, image, ("classes",))["classes"]
    assert (got == classes).mean() >= 0.9999


def test_a_halo_that_is_too_small_would_be_caught(image):
    lying = fakes.FakeTranslator(fakes.card(cell=CELL, halo=4, receptive_radius=4))
    difference = np.abs(
        probabilities_by_cells(lying, image) - probabilities_in_one_piece(fake_translator(), image)
    )
    wrong = difference.max(0) > 1e-4
    beside = [np.isin(np.arange(side) // 4 % 16, (0, 15)) for side in wrong.shape]
    assert (
        wrong.any() and not wrong[np.ix_(~beside[0], ~beside[1])].any()
    )  # and only beside the edges of cells


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 200), (3, 2), (63, 65), (64, 64), (13, 100)])
def test_scenes_smaller_than_halo_or_cell_keep_their_size(height, width, image):
    small, translator = image[:height, :width], fake_translator()
    products = translate_image(translator, small, PRODUCTS)
    assert products["colour"].shape == small.shape
    assert products["classes"].shape == products["confidence"].shape == (height, width)
    if min(height, width) > 1:  # numpy cannot reflect a single pixel
        index = probabilities_in_one_piece(translator, small).argmax(0).astype(np.uint8)
        assert (products["classes"] == translator.card.palette.to_classes(index)).all()


def test_the_network_meets_one_shape_only(image):
    translator = fake_translator()
    translate(translator, Picture(image), Canvas(HEIGHT, WIDTH), window=150, batch=3)
    assert set(translator.shapes) == {(3, CELL + 16, CELL + 16, 3)}


def test_the_products_are_of_one_mind(image, onnx_translator):
    products, palette = translate_image(onnx_translator, image, PRODUCTS), onnx_translator.card.palette
    index = palette.encode(products["colour"])
    assert (palette.decode(index) == products["colour"]).all()
    assert (palette.to_classes(index) == products["classes"]).all()
    assert products["confidence"].max() <= 100 and products["confidence"].min() >= 20


def test_progress_counts_every_strip_and_ends_at_the_total(image):
    calls = []
    translate_image(fake_translator(), image, window=100, on_progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(1, 26)) and {total for _, total, _ in calls} == {25}


def test_wrong_bands_are_refused_before_any_work(image):
    translator = fake_translator()
    with pytest.raises(WrongBands, match="2 bands"):
        translate_image(translator, image[..., :2])
    assert not translator.shapes


def test_models_of_the_view_from_the_ground_make_no_maps():
    with pytest.raises(UnsuitableModel, match="sat2map view"):
        check(find("view-geo").card, 3, ("colour",))


def test_a_failure_in_a_worker_stops_the_scene(image):
    class Failing(Restless):
        def __call__(self, batch, want):
            raise MemoryError("enough")

    translator = fake_translator()
    with pytest.raises(MemoryError):
        translate_image(Failing(translator, 0), image)


# -- blending -----------------------------------------------------------------------------------------------------


def blending_card(**changes):
    return fakes.card(**{"windowing": "blend", "receptive_radius": -1, "cell": 64, "halo": 32, **changes})


@pytest.mark.parametrize(("cell", "halo"), [(64, 32), (64, 8), (64, 0), (6, 3)])
def test_the_weights_of_neighbours_add_up_to_one(cell, halo):
    first, middle, last = (
        taper(cell, halo, True, False),
        taper(cell, halo, False, False),
        taper(cell, halo, False, True),
    )
    total = np.zeros(3 * cell + 2 * halo)
    for number, weights in enumerate((first, middle, last)):
        total[number * cell : number * cell + len(weights)] += weights
    assert np.abs(total - 1).max() < 1e-6


@pytest.mark.parametrize("palette", [fakes.PALETTE, None])
@pytest.mark.parametrize("batch", [1, 2])
def test_blended_windowings_are_byte_equal(palette, batch, image):
    card = blending_card(palette=palette, kind="palette" if palette else "rgb")
    translator = fakes.FakeTranslator(card, statistics=True)
    results = []
    for window in (1, 70, 130, 300, 5000):
        canvas = Canvas(HEIGHT, WIDTH)
        products = PRODUCTS if palette else ("colour",)
        translate(translator, Picture(image), canvas, products, window=window, jobs=2, batch=batch)
        results.append(canvas.products)
    assert all((result[name] == results[0][name]).all() for result in results for name in results[0])


def test_blending_a_network_without_statistics_changes_nothing(image):
    exact = fakes.FakeTranslator(fakes.card(kind="rgb", palette=None, cell=64, halo=32))
    blended = fakes.FakeTranslator(blending_card(kind="rgb", palette=None, halo=32, cell=64))
    difference = (
        translate_image(exact, image)["colour"].astype(int) - translate_image(blended, image)["colour"]
    )
    # The ends of a window are spoiled by padding, where its weight is next to nothing.
    assert np.abs(difference[64:-64, 64:-64]).max() <= 3


def test_blending_softens_the_seams_of_a_network_with_statistics():
    ramp = np.repeat(np.linspace(0, 255, 640).astype(np.uint8), 3 * 100).reshape(640, 100, 3)

    def largest_step(windowing):
        card = msgspec.structs.replace(
            blending_card(kind="rgb", palette=None), windowing=windowing, receptive_radius=8
        )
        got = translate_image(fakes.FakeTranslator(card, statistics=True), ramp)["colour"].astype(int)
        return np.abs(np.diff(got[64:-64, 50, 0])).max()

    assert largest_step("blend") <= 8 and largest_step("exact") >= 20


def test_blended_maps_hold_palette_colours_only(image):
    products = translate_image(fakes.FakeTranslator(blending_card(), statistics=True), image, PRODUCTS)
    colours = {tuple(colour) for colour in np.unique(products["colour"].reshape(-1, 3), axis=0).tolist()}
    assert colours <= set(fakes.PALETTE.colours) and len(colours) > 2
    index = fakes.PALETTE.encode(products["colour"])
    assert (fakes.PALETTE.to_classes(index) == products["classes"]).all()


def test_rgb_models_have_no_classes(image):
    translator = fakes.FakeTranslator(fakes.card(kind="rgb", palette=None))
    with pytest.raises(UnsuitableModel, match="classes"):
        translate_image(translator, image, ("colour", "classes"))
