"""Which tiles an area needs at a level, and which level suits a model."""

import math
from collections.abc import Sequence

from sat2map import mercator
from sat2map.errors import BadTileSource, TooMuchToFetch
from sat2map.mercator import Degrees
from sat2map.scenes import raster
from sat2map.scenes.sources.layer import TileLayer
from sat2map.scenes.sources.matrix import Cover, Level


def area_of(bbox: Sequence[float]) -> Degrees:
    """Return west, south, east, north in degrees; an east below west lies across 180 degrees. Raises BadTileSource."""
    remedy = "Give --bbox WEST,SOUTH,EAST,NORTH in degrees, e.g. --bbox 8.53,47.36,8.56,47.38"
    if len(bbox) != 4 or not all(map(math.isfinite, bbox)):
        raise BadTileSource(f"--bbox has {len(bbox)} numbers", remedy)
    west, south, east, north = bbox
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
        raise BadTileSource(f"--bbox {west:g},{south:g},{east:g},{north:g} is no area on the globe", remedy)
    return Degrees(west, south, east + 360 if east < west else east, north)


def cover_of(layer: TileLayer, level: Level, area: Degrees, most: int) -> Cover:
    """Return the tiles of an area. Raises BadTileSource if there are none, TooMuchToFetch for more than `most`."""
    window = level.window_of(raster.box_in(level.crs, area)) if _meets(layer.extent, area) else None
    if window is None:
        where = f" (it covers {','.join(f'{v:.4g}' for v in layer.extent)})" if layer.extent else ""
        raise BadTileSource(
            f"{layer.name} has no tiles in that area{where}", "Check --bbox W,S,E,N and its order"
        )
    cover = Cover(level, window)
    if cover.count > most:
        raise TooMuchToFetch(
            f"the area needs {cover.count:,} tiles at zoom {level.label}, and --max-tiles allows {most:,}",
            f"Choose a smaller area{_coarser(layer, level, cover.count, most)}, or raise --max-tiles if the provider "
            f"permits that many",
        )
    return cover


def nearest_level(layer: TileLayer, area: Degrees, metres: float) -> Level:
    """Return the level whose pixels in the middle of the area are nearest in size, by ratio, to `metres`."""
    return min(layer.levels, key=lambda level: abs(math.log(ground_size(level, area) / metres)))


def ground_size(level: Level, area: Degrees) -> float:
    """Return the side of a level's pixel in metres on the ground, in the middle of an area."""
    middle = Degrees(
        (area.west + area.east) / 2, (area.south + area.north) / 2, (area.west + area.east) / 2 + 1e-6,
        (area.south + area.north) / 2 + 1e-6,
    )  # fmt: skip
    box = raster.box_in(level.crs, middle)
    size = raster.metres_per_pixel(raster.north_up(level.crs, box.left, box.top, level.size, 1, 1))
    return size[0] if size else level.size


def _meets(extent: Degrees | None, area: Degrees) -> bool:
    """Tell whether two areas have something in common, going round the globe."""
    if extent is None:
        return True
    is_beside = all(
        area.east + turn <= extent.west or area.west + turn >= extent.east for turn in (-360, 0, 360)
    )
    return not is_beside and area.south < extent.north and area.north > extent.south


def _coarser(layer: TileLayer, level: Level, count: int, most: int) -> str:
    """Return advice: the finest level at which the area would do."""
    fitting = [other for other in layer.levels if count * (level.size / other.size) ** 2 <= most]
    if not fitting or level.crs != mercator.CRS:
        return ""
    return f" or --zoom {min(fitting, key=lambda other: other.size).label}"
