"""A part of a view, in the worker: its pixels at the network's zoom as GeoTIFFs in EPSG:3857, and as vectors."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import sat2map
from sat2map import mercator
from sat2map.grid import Window
from sat2map.mercator import TILE
from sat2map.scenes import raster
from sat2map.scenes.job import NOTICE
from sat2map.serve.gate import Gate
from sat2map.serve.messages import Done, Extract
from sat2map.serve.uploaded import Report, add_vectors
from sat2map.serve.view import View

_PATIENCE = 120.0  # seconds for what a tile needs of a tile source


def extract(wanted: Extract, view: View, gate: Gate, report: Report) -> Done:
    """Write the products of a window of the world to the folder of `wanted`; they are those of the tiles.

    `report` is called with (tiles done, tiles, note) and may raise. Raises what the view and the writers raise.
    """
    window, scene = Window(*wanted.window), view.scene
    box = mercator.bounds(window, scene.zoom)
    place = raster.north_up(
        mercator.CRS, box.left, box.top, mercator.pixel_size(scene.zoom), window.height, window.width
    )
    folder = Path(wanted.folder)
    files = {name: "map.tif" if name == "colour" else f"map_{name}.tif" for name in scene.products}
    layers = {name: _layer(name, view) for name in files}
    plain = {name: folder / f"plain-{name}.tif" for name in files}
    raster.write_plain(plain, layers, place, _pieces(window, view, gate, report), masked=True)
    for name, path in plain.items():
        raster.finalise(path, folder / files[name], layers[name], {})
        path.unlink()
    notices: list[str] = []
    add_vectors(folder, files, notices, report)
    return Done(wanted.id, files, tuple(notices))


def _layer(product: str, view: View) -> raster.Layer:
    card = view.scene.card
    tags = {
        "TIFFTAG_SOFTWARE": f"sat2map {sat2map.__version__}",
        "TIFFTAG_IMAGEDESCRIPTION": NOTICE,
        "SAT2MAP_GENERATED": "yes",
        "SAT2MAP_MODEL": card.id,
        "SAT2MAP_PRODUCT": product,
    }
    is_coloured = product == "classes" and card.palette is not None
    colours = card.palette.class_colours() if is_coloured and card.palette else ()
    return raster.Layer(product, tags, colours)


def _pieces(window: Window, view: View, gate: Gate, report: Report) -> Iterator[raster.Piece]:
    """Yield the window tile by tile; between two tiles others may use the network."""
    tiles = list(mercator.tiles(window, view.scene.zoom))
    for done, tile in enumerate(tiles):
        report(done, len(tiles), "")
        view.bring(tile, view.scene.products[0], _PATIENCE)
        with gate.later():
            found = {name: view.pixels(tile, name) for name in view.scene.products}
        part = tile.window.shared(window)
        here, there = (
            part._replace(row=part.row - window.row, col=part.col - window.col),
            part.slices(tile.window),
        )
        valid = np.zeros((part.height, part.width), np.bool_)
        made = {}
        for name, pixels in found.items():
            if pixels is None:
                shape = (TILE, TILE, 3) if name == "colour" else (TILE, TILE)
                made[name] = np.zeros(shape, np.uint8)[there]
            else:
                made[name], valid = pixels.pixels[there], pixels.valid[there]
        yield here, made, valid
