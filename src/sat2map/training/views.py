"""Views as training pairs: the satellite picture as projected into the camera's frame, and what was seen there.

Only the pictures are decoded ahead. A sample is projected when it is drawn, which takes milliseconds, so that
other planes or another frame need no other files.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from sat2map import images
from sat2map.card import Ground
from sat2map.data.batches import UInt8
from sat2map.data.unpaired import PictureCache
from sat2map.data.views import Known, ViewPair, ViewSet, open_views
from sat2map.errors import BadDataset
from sat2map.training.dataset import Data, Store
from sat2map.training.length import in_images
from sat2map.training.recipe import Recipe, ViewPart
from sat2map.views.camera import Camera
from sat2map.views.crop import Crop
from sat2map.views.projection import UNSEEN, project

Progress = Callable[[int, int, str], None]
_NEAR = 1.5  # degrees by which a view's field may differ from the recipe's


class Views(Store):
    """Pairs of projected satellite pictures (H, W, 3 · planes) and photos (H, W, 3), made when they are asked for."""

    def __init__(self, pairs: ViewSet, part: ViewPart, metres: float, on_progress: Progress) -> None:
        """Decode all files; `metres` per pixel of pictures that do not say. Raises what decoding raises."""
        self._pairs, self._part, self._metres = pairs, part, metres
        self._camera = camera_of(part)

        def built(files: list[Path], what: str) -> PictureCache:
            return PictureCache.build(files, lambda done, all_: on_progress(done, all_, f"decoding {what}"))

        self._sats = built([pair.sat for pair in pairs], "imagery")
        self._photos = built([pair.ground for pair in pairs], "photos")
        self.names = tuple(pair.name for pair in pairs)
        self.sat, self.street = self._projected, self._photo

    @property
    def content(self) -> str:
        """Names the pixels that the networks see, wherever the files lie."""
        known = [tuple(pair.known) for pair in self._pairs]
        said = msgspec.json.encode(
            [self._sats.content, self._photos.content, known, self._part, self._metres]
        )
        return hashlib.sha256(said).hexdigest()

    def _projected(self, number: int) -> UInt8:
        known = self._pairs[number].known
        sat = self._sats(number)
        return project(
            crop_around(sat, known, self._part.side, self._metres),
            self._camera,
            known.heading or 0.0,
            self._part.heights,
        )

    def _photo(self, number: int) -> UInt8:
        return images.resized(self._photos(number), self._camera.height, self._camera.width)


def camera_of(part: ViewPart) -> Camera:
    """Return the camera of a recipe's views."""
    return Camera(part.height, part.width, part.field, part.horizon, part.eye)


def crop_around(sat: UInt8, known: Known, side: int, metres: float) -> Crop:
    """Return the `side` px around the standing point (what there is of them), as inference will have them."""
    height, width = sat.shape[:2]
    row = height / 2 if known.row is None else known.row
    col = width / 2 if known.col is None else known.col
    top, left = max(round(row - side / 2), 0), max(round(col - side / 2), 0)
    cut = sat[top : round(row - side / 2) + side, left : round(col - side / 2) + side]
    return Crop(cut, known.metres or metres, row - top, col - left)


def flat(stack: UInt8) -> UInt8:
    """(H, W, 3 · planes) -> (H, W, 3) to look at: the lowest plane where it is seen, a middle one elsewhere."""
    planes = stack.shape[2] // 3
    low, middle = stack[..., :3], stack[..., 3 * (planes // 2) : 3 * (planes // 2) + 3]
    return np.where((low == UNSEEN).all(2, keepdims=True), middle, low)


def ground_of(part: ViewPart) -> Ground:
    """Return what the card says of a model's frame."""
    return Ground(
        route="projected",
        height=part.height,
        width=part.width,
        field=part.field,
        horizon=part.horizon,
        eye=part.eye,
        heights=part.heights,
        side=part.side,
    )


def open_view_data(recipe: Recipe, folder: Path, on_progress: Progress) -> Data:
    """Decode (once) and divide by place. Raises BadDataset, FileMissing and what decoding raises."""
    assert recipe.view is not None, "only for recipes of views"
    found = open_views(folder).of("train")
    for pair in found:
        _check(pair, recipe)
    store = Views(found, recipe.view, recipe.data.metres_per_pixel, on_progress)
    kept = (
        {pair.name for pair in found.held_out(recipe.data.development)[1]}
        if recipe.data.development
        else set()
    )
    development = tuple(n for n, name in enumerate(store.names) if name in kept)
    training = tuple(n for n, name in enumerate(store.names) if name not in kept)
    if recipe.data.licence == "" and found.licence:
        recipe = msgspec.structs.replace(
            recipe, data=msgspec.structs.replace(recipe.data, licence=found.licence)
        )
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


def _check(pair: ViewPair, recipe: Recipe) -> None:
    """Raise BadDataset for a view that this recipe's camera cannot have taken."""
    part = recipe.view
    assert part is not None, "only for recipes of views"
    if pair.known.field is not None and abs(pair.known.field - part.field) > _NEAR:
        raise BadDataset(
            f"view {pair.name} is {pair.known.field:g} degrees wide, the recipe's camera {part.field:g}",
            f"Set view.field={pair.known.field:g} (and view.height, view.width), or leave such views out",
        )
    if pair.known.heading is None and part.field < 360:
        raise BadDataset(
            f"view {pair.name} does not say which way it looks",
            "Add headings in a views.csv (columns name, heading), or use the recipe view-encoder, which needs none",
        )
