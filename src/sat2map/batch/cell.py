"""One cell of a plan, computed from its sources: whoever calls this, and whenever, gets the same rasters."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import sat2map
from sat2map import bundle, mercator, storage
from sat2map.batch.mosaic import Mosaic
from sat2map.batch.plan import RASTERS, Plan, PlannedCell
from sat2map.batch.sources import identity
from sat2map.errors import BadPlan
from sat2map.grid import Window, align_up
from sat2map.runtime import OnnxTranslator, Translator
from sat2map.scenes import raster
from sat2map.scenes.job import NOTICE
from sat2map.scenes.tiles import WorldSource
from sat2map.scenes.tiles.opening import Opened
from sat2map.scenes.tiles.scene import cell_side
from sat2map.scenes.tiles.surroundings import Surroundings
from sat2map.scenes.translate import translate

UInt8 = npt.NDArray[np.uint8]
KEPT_OPEN = 16  # scenes per worker


class _Scene(NamedTuple):
    """A source that is open."""

    opened: Opened
    parts: list[tuple[Window, raster.RasterSource]]  # of the world's raster
    around: Surroundings
    stack: ExitStack


class Worker:
    """What a process keeps from cell to cell: the model, and the scenes that it has open."""

    def __init__(self, plan: Plan, folder: Path, translator: Translator | None = None) -> None:
        """Raises UnknownModel, BadBundle, BadPlan if the model is another one than that of the plan."""
        self.plan, self.folder = plan, folder
        self.translator = translator or _model(plan)
        self._open: OrderedDict[int, _Scene] = OrderedDict()
        self._environment = ExitStack()
        self._environment.enter_context(raster.many_open())

    def close(self) -> None:
        """Close the scenes that are open; the worker is of no use afterwards."""
        while self._open:
            self._open.popitem()[1].stack.close()
        self._environment.close()

    def compute(self, cell: PlannedCell) -> dict[str, str]:
        """Write the cell's rasters; return file name -> SHA-256, nothing for a cell without a pixel.

        Raises what opening and reading the sources raises, and StorageFailed.
        """
        plan = self.plan
        window = cell.window(plan.side)
        products = self._translated(cell, window)
        if products is None:
            return {}
        valid = products.pop("valid").astype(np.bool_)
        names = {name: f"{cell.id}_{name}.tif" for name in plan.products}
        self._write(cell, window, products, valid, names)
        return {name: storage.sha256(self.folder / RASTERS / name) for name in names.values()}

    def _translated(self, cell: PlannedCell, window: Window) -> dict[str, UInt8] | None:
        card, side = self.translator.card, cell_side(self.translator.card)
        region = window.grown(
            align_up(max(card.halo, 1), side)
        )  # nothing is mirrored at its edge that is looked at
        layers = [layer for number in cell.sources for layer in self._layers(number, region)]
        if not layers:
            return None
        mosaic = Mosaic(layers)
        inner = Window(window.row - region.row, window.col - region.col, window.height, window.width)
        valid = mosaic.valid(inner)
        if not valid.any():
            return None
        canvas = _Part(inner)
        translate(
            self.translator, mosaic, canvas, self.plan.products, window=side, jobs=1, cell=side,
            wanted=inner.covers, blank=lambda part: not mosaic.valid(part).any(),
        )  # fmt: skip
        return {**canvas.products, "valid": valid.astype(np.uint8)}

    def _layers(self, number: int, region: Window) -> list[WorldSource]:
        """Return a source on the region, once for each turn of the world on which it lies there."""
        scene, turn = self._scene(number), mercator.side(self.plan.zoom)
        near = mercator.window_of(scene.opened.extent, self.plan.zoom).grown(self.plan.margin)
        turned = [region._replace(col=region.col + add) for add in (-turn, 0, turn)]
        return [
            WorldSource(scene.parts, part, scene.opened.lock, scene.around)
            for part in turned
            if near.shared(part).area
        ]

    def _scene(self, number: int) -> _Scene:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= KEPT_OPEN:
            self._open.popitem(last=False)[1].stack.close()
        self._open[number] = self._opened(self.plan.sources[number].path, self.plan.sources[number].identity)
        return self._open[number]

    def _opened(self, path: str, known_as: str) -> _Scene:
        plan, card = self.plan, self.translator.card
        if identity(Path(path)) != known_as:
            raise BadPlan(f"{path} has changed since the plan was made", "Plan again, into another folder")
        read = {"bidx": plan.bidx, "scale": plan.scale, "nodata": plan.nodata}
        with ExitStack() as stack:
            limits = raster.Limits()
            dataset = stack.enter_context(raster.open_scene(Path(path), limits))
            opened = Opened(dataset, path, card, read, limits, stack)
            data = mercator.window_of(opened.extent, plan.zoom)
            around = Surroundings(opened.place, plan.zoom, data, card.halo + card.stride)
            return _Scene(opened, opened.at(plan.zoom), around, stack.pop_all())

    def _write(
        self, cell: PlannedCell, window: Window, products: Mapping[str, UInt8], valid: npt.NDArray[np.bool_],
        names: Mapping[str, str],
    ) -> None:  # fmt: skip
        plan, card = self.plan, self.translator.card
        rasters = storage.make_folder(self.folder / RASTERS)
        box, size = mercator.bounds(window, plan.zoom), mercator.pixel_size(plan.zoom)
        place = raster.north_up(mercator.CRS, box.left, box.top, size, window.height, window.width)
        tags = {
            "TIFFTAG_SOFTWARE": f"sat2map {sat2map.__version__}", "TIFFTAG_IMAGEDESCRIPTION": NOTICE,
            "SAT2MAP_GENERATED": "yes", "SAT2MAP_MODEL": card.id, "SAT2MAP_MODEL_SHA256": plan.model.checksum,
            "SAT2MAP_CELL": cell.id,
        }  # fmt: skip
        colours = card.palette.class_colours() if card.palette else ()
        layers = {
            name: raster.Layer(name, {**tags, "SAT2MAP_PRODUCT": name}, colours if name == "classes" else ())
            for name in plan.products
        }
        plain = {name: rasters / f".{names[name]}.plain-{threading.get_native_id()}.tif" for name in names}
        try:
            raster.write_plain(
                plain, layers, place, [(Window(0, 0, *valid.shape), products, valid)], masked=True
            )
            for name, path in plain.items():
                raster.finalise(path, rasters / names[name], layers[name], {})
        finally:
            for path in plain.values():
                path.unlink(missing_ok=True)


class _Part:
    """A sink for the windows of one part of a source."""

    def __init__(self, part: Window) -> None:
        self._part = part
        self.products: dict[str, UInt8] = {}

    def write(self, window: Window, products: Mapping[str, UInt8]) -> None:
        """Keep what lies in the part."""
        for name, values in products.items():
            if name not in self.products:
                self.products[name] = np.zeros(
                    (self._part.height, self._part.width, *values.shape[2:]), np.uint8
                )
            self.products[name][window.slices(self._part)] = values


def _model(plan: Plan) -> Translator:
    found = bundle.find(plan.model.where)
    if storage.sha256(found.onnx) != plan.model.checksum:
        raise BadPlan(
            f"the model {plan.model.where} is not the one that the plan was made with",
            "Restore that model, or plan again into another folder",
        )
    return OnnxTranslator(found, threads=1)
