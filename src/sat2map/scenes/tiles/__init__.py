"""Scenes on the web's tile grid, so that a tile is the same bytes whoever makes it: a job, a server, a cell of a batch.

    with open_mercator(translator, path) as scene:
        tile = scene.tile(Tile(17, 29_975, 54_009), "colour")   # pixels and where they are valid; None if empty
        cell = scene.cell(row, col)                             # a whole cell of the network, computed once

The network works at one zoom, the one nearest to what it was trained at (`scene.zoom`), in cells that are anchored to
the world's raster at that zoom and not to the scene. Smaller zooms are made of the tiles below them, larger ones repeat
pixels (`pyramid.py`). Around a scene the network is shown its mirror image, where pixels are missing grey.
"""

from sat2map.scenes.tiles.pyramid import TilePixels, encode
from sat2map.scenes.tiles.scene import SOURCE, MercatorScene, open_mercator
from sat2map.scenes.tiles.source import WorldSource

__all__ = ["SOURCE", "MercatorScene", "TilePixels", "WorldSource", "encode", "open_mercator"]
