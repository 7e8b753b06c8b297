"""Generated pictures kept from earlier steps, so that a discriminator knows more than the latest (Shrivastava 2017)."""

import torch
from torch import Tensor


class Pool:
    """At most `size` pictures; what it gives depends on what was put in and on torch's global random state alone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pictures: list[Tensor] = []  # each (C, H, W)

    def exchange(self, batch: Tensor) -> Tensor:
        """(N, C, H, W) new pictures -> as many to show: each the new one or, half of the time, an old one it replaces.

        Until the pool is full it takes in what comes and gives it back.
        """
        return torch.stack([self._exchange(picture) for picture in batch.detach()])

    def _exchange(self, new: Tensor) -> Tensor:
        if len(self.pictures) < self.size:
            self.pictures.append(new.clone())
        elif self.size and torch.rand(()) < 0.5:
            place = int(torch.randint(self.size, ()))
            new, self.pictures[place] = self.pictures[place], new.clone()
        return new

    def tensors(self) -> Tensor | None:
        """All pictures (n, C, H, W), or None while there are none."""
        return torch.stack(self.pictures) if self.pictures else None

    def fill(self, pictures: Tensor) -> None:
        """Inverse of `tensors`."""
        self.pictures = list(pictures.unbind(0))
