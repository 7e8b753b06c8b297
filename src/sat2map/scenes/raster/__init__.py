"""Georeferenced files, in and out: the only room that asks GDAL (through rasterio) for anything.

A file is a GeoTIFF if its first bytes say so; only the GTiff driver is ever asked to open it, under an absolute path,
after its header was held against limits. Companions of a file (`.aux.xml`, `.ovr`, `.msk`, `.tfw`, `.vrt`) are not
read: what counts is in the file. How samples become the uint8 RGB that models see is said in `bands.py` (which bands,
which pixels are missing) and `scaling.py` (which values); where the pixels lie on the ground in `place.py`.
"""

from sat2map.scenes.raster.bands import Bands
from sat2map.scenes.raster.facts import SHOWN
from sat2map.scenes.raster.gate import many_open, open_scene, tags_of
from sat2map.scenes.raster.grids import Units, box_in, north_up, placed, units_of
from sat2map.scenes.raster.header import Limits, is_tiff
from sat2map.scenes.raster.legend import sidecars
from sat2map.scenes.raster.origin import origin_of
from sat2map.scenes.raster.place import Place, label_of, metres_per_pixel, pixels_at, wkt_of
from sat2map.scenes.raster.reading import RasterSource
from sat2map.scenes.raster.scaling import Scale
from sat2map.scenes.raster.sparse import in_part
from sat2map.scenes.raster.tiling import BLOCK, extent, on_tiles
from sat2map.scenes.raster.warping import parse_crs, warped
from sat2map.scenes.raster.writing import CREATION_KEYS, Layer, Piece, finalise, write_plain

__all__ = [
    "BLOCK",
    "CREATION_KEYS",
    "SHOWN",
    "Bands",
    "Layer",
    "Limits",
    "Piece",
    "Place",
    "RasterSource",
    "Scale",
    "Units",
    "box_in",
    "extent",
    "finalise",
    "in_part",
    "is_tiff",
    "label_of",
    "many_open",
    "metres_per_pixel",
    "north_up",
    "on_tiles",
    "open_scene",
    "origin_of",
    "parse_crs",
    "pixels_at",
    "placed",
    "sidecars",
    "tags_of",
    "units_of",
    "warped",
    "wkt_of",
    "write_plain",
]
