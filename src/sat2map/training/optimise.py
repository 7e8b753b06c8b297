"""Optimisers, schedules and the weight average, each a pure function of the images seen so far."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sat2map.training.recipe import OptimiserPart


def rate_factor(part: OptimiserPart, seen: int, total: int) -> float:
    """Learning rate at `seen` of `total` images, as a share of `part.rate`; see also `plateau_factor`."""
    warm = min(1.0, (seen + 1) / part.warmup) if part.warmup else 1.0
    if part.schedule == "onecycle":
        return warm * _one_cycle(part, seen / max(total, 1))
    if part.schedule == "step":
        return warm * part.drop ** (seen // part.drop_every)
    if part.schedule == "plateau":
        return warm
    begin = part.decay_from * total
    if part.schedule == "constant" or seen <= begin:
        return warm
    done = min(1.0, (seen - begin) / max(total - begin, 1))
    left = 1 - done if part.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return warm * (part.final + (1 - part.final) * left)


def _one_cycle(part: OptimiserPart, done: float) -> float:
    """Up from `begin` to 1 along half a cosine, and down to `final` along another (Smith 2018, with cosines)."""
    if done < part.rise:
        return part.begin + (1 - part.begin) * 0.5 * (1 - math.cos(math.pi * done / part.rise))
    fallen = (done - part.rise) / (1 - part.rise) if part.rise < 1 else 1.0
    return part.final + (1 - part.final) * 0.5 * (1 + math.cos(math.pi * min(fallen, 1.0)))


def plateau_factor(part: OptimiserPart, scores: Sequence[float]) -> float:
    """What the plateau schedule makes of the scores of all looks so far: a `drop` for each `patience` without a record.

    A pure function of the whole history, so that a resumed run drops where the uninterrupted one did.
    """
    if part.schedule != "plateau":
        return 1.0
    best, waiting, drops = -math.inf, 0, 0
    for score in scores:
        best, waiting = (score, 0) if score > best else (best, waiting + 1)
        if waiting == part.patience:
            drops, waiting = drops + 1, 0
    return part.drop**drops


class Optimiser:
    """One network's optimiser: Adam, AdamW, or Muon for the inner kernels with AdamW for the rest.

    Muon (Jordan et al. 2024) orthogonalises the momentum of matrices; convolution kernels count as matrices of
    (outputs, inputs·kernel²). Stem and head stay with AdamW, as its authors advise for first and last layers; so does a
    pretrained backbone, at a rate of its own: Muon's steps are as long as its weights, and would forget what they know.
    """

    def __init__(self, network: nn.Module, part: OptimiserPart) -> None:
        self.part = part
        self.network = network
        named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
        inner = [p for name, p in named if p.ndim == 4 and not name.startswith(("stem", "head", "backbone"))]
        pretrained = [p for name, p in named if name.startswith("backbone")]
        self._matrices: list[tuple[nn.Parameter, nn.Parameter]] = []
        self.parts: dict[str, torch.optim.Optimizer] = {}
        if part.kind == "muon":
            self._matrices = [(p, nn.Parameter(_as_matrix(p.data))) for p in inner]
            shared = all(flat.data_ptr() == p.data_ptr() for p, flat in self._matrices)
            assert shared, "bring the network into channels-last memory before its optimiser is made"
            self.parts["muon"] = torch.optim.Muon(
                [flat for _, flat in self._matrices], part.matrix_rate, weight_decay=part.decay
            )
        taken = {id(p) for p, _ in self._matrices} | {id(p) for p in pretrained}
        groups = [
            {
                "params": [p for _, p in named if id(p) not in taken and p.ndim > 1],
                "weight_decay": part.decay,
            },
            {"params": [p for _, p in named if id(p) not in taken and p.ndim <= 1], "weight_decay": 0.0},
            {"params": pretrained, "weight_decay": 0.0, "lr": part.backbone_rate},
        ]
        kind = torch.optim.Adam if part.kind == "adam" else torch.optim.AdamW
        self.parts["adam"] = kind([g for g in groups if g["params"]], part.rate, betas=part.betas)
        self._base = [group["lr"] for group in self._groups()]
        self.scale = 1.0  # of all rates: what the run has learned from its development figures

    def _groups(self) -> Iterator[dict[str, object]]:
        for optimiser in self.parts.values():
            yield from optimiser.param_groups

    def step(self, seen: int, total: int) -> float:
        """Clip, set the rates for `seen` images, step; returns the gradient norm before clipping."""
        factor = self.scale * rate_factor(self.part, seen, total)
        for group, base in zip(self._groups(), self._base, strict=True):
            group["lr"] = base * factor  # type: ignore[operator]
        limit = self.part.clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        for parameter, flat in self._matrices:
            assert parameter.grad is not None, "every inner kernel takes part in the loss"
            flat.grad = _as_matrix(parameter.grad)
        for optimiser in self.parts.values():
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.network.zero_grad(set_to_none=True)
        return float(norm)

    def state(self) -> dict[str, Tensor]:
        """All moments and counters as tensors named `part.number.name`."""
        out: dict[str, Tensor] = {}
        for label, optimiser in self.parts.items():
            for number, slots in optimiser.state_dict()["state"].items():
                for name, value in slots.items():
                    out[f"{label}.{number}.{name}"] = torch.as_tensor(value)
        return out

    def restore(self, state: dict[str, Tensor]) -> None:
        """Inverse of `state`, exact to the bit."""
        for label, optimiser in self.parts.items():
            whole = optimiser.state_dict()
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in state.items():
                owner, number, name = key.split(".", 2)
                if owner == label:
                    slots.setdefault(int(number), {})[name] = value
            optimiser.load_state_dict({"state": slots, "param_groups": whole["param_groups"]})


def _as_matrix(kernel: Tensor) -> Tensor:
    """(O, I, h, w) kernel -> (O, h·w·I) view of the same memory where it is channels-last, as training keeps it."""
    return kernel.permute(0, 2, 3, 1).reshape(kernel.shape[0], -1)


class Average:
    """Exponential moving average of a network's weights, with a half-life in images (Karras et al. 2018).

    Early on the half-life is a tenth of the images seen, so that the average forgets the initial noise.
    """

    def __init__(self, network: nn.Module, half_life: float) -> None:
        self.half_life = half_life
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, seen: int, batch: int) -> None:
        """Move towards the network after `batch` more images, `seen` in total."""
        half_life = min(self.half_life, seen / 10)
        keep = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
        for name, value in network.state_dict().items():
            average = self.weights[name]
            if average.is_floating_point():
                average.lerp_(value, 1 - keep)
            else:
                average.copy_(value)
