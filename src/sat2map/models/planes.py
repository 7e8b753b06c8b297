"""What the colours of a map mean, as channels: the first layer of networks that read maps.

In the `maps` style, land, buildings and streets differ by eight to twenty levels of 255: hardly anything to a network
that is shown RGB in [-1, 1], and a generator trained so painted one texture over the whole town before it noticed a
street (docs/LOG.md, 2026-11-20). Painters of pictures from label maps are shown one channel per class (Isola et al.
2017, section 3; Wang et al. 2018, section 3.3). A map in colours is turned into those, softly, so that edges that
were smoothed stay smooth.
"""

import torch
from torch import Tensor, nn

from sat2map.palette import CLASS_NAMES, MAPS, Palette

CLASSES = len(CLASS_NAMES)
NEAR = 7.0  # levels of 255: deviation of a colour that still counts as that of the table


class ClassPlanes(nn.Module):
    """Membership of each pixel in each class, beside its colour."""

    colours: Tensor  # (K, 3) in [-1, 1]
    members: Tensor  # (CLASSES, K) 0 or 1

    def __init__(self, palette: Palette = MAPS) -> None:
        super().__init__()
        self.register_buffer("colours", torch.tensor(palette.colours).float() / 127.5 - 1, persistent=False)
        members = torch.zeros(CLASSES, len(palette.colours))
        members[list(palette.classes), range(len(palette.colours))] = 1
        self.register_buffer("members", members, persistent=False)

    @staticmethod
    def channels(inputs: int) -> int:
        """Channels that come out for `inputs` that go in, of which the first three are the map's colours."""
        return inputs + CLASSES

    def forward(self, picture: Tensor) -> Tensor:
        """(N, C, H, W), the first three channels a map in [-1, 1] -> (N, C + CLASSES, H, W), new ones in [-1, 1].

        The share of a colour is that of a normal distribution around it, `NEAR` levels wide, among all colours.
        """
        kind = picture.dtype
        with torch.autocast(picture.device.type, enabled=False):
            rgb = picture[:, :3].to(torch.promote_types(kind, torch.float32))
            colours, members = self.colours.to(rgb), self.members.to(rgb)
            # |x - c|² up to |x|², which all colours share
            cross = torch.einsum("nchw,kc->nkhw", rgb, colours)
            away = colours.square().sum(1)[:, None, None] - 2 * cross  # (N, K, H, W)
            shares = torch.softmax(away * (-0.5 * (127.5 / NEAR) ** 2), 1)
            planes = torch.einsum("nkhw,lk->nlhw", shares, members) * 2 - 1
        return torch.cat([picture, planes.to(kind)], 1)
