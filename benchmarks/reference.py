"""The reference networks, for speed only: U-Net-256 and ResNet-9 in eager PyTorch, and one pix2pix training step.

The architectures are those of the papers' tables (Isola et al. 2017, appendix 6.1; Zhu et al. 2017, appendix 7.2), as
`sat2map.models` builds them; run as a script, this checks their parameter counts and arithmetic against the
published 54.4 M and 11.4 M parameters.

    python benchmarks/reference.py
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from measuring import arguments, finish
from sat2map.models import build_discriminator, build_generator

PARAMETERS = {"U-Net-256": 54_413_955, "ResNet-9": 11_378_179, "PatchGAN 70": 2_768_705}
SIDE = 256  # px


def unet_256() -> nn.Module:
    """The generator of pix2pix: 8 levels, batch norm, dropout."""
    return build_generator("unet", 3, {"levels": 8, "width": 64, "dropout": 0.5, "norm": "batch"})


def resnet_9() -> nn.Module:
    """The generator of CycleGAN for 256 px: 9 residual blocks, instance norm."""
    return build_generator("resnet", 3, {"blocks": 9, "width": 64, "norm": "instance"})


def patchgan_70() -> nn.Module:
    """The discriminator of pix2pix: 70 px patches of input and picture together."""
    return build_discriminator("patch", 6, {"layers": 3, "width": 64, "norm": "batch"})


class Pix2pix(NamedTuple):
    """What a reference training step needs."""

    generator: nn.Module
    judge: nn.Module
    generator_optimiser: torch.optim.Optimizer
    judge_optimiser: torch.optim.Optimizer

    @classmethod
    def build(cls) -> "Pix2pix":
        """U-Net-256 against PatchGAN 70, Adam 2e-4, betas 0.5 and 0.999 (the paper, section 3.3)."""
        generator, judge = unet_256(), patchgan_70()
        optimisers = [torch.optim.Adam(n.parameters(), 2e-4, betas=(0.5, 0.999)) for n in (generator, judge)]
        return cls(generator.train(), judge.train(), *optimisers)

    def step(self, source: Tensor, target: Tensor) -> None:
        """One step in float32 on (N, 3, 256, 256) in [-1, 1]: discriminator, then generator with 100 × L1."""
        fake = self.generator(source)
        self.judge.requires_grad_(True)
        scores_real = self.judge(torch.cat([source, target], 1))[0]
        scores_fake = self.judge(torch.cat([source, fake.detach()], 1))[0]
        loss = 0.5 * (_against(scores_real, 1.0) + _against(scores_fake, 0.0))
        self.judge_optimiser.zero_grad()
        loss.backward()
        self.judge_optimiser.step()
        self.judge.requires_grad_(False)
        fooled = self.judge(torch.cat([source, fake], 1))[0]
        loss = _against(fooled, 1.0) + 100 * functional.l1_loss(fake, target)
        self.generator_optimiser.zero_grad()
        loss.backward()
        self.generator_optimiser.step()


def _against(scores: Tensor, label: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))


def parameters(network: nn.Module) -> int:
    """How many numbers a network has learned."""
    return sum(p.numel() for p in network.parameters())


def gigaflop(network: nn.Module, channels: int = 3) -> float:
    """Arithmetic of one 256×256 tile, in units of 10⁹ multiplications or additions."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, channels, SIDE, SIDE))
    return counter.get_total_flops() / 1e9


def main() -> None:
    """Check the counts and print the arithmetic."""
    options = arguments(__doc__).parse_args()
    found = {}
    for name, build in (("U-Net-256", unet_256), ("ResNet-9", resnet_9), ("PatchGAN 70", patchgan_70)):
        network = build()
        count, work = parameters(network), gigaflop(network, 6 if name == "PatchGAN 70" else 3)
        assert count == PARAMETERS[name], (
            f"{name} has {count:,} parameters, the published one {PARAMETERS[name]:,}"
        )
        print(f"{name:12} {count / 1e6:6.1f} M parameters {work:7.1f} GFLOP per {SIDE}×{SIDE} tile")
        found[name] = {"parameters": count, "gigaflop": work}
    finish(options.json, {"reference": found})


if __name__ == "__main__":
    main()
