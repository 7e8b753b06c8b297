"""The ONNX graph of a generator: bytes of pictures in, pictures and confidence out (docs/ARCHITECTURE.md, "Bundle")."""

import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from sat2map.models import paint
from sat2map.palette import Palette
from sat2map.runtime import NOISE


class Deployed(nn.Module):
    """A generator with its scaling, its palette and its calibration inside.

    The palette index is chosen in two steps: the class with the largest probability (a class may own several
    colours, whose probabilities add up), then the likeliest colour of that class. Colour, class and confidence
    therefore always tell the same story.
    """

    colours: Tensor  # (K, 3) uint8
    owner: Tensor  # (classes, K, 1, 1), one where the class owns the colour
    classes: Tensor  # (1, K, 1, 1)

    def __init__(self, generator: nn.Module, palette: Palette | None, temperature: float) -> None:
        super().__init__()
        self.generator, self.temperature = generator, temperature
        self.is_palette = palette is not None
        if palette is not None:
            owner = torch.zeros(len(palette.names), len(palette), 1, 1)
            owner[list(palette.classes), range(len(palette))] = 1.0
            self.register_buffer("owner", owner)
            self.register_buffer("classes", torch.tensor(palette.classes).view(1, -1, 1, 1))
            self.register_buffer("colours", torch.tensor(palette.colours, dtype=torch.uint8))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """uint8 (N, H, W, 3) -> colour [, index, confidence, probabilities]."""
        scores = self.generator(image.permute(0, 3, 1, 2).float() / 127.5 - 1.0)  # (N, K, H, W)
        if not self.is_palette:
            levels = ((paint(self.generator, scores).permute(0, 2, 3, 1) + 1.0) * 127.5).round().clamp(0, 255)
            return (levels.to(torch.uint8),)
        probabilities = softmax(scores / self.temperature)
        classes = nn.functional.conv2d(probabilities, self.owner)  # (N, classes, H, W)
        best, winner = classes.max(1, keepdim=True)  # (N, 1, H, W)
        index = torch.where(self.classes == winner, probabilities, -1.0).argmax(1)  # (N, H, W)
        confidence = (best[:, 0] * 100.0).round()
        return self.colours[index], index.to(torch.uint8), confidence.to(torch.uint8), probabilities


def softmax(scores: Tensor) -> Tensor:
    """(N, K, H, W) scores -> probabilities over K, in plain steps: ONNX Runtime's own Softmax over an inner axis takes
    as long as all convolutions of `carto` together."""
    powers = torch.exp(scores - scores.amax(1, keepdim=True))
    return powers / powers.sum(1, keepdim=True)


def export(network: Deployed, height: int, width: int, bands: int = 3) -> bytes:
    """Trace the network at batch 2 and these sides in px into an ONNX graph with free batch and sides."""
    names = ["colour", "index", "confidence", "probabilities"][: 4 if network.is_palette else 1]
    image = torch.zeros(2, height, width, bands, dtype=torch.uint8)
    free = {0: "n", 1: "h", 2: "w"}
    out = io.BytesIO()
    with warnings.catch_warnings():
        # the exporter warns that it is the older one (which writes free sides reliably) and of all that tracing fixes
        # for good; whether the graph is right is proven by `training.export.parity`, not by silence
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (image,),
            out,  # type: ignore[arg-type]
            dynamo=False,
            input_names=["image"],
            output_names=names,
            dynamic_axes={"image": free} | dict.fromkeys(names[:3], free),
            opset_version=17,
        )
    return out.getvalue()


def named_noise(graph: bytes, pattern: Tensor) -> bytes:
    """Give the fixed noise of a generator the name that `runtime` knows, so that another pattern can take its place."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(graph)
    shape, values = list(pattern.shape), pattern.detach().cpu().numpy()
    found = [
        tensor
        for tensor in model.graph.initializer
        if list(tensor.dims) == shape and np.array_equal(numpy_helper.to_array(tensor), values)
    ]
    assert len(found) == 1, "the pattern is in the graph once"
    before, found[0].name = found[0].name, NOISE
    for node in model.graph.node:
        node.input[:] = [NOISE if name == before else name for name in node.input]
    return bytes(model.SerializeToString())


def halve(graph: bytes) -> bytes:
    """Store the float32 weights of a graph as float16, widened again when a session is made: half the file.

    Computation stays in float32; only the weights are rounded, as `rounded` does for the torch network.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(graph)
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= 1024 and tensor.name != NOISE:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
            casts.append(helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def rounded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as float16 has them, for the tensors that `halve` stores in half precision; others stay as they are."""
    return {
        name: value.half() if value.is_floating_point() and value.numel() >= 1024 else value
        for name, value in weights.items()
    }
