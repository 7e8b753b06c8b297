"""Batches as a pure function of the images seen: what makes a resumed run see exactly what the uninterrupted one saw.

There is no iterator whose position could be lost. Sample number i of a run is item i mod n of the (i div n)-th
shuffle, and its crop and flips come from a generator seeded by (seed, i).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from sat2map.data.augment import Light, Warp, draw_warp

UInt8 = npt.NDArray[np.uint8]
NO_CHANGE = Light()


class PairStore(Protocol):
    """Decoded pairs by number, e.g. `data.cache.PixelCache`."""

    def __len__(self) -> int: ...

    def sat(self, number: int) -> UInt8:
        """(H, W, 3) satellite pixels."""

    def street(self, number: int) -> UInt8:
        """(H, W, 3) map pixels."""

    def index(self, number: int) -> UInt8:
        """(H, W) palette index of the map pixels."""


class Batch(NamedTuple):
    """One step's data. Pictures are in [-1, 1], channels-last in memory."""

    source: Tensor  # (N, 3, H, W) float32
    target: Tensor  # (N, 3, H, W) float32
    palette_index: Tensor | None  # (N, H, W) int64 palette index of the target
    names: tuple[int, ...]  # numbers of the pairs, to name a poisonous one
    parts: int = 1  # of how many equal parts of a step's batch this is one
    emphasis: float = 1.0  # weight of a part's colours, of an even share: see `training.pix2pix`


class Geometry(NamedTuple):
    """One sample's crop and symmetry: the same for every layer of a pair."""

    row: int
    col: int
    side: int
    turns: int  # quarter turns
    mirror: bool
    warp: Warp | None = None  # instead of the crop, if any

    def apply(self, layer: UInt8) -> UInt8:
        """Crop (a view) or warp (a copy) an (H, W[, C]) layer, then turn and mirror it."""
        if self.warp is None:
            part = layer[self.row : self.row + self.side, self.col : self.col + self.side]
        else:
            part = self.warp.apply(layer)
        part = np.rot90(part, self.turns)
        return part[:, ::-1] if self.mirror else part


class BatchMaker:
    """Draws the batch that follows any number of images from a store of decoded pairs."""

    def __init__(
        self,
        store: PairStore,
        numbers: Sequence[int],
        *,
        seed: int,
        batch: int,
        crop: int,
        direction: str = "sat2map",
        palette: bool = False,
        mirror: bool = True,
        turns: bool = False,
        light: Light = NO_CHANGE,
        scale: float = 0.0,
        load: int | None = None,
    ) -> None:
        """`numbers` are the pairs of `store` to draw from; see `training.recipe.DataPart` for the rest."""
        self.store, self.numbers = store, tuple(numbers)
        self.seed, self.batch, self.crop = seed, batch, crop
        self.reverse, self.palette = direction == "map2sat", palette
        self.mirror, self.turns, self.load = mirror, turns, load
        self.light, self.scale = light, scale

    def __call__(self, seen: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch after `seen` images: samples number seen, seen + 1 …; or one of so many equal parts of it."""
        size = self.batch // parts
        samples = [self._sample(seen + part * size + i) for i in range(size)]
        sat, street, index = (np.stack(layers) for layers in zip(*(s[1:] for s in samples), strict=True))
        source, target = (street, sat) if self.reverse else (sat, street)
        return Batch(
            to_tensor(source),
            to_tensor(target),
            torch.from_numpy(index).long() if self.palette else None,
            tuple(s[0] for s in samples),
            parts,
        )

    def _sample(self, i: int) -> tuple[int, UInt8, UInt8, UInt8]:
        epoch, place = divmod(i, len(self.numbers))
        number = self.numbers[_shuffle(self.seed, epoch, len(self.numbers))[place]]
        random = np.random.default_rng((self.seed, 1, i))
        sat, street = self.store.sat(number), self.store.street(number)
        if self.load is not None:
            sat, street = resize(sat, self.load), resize(street, self.load)
        where = self._geometry(random, sat.shape[0], sat.shape[1])
        if self.scale:  # draws of its own: crops stay those of the same run without it
            apart = np.random.default_rng((self.seed, 2, i))
            where = where._replace(warp=draw_warp(apart, sat.shape[0], sat.shape[1], self.crop, self.scale))
        index = where.apply(self.store.index(number)) if self.palette else np.empty(0, np.uint8)
        return number, self.light.vary(where.apply(sat), random), where.apply(street), index

    def _geometry(self, random: np.random.Generator, height: int, width: int) -> Geometry:
        row = int(random.integers(height - self.crop + 1))
        col = int(random.integers(width - self.crop + 1))
        turns = int(random.integers(4)) if self.turns else 0
        mirror = bool(random.integers(2)) if self.mirror else False
        return Geometry(row, col, self.crop, turns, mirror)


def resize(picture: UInt8, side: int) -> UInt8:
    """(H, W, 3) -> (side, side, 3), bicubic with anti-aliasing (the aspect is not kept, as in pix2pix)."""
    rows = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    resized = F.interpolate(rows, (side, side), mode="bicubic", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def to_tensor(pictures: UInt8) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1], channels-last in memory."""
    rows = torch.from_numpy(np.ascontiguousarray(pictures))
    return rows.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


@lru_cache(maxsize=2)
def _shuffle(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, 0, epoch)).permutation(count)
