"""ONNX networks in files that the user names, run by ONNX Runtime on the CPU."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.errors import BadNetwork, FileMissing

Float32 = npt.NDArray[np.float32]
_ERRORS_ONLY = 3  # ONNX Runtime's log severity
_FIXED = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}


class Network:
    """A network with one image input, `(N, 3, H, W)`."""

    def __init__(self, path: Path, *, side: int, threads: int = 1) -> None:
        """Open the file; `side` is the height and width in px where the network leaves them open.

        Raises FileMissing, and BadNetwork for what ONNX Runtime cannot open or what takes no image.
        """
        import onnxruntime as ort

        if not path.is_file():
            raise FileMissing(f"there is no network {path}", "Check the path.")
        self.path = path
        self.checksum = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise self.wrong(f"cannot be opened ({_brief(error)})") from error
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or shape[1] != 3 or inputs[0].type not in _FIXED:
            given = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise self.wrong(f"takes {given}, not one RGB image (N, 3, H, W)")
        self.dtype = _FIXED[inputs[0].type]
        self.height, self.width = (s if isinstance(s, int) else side for s in shape[2:])
        self._input = inputs[0].name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, image: npt.NDArray[np.generic]) -> dict[str, Float32]:
        """`(3, H, W)` to the outputs by name, without the axis of the batch. Raises BadNetwork if it fails."""
        batch = np.ascontiguousarray(image[None], dtype=self.dtype)
        try:
            results: list[Any] = self._session.run(None, {self._input: batch})
        except Exception as error:
            raise self.wrong(f"failed on an image ({_brief(error)})") from error
        return {
            name: np.asarray(result[0], np.float32)
            for name, result in zip(self.outputs, results, strict=True)
        }

    def wrong(self, fact: str) -> BadNetwork:
        """Return the error for a network that is not what it should be."""
        return BadNetwork(
            f"the network {self.path} {fact}", "Name an ONNX file of the kind that the option asks for"
        )


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
