"""The view from the ground: where each pixel of it lies in a satellite picture, and models that draw it.

1. `camera`: a picture's rays, in perspective or all around.
2. `projection`: the satellite crop as such a camera would see it if everything in it lay on a level plane.
3. `viewer`: a bundle of direction `sat2view`, ready to draw: crop and heading in, picture out.
4. `imagery`: the crop around a place, from a scene, tiles, a picture or an invented world.
5. `path`: places along a line; `strip`: crop, view and the nearest true photos side by side.

    from sat2map.views import WorldImagery, open_viewer
    from sat2map.worlds import Town

    viewer, imagery = open_viewer(), WorldImagery(Town(seed=7))
    place, heading = imagery.street()
    crop = imagery.crop(place, viewer.side, viewer.metres)
    picture = viewer(crop, heading)   # uint8 (H, W, 3)

Headings are degrees clockwise from north. The middle column of a picture looks along the heading. Nothing here imports
torch.
"""

from sat2map.views.camera import Camera
from sat2map.views.crop import Crop
from sat2map.views.imagery import (
    Imagery,
    MercatorImagery,
    PictureImagery,
    Place,
    SceneImagery,
    TileImagery,
    WorldImagery,
)
from sat2map.views.path import Step, bearing, places_in, walked
from sat2map.views.projection import project
from sat2map.views.viewer import Viewer, open_viewer

__all__ = [
    "Camera",
    "Crop",
    "Imagery",
    "MercatorImagery",
    "PictureImagery",
    "Place",
    "SceneImagery",
    "Step",
    "TileImagery",
    "Viewer",
    "WorldImagery",
    "bearing",
    "open_viewer",
    "places_in",
    "project",
    "walked",
]
