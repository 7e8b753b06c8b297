"""A real bundle of a few KB: a small convolutional network with random weights that honours the ONNX contract."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import fakes
from sat2map.bundle import Bundle, ModelCard, write_bundle
from sat2map.card import Ground

FOLD = 4  # stride; two 3x3 convolutions on that grid see 8 px


def card(**changes: Any) -> ModelCard:
    return fakes.card(**{"id": "tiny", "title": "A tiny network", "architecture": "tiny", **changes})


def graph(model_card: ModelCard, seed: int = 0) -> bytes:
    """An ONNX model as in docs/ARCHITECTURE.md, "Bundle", for a palette card or an RGB one."""
    random = np.random.default_rng(seed)
    palette = model_card.palette
    outputs = len(palette) if palette else 3
    shapes = {"w0": (24, model_card.bands * FOLD**2, 3, 3), "w1": (outputs * FOLD**2, 24, 3, 3)}
    constants = {
        name: (random.normal(size=shape) / np.sqrt(np.prod(shape[1:])) * 4).astype(np.float32)
        for name, shape in shapes.items()
    }
    constants |= {
        "scale": np.float32(1 / 127.5),
        "one": np.float32(1),
        "percent": np.float32(100),
        "axis": np.int64([1]),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "scale"], ["f0"]),
        helper.make_node("Sub", ["f0", "one"], ["f1"]),
        helper.make_node("Transpose", ["f1"], ["f2"], perm=[0, 3, 1, 2]),
        helper.make_node("SpaceToDepth", ["f2"], ["f3"], blocksize=FOLD),
        helper.make_node("Conv", ["f3", "w0"], ["f4"], pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["f4"], ["f5"]),
        helper.make_node("Conv", ["f5", "w1"], ["f6"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["f6"], ["f7"], blocksize=FOLD, mode="CRD"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", model_card.bands])
    results = [helper.make_tensor_value_info("colour", TensorProto.UINT8, ["n", "h", "w", 3])]
    if palette:
        constants["palette"] = np.array(palette.colours, np.uint8)
        nodes += [
            helper.make_node("Softmax", ["f7"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["f7"], ["i"], axis=1, keepdims=0),
            helper.make_node("Cast", ["i"], ["index"], to=TensorProto.UINT8),
            helper.make_node("Gather", ["palette", "i"], ["colour"], axis=0),
            helper.make_node("ReduceMax", ["probabilities", "axis"], ["p"], keepdims=0),
            helper.make_node("Mul", ["p", "percent"], ["p0"]),
            helper.make_node("Round", ["p0"], ["p1"]),
            helper.make_node("Cast", ["p1"], ["confidence"], to=TensorProto.UINT8),
        ]
        results += [
            helper.make_tensor_value_info("index", TensorProto.UINT8, ["n", "h", "w"]),
            helper.make_tensor_value_info("confidence", TensorProto.UINT8, ["n", "h", "w"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", outputs, "h", "w"]),
        ]
    else:
        constants["middle"] = np.float32(127.5)
        nodes += [
            helper.make_node("Tanh", ["f7"], ["t"]),
            helper.make_node("Transpose", ["t"], ["t0"], perm=[0, 2, 3, 1]),
            helper.make_node("Mul", ["t0", "middle"], ["t1"]),
            helper.make_node("Add", ["t1", "middle"], ["t2"]),
            helper.make_node("Round", ["t2"], ["t3"]),
            helper.make_node("Cast", ["t3"], ["colour"], to=TensorProto.UINT8),
        ]
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", [image], results, initial),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def bundle(folder: Path, **changes: Any) -> Bundle:
    """Write a bundle of random weights; the safetensors file is a stand-in, nothing here reads it."""
    model_card = card(**changes)
    return write_bundle(folder, model_card, graph(model_card), b"weights of the tiny network")


def viewer(folder: Path, route: str = "projected", **ground: Any) -> Bundle:
    """Write a bundle of random weights that draws views of 64 px from crops of 96 px at 0.9 m."""
    heights = (0.0, 5.0) if route == "projected" else ()
    facts: dict[str, Any] = {
        "route": route, "height": 64, "width": 64, "field": 75.0, "side": 96 if heights else 64, "heights": heights,
    }  # fmt: skip
    return bundle(
        folder,
        direction="sat2view",
        kind="rgb",
        palette=None,
        bands=3 * max(len(heights), 1),
        ground=Ground(**{**facts, **ground}),
        id=folder.name,
    )
