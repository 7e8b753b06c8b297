"""Scenes on the web's tile grid for tests: a small one, many places, and models that show what they are shown."""

import pathlib

import numpy as np
from affine import Affine

import fakes
import geotiffs
from sat2map import mercator
from sat2map.mercator import Tile
from sat2map.runtime import Translation

ZOOM = 17  # nearest to 0.9 m at 45 degrees
BLENDED = {"windowing": "blend", "halo": 16, "receptive_radius": -1, "stride": 4, "cell": 256}


def model(**changes) -> fakes.FakeTranslator:
    return fakes.FakeTranslator(fakes.card(**{"halo": 16, **changes}), statistics="windowing" in changes)


def tiles_of(opened, zoom=None) -> list[Tile]:
    zoom = opened.zoom if zoom is None else zoom
    return list(mercator.tiles(mercator.at_zoom(opened.data, opened.zoom, zoom), zoom))


def png(folder: pathlib.Path, tile: Tile) -> bytes | None:
    path = folder / f"{tile.z}/{tile.x}/{tile.y}.png"
    return path.read_bytes() if path.exists() else None


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def small_scene(folder: pathlib.Path) -> pathlib.Path:
    """650 x 500 px of texture with a hole; about 700 x 540 px at zoom 17, so some tiles are whole."""
    mask = np.ones((500, 650), np.bool_)
    mask[300:400, 100:180] = False
    return geotiffs.write(folder / "in.tif", geotiffs.texture(500, 650), mask=mask)


class Same:
    """A translator that gives back what it is shown."""

    def __init__(self) -> None:
        self.card = fakes.card(kind="rgb", palette=None)

    def __call__(self, batch, want) -> Translation:
        return Translation(colour=batch)


HERE = Affine(1, 0, 500_000, 0, -1, 5_000_000)
PLACES = {
    "UTM": ("EPSG:32632", HERE),
    "coarse": ("EPSG:32632", Affine(2.4, 0, 500_000, 0, -2.4, 5_000_000)),
    "fine": ("EPSG:32632", Affine(0.3, 0, 500_000, 0, -0.3, 5_000_000)),
    "turned": ("EPSG:32632", Affine(0.8, 0.6, 500_000, 0.6, -0.8, 5_000_000)),
    "south-up": ("EPSG:32632", Affine(1, 0, 500_000, 0, 1, 5_000_000)),
    "degrees": ("EPSG:4326", Affine(1e-5, 0, 9, 0, -1e-5, 45)),
    "Swiss": ("EPSG:2056", Affine(1, 0, 2_600_000, 0, -1, 1_200_000)),
    "tiles": ("EPSG:3857", Affine(1.03, 0, 1e6, 0, -1.03, 5e6)),
    "180 degrees": ("EPSG:32660", Affine(1, 0, 708_570, 0, -1, 5_698_700)),
    "degrees, 180": ("EPSG:4326", Affine(1e-5, 0, 179.999, 0, -1e-5, 45)),
    "0 to 360": ("EPSG:4326", Affine(1e-5, 0, 250, 0, -1e-5, 45)),
}
