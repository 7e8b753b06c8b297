"""Procedural towns: a plan from a seed, and maps, satellite pictures and ground views painted from the plan.

A world is a pure function of a `Town` (seed, style, density, water, green) and has no edge. Everything in it is
decided where it stands, by hashes of the seed and of whole numbers and by smooth noise over the plane:

1. `terrain`: distortion, distance to water, density, as fields that can be asked anywhere.
2. `lattice`: the main streets, an endless lattice whose nodes and edges anybody can compute. Some of its rows are
   highways.
3. `patch` and `district`: a cell of the lattice is a curvilinear quadrilateral with coordinates of its own; its
   streets run along them, from junction to junction, and are pruned where they would end in water or nowhere.
4. `lots`, `uses`, `building`, `greenery`: blocks get a use, lots, buildings, grounds, trees and cars. What is
   apart in a patch's coordinates is apart on the ground, so houses stand on lots, lots in blocks, and blocks
   between streets.
5. `waters`: water as polygons, contoured on a grid fixed to the world.
6. `plan` and `world`: collect all of that for any box.
7. `painting`: the pictures. Rasters are windows of one endless raster and every pixel is arithmetic on world
   coordinates, so neighbouring windows join and nothing depends on how a picture was cut.

    world = World(Town(seed=7, style="coastal"))
    pictures = paint(world, Window(-256, -256, 512, 512))  # .street, .classes, .sat
    view = paint_view(world, standpoint(world, 0, 0), 360, 640)
    write_plan(Path("plan.gpkg"), world.plan(Bounds(-500, -500, 500, 500)), Place(13.4, 52.5), overwrite=False)

Directions: x to the east, y to the north, metres from the world's origin; pixel rows count to the south from there.
"""

from sat2map.worlds.files import Place, write_plan
from sat2map.worlds.layouts import Bounds
from sat2map.worlds.painting.ground import Eye
from sat2map.worlds.pictures import Pictures, paint, paint_large, paint_view
from sat2map.worlds.plan import Plan
from sat2map.worlds.sketch import clean_sketch
from sat2map.worlds.standpoints import stand_within, standpoint
from sat2map.worlds.terrain import STYLES, Town
from sat2map.worlds.town import write_town
from sat2map.worlds.world import World

__all__ = [
    "STYLES",
    "Bounds",
    "Eye",
    "Pictures",
    "Place",
    "Plan",
    "Town",
    "World",
    "clean_sketch",
    "paint",
    "paint_large",
    "paint_view",
    "stand_within",
    "standpoint",
    "write_plan",
    "write_town",
]
