"""A model that draws the view from the ground: a crop and a heading in, a picture out."""

from pathlib import Path

import numpy as np

from sat2map.bundle import find, shipped
from sat2map.card import Ground, ModelCard
from sat2map.data.views import heading_up
from sat2map.errors import BadBundle, UnknownModel, UnsuitableModel
from sat2map.runtime import OnnxTranslator, Translator
from sat2map.views.camera import Camera
from sat2map.views.crop import Crop, UInt8
from sat2map.views.projection import project

DEFAULT = "view-geo"  # id of the model that is used when none is named
HOW_TO_GET_ONE = (
    "Train one on invented towns: sat2map imagine views --pairs 2000 --views --gsd 0.5; "
    "sat2map train view-geo --data views --run runs/view; sat2map export runs/view myview; then --model myview"
)


class Viewer:
    """A model of direction `sat2view`. May be called from several threads."""

    def __init__(self, translator: Translator) -> None:
        """Raises UnsuitableModel for a model that draws no views."""
        card = translator.card
        if card.ground is None:
            raise UnsuitableModel(
                f"model {card.id!r} makes maps or imagery, not views from the ground",
                "Use a model of direction sat2view (sat2map info says it). " + HOW_TO_GET_ONE,
            )
        self._translator, self.card = translator, card
        self._ground: Ground = card.ground
        self.camera = Camera.of(card.ground)

    @property
    def side(self) -> int:
        """Pixels of the crop that it wants, a square with the standing point in its middle."""
        return self._ground.side

    @property
    def metres(self) -> float:
        """Metres per pixel of that crop."""
        return self.card.metres_per_pixel

    def shown(self, crop: Crop, heading: float) -> UInt8:
        """Return what the network is given, (H, W, bands): the crop projected into the picture, or turned."""
        ground = self._ground
        if ground.route == "projected":
            return project(crop, self.camera, heading, ground.heights)
        # `stand` moves the standing point off the middle: the crop is cut around a place ahead of it
        reach = ground.side / 2 * self.metres / crop.metres
        turn = (heading if ground.turned else 0.0) - crop.up
        ahead = (ground.stand - 0.5) * 2 * reach
        row = crop.row - ahead * np.cos(np.radians(turn))
        col = crop.col + ahead * np.sin(np.radians(turn))
        return heading_up(crop.pixels, turn, side=ground.side, row=float(row), col=float(col), reach=reach)

    def __call__(self, crop: Crop, heading: float = 0.0) -> UInt8:
        """Return the picture (H, W, 3) of what somebody sees who stands in the crop and looks along the heading.

        Raises BadBundle where the graph does not draw what its card says.
        """
        drawn = self._translator(self.shown(crop, heading)[None], {"colour"}).colour
        assert drawn is not None, "colour was asked for"
        wanted = (self.camera.height, self.camera.width, 3)
        if drawn.shape[1:] != wanted:
            raise BadBundle(
                f"model {self.card.id!r} drew {drawn.shape[1:]}, its card says {wanted}", "Export it again"
            )
        picture: UInt8 = drawn[0]
        return picture


def is_view(card: ModelCard) -> bool:
    """Tell whether a model draws views from the ground."""
    return card.ground is not None


def open_viewer(id_or_dir: str | Path = DEFAULT, *, threads: int | None = 2) -> Viewer:
    """Open a shipped model by id or a bundle by folder. Raises what `bundle.find` raises, UnsuitableModel."""
    if str(id_or_dir) == DEFAULT and DEFAULT not in shipped() and not Path(id_or_dir).is_dir():
        raise UnknownModel("no ground-view model comes with this installation", HOW_TO_GET_ONE)
    return Viewer(OnnxTranslator(find(id_or_dir), threads))
