"""From a run to a bundle: choose weights, calibrate, write the graph, prove that it computes the same, describe it."""

import datetime
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from sat2map import bundle, storage
from sat2map.card import ModelCard, Training
from sat2map.data.batches import UInt8
from sat2map.data.pairs import Direction
from sat2map.data.quarantine import QUARANTINE
from sat2map.errors import NothingToResume, ParityFailed, UnsuitableModel
from sat2map.evaluation.calibration import fit_temperature
from sat2map.familiar import Familiar
from sat2map.models import Generator, build_generator
from sat2map.models.carto import Carto
from sat2map.palette import Palette
from sat2map.runtime import OnnxTranslator, Translator
from sat2map.training import checkpoint, development, graph, setup
from sat2map.training.checkpoint import State
from sat2map.training.cyclegan import BACK
from sat2map.training.familiarity import familiar_of
from sat2map.training.latent_export import export_latent
from sat2map.training.recipe import Recipe, override
from sat2map.training.views import ground_of

PARITY = 1e-3  # largest difference of probabilities (or of RGB levels / 255) between torch and the graph
CALIBRATION_PAIRS = 40
_PARITY_SIDE = 256
TITLES = {
    "sat2map": "satellite → map",
    "map2sat": "map → satellite",
    "sat2view": "satellite → view from the ground",
}


@dataclass(frozen=True)
class Trained:
    """A generator with its averaged weights, and what is known about its training."""

    network: Generator
    recipe: Recipe
    state: State
    palette: Palette | None


def load_run(run: Path, step: int | None = None, direction: Direction | None = None) -> Trained:
    """The run's best checkpoint by its development figures, or that of `step`.

    `direction` chooses among the generators of a system that goes both ways. Raises NothingToResume, CorruptFile,
    UnsuitableModel where the run does not go that way.
    """
    folder = _choose(run, step)
    state = checkpoint.read_state(folder)
    recipe = msgspec.convert(state.recipe, Recipe)
    player = "generator"
    if direction not in (None, recipe.data.direction):
        if recipe.system != "cyclegan":
            raise UnsuitableModel(
                f"{run} trains {recipe.data.direction} only",
                "Leave --direction out, or train the other direction",
            )
        player += BACK
        recipe = override(recipe, [f"data.direction={direction}"])
    palette = None if state.palette is None else msgspec.convert(state.palette, Palette)
    network = build_generator(
        recipe.generator.name, recipe.objective.palette or 3, recipe.generator.parameters, recipe.inputs
    )
    weights, _, average = checkpoint.file_names(player)
    has_average = (folder / f"{average}.safetensors").is_file()
    network.load_state_dict(checkpoint.read_tensors(folder, average if has_average else weights))
    return Trained(network.eval(), recipe, state, palette)


def _choose(run: Path, step: int | None) -> Path:
    if step is None:
        try:
            step = int(msgspec.json.decode((run / "best.json").read_bytes())["step"])
        except FileNotFoundError:
            newest = checkpoint.newest(run)
            if newest is None:
                raise NothingToResume(
                    f"{run} holds no checkpoint", "Train first: sat2map train RECIPE --run RUN"
                ) from None
            return newest
    folder = checkpoint.folder_of(run, step)
    if not folder.is_dir():
        kept = ", ".join(sorted(p.name for p in (run / "checkpoints").glob("step-*")))
        raise NothingToResume(f"{run} kept no checkpoint of step {step}", f"It has: {kept or 'none'}")
    storage.verify(folder)
    return folder


def calibrate(trained: Trained, data: setup.Data) -> float:
    """Temperature that makes the probabilities of development pixels honest (Guo et al. 2017); 1 for RGB painters."""
    if trained.palette is None:
        return 1.0
    chosen = data.development[:CALIBRATION_PAIRS]

    def logits() -> Iterator[np.ndarray]:
        for number in chosen:
            yield development.predict(trained.network, data.source(number), trained.recipe)[None].numpy()

    targets = (data.store.index(number)[None].astype(np.int64) for number in chosen)
    return fit_temperature(logits(), targets)


def parity(deployed: graph.Deployed, translator: Translator, image: UInt8) -> float:
    """Largest difference between torch and graph on one image (H, W, 3); raises ParityFailed beyond PARITY.

    Class rasters must agree wherever the two likeliest classes are further apart than twice that difference: at an
    exact tie two correct computations may choose differently.
    """
    with torch.no_grad():
        expected = [t.numpy() for t in deployed(torch.from_numpy(image[None].copy()))]
    if not deployed.is_palette:
        got = translator(image[None], {"colour"}).colour
        assert got is not None, "colour was asked for"
        worst = float(np.abs(got.astype(np.int16) - expected[0]).max()) / 255
        differing = 0
    else:
        found = translator(image[None], ("index", "probabilities"))
        assert found.index is not None and found.probabilities is not None, "both were asked for"
        worst = float(np.abs(found.probabilities - expected[3]).max())
        top = np.sort(expected[3], 1)
        clear = top[:, -1] - top[:, -2] > 2 * PARITY
        differing = int(((found.index != expected[1]) & clear).sum())
    limit = (
        PARITY if deployed.is_palette else 1.01 / 255
    )  # RGB levels are rounded: one level is no difference
    if worst > limit or differing:
        raise ParityFailed(
            f"torch and the ONNX graph differ by {worst:.2g} (at most {limit:.2g}) and in {differing} class pixels",
            "Report this with your versions of torch and onnxruntime; nothing was written",
        )
    return worst


def export_run(
    run: Path,
    out: Path,
    *,
    step: int | None = None,
    model_id: str,
    direction: Direction | None = None,
    data: setup.Folders | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the bundle `out` from the run's best checkpoint (or `step`), calibrated on the development pairs of `data`.

    Weights are stored as float16 and used as float32, in both files. Raises NothingToResume, ParityFailed,
    OutputExists, UnsuitableModel.
    """
    storage.refuse_existing(out, overwrite=overwrite)
    chosen = _choose(run, step)
    state = checkpoint.read_state(chosen)
    recipe = msgspec.convert(state.recipe, Recipe)
    if recipe.latent is not None:
        if direction not in (None, recipe.data.direction):
            raise UnsuitableModel(f"{run} trains {recipe.data.direction} only", "Leave --direction out")
        return export_latent(chosen, out, recipe, state, model_id, overwrite=overwrite)
    trained = load_run(run, step, direction)
    opened = setup.open_data(
        trained.recipe,
        data or setup.folders_of(trained.state.folder),
        lambda done, total, note: None,
        own if (own := run / QUARANTINE).exists() else None,
    )
    weights = graph.rounded(trained.network.state_dict())
    trained.network.load_state_dict(weights)
    deployed = graph.Deployed(trained.network, trained.palette, calibrate(trained, opened)).eval()
    stride, view = trained.network.stride, trained.recipe.view
    side = -(-_PARITY_SIDE // stride) * stride
    shape = (view.height, view.width) if view else (side, side)
    model = graph.export(deployed, *shape, trained.recipe.inputs)
    if isinstance(trained.network, Carto) and trained.network.noise:
        model = graph.named_noise(model, trained.network.pattern)
    model = graph.halve(model)
    card = describe(trained, model_id, deployed.temperature, familiar_of(opened))
    with tempfile.TemporaryDirectory() as scratch:  # proven before it gets its name
        draft = bundle.write_bundle(Path(scratch) / model_id, card, model, _serialise(weights))
        parity(deployed, OnnxTranslator(draft), _sample(opened, shape))
    bundle.write_bundle(out, card, model, _serialise(weights), overwrite=overwrite)
    return out


def _sample(data: setup.Data, shape: tuple[int, int]) -> UInt8:
    """A rectangle (height, width) of a development picture, repeated where it is too small."""
    picture = data.source(data.sources[0])[: shape[0], : shape[1]]
    missing = [(0, wanted - had) for wanted, had in zip(shape, picture.shape[:2], strict=True)]
    return np.pad(picture, [*missing, (0, 0)], "symmetric")


def _serialise(weights: dict[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in weights.items()})


def describe(trained: Trained, model_id: str, temperature: float, familiar: Familiar | None) -> ModelCard:
    """The card of a trained generator, without figures: `evaluate` adds those."""
    network, recipe, state = trained.network, trained.recipe, trained.state
    stride, radius = network.stride, network.receptive_radius()
    exact = radius >= 0
    halo = -(-radius // stride) * stride if exact else max(stride, 64)
    cell = -(-608 // stride) * stride if exact else max(4 * halo, stride) - 2 * halo % stride
    if recipe.view is not None:  # one picture, not cells of a scene
        halo, cell = 0, recipe.view.height
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return ModelCard(
        id=model_id,
        title=f"{recipe.name}: {TITLES[recipe.data.direction]}",
        direction=recipe.data.direction,
        kind="palette" if trained.palette is not None else "rgb",
        architecture=recipe.generator.name,
        parameters=recipe.generator.parameters,
        parameter_count=sum(p.numel() for p in network.parameters()),
        metres_per_pixel=recipe.data.metres_per_pixel,
        palette=trained.palette,
        ground=ground_of(recipe.view) if recipe.view else None,
        bands=recipe.inputs,
        stride=stride,
        receptive_radius=radius,
        halo=halo,
        cell=cell,
        windowing="exact" if exact else "blend",
        temperature=round(temperature, 4),
        familiar=familiar,
        training=Training(
            data=Path(state.folder.split(os.pathsep)[0]).name,
            licence=recipe.data.licence or "not stated by the data",
            pairs=state.pairs,
            recipe=state.recipe,
            images_seen=state.seen,
            hours=round(state.seconds / 3600, 2),
            versions=installed_versions(),
            data_manifest=state.data,
        ),
        limits=recipe.limits,
        licence="Apache-2.0",
        created=now.isoformat().replace("+00:00", "Z"),
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of what decides a model's weights."""
    return {name: version(name) for name in ("sat2map", "torch", "numpy") if _installed(name)}


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
