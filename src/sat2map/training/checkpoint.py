"""Checkpoints: everything a run needs to go on as if it had never stopped, in files that cannot be half there.

A checkpoint is a folder of safetensors (weights, their average, optimiser moments) and `state.json`, committed with
a manifest of SHA-256 sums by `storage`. Data order and all randomness are functions of the seed and the images
seen, so there is no generator state to keep.
"""

from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from sat2map import storage
from sat2map.errors import CorruptFile, NothingToResume
from sat2map.training.optimise import Average
from sat2map.training.pix2pix import Players


class State(msgspec.Struct, frozen=True):
    """What a checkpoint says beside its tensors."""

    step: int  # steps done
    seen: int  # images seen
    recipe: dict[str, Any]  # the resolved recipe
    data: str  # content of the paired set: `PixelCache.content`
    folder: str  # where the set lay, for `export` to find it again
    pairs: int  # trained on
    threads: int  # CPU threads; sums are bit-equal only with equal threads
    seconds: float  # of training so far
    figures: dict[str, float] = {}  # development figures of the averaged weights
    palette: dict[str, Any] | None = None


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:06d}"


def save(run: Path, players: Players, average: Average | None, state: State) -> Path:
    """Commit a checkpoint; an interrupted save leaves the earlier ones untouched. Raises StorageFailed."""
    from safetensors.torch import save as serialise

    target = folder_of(run, state.step)
    tensors: dict[str, dict[str, Tensor]] = {
        "generator": _plain(players.generator.state_dict()),
        "optimiser": _plain(players.optimiser.state()),
    }
    if average is not None:
        tensors["average"] = _plain(average.weights)
    if players.judge is not None and players.judge_optimiser is not None:
        tensors["discriminator"] = _plain(players.judge.state_dict())
        tensors["discriminator_optimiser"] = _plain(players.judge_optimiser.state())
    with storage.committing_folder(target, overwrite=True) as folder:
        for name, group in tensors.items():
            (folder / f"{name}.safetensors").write_bytes(serialise(group))
        (folder / "state.json").write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    return target


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies in the default memory layout: safetensors stores no strides."""
    return {name: value.detach().contiguous() for name, value in tensors.items()}


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """One group of tensors, from the very bytes that were checked against the manifest. Raises CorruptFile."""
    from safetensors.torch import load

    return load(storage.read_verified(folder, f"{name}.safetensors"))


def read_state(folder: Path) -> State:
    """The state of a checkpoint. Raises CorruptFile."""
    try:
        return msgspec.json.decode(storage.read_verified(folder, "state.json"), type=State)
    except msgspec.DecodeError as error:
        raise CorruptFile(
            f"{folder / 'state.json'} cannot be read: {error}", "Remove this checkpoint"
        ) from error


def restore(folder: Path, players: Players, average: Average | None) -> State:
    """Put a checkpoint's tensors into freshly built players. Raises CorruptFile, NothingToResume."""
    state = read_state(folder)
    _fill(players.generator, read_tensors(folder, "generator"), folder)
    players.optimiser.restore(read_tensors(folder, "optimiser"))
    if average is not None:
        average.weights = read_tensors(folder, "average")
    if players.judge is not None and players.judge_optimiser is not None:
        _fill(players.judge, read_tensors(folder, "discriminator"), folder)
        players.judge_optimiser.restore(read_tensors(folder, "discriminator_optimiser"))
    return state


def _fill(network: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [n for n in own if own[n].shape != weights[n].shape]
    if wrong:
        raise NothingToResume(
            f"{folder} holds the weights of another network (first difference: {wrong[0]})",
            "Resume with the recipe of the run folder, or start a new run",
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(weights[name])  # in place: the network keeps its memory layout


def newest(run: Path) -> Path | None:
    """The newest checkpoint whose every file matches its manifest, or None."""
    return storage.newest_valid(run / "checkpoints")


def thin_out(run: Path, keep: int, best: int | None) -> None:
    """Remove all checkpoints but the newest `keep` and the best one."""
    import shutil

    steps = sorted((run / "checkpoints").glob("step-*"))
    for folder in steps[:-keep]:
        if best is None or folder != folder_of(run, best):
            shutil.rmtree(folder)
