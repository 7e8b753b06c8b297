"""`Translator`: the one seam between learning and everything else, and its ONNX Runtime implementation."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from sat2map.bundle import DEFAULT, Bundle, ModelCard, find
from sat2map.errors import BadBundle, MissingExtra, UnsuitableModel

UInt8 = npt.NDArray[np.uint8]
Field = Literal["colour", "index", "confidence", "probabilities"]

FIELDS: tuple[Field, ...] = ("colour", "index", "confidence", "probabilities")
NOISE_SIDE = 32  # positions of the stem after which the noise repeats
NOISE = "noise_pattern"  # in graphs of models with noise: (1, channels, side, side), float32
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
THREADS = 2  # inside one call
_ERRORS_ONLY = 3  # ONNX Runtime's log severity: its warnings are for the authors of graphs


@dataclass(frozen=True, slots=True)
class Translation:
    """What a network says about N images; fields that were not asked for are None."""

    colour: UInt8 | None = None  # (N, H, W, 3)
    index: UInt8 | None = None  # (N, H, W) palette index
    confidence: UInt8 | None = None  # (N, H, W) probability of its class in percent
    probabilities: npt.NDArray[np.float32] | None = None  # (N, K, H, W), sums to 1 over K


class Translator(Protocol):
    """A trained model, ready to run. Implementations may be called from several threads at once."""

    @property
    def card(self) -> ModelCard:
        """What the model needs: bands, stride, halo, cell, palette, metres per pixel."""

    def __call__(self, batch: UInt8, want: Collection[Field]) -> Translation:
        """Translate uint8 (N, H, W, C) with sides that are multiples of `card.stride`."""


class OnnxTranslator:
    """Runs a bundle's graph; only the outputs that are wanted are computed.

    The session is made at the first call. `threads` work inside one call, and several calls may run side by side. The
    default is a fixed number, so that work is divided, and sums are rounded, alike on machines of any size; None lets
    ONNX Runtime use all cores. `variant` above 0 draws another fixed noise for a model that has some, and so another
    answer to the same picture. Raises MissingExtra for a `device` that the installed ONNX Runtime cannot use,
    UnsuitableModel for a model that is not given pictures, or for a variant of one without noise.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = THREADS,
        device: Literal["cpu", "cuda"] = "cpu",
        *,
        variant: int = 0,
    ) -> None:
        self._bundle, self._threads, self._device = bundle, threads, device
        self._noise = _drawn(bundle.card, variant) if variant else None
        self._session: Any = None
        self._opening = threading.Lock()

    @property
    def card(self) -> ModelCard:
        """The card of the bundle."""
        return self._bundle.card

    def __call__(self, batch: UInt8, want: Collection[Field]) -> Translation:
        """Translate uint8 (N, H, W, C). Raises BadBundle if the graph cannot take it or lacks what is wanted."""
        with self._opening:
            if self._session is None:
                self._session = self._open()
        session = self._session
        names = [name for name in FIELDS if name in want]
        if not names:  # ONNX Runtime would take an empty list for all of them
            return Translation()
        missing = set(names) - {output.name for output in session.get_outputs()}
        if missing:
            raise BadBundle(
                f"the graph of model {self.card.id!r} has no output {', '.join(sorted(missing))}",
                "Ask for what it has, or export the model again",
            )
        try:
            results = session.run(names, {"image": np.ascontiguousarray(batch)})
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise BadBundle(
                f"the graph of model {self.card.id!r} failed on a batch of shape {batch.shape}: {_brief(error)}",
                "Export the model again, or report this if it is a shipped one",
            ) from error
        return Translation(**dict(zip(names, results, strict=True)))

    def _open(self) -> Any:
        """Make the session and check the graph against the contract in docs/ARCHITECTURE.md."""
        import onnxruntime as ort

        if self.card.latent:
            raise UnsuitableModel(
                f"model {self.card.id!r} draws from numbers, not from pictures",
                "Use it for `sat2map train view-encoder --through`, or name a model that takes pictures",
            )
        provider = _PROVIDERS[self._device]
        if provider not in ort.get_available_providers():
            raise MissingExtra(
                f"the installed ONNX Runtime cannot use {self._device!r}",
                "Use the CPU, or install onnxruntime-gpu in place of onnxruntime",
            )
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = self._threads or 0
        options.inter_op_num_threads = 1
        # Waiting threads sleep: those that spin slow down the other calls, and everybody else on the machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._noise is not None:
            self._kept = ort.OrtValue.ortvalue_from_numpy(self._noise)  # the session does not copy it
            options.add_initializer(NOISE, self._kept)
        try:
            session = ort.InferenceSession(self._bundle.onnx, options, providers=[provider])
        except Exception as error:
            raise BadBundle(
                f"{self._bundle.onnx} is not a graph that ONNX Runtime can run: {_brief(error)}",
                "Export the model again",
            ) from error
        found = {node.name: (node.type, len(node.shape)) for node in session.get_inputs()}
        if found != {"image": ("tensor(uint8)", 4)}:
            raise BadBundle(
                f"{self._bundle.onnx} takes {found}, not one uint8 image (N, H, W, C)", "Export it again"
            )
        return session


def _drawn(card: ModelCard, variant: int) -> npt.NDArray[np.float32]:
    """The noise of a variant: (1, channels, side, side) normal numbers, the same on every machine."""
    channels = int(card.parameters.get("noise", 0))
    if not channels:
        raise UnsuitableModel(
            f"the model {card.id!r} has no noise: it gives one answer to a picture", "Leave the variant out"
        )
    return np.random.default_rng(variant).standard_normal((1, channels, NOISE_SIDE, NOISE_SIDE), np.float32)


def _brief(error: Exception) -> str:
    """Return an error of ONNX Runtime, which may fill a page, as one short line."""
    return " ".join(str(error).split())[:300]


def open_translator(
    id_or_dir: str | Path = DEFAULT, *, threads: int | None = THREADS, device: Literal["cpu", "cuda"] = "cpu"
) -> OnnxTranslator:
    """Open a shipped model by id or a bundle by folder. Raises what `bundle.find` raises."""
    return OnnxTranslator(find(id_or_dir), threads, device)
