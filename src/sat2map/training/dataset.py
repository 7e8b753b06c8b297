"""The data of a run: decoded pictures, which of them are trained on, and the batch after any number of images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sat2map.data.augment import Light
from sat2map.data.batches import Batch, BatchMaker, PairStore, UInt8, resize
from sat2map.data.cache import IndexMaps, PixelCache
from sat2map.data.quarantine import Entry
from sat2map.data.unaligned import APART, Lone, unaligned
from sat2map.palette import Palette
from sat2map.training.recipe import Recipe


class Store:
    """Decoded pairs with palette indices, as `BatchMaker` wants them."""

    def __init__(self, cache: PixelCache, index: IndexMaps | None) -> None:
        self._index = index
        self.sat: Callable[[int], UInt8] = cache.sat
        self.street: Callable[[int], UInt8] = cache.street
        self.names = cache.names

    def __len__(self) -> int:
        return len(self.names)

    def index(self, number: int) -> UInt8:
        """(H, W) palette index of the map of pair `number`."""
        assert self._index is not None, "this run has no palette"
        return self._index(number)


class Heaps:
    """Decoded satellite pictures and decoded maps that are no pairs; numbers count on each side by itself."""

    def __init__(
        self,
        sat: Callable[[int], UInt8],
        street: Callable[[int], UInt8],
        names: tuple[tuple[str, ...], tuple[str, ...]],
    ) -> None:
        self.sat, self.street = sat, street
        self.names = names[0] + names[1]
        self.street_offset = len(names[0])  # of the names of maps among all names

    def __len__(self) -> int:
        return len(self.names)

    def index(self, number: int) -> UInt8:
        """Palettes belong to pairs."""
        raise AssertionError("unpaired training has no palette")


@dataclass(frozen=True)
class Data:
    """The training pictures, which of them are for choosing, and the palette learned from the rest.

    Where `store` holds pairs, `street_training` and `street_development` are the same numbers as those of the
    satellite side; in heaps they are numbers of maps.
    """

    store: Store | Heaps
    key: str  # names the pixels, not the files: see `PixelCache.content`
    folder: str  # where the pictures lie
    training: tuple[int, ...]
    development: tuple[int, ...]
    street_training: tuple[int, ...]
    street_development: tuple[int, ...]
    palette: Palette | None
    shares: torch.Tensor | None  # (K,) share of each palette colour among training pixels
    recipe: Recipe  # with its length in images
    quarantined: tuple[Entry, ...] = ()  # pairs that were left out, and why

    @property
    def epoch(self) -> int:
        """Images of an epoch: all training pairs once; without pairs, all of the larger side."""
        return max(len(self.training), len(self.street_training))

    @property
    def is_paired(self) -> bool:
        """Tell whether a development picture has a true counterpart."""
        return isinstance(self.store, Store)

    def batch_size(self, seen: int) -> int:
        """Samples of the batch that follows `seen` images."""
        return self._maker(seen, self.store, self.training, 0, "sat2map").batch

    def batch(self, seen: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch that follows `seen` images, or one of its parts: a function of the recipe and these numbers."""
        seed, direction = self.recipe.run.seed, self.recipe.data.direction
        if self.recipe.system != "cyclegan":
            return self._maker(seen, self.store, self.training, seed, direction)(seen, part, parts)
        sat, street = Lone(self.store.sat, len(self.store)), Lone(self.store.street, len(self.store))
        halves = (
            self._maker(seen, sat, self.training, seed, "sat2map")(seen, part, parts),
            self._maker(seen, street, self.street_training, seed + APART, "sat2map")(seen, part, parts),
        )
        offset = self.store.street_offset if isinstance(self.store, Heaps) else 0
        return unaligned(*halves, direction, offset)

    def _maker(
        self, seen: int, store: PairStore, numbers: Sequence[int], seed: int, direction: str
    ) -> BatchMaker:
        part = self.recipe.data
        finishing = part.finish is not None and seen >= part.finish.start * self.recipe.run.images
        crop, batch = (
            (part.finish.crop, part.finish.batch) if part.finish and finishing else (part.crop, part.batch)
        )
        return BatchMaker(
            store,
            numbers,
            seed=seed,
            batch=batch,
            crop=crop,
            direction=direction,
            palette=self.palette is not None,
            mirror=part.mirror,
            turns=part.turns,
            light=Light(part.gain, part.contrast, part.saturation),
            scale=part.scale,
            load=part.load,
        )

    def source(self, number: int) -> UInt8:
        """(H, W, 3) input picture, whole; reduced to the crop's side if the recipe loads reduced pictures."""
        return self._whole(number, 0)

    def target(self, number: int) -> UInt8:
        """(H, W, 3) true output, whole; reduced as `source`. In heaps, one of the wanted kind."""
        return self._whole(number, 1)

    @property
    def sources(self) -> tuple[int, ...]:
        """Numbers of development inputs, for `source`."""
        return self.street_development if self.recipe.data.direction == "map2sat" else self.development

    @property
    def targets(self) -> tuple[int, ...]:
        """Numbers of development pictures of the wanted kind, for `target`."""
        return self.development if self.recipe.data.direction == "map2sat" else self.street_development

    def _whole(self, number: int, side: int) -> UInt8:
        halves = (self.store.sat, self.store.street)
        picture = halves[1 - side if self.recipe.data.direction == "map2sat" else side](number)
        return resize(picture, self.recipe.data.crop) if self.recipe.data.load else picture
