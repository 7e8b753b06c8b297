"""What a scene is, and what a model would make of it before anybody asks it to."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from sat2map.bundle import ModelCard
from sat2map.errors import WrongResolution
from sat2map.scenes.raster import open_scene
from sat2map.scenes.raster.facts import RasterFacts, facts_of
from sat2map.scenes.raster.place import WGS84
from sat2map.scenes.resolution import choose

TILE = 256  # px of a web map's tile
EQUATOR = 2 * math.pi * WGS84[0]  # metres round the Earth in Web Mercator


def scene_facts(path: Path, card: ModelCard) -> dict[str, Any]:
    """Return `RasterFacts` of a GeoTIFF as a dictionary, and under `model` how `card`'s model would see it.

    Raises what `open_scene` raises.
    """
    with open_scene(path) as dataset:
        facts = facts_of(dataset, str(path))
    nodata = facts.nodata  # JSON knows no NaN and no infinity
    return {
        **dataclasses.asdict(facts),
        "nodata": nodata if nodata is None or math.isfinite(nodata) else str(nodata),
        "model": _seen(facts, card),
        "zoom": _zoom(facts),
    }


def _seen(facts: RasterFacts, card: ModelCard) -> dict[str, Any]:
    """Return at which resolution the model sees the scene, in how many pixels and cells; or why it refuses."""
    seen: dict[str, Any] = {"id": card.id, "metres_per_pixel": card.metres_per_pixel}
    try:
        factors, notice = choose(facts.metres_per_pixel, card.metres_per_pixel, None)
    except WrongResolution as error:
        return {**seen, "refusal": str(error)}
    down, across = factors or (1.0, 1.0)
    height, width = math.ceil(facts.height / down - 1e-9), math.ceil(facts.width / across - 1e-9)
    return {
        **seen,
        "factor": math.sqrt(down * across),
        "height": max(height, 1),
        "width": max(width, 1),
        "cells": math.ceil(height / card.cell) * math.ceil(width / card.cell),
        "notice": notice,
    }


def _zoom(facts: RasterFacts) -> float | None:
    """Return the zoom of 256 px web map tiles whose pixels are as large on the ground."""
    if facts.metres_per_pixel is None or facts.lonlat is None:
        return None
    latitude = math.radians((facts.lonlat[1] + facts.lonlat[3]) / 2)
    size = math.sqrt(facts.metres_per_pixel[0] * facts.metres_per_pixel[1])
    return math.log2(EQUATOR * math.cos(latitude) / TILE / size)
