"""What can be asked for: layers and models by id, made once at start from what the worker has opened."""

from dataclasses import dataclass

from sat2map import mercator
from sat2map.grid import Window
from sat2map.mercator import Degrees, Tile
from sat2map.serve.messages import ModelFacts, Ready, ViewFacts

SOURCE = "source"  # the scene itself, as the product of a layer
TITLES = {SOURCE: "Satellite", "colour": "Map", "classes": "Classes", "confidence": "Confidence"}


@dataclass(frozen=True)
class Layer:
    """One layer of tiles. `id` is what requests say."""

    id: str
    product: str
    view: ViewFacts
    model: ModelFacts

    @property
    def title(self) -> str:
        """For people."""
        parts = [self.view.scene, TITLES[self.product]]
        return " · ".join(parts if self.product == SOURCE else [*parts, self.view.model])

    @property
    def zooms(self) -> tuple[int, int]:
        """The smallest and the largest zoom that is offered."""
        return self.view.least_zoom, self.view.most_zoom

    @property
    def digest(self) -> str:
        """Tells layers apart whose tiles differ: hash of scene, model, options and version, and the product."""
        return f"{self.view.digest}/{self.product}"

    def placed(self, tile: Tile) -> Tile | None:
        """Return a tile as the scene counts columns (beyond the last, east of 180 degrees); None if it is outside."""
        data = Window(*self.view.data)
        inside = mercator.at_zoom(data, self.view.zoom, tile.z)
        turns = (0, 1) if self.view.extent[2] > 180 else (0,)
        for turn in turns:
            moved = tile._replace(x=tile.x + (turn << tile.z))
            if inside.shared(moved.window).area:
                return moved
        return None

    def cells(self, tile: Tile) -> list[tuple[int, int]]:
        """Return the cells, row and column, that the network must have computed for a tile."""
        own, side = self.view.zoom, self.view.side
        window = mercator.at_zoom(tile.window, tile.z, own)
        shared = mercator.aligned(window.shared(Window(*self.view.data)), side)
        return [
            (row, col)
            for row in range(shared.row // side, (shared.row + shared.height) // side)
            for col in range(shared.col // side, (shared.col + shared.width) // side)
        ]

    def tiles_in(self, cell: tuple[int, int]) -> list[Tile]:
        """Return the tiles at the network's zoom that lie in a cell and touch the scene."""
        side = self.view.side
        window = Window(cell[0] * side, cell[1] * side, side, side).shared(Window(*self.view.data))
        return list(mercator.tiles(window, self.view.zoom)) if window.area else []

    @property
    def extent(self) -> Degrees:
        """West, south, east, north in degrees; `east` is above 180 where the scene crosses that line."""
        return Degrees(*self.view.extent)


class Catalogue:
    """Layers and models by id."""

    def __init__(self, ready: Ready) -> None:
        self.models = {model.id: model for model in ready.models}
        self.layers: dict[str, Layer] = {}
        scenes = list(dict.fromkeys(view.scene for view in ready.views))
        makers = list(dict.fromkeys(view.model for view in ready.views))
        for view in ready.views:
            model = self.models[view.model]
            scene = [view.scene] if len(scenes) > 1 else []
            maker = [view.model] if len(makers) > 1 else []
            if view.model == makers[0]:
                self._add("-".join([*scene, SOURCE]), SOURCE, view, model)
            for product in view.products:
                self._add("-".join([*scene, *maker, product]), product, view, model)

    def _add(self, name: str, product: str, view: ViewFacts, model: ModelFacts) -> None:
        self.layers[name] = Layer(name, product, view, model)


def is_tile(z: int, x: int, y: int) -> bool:
    """Tell whether a tile of these numbers exists in the world."""
    return 0 <= z <= mercator.MOST_ZOOM and 0 <= x < 1 << z and 0 <= y < 1 << z
