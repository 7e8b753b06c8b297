"""Where a run computes: the processor, or the accelerator that belongs to this process."""

import os

import torch

from sat2map.errors import NoDevice
from sat2map.training.recipe import RunPart


def choose_device(part: RunPart) -> torch.device:
    """The device of `run.device`: `auto` takes an accelerator where there is one, number LOCAL_RANK of this machine.

    Raises NoDevice where CUDA is asked for and absent, or has fewer devices than this machine has ranks.
    """
    found = torch.cuda.is_available()
    if part.device == "cpu" or (part.device == "auto" and not found):
        return torch.device("cpu")
    if not found:
        raise NoDevice(
            f"run.device=cuda, but torch {torch.__version__} sees no CUDA device",
            "Install a build of torch for CUDA and a driver for it, or set run.device=cpu",
        )
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise NoDevice(
            f"rank {number} of this machine needs CUDA device {number}, and there are {count}",
            f"Set --nproc-per-node={count}, or run.device=cpu",
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def settle(part: RunPart, device: torch.device) -> None:
    """Threads and repeatability of everything computed from here on.

    On a CPU all is repeatable to the bit. Some CUDA kernels have no repeatable form (the cross-entropy of pictures
    among them); torch warns of these, and a resumed run then equals the uninterrupted one only up to rounding.
    """
    if part.threads:
        torch.set_num_threads(part.threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
