"""From a recipe and a folder of pairs to the data of a run: decoded, divided, with a palette."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sat2map import palette
from sat2map.data.augment import Light
from sat2map.data.batches import Batch, BatchMaker, UInt8, resize
from sat2map.data.cache import IndexMaps, PixelCache
from sat2map.data.pairs import PairedSet
from sat2map.data.places import find_places, split_by_place
from sat2map.errors import BadDataset
from sat2map.palette import Palette
from sat2map.training.length import in_images
from sat2map.training.recipe import Recipe

Progress = Callable[[int, int, str], None]
PALETTE_SAMPLE = (
    200  # pairs that the palette is learned from, evenly spread: colours are common to all of them
)


class Store:
    """Decoded pairs with palette indices, as `BatchMaker` wants them."""

    def __init__(self, cache: PixelCache, index: IndexMaps | None) -> None:
        self._index = index
        self.sat, self.street, self.names = cache.sat, cache.street, cache.names

    def __len__(self) -> int:
        return len(self.names)

    def index(self, number: int) -> UInt8:
        """(H, W) palette index of the map of pair `number`."""
        assert self._index is not None, "this run has no palette"
        return self._index(number)


@dataclass(frozen=True)
class Data:
    """The training pairs, which of them are for choosing, and the palette learned from the rest."""

    store: Store
    key: str  # names the pixels, not the files: see `PixelCache.content`
    folder: Path
    training: tuple[int, ...]
    development: tuple[int, ...]
    palette: Palette | None
    shares: torch.Tensor | None  # (K,) share of each palette colour among training pixels
    recipe: Recipe  # with its length in images

    def batch(self, seen: int) -> Batch:
        """The batch that follows `seen` images: a function of the recipe and this number alone."""
        part = self.recipe.data
        finishing = part.finish is not None and seen >= part.finish.start * self.recipe.run.images
        crop, batch = (
            (part.finish.crop, part.finish.batch) if part.finish and finishing else (part.crop, part.batch)
        )
        maker = BatchMaker(
            self.store,
            self.training,
            seed=self.recipe.run.seed,
            batch=batch,
            crop=crop,
            direction=part.direction,
            palette=self.palette is not None,
            mirror=part.mirror,
            turns=part.turns,
            light=Light(part.gain, part.contrast, part.saturation),
            scale=part.scale,
            load=part.load,
        )
        return maker(seen)

    def source(self, number: int) -> UInt8:
        """(H, W, 3) input picture of a pair, whole; reduced to the crop's side if the recipe loads reduced pairs."""
        return self._whole(number, 0)

    def target(self, number: int) -> UInt8:
        """(H, W, 3) true output of a pair, whole; reduced as `source`."""
        return self._whole(number, 1)

    def _whole(self, number: int, side: int) -> UInt8:
        halves = (self.store.sat, self.store.street)
        picture = halves[side if self.recipe.data.direction == "sat2map" else 1 - side](number)
        return resize(picture, self.recipe.data.crop) if self.recipe.data.load else picture


def open_data(recipe: Recipe, folder: Path, on_progress: Progress) -> Data:
    """Decode (once), split by place, learn the palette. Raises BadDataset, FileMissing and what decoding raises."""
    pairs = PairedSet.open(folder).of("train")
    cache = PixelCache.build(pairs, progress=lambda done, all_: on_progress(done, all_, "decoding pairs"))
    places = find_places(cache, lambda done, all_: on_progress(done, all_, "finding places"))
    training, development, _ = split_by_place(places, recipe.data.development)
    side = recipe.data.load or min(min(cache.sizes[i]) for i in training)
    crop = max(recipe.data.crop, recipe.data.finish.crop if recipe.data.finish else 0)
    if side < crop:
        raise BadDataset(
            f"the smallest pair of {folder} has a side of {side} px, the recipe crops {crop} px",
            f"Set data.crop={side // 32 * 32} or smaller (data.finish.crop too), or remove small pairs",
        )
    recipe = in_images(recipe, len(training))
    colours, index, shares = None, None, None
    if recipe.objective.palette:
        sample = training[:: max(1, len(training) // PALETTE_SAMPLE)]
        colours = palette.learn((cache.street(i) for i in sample), recipe.objective.palette)
        index = cache.index(colours, lambda done, all_: on_progress(done, all_, "naming colours"))
        counts = sum(np.bincount(index(i).ravel(), minlength=len(colours)) for i in sample)
        shares = torch.from_numpy(np.asarray(counts) / np.sum(counts)).float()
    return Data(
        Store(cache, index), cache.content, folder.resolve(), training, development, colours, shares, recipe
    )
