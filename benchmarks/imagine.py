"""Pairs per second of `sat2map imagine --pairs`, per core, and where the time goes.

    python benchmarks/imagine.py [--places 4] [--tile 256] [--count 10000] [--profile] [--json FILE]

Counts processor time of one process, so a busy machine changes little. One place of each style in turn, as large
as `data/imagined.py` makes them: 10,000 pairs are 625 places of 16 tiles. Encoding PNG is counted, writing is not.
"""

import argparse
import cProfile
import json
import pstats
import time
from pathlib import Path

from sat2map import images
from sat2map.data.imagined import PairSettings, _corner
from sat2map.grid import Window
from sat2map.worlds import World
from sat2map.worlds.chance import Dice
from sat2map.worlds.painting import satellite, street_map
from sat2map.worlds.painting.fill import Canvas


def place(settings: PairSettings, number: int) -> dict[str, float]:
    """Seconds of processor time for the parts of one place."""
    clock = time.process_time
    spent = {}
    start = clock()
    world = World(settings.town(number))
    row, col = _corner(world, settings, Dice(settings.seed, 403, number))
    side = settings.side * settings.tile
    canvas = Canvas(row, col, side, side, settings.gsd)
    plan = world.plan(canvas.grown(satellite.halo(settings.gsd)).bounds)
    spent["plan"], start = clock() - start, clock()
    fine = street_map.samples(plan.within(canvas.bounds.grown(3.0)), canvas.finer(street_map.FINE))
    street = street_map.street_map(fine)
    spent["map"], start = clock() - start, clock()
    sat = satellite.satellite(plan, canvas, world.town.seed)
    spent["satellite"], start = clock() - start, clock()
    for window in Window(0, 0, side, side).parts(settings.tile):
        images.encode_png(sat[window.slices()])
        images.encode_png(street[window.slices()])
    spent["PNG"] = clock() - start
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--places", type=int, default=4)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument(
        "--count", type=int, default=10_000, help="size of the set; fixes how large places are"
    )
    parser.add_argument("--profile", action="store_true", help="print the functions that cost most")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = PairSettings(options.count, seed=1, tile=options.tile)
    place(PairSettings(1, seed=2, tile=16), 0)  # tables and caches
    profile = cProfile.Profile(time.process_time)
    if options.profile:
        profile.enable()
    spent = [place(settings, number) for number in range(options.places)]
    profile.disable()
    tiles = settings.side**2
    each = [sum(parts.values()) / tiles for parts in spent]
    mean = sum(each) / len(each)
    for part in spent[0]:
        print(f"{part:10} {1000 * sum(parts[part] for parts in spent) / tiles / len(spent):7.1f} ms per tile")
    low, high = 1000 * min(each), 1000 * max(each)
    print(f"{'all':10} {1000 * mean:7.1f} ms per tile of {settings.tile} px")
    print(f"{low:.0f} to {high:.0f} ms over {len(each)} places of {tiles} tiles")
    print(f"{1 / mean:.1f} pairs/s per core; 10,000 pairs on 2 cores in {10_000 * mean / 120:.0f} min")
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(14)
    if options.json:
        options.json.write_text(json.dumps({"imagine": {"seconds per tile": each, "parts": spent}}, indent=2))


if __name__ == "__main__":
    main()
