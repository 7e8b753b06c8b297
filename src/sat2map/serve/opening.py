"""Models and scenes of a worker: opened once, looked up by id ever after."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sat2map import storage
from sat2map.bundle import Bundle, find
from sat2map.card import shown_sides
from sat2map.errors import UnsuitableModel
from sat2map.grid import align_up
from sat2map.runtime import FIELDS, OnnxTranslator
from sat2map.scenes.job import SceneOptions, hashed, key_of, made_key
from sat2map.scenes.raster.origin import COPYRIGHT
from sat2map.scenes.tiles import MercatorScene, open_mercator
from sat2map.scenes.tiles.live import LiveScene
from sat2map.scenes.translate import PRODUCTS
from sat2map.serve import remote, view
from sat2map.serve.gate import Gate, Yielding
from sat2map.serve.messages import ClassFacts, GroundFacts, ModelFacts, Open, Ready, ViewFacts
from sat2map.views.viewer import Viewer

_WARM = 256  # px; of the picture that makes a session ready
KEPT_CELLS = 8


@dataclass
class Opened:
    """What a worker has open."""

    ready: Ready
    views: dict[str, view.View]
    yielding: dict[str, Yielding]
    limits: Open
    viewers: dict[str, Viewer]


def opened(wanted: Open, gate: Gate, stack: ExitStack) -> Opened:
    """Open all that is wanted and run every network once. Raises what `find` and `open_mercator` raise."""
    remembered = view.Remembered(wanted.memory)
    models: list[ModelFacts] = []
    views: dict[str, view.View] = {}
    facts: list[ViewFacts] = []
    yielding: dict[str, Yielding] = {}
    viewers: dict[str, Viewer] = {}
    for model in wanted.models:
        bundle = find(model.path)
        translator = OnnxTranslator(bundle)
        models.append(_model_facts(model.id, bundle))
        yielding[model.id] = Yielding(translator, gate)
        side = align_up(_WARM, translator.card.stride)
        shape = shown_sides(translator.card) if translator.card.ground else (side, side)
        translator(np.full((1, *shape, translator.card.bands), 128, np.uint8), FIELDS[:1])
        if translator.card.ground:
            viewers[model.id] = Viewer(yielding[model.id])
        if translator.card.direction != "sat2map":
            continue
        for scene in wanted.scenes:
            products = PRODUCTS if translator.card.palette else PRODUCTS[:1]
            at = stack.enter_context(
                open_mercator(translator, Path(scene.path), products, gsd=wanted.gsd, kept=KEPT_CELLS)
            )
            name = f"{scene.id}.{model.id}"
            views[name] = view.View(name, at, remembered)
            asked = SceneOptions(products=at.products, gsd=wanted.gsd)
            key = key_of(at.card, Path(scene.path), asked, models[-1].sha256)
            facts.append(_view_facts(name, scene.id, model.id, at, key, wanted.overview_cells))
        for far in wanted.remotes:
            products = PRODUCTS if translator.card.palette else PRODUCTS[:1]
            live, source = remote.opened(far, translator, products, wanted.gsd, KEPT_CELLS, stack)
            name = f"{far.id}.{model.id}"
            views[name] = view.View(name, live, remembered)
            asked = SceneOptions(products=products, gsd=wanted.gsd)
            key = {**source, **made_key(live.card, asked, models[-1].sha256)}
            facts.append(_view_facts(name, far.id, model.id, live, key, wanted.remote_cells))
    if (wanted.scenes or wanted.remotes) and not views:
        raise UnsuitableModel(
            "none of the models makes maps of imagery, so there is nothing to show of a scene",
            "Give a model of direction sat2map as well, such as --model carto",
        )
    return Opened(Ready(tuple(models), tuple(facts)), views, yielding, wanted, viewers)


def _model_facts(name: str, bundle: Bundle) -> ModelFacts:
    card = bundle.card
    classes: tuple[ClassFacts, ...] = ()
    colours: tuple[tuple[int, int, int, str], ...] = ()
    if card.palette:
        known = set(card.palette.classes)
        classes = tuple(
            ClassFacts(label, colour, number in known)
            for number, (label, colour) in enumerate(
                zip(card.palette.names, card.palette.class_colours(), strict=True)
            )
        )
        colours = tuple(
            (*colour, card.palette.names[number])
            for colour, number in zip(card.palette.colours, card.palette.classes, strict=True)
        )
    return ModelFacts(
        name, card.title, card.direction, card.metres_per_pixel, classes, colours, card.licence, card.limits,
        storage.sha256(bundle.onnx),
        GroundFacts(card.ground.height, card.ground.width, card.ground.field) if card.ground else None,
    )  # fmt: skip


def _view_facts(
    name: str, scene: str, model: str, at: MercatorScene, key: Mapping[str, Any], most_cells: int
) -> ViewFacts:
    digest = hashed({"key": key, "zoom": at.zoom, "side": at.side})
    return ViewFacts(
        name, scene, model, at.products, at.zoom,
        view.least_zoom(at, most_cells), view.most_zoom(at), at.side,
        (*at.data,), (*at.extent,), at.scene_metres, digest, tuple(at.notices),
        at.origin.get(COPYRIGHT, ""), isinstance(at, LiveScene),
    )  # fmt: skip
