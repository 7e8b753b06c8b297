"""Checkpoints: everything a run needs to go on as if it had never stopped, in files that cannot be half there.

A checkpoint is a folder of safetensors (weights, their average, optimiser moments) and `state.json`, committed with
a manifest of SHA-256 sums by `storage`. Data order and all randomness are functions of the seed and the images
seen, so there is no generator state to keep.
"""

import contextlib
import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from sat2map import storage
from sat2map.errors import CorruptFile, NothingToResume
from sat2map.training.guard.watch import Memory
from sat2map.training.player import Player, System


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
    scores: list[float] = []  # of all looks at the development pairs so far, oldest first
    guard: Memory = msgspec.field(default_factory=Memory)


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return run / "checkpoints" / f"step-{step:06d}"


def file_names(name: str) -> tuple[str, str, str]:
    """Files of a player: weights, optimiser moments, averaged weights. The generator's are the short ones."""
    if name == "generator":
        return "generator", "optimiser", "average"
    return name, f"{name}_optimiser", f"{name}_average"


def _tensors(name: str, player: Player) -> dict[str, dict[str, Tensor]]:
    weights, moments, average = file_names(name)
    tensors = {weights: player.network.state_dict(), moments: player.optimiser.state()}
    if player.average is not None:
        tensors[average] = player.average.weights
    return tensors


def save(run: Path, system: System, state: State) -> Path:
    """Commit a checkpoint; an interrupted save leaves the earlier ones untouched. Raises StorageFailed."""
    from safetensors.torch import save as serialise

    target = folder_of(run, state.step)
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, player in system.players.items():
        tensors |= _tensors(name, player)
    if memory := system.memory():
        tensors["memory"] = memory
    with storage.committing_folder(target, overwrite=True) as folder:
        for name, group in tensors.items():
            (folder / f"{name}.safetensors").write_bytes(serialise(_plain(group)))
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


def restore(folder: Path, system: System) -> State:
    """Put a checkpoint's tensors into a freshly built system. Raises CorruptFile, NothingToResume."""
    state = read_state(folder)
    for name, player in system.players.items():
        weights, moments, average = file_names(name)
        _fill(player.network, read_tensors(folder, weights), folder)
        player.optimiser.restore(read_tensors(folder, moments))
        if player.average is not None:
            for label, value in read_tensors(folder, average).items():
                player.average.weights[label].copy_(value)
    if (folder / "memory.safetensors").is_file():
        system.remember(read_tensors(folder, "memory"))
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
    """Remove all checkpoints but the newest `keep` and the best one; what cannot go is tried again next time."""
    with contextlib.suppress(OSError):
        for folder in sorted((run / "checkpoints").glob("step-*"))[:-keep]:
            if best is None or folder != folder_of(run, best):
                shutil.rmtree(folder, ignore_errors=True)
