"""The two sides of the game, in four forms.

bce: Goodfellow et al. 2014, the discriminator's part halved as in pix2pix (Isola et al. 2017, section 3.3).
lsgan: Mao et al. 2017. hinge: Lim and Ye 2017. relativistic: each real picture against the generated one of the same
condition (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024, equation 2), to be used with gradient penalties.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def adversarial_discriminator(kind: str, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """What the discriminator minimises on its scores of real and of generated pictures (any equal shape).

    `smoothing` lowers the goal for real pictures to 1 - smoothing and leaves that for generated ones at 0 (one-sided,
    Salimans et al. 2016, section 3.4); it has a meaning for bce and lsgan only.
    """
    if kind == "bce":
        ones = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 1.0 - smoothing))
        zeros = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        return 0.5 * (ones + zeros)
    if kind == "lsgan":
        return 0.5 * ((real - (1.0 - smoothing)).square().mean() + fake.square().mean())
    if kind == "relativistic":
        return F.softplus(fake - real).mean()
    assert kind == "hinge", f"unknown adversarial objective {kind}"
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def adversarial_generator(kind: str, fake: Tensor, real: Tensor | None = None) -> Tensor:
    """What the generator minimises on the discriminator's scores of its pictures (the non-saturating forms).

    `real` are the scores of the true pictures; only the relativistic form looks at them.
    """
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    if kind == "lsgan":
        return (fake - 1).square().mean()
    if kind == "relativistic":
        assert real is not None, "the relativistic form compares with the scores of true pictures"
        return F.softplus(real - fake).mean()
    assert kind == "hinge", f"unknown adversarial objective {kind}"
    return -fake.mean()
