"""What a run was made with: versions, device, data. Kept as `about.json`, shown in the report."""

import platform
from importlib import metadata
from pathlib import Path

import torch

from sat2map import __version__, storage
from sat2map.data.pairs import MANIFEST
from sat2map.training.dataset import Data
from sat2map.training.player import Player

ABOUT = "about.json"
LIBRARIES = ("torch", "numpy", "Pillow", "safetensors")


def describe(data: Data, player: Player) -> dict[str, str]:
    """Names and values, all texts, in the order in which a reader wants them."""
    manifest = Path(data.folder) / MANIFEST
    weight = next(player.network.parameters())
    numbers = sum(parameter.numel() for parameter in player.network.parameters())
    about = {
        "data": data.folder,
        "training pictures": f"{len(data.training)}, and {len(data.development)} for choosing",
        "left out (quarantine)": f"{len(data.quarantined)}",
        "content of the pictures (SHA-256)": data.key,
    }
    if manifest.is_file():
        about["manifest pairs.jsonl (SHA-256)"] = storage.sha256(manifest)
    about["generator"] = f"{data.recipe.generator.name}, {numbers:,} numbers"
    about["device"] = _device(weight.device)
    about["sat2map"] = __version__
    about |= {name: metadata.version(name) for name in LIBRARIES}
    about["Python"] = f"{platform.python_version()} on {platform.platform(terse=True)}"
    return about


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"{device.type}, {torch.get_num_threads()} threads, {platform.machine()}"
