"""What a discriminator is shown of pictures: as they are, with noise, or shifted, recoloured and cut (DiffAugment).

One view is drawn for each step and serves the real and the generated pair alike, so that what it hides says nothing
about which is which, and so that features of both can be compared. All of it is differentiable.

Noise on both: Arjovsky and Bottou 2017; Sønderby et al. 2017. DiffAugment: Zhao et al. 2020.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sat2map.training.recipe import ObjectivePart

SHIFT = 1 / 8  # largest shift, as a share of the side
HOLE = 1 / 2  # side of the square that is cut out, as a share of the side


def noise_level(part: ObjectivePart, seen: int, total: int) -> float:
    """Deviation of the noise after `seen` of `total` images: falls linearly from `noise` to zero at `noise_until`."""
    return part.noise * max(0.0, 1.0 - seen / (part.noise_until * total))


@dataclass(frozen=True)
class View:
    """Drawn once for the N samples of a batch; None stands for what the recipe does not ask for."""

    noise: float = 0.0
    colour: Tensor | None = None  # (N, 3) in [0, 1): brightness, saturation, contrast
    shift: list[tuple[int, int]] | None = None  # px down and right
    hole: list[tuple[int, int, int, int]] | None = None  # top, left, height, width

    def __call__(self, *pictures: Tensor) -> Tensor:
        """Pictures (N, C, H, W), the examined one last, as one (N, sum of C, H, W) input of a discriminator."""
        *conditions, examined = pictures
        if self.noise:
            examined = examined + self.noise * torch.randn_like(examined)
        layers = [*conditions, examined]
        if self.colour is not None:
            layers = [recolour(layer, self.colour) for layer in layers]
        joined = torch.cat(layers, 1) if conditions else layers[0]
        if self.shift is not None:
            joined = shifted(joined, self.shift)
        return joined if self.hole is None else cut(joined, self.hole)


def draw_view(part: ObjectivePart, like: Tensor, seen: int, total: int) -> View:
    """Draw the view of a step for a batch like (N, C, H, W) from torch's global state; what is off draws nothing."""
    count, _, height, width = like.shape
    noise = noise_level(part, seen, total)
    colour = shift = hole = None
    if "colour" in part.augment:
        colour = torch.rand(count, 3)
    if "translation" in part.augment:
        most = torch.tensor([int(height * SHIFT), int(width * SHIFT)])
        places = (torch.rand(count, 2) * (2 * most + 1)).floor().long() - most
        shift = [(int(down), int(right)) for down, right in places]
    if "cutout" in part.augment:
        tall, wide = int(height * HOLE), int(width * HOLE)
        corners = (torch.rand(count, 2) * torch.tensor([height - tall + 1, width - wide + 1])).long()
        hole = [(int(top), int(left), tall, wide) for top, left in corners]
    return View(noise, colour, shift, hole)


def recolour(pictures: Tensor, draws: Tensor) -> Tensor:
    """Brightness by ±0.5, saturation by 0 to 2, contrast by 0.5 to 1.5; `draws` (N, 3) in [0, 1), 0.5: none."""
    brightness, saturation, contrast = (draws.to(pictures.device)[:, i, None, None, None] for i in range(3))
    pictures = pictures + (brightness - 0.5)
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (pictures - grey) * (2 * saturation)
    level = pictures.mean((1, 2, 3), keepdim=True)
    return level + (pictures - level) * (contrast + 0.5)


def shifted(pictures: Tensor, shifts: list[tuple[int, int]]) -> Tensor:
    """Move each sample down and right by its px; zeros come in from the other side."""
    height, width = pictures.shape[-2:]
    moved = torch.zeros_like(pictures)
    for i, (down, right) in enumerate(shifts):
        to = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
        of = (slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0)))
        moved[i, :, to[0], to[1]] = pictures[i, :, of[0], of[1]]
    return moved


def cut(pictures: Tensor, holes: list[tuple[int, int, int, int]]) -> Tensor:
    """Set one rectangle of each sample to zero."""
    kept = torch.ones_like(pictures[:, :1])
    for i, (top, left, tall, wide) in enumerate(holes):
        kept[i, :, top : top + tall, left : left + wide] = 0
    return pictures * kept
