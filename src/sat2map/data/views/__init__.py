"""Views: a satellite picture of a place, and what somebody saw who stood there.

views = open_views(Path("invented"))          # of `sat2map imagine OUT --pairs N --views`, a collection, two folders
pair = views.of("val")[0]
sat, ground = read_view(pair)                 # uint8 (H, W, 3) each, of different sizes
crop = crop_of(pair, sat, side=128)           # the satellite picture turned so that the viewer looks up
"""

from sat2map.data.views.opening import is_view_folder, open_views
from sat2map.data.views.pairs import Known, ViewPair, ViewSet, read_view
from sat2map.data.views.photos import square_photo
from sat2map.data.views.turning import crop_of, heading_up

__all__ = [
    "Known",
    "ViewPair",
    "ViewSet",
    "crop_of",
    "heading_up",
    "is_view_folder",
    "open_views",
    "read_view",
    "square_photo",
]
