"""The data of latent systems: squares of photos, and for encoders the satellite crop beside each."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from sat2map.data.batches import UInt8
from sat2map.data.layouts import pictures
from sat2map.data.pairs import natural
from sat2map.data.unpaired import PictureCache
from sat2map.data.views import ViewSet, crop_of, is_view_folder, open_views, square_photo
from sat2map.data.views.photos import middle_square
from sat2map.errors import BadDataset, FileMissing
from sat2map.training.dataset import Data, Store
from sat2map.training.length import in_images
from sat2map.training.recipe import LatentPart, Recipe

Progress = Callable[[int, int, str], None]


class Photos(Store):
    """Photos as squares (S, S, 3), which are both halves of their pairs; a crop beside each where there is one."""

    def __init__(
        self, names: Sequence[str], photos: PictureCache, crops: PictureCache | None, said: str
    ) -> None:
        """`said`: what else decides the pixels, for the key."""
        self.names = tuple(names)
        self.street = photos
        self.sat = photos if crops is None else crops
        self.content = hashlib.sha256(
            json.dumps([photos.content, crops.content if crops else "", said]).encode()
        ).hexdigest()


def open_photo_data(recipe: Recipe, folder: Path, on_progress: Progress) -> Data:
    """Photos for a landscape generator: those of a folder, of a collection or of a set of views.

    Places are kept apart where they are known; photos of a plain folder are held out by the hashes of their names. A
    photo is reduced to the square of `data.load` (else `data.crop`) px in its middle; panoramas to the view along
    their heading. Raises BadDataset, FileMissing and what decoding raises.
    """
    side = recipe.data.load or recipe.data.crop
    if is_view_folder(folder):
        found = open_views(folder, crops=False).of("train")
        store = _photos_of(found, side, _latent(recipe).field, on_progress)
        return _data(recipe, folder, store, _held(found, recipe), found.licence)
    files = photos_in(folder)
    cache = PictureCache.build(
        files,
        lambda done, all_: on_progress(done, all_, "decoding photos"),
        made=lambda number, photo: middle_square(photo, side),
        said=f"middle square {side}",
    )
    store = Photos([path.stem for path in files], cache, None, "")
    order = sorted(range(len(files)), key=lambda n: hashlib.sha256(files[n].name.encode()).digest())
    wanted = max(1, round(recipe.data.development * len(files))) if recipe.data.development else 0
    return _data(recipe, folder, store, set(order[:wanted]), "")


def open_encoder_data(recipe: Recipe, folder: Path, on_progress: Progress) -> Data:
    """Crops and photos of a set of views for an encoder, at one size, so that a batch holds both whole.

    Raises BadDataset, FileMissing and what decoding raises.
    """
    found = open_views(folder).of("train")
    part = _latent(recipe)
    photos = _photos_of(found, recipe.data.crop, part.field, on_progress)
    reach = recipe.data.metres_per_pixel * recipe.data.crop / 2

    def crop(number: int, sat: UInt8) -> UInt8:
        pair = found[number]
        if not part.turned:
            pair = pair._replace(known=pair.known._replace(heading=None))
        return crop_of(pair, sat, recipe.data.crop, reach)

    said = json.dumps([[pair.known for pair in found], recipe.data.crop, reach, part.turned])
    crops = PictureCache.build(
        [pair.sat for pair in found],
        lambda done, all_: on_progress(done, all_, "turning satellite pictures"),
        made=crop,
        said=said,
    )
    store = Photos([pair.name for pair in found], photos.street, crops, said)  # type: ignore[arg-type]
    return _data(recipe, folder, store, _held(found, recipe), found.licence)


def _latent(recipe: Recipe) -> LatentPart:
    assert recipe.latent is not None, "recipes of latent systems have this part"
    return recipe.latent


def _photos_of(found: ViewSet, side: int, field: float, on_progress: Progress) -> Photos:
    said = json.dumps([[pair.known for pair in found], side, field])
    cache = PictureCache.build(
        [pair.ground for pair in found],
        lambda done, all_: on_progress(done, all_, "decoding photos"),
        made=lambda number, photo: square_photo(found[number], photo, side, field),
        said=said,
    )
    return Photos([pair.name for pair in found], cache, None, said)


def _held(found: ViewSet, recipe: Recipe) -> set[int]:
    if not recipe.data.development:
        return set()
    names = {pair.name for pair in found.held_out(recipe.data.development)[1]}
    return {number for number, pair in enumerate(found) if pair.name in names}


def photos_in(folder: Path) -> list[Path]:
    """Pictures of a folder, or of its `train`. Raises FileMissing, BadDataset."""
    if not folder.is_dir():
        raise FileMissing(f"{folder} is no folder", "Name a folder of photos, a collection or a set of views")
    below = folder / "train" if (folder / "train").is_dir() else folder
    found = sorted(pictures(below), key=lambda path: natural(path.name))
    if len(found) < 2:
        raise BadDataset(
            f"{folder} holds {len(found)} photos, and is no collection or set of views",
            "Name a folder of photos, what `sat2map collect` left, or a set of views",
        )
    return found


def _data(recipe: Recipe, folder: Path, store: Photos, held: set[int], licence: str) -> Data:
    training = tuple(number for number in range(len(store)) if number not in held)
    development = tuple(sorted(held))
    if not training:
        raise BadDataset(f"{folder} leaves no photo to train on", "Lower data.development, or add photos")
    if not recipe.data.licence and licence:
        recipe = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, licence=licence))
    return Data(
        store=store,
        key=store.content,
        folder=str(folder.resolve()),
        training=training,
        development=development,
        street_training=training,
        street_development=development,
        palette=None,
        shares=None,
        recipe=in_images(recipe, len(training)),
    )
