"""Image features for realism: networks whose weights the user names as a file; nothing is ever downloaded.

Two kinds of file are read, neither of which can run code. A `.npz` of ImageNet SqueezeNet 1.1 weights (names as in
torchvision and ncnn: `conv1.weight`, `fire2.squeeze1x1.weight` …) is run here with numpy. An `.onnx` model with one
image input, RGB 0-255, `(N, 3, H, W)` float32 or uint8, is run by ONNX Runtime; its first output is the features.
"""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from sat2map.errors import BadBundle, FileMissing

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

INCEPTION_WIDTH = 2048  # pool3 of the Inception network that defines FID (Heusel et al. 2017)
INCEPTION_SIZE = 299  # px
_SQUEEZENET_SIZE = 227  # px
_MEAN_BGR = (104.0, 117.0, 123.0)  # of ImageNet, channel order of the Caffe original
_POOL_BEFORE = {"fire2", "fire4", "fire6"}  # version 1.1 pools early
_FIRES = tuple(f"fire{i}" for i in range(2, 10))


class Extractor(Protocol):
    """Turns images into feature vectors."""

    name: str
    checksum: str

    def __call__(self, images: UInt8) -> npt.NDArray[np.float64]:
        """uint8 (N, H, W, 3) RGB -> float64 (N, D)."""


def open_extractor(path: Path, *, inception: bool = False) -> Extractor:
    """Open a weights file; with `inception` the user vouches that it is the standard Inception of FID.

    Raises FileMissing, and BadBundle for a file that is neither kind or, with `inception`, not 2,048 features wide.
    """
    if not path.is_file():
        raise FileMissing(f"feature weights {path} do not exist", "Name an .npz or .onnx file that you have")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".npz" and not inception:
        return SqueezeNet(path, checksum)
    if path.suffix == ".onnx":
        return OnnxFeatures(path, checksum, inception=inception)
    raise BadBundle(
        f"feature weights {path} are of no known kind",
        "Give SqueezeNet 1.1 weights as .npz, or any feature network (Inception: always) as .onnx",
    )


class SqueezeNet:
    """ImageNet SqueezeNet 1.1 (Iandola et al. 2016): mean over positions of the last fire module, 512 features."""

    def __init__(self, path: Path, checksum: str) -> None:
        """Read the weights (any float type) without unpickling; raises BadBundle when an array is missing."""
        self.name = "squeezenet"
        self.checksum = checksum
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self._weights = {key: arrays[key].astype(np.float32) for key in arrays.files}
        except (ValueError, OSError) as error:
            raise BadBundle(
                f"feature weights {path} cannot be read ({error})", "Give an .npz without pickles"
            ) from error
        needed = [
            "conv1",
            *(f"{fire}.{part}" for fire in _FIRES for part in ("squeeze1x1", "expand1x1", "expand3x3")),
        ]
        missing = [
            key
            for key in needed
            if f"{key}.weight" not in self._weights or f"{key}.bias" not in self._weights
        ]
        if missing:
            raise BadBundle(
                f"{path} has no {missing[0]}", "Give the weights of SqueezeNet 1.1, named as in torchvision"
            )

    def __call__(self, images: UInt8) -> npt.NDArray[np.float64]:
        """uint8 (N, H, W, 3) RGB -> float64 (N, 512); images are resized to 227×227 (bilinear) one at a time."""
        return np.stack([self._one(resized(image, _SQUEEZENET_SIZE)) for image in images]).astype(np.float64)

    def _one(self, image: UInt8) -> Float32:
        x = image[..., ::-1].astype(np.float32) - np.array(_MEAN_BGR, np.float32)  # (227, 227, 3) BGR
        x = self._conv("conv1", x, stride=2)  # (113, 113, 64)
        for fire in _FIRES:
            if fire in _POOL_BEFORE:
                x = max_pool(x)  # 56, 28, 14
            x = self._conv(f"{fire}.squeeze1x1", x)
            x = np.concatenate(
                [self._conv(f"{fire}.expand1x1", x), self._conv(f"{fire}.expand3x3", x, pad=1)], -1
            )
        features: Float32 = x.mean((0, 1))  # (512,)
        return features

    def _conv(self, name: str, x: Float32, stride: int = 1, pad: int = 0) -> Float32:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]  # (O, I, k, k)
        out: Float32 = np.maximum(convolve(x, weight, stride, pad) + bias, 0)
        return out


def convolve(x: Float32, weight: Float32, stride: int = 1, pad: int = 0) -> Float32:
    """(H, W, I) with (O, I, k, k) -> (H', W', O): one matrix product per tap, which needs no copies of the input."""
    size = weight.shape[-1]
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    height, width = ((length - size) // stride + 1 for length in x.shape[:2])
    out = np.zeros((height, width, len(weight)), np.float32)
    for row in range(size):
        for col in range(size):
            rows = slice(row, row + stride * (height - 1) + 1, stride)
            cols = slice(col, col + stride * (width - 1) + 1, stride)
            out += x[rows, cols] @ weight[:, :, row, col].T
    return out


def max_pool(x: Float32) -> Float32:
    """(H, W, C) -> 3×3 maximum, stride 2, ceil mode: the last window may hang over the edge."""
    height, width = (-(-(length - 3) // 2) + 1 for length in x.shape[:2])
    hang = (2 * (height - 1) + 3 - x.shape[0], 2 * (width - 1) + 3 - x.shape[1])
    x = np.pad(x, ((0, hang[0]), (0, hang[1]), (0, 0)), constant_values=-np.inf)
    windows = [x[r : r + 2 * height - 1 : 2, c : c + 2 * width - 1 : 2] for r in range(3) for c in range(3)]
    out: Float32 = np.maximum.reduce(windows)
    return out


class OnnxFeatures:
    """Any feature network as an ONNX file: RGB 0-255 `(N, 3, H, W)` in, features out (positions are averaged)."""

    def __init__(self, path: Path, checksum: str, *, inception: bool) -> None:
        """Open the network; raises BadBundle when ONNX Runtime refuses it or its input is no image."""
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common base but this
            raise BadBundle(
                f"feature network {path} cannot be opened ({error})", "Give a valid ONNX model"
            ) from error
        image = self._session.get_inputs()[0]
        if (
            len(image.shape) != 4
            or image.shape[1] != 3
            or image.type not in ("tensor(float)", "tensor(uint8)")
        ):
            raise BadBundle(
                f"{path} takes {image.type} {image.shape}",
                "Give a network of RGB images: (N, 3, H, W), float32 or uint8",
            )
        self.name = "inception" if inception else path.stem
        self.checksum = checksum
        self._input, self._floating = image.name, image.type == "tensor(float)"
        self._size = image.shape[2] if isinstance(image.shape[2], int) else INCEPTION_SIZE
        self._check = INCEPTION_WIDTH if inception else None

    def __call__(self, images: UInt8) -> npt.NDArray[np.float64]:
        """uint8 (N, H, W, 3) RGB -> float64 (N, D); raises BadBundle when Inception is not 2,048 wide."""
        batch = np.stack([resized(image, self._size) for image in images]).transpose(0, 3, 1, 2)
        given = batch.astype(np.float32) if self._floating else batch
        rows = [self._session.run(None, {self._input: given[i : i + 1]})[0] for i in range(len(given))]
        maps = np.concatenate(rows).astype(np.float64)
        # (N, D, …): what is left of the positions is averaged
        features: npt.NDArray[np.float64] = np.mean(maps.reshape(*maps.shape[:2], -1), axis=-1)
        if self._check and features.shape[1] != self._check:
            raise BadBundle(
                f"the network called Inception gives {features.shape[1]} features, FID is defined on {self._check}",
                "Name it with --features instead: the figures are then called after the file",
            )
        return features


def resized(image: UInt8, size: int) -> UInt8:
    """(H, W, 3) -> (size, size, 3), bilinear with anti-aliasing (Pillow)."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
