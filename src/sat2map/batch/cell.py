"""One cell of a plan, computed from its sources: whoever calls this, and whenever, gets the same rasters."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

import sat2map
from sat2map import bundle, storage
from sat2map.batch.described import TilesSource
from sat2map.batch.mosaic import Layer, Mosaic
from sat2map.batch.opening import Placed, open_source
from sat2map.batch.plan import RASTERS, Plan, PlannedCell
from sat2map.errors import BadPlan
from sat2map.grid import Window, align_up
from sat2map.runtime import OnnxTranslator, Translator
from sat2map.scenes import raster
from sat2map.scenes.job import NOTICE
from sat2map.scenes.raster.origin import COPYRIGHT, SOURCE
from sat2map.scenes.tiles.scene import cell_side
from sat2map.scenes.translate import translate

UInt8 = npt.NDArray[np.uint8]
PLAIN = ".{}.plain-{}.tif"  # between blocks and COG: of the raster, by the thread
KEPT_OPEN = 16  # scenes per worker, more only where one cell has more


class Worker:
    """What a process keeps from cell to cell: the model, and the scenes that it has open."""

    def __init__(self, plan: Plan, folder: Path, translator: Translator | None = None) -> None:
        """Raises UnknownModel, BadBundle, BadPlan if the model is another one than that of the plan."""
        self.plan, self.folder = plan, folder
        self.translator = translator or _model(plan)
        self._open: OrderedDict[int, tuple[Placed, ExitStack]] = OrderedDict()
        self._environment = ExitStack()
        self._environment.enter_context(raster.many_open())

    def close(self) -> None:
        """Close the scenes that are open; the worker is of no use afterwards."""
        while self._open:
            self._open.popitem()[1][1].close()
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
        seen = window.grown(card.halo)
        self._make_room(cell.sources)
        layers = [layer for number in cell.sources for layer in self.layers(number, region, seen)]
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

    def layers(self, number: int, region: Window, seen: Window) -> list[Layer]:
        """Return a source on a region, of which `seen` will be read."""
        return self._source(number).layers(region, seen)

    def _make_room(self, needed: Collection[int]) -> None:
        """Close the scenes that were used longest ago, but none of a cell's own: its layers read from all of them."""
        missing = sum(number not in self._open for number in needed)
        for number in [number for number in self._open if number not in needed]:
            if len(self._open) + missing <= KEPT_OPEN:
                return
            self._open.pop(number)[1].close()

    def _source(self, number: int) -> Placed:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number][0]
        with ExitStack() as stack:
            source = open_source(self.plan, number, self.translator.card, self.folder, stack)
            self._open[number] = source, stack.pop_all()
        return source

    def _write(
        self, cell: PlannedCell, window: Window, products: Mapping[str, UInt8], valid: npt.NDArray[np.bool_],
        names: Mapping[str, str],
    ) -> None:  # fmt: skip
        plan, card = self.plan, self.translator.card
        rasters = storage.make_folder(self.folder / RASTERS)
        place = plan.grid.place(window)
        tags = {
            "TIFFTAG_SOFTWARE": f"sat2map {sat2map.__version__}", "TIFFTAG_IMAGEDESCRIPTION": NOTICE,
            "SAT2MAP_GENERATED": "yes", "SAT2MAP_MODEL": card.id, "SAT2MAP_MODEL_SHA256": plan.model.checksum,
            "SAT2MAP_CELL": cell.id, **_origin(plan, cell),
        }  # fmt: skip
        colours = card.palette.class_colours() if card.palette else ()
        layers = {
            name: raster.Layer(name, {**tags, "SAT2MAP_PRODUCT": name}, colours if name == "classes" else ())
            for name in plan.products
        }
        plain = {name: rasters / PLAIN.format(names[name], threading.get_native_id()) for name in names}
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


def _origin(plan: Plan, cell: PlannedCell) -> dict[str, str]:
    """Return tags that say whose imagery a cell was made of, as far as services say so."""
    used = (plan.sources[number] for number in cell.sources)
    services = [source for source in used if isinstance(source, TilesSource)]
    names = dict.fromkeys(source.name for source in services)
    credits = dict.fromkeys(source.attribution for source in services if source.attribution)
    tags = {SOURCE: "; ".join(names), COPYRIGHT: "; ".join(credits)}
    return {key: value for key, value in tags.items() if value}


def _model(plan: Plan) -> Translator:
    found = bundle.find(plan.model.where)
    if storage.sha256(found.onnx) != plan.model.checksum:
        raise BadPlan(
            f"the model {plan.model.where} is not the one that the plan was made with",
            "Restore that model, or plan again into another folder",
        )
    return OnnxTranslator(found, threads=1)
