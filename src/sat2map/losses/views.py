"""How far a drawn view is from the true one: mean square, structure, and colour layout with fixed deep features.

Each takes pictures (N, 3, S, S) in [-1, 1]. A true view shows the same place from the same spot, and yet hardly a pixel
of a drawn one lies where it lies there: the first two compare pixels, the third what is where.

`layout_loss` is this project's answer to the fourth seed's unpublished custom loss, and not that loss. Colour: mean
colours over 2×2, 4×4, 8×8 and 16×16 fields. Texture: a scattering network (Bruna and Mallat 2013), that is a
convolutional network of two layers whose filters are given by formula, with the modulus between them: Gabor filters of
four orientations on three scales, means of what comes out over 4×4 fields, as logarithms. Nothing is learned and
nothing is downloaded, so a loss of 0.4 means the same to everybody. `evaluation.matching` has the same three in numpy
(a test compares them).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GRIDS = (2, 4, 8, 16)  # fields a side over which colours are averaged
FIELDS = 4  # fields a side over which texture is averaged
SCALES = 3  # halvings of the picture on which there are filters, counting none
ORIENTATIONS = 4
KERNEL = 7  # px
GAIN = 20.0  # before the logarithm: a faint edge counts, a strong one does not rule
TEXTURE = 0.15  # weight of texture beside colour
WINDOW, SPREAD = 11, 1.5  # px, of SSIM's window (Wang et al. 2004)


def gabor() -> Tensor:
    """(ORIENTATIONS, 2, KERNEL, KERNEL): even and odd filters of wavelength 4 px, without response to a constant."""
    at = torch.arange(KERNEL, dtype=torch.float64) - KERNEL // 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    window = torch.exp(-(x**2 + y**2) / (2 * 1.6**2))
    pairs = []
    for n in range(ORIENTATIONS):
        turn = math.pi * n / ORIENTATIONS
        phase = (x * math.cos(turn) + y * math.sin(turn)) * math.pi / 2
        even, odd = window * torch.cos(phase), window * torch.sin(phase)
        even = even - window * (even.sum() / window.sum())
        pairs.append(torch.stack([even, odd]) / (even.abs().sum()))
    return torch.stack(pairs).float()


def at_one_size(picture: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Reduce the larger of two squares (N, C, S, S) and (N, C, T, T) by means to the size of the smaller."""
    side = min(picture.shape[-1], target.shape[-1])
    return F.adaptive_avg_pool2d(picture, side), F.adaptive_avg_pool2d(target, side)


def mse_loss(picture: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference, 0 to 4."""
    return F.mse_loss(picture, target)


def ssim_loss(picture: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM (Wang et al. 2004): Gaussian window of 11 px, valid positions only, mean of the channels; 0 to 2."""
    at = torch.arange(WINDOW, dtype=picture.dtype, device=picture.device) - WINDOW // 2
    line = torch.exp(-(at**2) / (2 * SPREAD**2))
    line = line / line.sum()

    def mean(x: Tensor) -> Tensor:
        count, channels = x.shape[:2]
        rows = F.conv2d(x.reshape(-1, 1, *x.shape[2:]), line.view(1, 1, -1, 1))
        return F.conv2d(rows, line.view(1, 1, 1, -1)).view(count, channels, -1)

    one, two = (2 * 0.01) ** 2, (2 * 0.03) ** 2  # for values with a range of 2
    mean_p, mean_t = mean(picture), mean(target)
    var_p = mean(picture.square()) - mean_p.square()
    var_t = mean(target.square()) - mean_t.square()
    shared = mean(picture * target) - mean_p * mean_t
    index = ((2 * mean_p * mean_t + one) * (2 * shared + two)) / (
        (mean_p.square() + mean_t.square() + one) * (var_p + var_t + two)
    )
    return 1 - index.mean()


def layout_features(pictures: Tensor) -> tuple[list[Tensor], Tensor]:
    """(N, 3, S, S), S a multiple of 16 -> mean colours (N, 3, g, g) of each grid, and textures (N, K, 4, 4)."""
    colours = [F.adaptive_avg_pool2d(pictures, grid) for grid in GRIDS]
    filters = gabor().to(pictures.device, pictures.dtype)
    level, textures = pictures.mean(1, keepdim=True), []
    for scale in range(SCALES):
        if scale:
            level = F.avg_pool2d(level, 2)
        first = _modulus(level, filters)  # (N, 4, S, S)
        textures.append(_means(first))
        second = _modulus(F.avg_pool2d(first, 2).flatten(0, 1)[:, None], filters)
        textures.append(_means(second.view(len(pictures), -1, *second.shape[2:])))
    return colours, torch.cat(textures, 1)


def _modulus(level: Tensor, filters: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, ORIENTATIONS, H, W): what filters of each orientation answer, whatever the phase."""
    size = min(level.shape[-2:])
    margin = KERNEL // 2
    mode = "reflect" if size > margin else "replicate"
    padded = F.pad(level, (margin,) * 4, mode)
    answer = F.conv2d(padded, filters.flatten(0, 1)[:, None]).view(
        len(level), ORIENTATIONS, 2, *level.shape[2:]
    )
    return (answer.square().sum(2) + 1e-6).sqrt()


def _means(maps: Tensor) -> Tensor:
    return torch.log1p(GAIN * F.adaptive_avg_pool2d(maps, FIELDS))


def layout_loss(picture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of colours over all grids, and of textures, weighted; about 0 to 2."""
    (colours, texture), (true_colours, true_texture) = layout_features(picture), layout_features(target)
    colour = torch.stack([F.l1_loss(a, b) for a, b in zip(colours, true_colours, strict=True)]).mean()
    return colour + TEXTURE * F.l1_loss(texture, true_texture)


VIEW_LOSSES = {"mse": mse_loss, "ssim": ssim_loss, "layout": layout_loss}
