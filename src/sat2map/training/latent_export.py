"""Bundles of latent systems: a landscape as latent -> picture, an encoder with its generator as crop -> view."""

import datetime
import io
import tempfile
import warnings
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from sat2map import bundle, storage
from sat2map.card import UNBOUNDED, Ground, ModelCard, Training
from sat2map.data.batches import UInt8
from sat2map.errors import ParityFailed
from sat2map.models import build_encoder, build_painter
from sat2map.models.encoder import Encoded
from sat2map.training import checkpoint, graph
from sat2map.training.checkpoint import State
from sat2map.training.latent import fixed_latents
from sat2map.training.recipe import Recipe

SAMPLES = 4  # inputs on which graph and network are compared
LEVELS = 1  # by which a rounded level may differ


class Drawn(nn.Module):
    """A network of pictures with bytes at its ends: uint8 out, and uint8 in where it is given crops."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: Tensor) -> Tensor:
        """(N, z) float32 latents or uint8 (N, H, W, 3) crops -> uint8 (N, S, S, 3)."""
        if given.dtype == torch.uint8:
            given = given.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        levels = (self.network(given).permute(0, 2, 3, 1) + 1.0) * 127.5
        drawn: Tensor = levels.round().clamp(0, 255).to(torch.uint8)
        return drawn


def export_latent(
    folder: Path, out: Path, recipe: Recipe, state: State, model_id: str, *, overwrite: bool
) -> Path:
    """Write the bundle `out` from a checkpoint of a latent system, its weights as float16.

    Raises ParityFailed, OutputExists, CorruptFile, StorageFailed.
    """
    storage.refuse_existing(out, overwrite=overwrite)
    network = network_of(folder, recipe)
    weights = graph.rounded(network.state_dict())
    network.load_state_dict(weights)
    sample = _inputs(network, recipe)
    drawn = Drawn(network).eval()
    model = graph.halve(_graph(drawn, sample))
    card = describe(network, recipe, state, model_id)
    with tempfile.TemporaryDirectory() as scratch:  # proven before it gets its name
        draft = bundle.write_bundle(Path(scratch) / model_id, card, model, _serialise(weights))
        prove(drawn, draft.onnx, sample)
    bundle.write_bundle(out, card, model, _serialise(weights), overwrite=overwrite)
    return out


def network_of(folder: Path, recipe: Recipe) -> nn.Module:
    """Rebuild the network of a checkpoint with its averaged weights, if it has any. Raises CorruptFile."""
    assert recipe.latent is not None, "only for latent systems"
    part, through = recipe.generator, recipe.latent.painter
    network: nn.Module
    if through is None:
        network = build_painter(part.name, part.parameters)
    else:
        painter = build_painter(through.name, through.parameters)
        network = Encoded(build_encoder(part.name, part.parameters, painter.latent), painter)
    weights, _, average = checkpoint.file_names("generator")
    has_average = (folder / f"{average}.safetensors").is_file()
    network.load_state_dict(checkpoint.read_tensors(folder, average if has_average else weights))
    return network.eval()


def _inputs(network: nn.Module, recipe: Recipe) -> Tensor:
    """Latents or noise for crops, always the same."""
    if recipe.system == "landscape":
        return fixed_latents(SAMPLES, int(network.latent), 0)  # type: ignore[arg-type]
    side = recipe.data.crop
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (SAMPLES, side, side, 3), np.uint8))


def _graph(drawn: Drawn, sample: Tensor) -> bytes:
    """Trace the network into an ONNX graph with a free number of pictures."""
    name = "image" if sample.dtype == torch.uint8 else "latent"
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # as in training.graph: whether the graph is right is proven, not announced
        torch.onnx.export(
            drawn,
            (sample[:2],),
            out,  # type: ignore[arg-type]
            dynamo=False,
            input_names=[name],
            output_names=["colour"],
            dynamic_axes={name: {0: "n"}, "colour": {0: "n"}},
            opset_version=17,
        )
    return out.getvalue()


def prove(drawn: Drawn, onnx: Path, sample: Tensor) -> None:
    """Raise ParityFailed unless graph and network draw the same pictures, up to a level of rounding."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    (found,) = session.run(["colour"], {session.get_inputs()[0].name: sample.numpy()})
    with torch.no_grad():
        expected: UInt8 = drawn(sample).numpy()
    worst = int(np.abs(found.astype(np.int16) - expected).max())
    if worst > LEVELS:
        raise ParityFailed(
            f"torch and the ONNX graph differ by {worst} levels (at most {LEVELS})",
            "Report this with your versions of torch and onnxruntime; nothing was written",
        )


def _serialise(weights: dict[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in weights.items()})


def describe(network: nn.Module, recipe: Recipe, state: State, model_id: str) -> ModelCard:
    """Return the card, without figures."""
    from sat2map.training.export import installed_versions

    assert recipe.latent is not None, "only for latent systems"
    part, through = recipe.generator, recipe.latent.painter
    painter = through or part
    side = int(painter.parameters.get("side", 128))
    ground = None
    architecture, parameters, latent = part.name, part.parameters, 0
    if through is None:
        latent = int(network.latent)  # type: ignore[arg-type]
    else:
        architecture = f"{part.name}+{through.name}"
        parameters = {"encoder": part.parameters, "painter": through.parameters}
        ground = Ground(
            route="latent",
            height=side,
            width=side,
            field=recipe.latent.field,
            side=recipe.data.crop,
            turned=recipe.latent.turned,
        )
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    what = "satellite → view from the ground" if ground else "numbers → landscape"
    return ModelCard(
        id=model_id,
        title=f"{recipe.name}: {what}",
        direction=recipe.data.direction,
        kind="rgb",
        architecture=architecture,
        parameters=parameters,
        parameter_count=sum(p.numel() for p in network.parameters()),
        metres_per_pixel=recipe.data.metres_per_pixel,
        ground=ground,
        latent=latent,
        stride=side,
        receptive_radius=UNBOUNDED,
        halo=0,
        cell=side,
        windowing="blend",
        training=Training(
            data=Path(state.folder).name,
            licence=recipe.data.licence or "not stated by the data",
            pairs=state.pairs,
            recipe=msgspec.to_builtins(recipe),
            images_seen=state.seen,
            hours=round(state.seconds / 3600, 2),
            versions=installed_versions(),
            data_manifest=state.data,
        ),
        limits=recipe.limits,
        licence="Apache-2.0",
        created=now.isoformat().replace("+00:00", "Z"),
    )
