"""The ONNX translator computes what is wanted, only that, and reports broken graphs as ours."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import onnx
import pytest

import fakes
import tiny
from sat2map.bundle import write_bundle
from sat2map.errors import BadBundle, MissingExtra, UnknownModel
from sat2map.runtime import FIELDS, OnnxTranslator, open_translator


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny.bundle(tmp_path_factory.mktemp("runtime") / "tiny")


@pytest.fixture
def batch():
    return np.random.default_rng(3).integers(0, 256, (2, 40, 48, 3), np.uint8)


def reference(image: np.ndarray, bundle) -> np.ndarray:
    """Probabilities of the tiny network in plain numpy, (K, H, W)."""
    weights = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(bundle.onnx.read_bytes()).graph.initializer
    }

    def conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        height, width = x.shape[1:]
        return sum(
            np.einsum("oi,ihw->ohw", kernel[:, :, i, j], padded[:, i : i + height, j : j + width])
            for i in range(3)
            for j in range(3)
        )

    height, width, _ = image.shape
    x = image.astype(np.float64) / 127.5 - 1
    x = (
        x.reshape(height // 4, 4, width // 4, 4, 3)
        .transpose(1, 3, 4, 0, 2)
        .reshape(48, height // 4, width // 4)
    )
    x = conv(np.tanh(conv(x, weights["w0"])), weights["w1"])
    x = x.reshape(-1, 4, 4, height // 4, width // 4).transpose(0, 3, 1, 4, 2).reshape(-1, height, width)
    odds = np.exp(x - x.max(0))
    return odds / odds.sum(0)


def test_the_graph_is_computed_as_numpy_computes_it(bundle, batch):
    got = OnnxTranslator(bundle)(batch, FIELDS)
    for image, probabilities, index, colour, confidence in zip(
        batch, got.probabilities, got.index, got.colour, got.confidence, strict=True
    ):
        expected = reference(image, bundle)
        assert np.abs(probabilities - expected).max() < 1e-4
        assert (index == probabilities.argmax(0)).all()
        assert (colour == fakes.PALETTE.decode(index)).all()
        assert np.abs(confidence - 100 * expected.max(0)).max() <= 0.51


@pytest.mark.parametrize("want", [("colour",), ("index", "confidence"), ("probabilities",), ()])
def test_only_what_is_wanted_is_returned(bundle, batch, want):
    got = OnnxTranslator(bundle)(batch, want)
    assert {name for name in FIELDS if getattr(got, name) is not None} == set(want)


def test_calls_side_by_side_agree_with_calls_one_by_one(bundle, batch):
    translator = OnnxTranslator(bundle)
    expected = translator(batch, ("probabilities",)).probabilities
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda _: translator(batch, ("probabilities",)).probabilities, range(40))
    assert all((result == expected).all() for result in results)


def test_an_rgb_model_has_colours_and_nothing_else(tmp_path, batch):
    translator = OnnxTranslator(tiny.bundle(tmp_path / "rgb", kind="rgb", palette=None))
    assert translator(batch, ("colour",)).colour.shape == batch.shape
    with pytest.raises(BadBundle, match="no output index"):
        translator(batch, ("index",))


def test_nothing_is_opened_before_the_first_call(tmp_path, batch):
    card = tiny.card()
    broken = OnnxTranslator(write_bundle(tmp_path / "broken", card, b"no graph", b""))
    assert broken.card == card
    with pytest.raises(BadBundle, match="not a graph"):
        broken(batch, ("colour",))


def test_a_graph_with_another_input_is_refused(tmp_path, batch):
    model = onnx.load_from_string(tiny.graph(tiny.card()))
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"
    other = OnnxTranslator(write_bundle(tmp_path / "other", tiny.card(), model.SerializeToString(), b""))
    with pytest.raises(BadBundle, match="picture"):
        other(batch, ("colour",))


def test_a_batch_that_the_graph_cannot_take_is_named(bundle):
    with pytest.raises(BadBundle, match=r"\(1, 13, 40, 3\)"):
        OnnxTranslator(bundle)(np.zeros((1, 13, 40, 3), np.uint8), ("colour",))


def test_a_device_that_is_not_there_is_said_so(bundle, batch):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(MissingExtra, match="cuda"):
        OnnxTranslator(bundle, device="cuda")(batch, ("colour",))


def test_models_open_by_folder_and_unknown_ones_are_refused(bundle, batch):
    assert open_translator(bundle.folder).card == bundle.card
    with pytest.raises(UnknownModel):
        open_translator("no-such-model")


def test_the_fake_honours_the_contract_of_the_real_one(batch):
    fake = fakes.FakeTranslator()
    got = fake(batch, FIELDS)
    real_shapes = {"colour": (2, 40, 48, 3), "index": (2, 40, 48), "confidence": (2, 40, 48)}
    for name, shape in real_shapes.items():
        assert getattr(got, name).shape == shape and getattr(got, name).dtype == np.uint8
    assert got.probabilities.shape == (2, 5, 40, 48) and got.probabilities.dtype == np.float32
    assert np.abs(got.probabilities.sum(1) - 1).max() < 1e-5
    assert len(np.unique(got.index)) > 2  # a fake that says one thing would hide mistakes


def test_the_fake_sees_as_far_as_its_card_says_and_no_farther():
    image = np.random.default_rng(4).integers(0, 256, (1, 80, 80, 3), np.uint8)
    other = image.copy()
    other[0, 40, 40] ^= 255
    fake = fakes.FakeTranslator(msgspec.structs.replace(fakes.card(), stride=4))
    before, after = (fake(x, ("probabilities",)).probabilities for x in (image, other))
    rows, cols = np.nonzero(np.abs(before - after).max((0, 1)) > 0)
    assert (rows.min(), rows.max()) == (cols.min(), cols.max()) == (40 - 8, 43 + 8)
