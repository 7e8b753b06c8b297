"""A Places365 network as ONNX, made of the shared SqueezeNet weights: real input for the scene stage.

The weights were trained with Lasagne by an unusual recipe (see the SOURCE.txt beside them): BGR 0-255 at 256 x 256
minus the mean picture, the middle 224 x 224 of it divided by 255, kernels that convolve (flipped, where ONNX
correlates), leaky rectifiers of slope 0.55. All of that goes into the graph, so that its input is plain: uint8 RGB
`(1, 3, 256, 256)`.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SLOPE = 0.55
PARTS = (
    6  # arrays of a convolution: weights, bias, and beta, gamma, mean, inverse deviation of its normalisation
)


class Graph:
    def __init__(self) -> None:
        self.nodes, self.constants = [], []

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def mean_picture(path: pathlib.Path) -> np.ndarray:
    """The floats of a Caffe blob, (3, 256, 256): field 5 of the message, packed."""
    data = path.read_bytes()
    length = 3 * 256 * 256 * 4
    packed = data.index(b"\x2a" + bytes([length & 127 | 128, length >> 7 & 127 | 128, length >> 14]))
    return np.frombuffer(data, "<f4", 3 * 256 * 256, packed + 4).reshape(3, 256, 256)


def build(weights: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Write the network to `path`; `weights` is the shared folder."""
    with np.load(weights / "squeezenet_places365_lasagne_order.npz") as stored:
        arrays = [stored[f"arr_{i}"].astype(np.float32) for i in range(len(stored.files))]
    graph, used = Graph(), iter(arrays)

    def conv(x: str, stride: int = 1, pad: int = 0) -> str:
        w, b, beta, gamma, mean, inverse = (next(used) for _ in range(PARTS))
        scale = gamma * inverse
        w = np.ascontiguousarray(w[:, :, ::-1, ::-1]) * scale[:, None, None, None]
        bias = graph.constant((b - mean) * scale + beta)
        x = graph.add("Conv", x, graph.constant(w), bias, strides=[stride] * 2, pads=[pad] * 4)
        return graph.add("LeakyRelu", x, alpha=SLOPE)

    def pool(x: str) -> str:
        return graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])

    x = graph.add("Cast", "image", to=TensorProto.FLOAT)
    x = graph.add("Gather", x, graph.constant(np.array([2, 1, 0])), axis=1)
    x = graph.add("Sub", x, graph.constant(mean_picture(weights / "places365CNN_mean.binaryproto")[None]))
    x = graph.add("Slice", x, *(graph.constant(np.array(v)) for v in ([16, 16], [240, 240], [2, 3])))
    x = graph.add("Div", x, graph.constant(np.float32(255)))
    x = pool(conv(x, stride=2))
    for fire in range(2, 10):
        squeezed = conv(x)
        x = graph.add("Concat", conv(squeezed), conv(squeezed, pad=1), axis=1)
        x = pool(x) if fire in (3, 5) else x
    x = graph.add("Conv", x, graph.constant(next(used)), graph.constant(next(used)))
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    graph.nodes.append(helper.make_node("Softmax", [x], ["scene"]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 256, 256])
    scene = helper.make_tensor_value_info("scene", TensorProto.FLOAT, [1, 365])
    made = helper.make_graph(graph.nodes, "places365", [image], [scene], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
