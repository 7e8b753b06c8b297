"""From a satellite crop to the latent of a landscape generator, and both as one network.

`SatelliteEncoder` is that of the fourth seed: 4×4 convolutions with stride 2 and without bias, 3 -> 16 (no norm) -> 32
-> 64 -> 128 -> 256, batch norm, leaky ReLU 0.2, then one linear layer: 714,436 numbers for crops of 128 px and a
latent of 4. The seed does not bound the latent; `bound` does, if it is above zero.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sat2map.models.norms import initialise_normal

SLOPE = 0.2
LAYERS = 5


class SatelliteEncoder(nn.Module):
    """Crop to latent. `bound` > 0 keeps each number within ±bound (bound · tanh(z / bound)); 0 leaves it as it is."""

    def __init__(self, latent: int = 4, side: int = 128, width: int = 16, bound: float = 0.0) -> None:
        super().__init__()
        if latent < 1 or width < 1 or side < 1 << LAYERS or side % (1 << LAYERS):
            raise ValueError(
                f"latent {latent} and width {width} must be at least 1, side {side} a multiple of {1 << LAYERS}"
            )
        if bound < 0:
            raise ValueError(f"bound {bound} must not be negative")
        self.latent, self.side, self.bound = latent, side, bound
        widths = [3, *(width << n for n in range(LAYERS))]
        self.stages = nn.ModuleList(
            nn.Conv2d(widths[n], widths[n + 1], 4, 2, 1, bias=False) for n in range(LAYERS)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(wide) for wide in widths[2:])
        self.head = nn.Linear(widths[-1] * (side >> LAYERS) ** 2, latent)
        initialise_normal(self)

    def forward(self, crop: Tensor) -> Tensor:
        """(N, 3, side, side) in [-1, 1] -> (N, latent)."""
        x = F.leaky_relu(self.stages[0](crop), SLOPE)
        for stage, norm in zip(list(self.stages)[1:], self.norms, strict=True):
            x = F.leaky_relu(norm(stage(x)), SLOPE)
        latent: Tensor = self.head(x.flatten(1))
        return self.bound * torch.tanh(latent / self.bound) if self.bound else latent


class Encoded(nn.Module):
    """An encoder before a painter that does not learn: crop in, picture out."""

    def __init__(self, encoder: SatelliteEncoder, painter: nn.Module) -> None:
        super().__init__()
        self.encoder, self.painter = encoder, painter
        painter.requires_grad_(False)
        painter.eval()

    def train(self, mode: bool = True) -> "Encoded":
        """Set the encoder's mode; the painter stays as it was trained, its norms on running means."""
        super().train(mode)
        self.painter.eval()
        return self

    def forward(self, crop: Tensor) -> Tensor:
        """(N, 3, H, W) crop -> (N, 3, side, side) picture, both in [-1, 1]."""
        picture: Tensor = self.painter(self.encoder(crop))
        return picture
