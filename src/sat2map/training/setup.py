"""From a recipe and folders of pictures to the data of a run: decoded, divided, with a palette."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from sat2map import palette
from sat2map.data.cache import PixelCache
from sat2map.data.pairs import PairedSet
from sat2map.data.places import find_places, split_by_place
from sat2map.data.quarantine import leave_out
from sat2map.data.unpaired import PictureCache, UnpairedSet, is_unpaired
from sat2map.errors import BadDataset
from sat2map.training.dataset import Data as Data
from sat2map.training.dataset import Heaps, Store
from sat2map.training.length import in_images
from sat2map.training.recipe import Recipe
from sat2map.training.resolve import with_colours, with_finish

Progress = Callable[[int, int, str], None]
Folders = Path | tuple[Path, ...]  # one folder; or imagery and maps
PALETTE_SAMPLE = (
    200  # pairs that the palette is learned from, evenly spread: colours are common to all of them
)


def open_data(recipe: Recipe, folder: Folders, on_progress: Progress, quarantine: Path | None = None) -> Data:
    """Decode (once), divide, learn the palette. Raises BadDataset, FileMissing and what decoding raises.

    `quarantine` lists pairs to leave out; without it the list beside the pairs counts, if there is one.
    """
    folders = (folder,) if isinstance(folder, Path) else folder
    if recipe.view is not None:
        from sat2map.training.views import open_view_data

        opened = open_view_data(recipe, folders[0], on_progress)
        _check_sizes(recipe, folders[0], [(recipe.view.height, recipe.view.width)])
        return opened
    if recipe.latent is not None:
        return _open_latent(recipe, folders, on_progress)
    if len(folders) == 1 and not is_unpaired(folders[0]):
        return _open_pairs(recipe, folders[0], on_progress, quarantine)
    if recipe.system != "cyclegan":
        raise BadDataset(
            f"{', '.join(map(str, folders))}: pictures without pairs, and {recipe.name} learns from pairs",
            "Use the recipe cyclegan, or import pairs with `sat2map data import`",
        )
    found = UnpairedSet.open(folders[0]) if len(folders) == 1 else UnpairedSet.of(folders[0], folders[1])
    return _open_heaps(recipe, found, folders, on_progress)


def _open_latent(recipe: Recipe, folders: tuple[Path, ...], on_progress: Progress) -> Data:
    """Photos, or crops and photos. Raises BadDataset, FileMissing, BadRecipe and what decoding raises."""
    from sat2map.training.latent import with_painter
    from sat2map.training.photos import open_encoder_data, open_photo_data

    if len(folders) != 1:
        raise BadDataset(
            f"{', '.join(map(str, folders))}: {recipe.name} learns from one folder",
            "Name one folder of views",
        )
    if recipe.system == "landscape":
        return open_photo_data(recipe, folders[0], on_progress)
    return open_encoder_data(with_painter(recipe), folders[0], on_progress)


def folders_of(text: str) -> Folders:
    """The folders that `Data.folder` names."""
    parts = text.split(os.pathsep)
    return Path(text) if len(parts) != 2 or Path(text).exists() else (Path(parts[0]), Path(parts[1]))


def _open_pairs(recipe: Recipe, folder: Path, on_progress: Progress, quarantine: Path | None) -> Data:
    """Pairs, divided by place: no couple with shared ground has one picture on either side."""
    pairs, left_out = leave_out(PairedSet.open(folder).of("train"), quarantine)
    cache = PixelCache.build(pairs, progress=lambda done, all_: on_progress(done, all_, "decoding pairs"))
    places = find_places(cache, lambda done, all_: on_progress(done, all_, "finding places"))
    training, development, _ = split_by_place(places, recipe.data.development)
    smallest = min(min(cache.sizes[i]) for i in training)
    recipe = with_finish(in_images(recipe, len(training)), smallest)
    _check_sizes(recipe, folder, [(smallest, smallest)])
    colours, index, shares = None, None, None
    if recipe.objective.palette:
        sample = training[:: max(1, len(training) // PALETTE_SAMPLE)]
        colours = palette.learn((cache.street(i) for i in sample), recipe.objective.palette)
        recipe = with_colours(recipe, len(colours))
        index = cache.index(colours, lambda done, all_: on_progress(done, all_, "naming colours"))
        counts = sum(np.bincount(index(i).ravel(), minlength=len(colours)) for i in sample)
        shares = torch.from_numpy(np.asarray(counts) / np.sum(counts)).float()
    return Data(
        store=Store(cache, index),
        key=cache.content,
        folder=str(folder.resolve()),
        training=training,
        development=development,
        street_training=training,
        street_development=development,
        palette=colours,
        shares=shares,
        recipe=recipe,
        quarantined=tuple(left_out),
    )


def _open_heaps(recipe: Recipe, found: UnpairedSet, folders: tuple[Path, ...], on_progress: Progress) -> Data:
    """Pictures without pairs, divided evenly in the order of their names: nothing is known of their places."""

    def build(files: tuple[Path, ...], what: str) -> PictureCache:
        return PictureCache.build(files, lambda done, all_: on_progress(done, all_, f"decoding {what}"))

    sat, street = build(found.sat, "imagery"), build(found.street, "maps")
    _check_sizes(recipe, folders[0], (*sat.sizes, *street.sizes))
    divided = [_divide(len(side), recipe.data.development) for side in (sat, street)]
    return Data(
        store=Heaps(sat, street, (sat.names, street.names)),
        key=sat.content + street.content,
        folder=os.pathsep.join(str(folder.resolve()) for folder in folders),
        training=divided[0][0],
        development=divided[0][1],
        street_training=divided[1][0],
        street_development=divided[1][1],
        palette=None,
        shares=None,
        recipe=in_images(recipe, max(len(training) for training, _ in divided)),
    )


def _divide(count: int, share: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers for training and for development, of which there is one at least on each side."""
    every = min(max(2, round(1 / share) if share else count), count)
    development = tuple(range(every - 1, count, every))
    return tuple(sorted(set(range(count)) - set(development))), development


def _check_sizes(recipe: Recipe, folder: Path, sizes: Iterable[tuple[int, int]]) -> None:
    side = recipe.data.load or min(min(size) for size in sizes)
    crop = max(recipe.data.crop, recipe.data.finish.crop if recipe.data.finish else 0)
    if side < crop:
        raise BadDataset(
            f"the smallest picture of {folder} has a side of {side} px, the recipe crops {crop} px",
            f"Set data.crop={side // 32 * 32} or smaller (data.finish.crop too), or remove small pictures",
        )
