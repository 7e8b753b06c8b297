"""Vector layers beside a truth: building polygons against a mask, road centre lines against lines.

    python benchmarks/vectors.py MAP.gpkg --buildings MASK.tif [--overlay OUT.png --imagery SCENE.tif]
    python benchmarks/vectors.py MAP.gpkg --roads TRUTH.geojson --imagery SCENE.tif [--overlay OUT.png]

Buildings: the polygons are drawn on the grid of the mask (a pixel belongs to a polygon if its centre does);
intersection over union, precision and recall of pixels, beside a mask that is all building. Roads: precision is the
share of the length of our lines within so many metres of a true line, recall that of true lines near ours, both inside
the imagery; beside what lines at random would reach, the share of the imagery that near to a true line.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import rasterio.features
import rasterio.warp
import shapely
from PIL import Image, ImageDraw
from pyogrio import raw

from measuring import finish

NEAR = (3.0, 5.0)  # metres


class Score(NamedTuple):
    """Shares of 1."""

    precision: float
    recall: float
    chance: float  # precision of a guess that knows nothing

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)

    @property
    def iou(self) -> float:
        """Intersection over union, where both shares are of pixels."""
        return 1 / (1 / max(self.precision, 1e-12) + 1 / max(self.recall, 1e-12) - 1)


def geometries(path: Path, layer: str | None, crs: Any) -> np.ndarray:
    """The geometries of a layer in another CRS."""
    meta, _, wkb, _ = raw.read(path, layer=layer, columns=[])
    shapes = shapely.from_wkb(wkb)

    def moved(xy: np.ndarray) -> np.ndarray:
        return np.stack(rasterio.warp.transform(meta["crs"], crs, xy[:, 0], xy[:, 1]), 1)

    return shapely.transform(shapely.force_2d(shapes), moved)


def metric(dataset: Any) -> Any:
    """The CRS of a scene if it counts metres, else that of its UTM zone."""
    if dataset.crs.is_projected:
        return dataset.crs
    lon, lat = dataset.lnglat()
    return rasterio.CRS.from_epsg((32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1)


def score_buildings(polygons: np.ndarray, mask: Path) -> Score:
    """Pixels of the polygons against those of a mask that is not 0 on buildings."""
    with rasterio.open(mask) as file:
        truth, transform = file.read(1) > 0, file.transform
    ours = rasterio.features.rasterize(polygons, truth.shape, transform=transform).astype(bool)
    both = float((ours & truth).sum())
    return Score(both / max(ours.sum(), 1), both / max(truth.sum(), 1), float(truth.mean()))


def score_roads(ours: np.ndarray, truth: np.ndarray, frame: Any, near: float) -> Score:
    """Lengths within `near` of the other's lines, all inside the polygon `frame`."""
    ours, truth = (shapely.intersection(shapely.union_all(lines), frame) for lines in (ours, truth))
    found = ours.intersection(truth.buffer(near)).length / max(ours.length, 1e-9)
    covered = truth.intersection(ours.buffer(near)).length / max(truth.length, 1e-9)
    return Score(found, covered, truth.buffer(near).intersection(frame).area / frame.area)


def overlay(imagery: Path, ours: np.ndarray, truth: np.ndarray | None, crs: Any, out: Path) -> None:
    """Draw ours (orange) and the true lines (blue) over the imagery, to be looked at."""
    with rasterio.open(imagery) as file:
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(file.read([1, 2, 3]), 0, -1)))
        inverse = ~file.transform
        pen = ImageDraw.Draw(picture)
        for shapes, colour, width in ((truth, (60, 160, 255), 5), (ours, (255, 120, 0), 3)):
            for part in shapely.get_parts(shapely.get_parts(shapes) if shapes is not None else []):
                rings = [part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part]
                for line in rings:
                    xs, ys = rasterio.warp.transform(crs, file.crs, *shapely.get_coordinates(line).T)
                    points = [
                        (inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f)
                        for x, y in zip(xs, ys, strict=True)
                    ]
                    pen.line(points, fill=colour, width=width)
    picture.save(out)


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("map", type=Path, help="what `sat2map vectorize` wrote")
    parser.add_argument("--buildings", type=Path, metavar="MASK", help="GeoTIFF, not 0 on buildings")
    parser.add_argument("--roads", type=Path, metavar="LINES", help="vector file of true centre lines")
    parser.add_argument("--imagery", type=Path, metavar="SCENE", help="for roads and overlays")
    parser.add_argument("--overlay", type=Path, metavar="PNG", help="write a picture to look at")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured")
    options = parser.parse_args()
    if bool(options.buildings) == bool(options.roads):
        parser.error("give --buildings or --roads")
    if not options.imagery and (options.roads or options.overlay):
        parser.error("--roads and --overlay need --imagery")
    found: dict[str, Any] = {}
    with rasterio.open(options.imagery or options.buildings) as file:
        crs, truth = metric(file), None
        box = rasterio.warp.transform_bounds(file.crs, crs, *file.bounds)
    if options.buildings:
        with rasterio.open(options.buildings) as file:
            crs = file.crs
        ours = geometries(options.map, "buildings", crs)
        score = score_buildings(ours, options.buildings)
        print(
            f"{len(ours)} buildings: IoU {score.iou:.3f}, precision {score.precision:.3f}, "
            f"recall {score.recall:.3f} (all building: IoU {score.chance:.3f})"
        )
        found["buildings"] = {**score._asdict(), "iou": score.iou, "count": len(ours)}
    else:
        ours, truth = geometries(options.map, "roads", crs), geometries(options.roads, None, crs)
        for near in NEAR:
            score = score_roads(ours, truth, shapely.box(*box), near)
            print(
                f"{len(ours)} roads, within {near:g} m: precision {score.precision:.3f}, recall {score.recall:.3f}, "
                f"F1 {score.f1:.3f} (lines at random: precision {score.chance:.3f})"
            )
            found[f"roads, {near:g} m"] = {**score._asdict(), "f1": score.f1, "count": len(ours)}
    if options.overlay:
        overlay(options.imagery, ours, truth, crs, options.overlay)
    finish(options.json, found)


if __name__ == "__main__":
    main()
