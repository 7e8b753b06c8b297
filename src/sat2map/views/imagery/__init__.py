"""Where the crop around a place comes from: a scene, tiles, a picture, an invented world.

Each source has places of its own: longitude and latitude, pixels of a picture, or metres of a world. Between two of
them it tells the offset in metres, so that paths and headings need not know the difference.
"""

from sat2map.views.imagery.mercator import MercatorImagery
from sat2map.views.imagery.picture import PictureImagery
from sat2map.views.imagery.scene import SceneImagery
from sat2map.views.imagery.source import Imagery, Place
from sat2map.views.imagery.tiles import TileImagery
from sat2map.views.imagery.world import WorldImagery

__all__ = [
    "Imagery",
    "MercatorImagery",
    "PictureImagery",
    "Place",
    "SceneImagery",
    "TileImagery",
    "WorldImagery",
]
