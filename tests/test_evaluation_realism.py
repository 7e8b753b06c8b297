"""Distances between feature sets agree with torchmetrics, and feature networks with torch."""

from pathlib import Path

import numpy as np
import pytest

from sat2map.data.pairs import PairedSet, read
from sat2map.errors import BadBundle, FileMissing, TooFewImages
from sat2map.evaluation import features, realism

torch = pytest.importorskip("torch")


def crowd(n: int, width: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(shift, 1, (n, width)) @ random.normal(0, 1, (width, width))


@pytest.mark.parametrize(("n", "m", "width"), [(60, 80, 12), (30, 25, 40), (200, 20, 30)])
def test_frechet_distance_is_that_of_torchmetrics(n: int, m: int, width: int) -> None:
    from torchmetrics.image.fid import _compute_fid

    a, b = crowd(n, width), crowd(m, width, 0.5, 1)
    gaussians = [torch.tensor(x) for s in (a, b) for x in (s.mean(0), np.cov(s.T))]
    theirs = float(_compute_fid(*gaussians))
    assert realism.frechet_distance(a, b) == pytest.approx(theirs, rel=1e-5)


def test_frechet_distance_of_equal_sets_is_zero_and_of_shifted_ones_the_shift() -> None:
    a = crowd(50, 6)
    assert realism.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert realism.frechet_distance(a, a + 2) == pytest.approx(6 * 4)


def test_squared_mmd_is_that_of_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    a, b = crowd(40, 16), crowd(40, 16, 0.3, 1)
    assert realism.squared_mmd(a, b) == pytest.approx(
        float(poly_mmd(torch.tensor(a), torch.tensor(b))), rel=1e-6
    )


def test_kernel_distance_averages_subsets_and_repeats_itself() -> None:
    a, b = crowd(300, 8), crowd(300, 8, 0.5, 1)
    mean, spread = realism.kernel_distance(a, b, subsets=30, size=100)
    assert (mean, spread) == realism.kernel_distance(a, b, subsets=30, size=100)
    assert spread > 0
    assert mean == pytest.approx(realism.squared_mmd(a, b), abs=4 * spread / 30**0.5)


class Averages:
    """Features that are six channel statistics."""

    name = "averages"
    checksum = "0" * 64

    def __call__(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1, 3).astype(float)
        return np.concatenate([flat.mean(1), flat.std(1)], 1)


def sets(n: int) -> tuple[realism.FeatureSet, realism.FeatureSet]:
    made = realism.FeatureSet(), realism.FeatureSet()
    random = np.random.default_rng(0)
    for _ in range(n):
        for each in made:
            each.add(Averages()(random.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8))[0])
    return made


def test_fewer_than_50_images_are_refused_and_fewer_than_2048_flagged() -> None:
    with pytest.raises(TooFewImages, match="on 49 images"):
        realism.measure(Averages(), *sets(49))
    found = realism.measure(Averages(), *sets(50))
    assert found.few
    assert set(found.figures) == {"fd_averages", "kd_averages"}
    assert not realism.measure(Averages(), *sets(2048)).few


def test_only_the_inception_network_gives_fid_and_kid() -> None:
    inception = Averages()
    inception.name = "inception"
    assert set(realism.measure(inception, *sets(50)).figures) == {"fid", "kid"}


# -- networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(1, 1, 0), (3, 1, 1), (3, 2, 0)])
def test_convolution_is_that_of_torch(kernel: int, stride: int, pad: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(13, 16, 4)).astype(np.float32)
    weight = random.normal(size=(5, 4, kernel, kernel)).astype(np.float32)
    theirs = torch.nn.functional.conv2d(
        torch.tensor(x).permute(2, 0, 1)[None], torch.tensor(weight), None, stride, pad
    )
    ours = features.convolve(x, weight, stride, pad)
    assert np.allclose(ours, theirs[0].permute(1, 2, 0).numpy(), atol=1e-4)


@pytest.mark.parametrize("side", [7, 8, 9, 10, 56, 113])
def test_pooling_is_ceil_mode(side: int) -> None:
    x = np.random.default_rng(side).normal(size=(side, side + 3, 2)).astype(np.float32)
    theirs = torch.nn.functional.max_pool2d(torch.tensor(x).permute(2, 0, 1)[None], 3, 2, ceil_mode=True)
    assert np.array_equal(features.max_pool(x), theirs[0].permute(1, 2, 0).numpy())


def squeezenet_weights(path: Path) -> Path:
    """Random weights of the right shapes."""
    random = np.random.default_rng(0)
    arrays = {"conv1.weight": random.normal(0, 0.02, (64, 3, 3, 3)), "conv1.bias": np.zeros(64)}
    shapes = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192)]
    for i, (entry, squeeze, expand) in enumerate([*shapes, (384, 64, 256), (512, 64, 256)], start=2):
        for name, shape in {
            "squeeze1x1": (squeeze, entry, 1, 1),
            "expand1x1": (expand, squeeze, 1, 1),
            "expand3x3": (expand, squeeze, 3, 3),
        }.items():
            spread = (2 / np.prod(shape[1:])) ** 0.5
            arrays[f"fire{i}.{name}.weight"] = random.normal(0, spread, shape)
            arrays[f"fire{i}.{name}.bias"] = random.normal(0, 0.1, shape[0])
    np.savez(path, **{key: value.astype(np.float16) for key, value in arrays.items()})
    return path


def reference_squeezenet(weights: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """The same network in torch, written from the table of the paper."""
    functional = torch.nn.functional
    tensors = {key: torch.tensor(value.astype(np.float32)) for key, value in weights.items()}

    def conv(x: "torch.Tensor", name: str, **how: int) -> "torch.Tensor":
        return functional.relu(
            functional.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], **how)
        )

    x = torch.tensor(image[:, :, ::-1].copy()).float() - torch.tensor([104.0, 117.0, 123.0])
    x = conv(x.permute(2, 0, 1)[None], "conv1", stride=2)
    for i in range(2, 10):
        if i in (2, 4, 6):
            x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        squeezed = conv(x, f"fire{i}.squeeze1x1")
        x = torch.cat(
            [conv(squeezed, f"fire{i}.expand1x1"), conv(squeezed, f"fire{i}.expand3x3", padding=1)], 1
        )
    return x.mean((2, 3))[0].numpy()


def test_squeezenet_is_the_network_of_the_paper(tmp_path: Path) -> None:
    path = squeezenet_weights(tmp_path / "weights.npz")
    image = np.random.default_rng(1).integers(0, 256, (227, 227, 3)).astype(np.uint8)
    network = features.open_extractor(path)
    assert network.name == "squeezenet"
    theirs = reference_squeezenet(dict(np.load(path)), image)
    assert np.allclose(network(image[None])[0], theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


def test_real_features_find_blurred_imagery_nearer_than_noise(shared: Path) -> None:
    from PIL import Image, ImageFilter

    network = features.open_extractor(shared / "data" / "weights" / "squeezenet_v1.1_imagenet_fp16.npz")
    pairs = PairedSet.open(shared / "data" / "maps").of("val")[:12]
    sat = [read(pair)[0][:227, :227] for pair in pairs]
    blurred = [np.asarray(Image.fromarray(s).filter(ImageFilter.GaussianBlur(1))) for s in sat]
    noise = list(np.random.default_rng(0).integers(0, 256, (12, 227, 227, 3)).astype(np.uint8))
    true, near, far = (network(np.stack(crowd)) for crowd in (sat, blurred, noise))
    assert 0 < realism.frechet_distance(true, near) < realism.frechet_distance(true, far) / 2


def onnx_network(path: Path, width: int, side: int | str = 16) -> Path:
    """A 1×1 convolution to `width` channels; its positions are left for us to average."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.random.default_rng(0).normal(size=(width, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["features"])],
        "features",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width, side, side])],
        [numpy_helper.from_array(kernel, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def test_an_onnx_network_gives_averaged_features_under_its_own_name(tmp_path: Path) -> None:
    network = features.open_extractor(onnx_network(tmp_path / "tiny.onnx", 7))
    image = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    found = network(image)
    assert network.name == "tiny"
    assert found.shape == (2, 7)
    # linear, so the average can be taken first
    flat = np.broadcast_to(image.mean((1, 2), keepdims=True).round(), image.shape).astype(np.uint8)
    assert np.allclose(found, network(flat), atol=3)


def test_images_are_resized_to_what_the_network_takes(tmp_path: Path) -> None:
    network = features.open_extractor(onnx_network(tmp_path / "tiny.onnx", 7, side=16))
    assert network(np.full((1, 40, 30, 3), 128, np.uint8)).shape == (1, 7)


def test_a_network_that_is_not_2048_wide_is_not_inception(tmp_path: Path) -> None:
    image = np.zeros((1, 16, 16, 3), np.uint8)
    with pytest.raises(BadBundle, match="gives 7 features, FID is defined on 2048"):
        features.open_extractor(onnx_network(tmp_path / "tiny.onnx", 7), inception=True)(image)
    wide = features.open_extractor(onnx_network(tmp_path / "wide.onnx", 2048), inception=True)
    assert wide.name == "inception"
    assert wide(image).shape == (1, 2048)


def test_files_that_are_no_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="do not exist"):
        features.open_extractor(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(BadBundle, match=r"has no conv1"):
        features.open_extractor(tmp_path / "other.npz")
    np.savez(tmp_path / "pickle.npz", **{"conv1.weight": np.array([{}], object)})
    with pytest.raises(BadBundle, match="cannot be read"):
        features.open_extractor(tmp_path / "pickle.npz")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(BadBundle, match="cannot be opened"):
        features.open_extractor(tmp_path / "junk.onnx")
    (tmp_path / "weights.pth").write_bytes(b"junk")
    with pytest.raises(BadBundle, match="of no known kind"):
        features.open_extractor(tmp_path / "weights.pth")
