"""A walk through a town that does not exist: the view from the pavement every few metres, as an animated GIF.

python examples/walk.py walk.gif --seed 7 --steps 12
"""

import argparse
from pathlib import Path

import numpy as np

from sat2map.images.animation import write_gif
from sat2map.views import Place, WorldImagery, open_viewer
from sat2map.worlds import Town

PACE = 3.0  # metres


def main() -> None:
    """Walk along the street next to the town's middle."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    viewer, town = open_viewer(), WorldImagery(Town(seed=options.seed))
    start, heading = town.street()
    ahead = np.sin(np.radians(heading)), np.cos(np.radians(heading))  # to the east, to the north
    places = [
        Place(start.x + PACE * n * ahead[0], start.y + PACE * n * ahead[1]) for n in range(options.steps)
    ]
    views = [viewer(town.crop(place, viewer.side, viewer.metres), heading) for place in places]
    write_gif(options.target, views, milliseconds=250, overwrite=True)


if __name__ == "__main__":
    main()
