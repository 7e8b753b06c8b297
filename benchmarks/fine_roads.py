"""Road lines of true maps whose pixels are written on a finer grid, beside the lines of the maps themselves.

    python benchmarks/fine_roads.py maps/val [--maps 12] [--finer 6.82]

Each map is the upper left part of the street half of a picture of the `maps` set, 300 x 300 px of 0.9 m. On the finer
grid its pixels are repeated, unevenly where the factor is no whole number, as `translate` writes what a model made of
fine imagery. The lines are then found on squares of one pixel and more; precision and recall as in `vectors.py`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from measuring import finish
from sat2map.grid import Window
from sat2map.images import read_image
from sat2map.palette import MAPS
from sat2map.scenes.vectors.lines import Lines, square_for
from sat2map.scenes.vectors.shapes import Frame
from sat2map.scenes.vectors.sources import ClassArray
from vectors import score_roads

PIXEL, SIDE = 0.9, 300  # metres; px
NEAR = (1.0, 3.0)  # metres
SQUARES = (1, 2, 3, 4, 6)


def lines_of(classes: np.ndarray, pixel: float, squares: int) -> np.ndarray:
    """The road lines of a raster, in metres."""
    lines = Lines(ClassArray(classes), None, Frame(pixel, pixel), squares, 10.0, None)
    lines.add(Window(0, 0, *classes.shape))
    found = [shapely.LineString(road.line) for network in lines.finish_row() for road in network]
    return np.array(found, object)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="pictures with the street map on the right")
    parser.add_argument("--maps", type=int, default=12, help="how many, by name")
    parser.add_argument("--finer", type=float, default=6.82, help="pixels per pixel of the map, along a side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    options = parser.parse_args()
    places = np.minimum((np.arange(int(SIDE * options.finer)) + 0.5) / options.finer, SIDE - 1).astype(int)
    fine, frame = PIXEL / options.finer, shapely.box(0, -SIDE * PIXEL, SIDE * PIXEL, 0)
    rows: dict[int, list[list[float]]] = {squares: [] for squares in SQUARES}
    for path in sorted(options.folder.glob("*.jpg"))[: options.maps]:
        picture = read_image(path)
        street = np.ascontiguousarray(picture[:SIDE, picture.shape[1] // 2 :][:, :SIDE])
        classes = MAPS.to_classes(MAPS.encode(street))
        truth = lines_of(classes, PIXEL, 1)
        for squares in SQUARES if len(truth) else ():
            ours = lines_of(classes[np.ix_(places, places)], fine, squares)
            scores = [score_roads(ours, truth, frame, near)[:2] for near in NEAR]
            lengths = [float(shapely.length(lines).sum()) for lines in (ours, truth)]
            rows[squares].append([len(ours), len(truth), *lengths, *(share for s in scores for share in s)])
    found: dict[str, Any] = {"maps": len(rows[1]), "pixel": fine, "chosen": square_for(fine)}
    for squares, values in rows.items():
        table = np.array(values)
        ours, truth, metres, of = table[:, :4].sum(0)
        text = f"squares of {squares}: {ours:.0f} lines of {truth:.0f}, {metres:,.0f} m of {of:,.0f}"
        for number, near in enumerate(NEAR):
            # a share of all lines is the mean of the maps' shares by the length of their lines
            precision = np.average(table[:, 4 + 2 * number], weights=table[:, 2])
            recall = np.average(table[:, 5 + 2 * number], weights=table[:, 3])
            f1 = 2 * precision * recall / (precision + recall)
            text += f", F1 within {near:g} m {f1:.3f}"
            found[f"{squares}, {near:g} m"] = f1
        print(text)
    print(f"n = {found['maps']} maps, {fine:.3f} m per pixel: {found['chosen']} is chosen")
    finish(options.json, found)


if __name__ == "__main__":
    main()
