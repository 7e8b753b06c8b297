"""What the tests of tile sources share: a small world of tiles, and an area of it fetched."""

import pathlib

import numpy as np
import pytest
import rasterio

import geotiffs
import tileserver
from badnet import FakeClock, Server
from sat2map.scenes.sources.area import area_of, cover_of
from sat2map.scenes.sources.job import TileOptions, TileSource
from tileserver import World

PLACEHOLDER = tileserver.png(np.full((256, 256, 3), 200, np.uint8))
ZOOM, ROW, COL = 17, 45_900, 68_640  # Zürich, in tiles


def world(rows: int = 3, cols: int = 4, bands: int = 3, side: int = 256) -> World:
    pixels = geotiffs.texture(rows * side, cols * side, bands)
    return World(pixels, ROW * side, COL * side, ZOOM, side)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def gathered(
    server: Server, path: str, at: World, out: pathlib.Path, *, bbox=None, zoom=str(ZOOM), resume=False, **options
):  # fmt: skip
    """Fetch an area and return its pixels, its mask and its profile with tags."""
    clock = server.clock if isinstance(server.clock, FakeClock) else None
    source = TileSource(
        server.url(path), TileOptions(**{"rate": 1000.0, "cache": False, **options}), clock=clock
    )
    cover = cover_of(
        source.layer, source.layer.level(zoom), area_of(bbox or at.bbox()), source.options.max_tiles
    )
    with source.gathered(cover, out, resume=resume) as mosaic, rasterio.open(mosaic) as dataset:
        return np.moveaxis(dataset.read(), 0, -1), dataset.read_masks(1) > 0, dataset.profile | dataset.tags()
