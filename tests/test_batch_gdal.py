"""What `batch merge` writes is opened by GDAL itself: the virtual raster, and the tile index by the GTI driver."""

import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import rasterio

import regions
from batches import Here, pixels
from sat2map.batch.merge import merge_plan
from sat2map.batch.plan import read_cells, read_plan
from sat2map.batch.run import run_plan

GRIDS = {"web": {}, "metric": {"crs": "EPSG:3035", "gsd": 0.9}}


@pytest.fixture(scope="module", params=GRIDS)
def merged(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    regions.plan(regions.region(folder / "scenes"), folder / "plan", **GRIDS[request.param])
    run_plan(folder / "plan", lambda: Here(folder / "plan"))
    merge_plan(folder / "plan")
    return folder / "plan"


def named(product: str, suffix: str) -> str:
    return f"merged{suffix}" if product == "colour" else f"merged_{product}{suffix}"


@pytest.mark.parametrize("product", regions.PRODUCTS)
def test_the_tile_index_has_the_pixels_of_the_cells(merged, product):
    pytest.importorskip("pyogrio", reason="the vector extra is not installed, so there is no index")
    with rasterio.Env() as environment:
        if "GTI" not in environment.drivers():
            pytest.skip(f"GDAL {rasterio.__gdal_version__} of rasterio has no GTI driver (3.9 or newer has)")
        plan = read_plan(merged)
        world, values, valid = pixels(merged, product)
        box = plan.grid.bounds(world)
        with rasterio.open(merged / named(product, ".gti.gpkg")) as file:
            assert file.driver == "GTI"
            assert file.crs == rasterio.CRS.from_string(plan.grid.crs)
            assert file.res == pytest.approx(2 * ((box.right - box.left) / world.width,))
            window = file.window(*box).round_offsets().round_lengths()
            found = np.moveaxis(file.read(window=window), 0, -1)
            assert found.shape == values.shape, "the index has the grid of the cells"
            np.testing.assert_array_equal(found[valid], values[valid])


def test_a_plan_may_be_moved(merged, tmp_path):
    shutil.copytree(merged, tmp_path / "elsewhere")
    with rasterio.open(merged / "merged_classes.vrt") as one:
        expected = one.read()
    moved = merged.rename(merged.with_name("hidden"))
    try:
        with rasterio.open(tmp_path / "elsewhere" / "merged_classes.vrt") as other:
            np.testing.assert_array_equal(other.read(), expected)
    finally:
        moved.rename(merged)


def test_gdal_of_the_system_reads_the_virtual_raster(merged):
    """`gdalinfo -checksum` computes over all pixels, so a source that cannot be opened is an error."""
    tool = shutil.which("gdalinfo")
    if tool is None:
        pytest.skip("there is no gdalinfo on this machine")
    for product in regions.PRODUCTS:
        path = merged / named(product, ".vrt")
        # without the paths to data that rasterio's wheel brings for its own GDAL and PROJ
        environment = {k: v for k, v in os.environ.items() if k not in ("GDAL_DATA", "PROJ_LIB", "PROJ_DATA")}
        done = subprocess.run(
            [tool, "-checksum", str(path)], capture_output=True, text=True, timeout=120, env=environment
        )
        assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
        with rasterio.open(path) as file:
            sums = [str(file.checksum(band)) for band in file.indexes]
        theirs = [
            line.strip().removeprefix("Checksum=") for line in done.stdout.splitlines() if "Checksum=" in line
        ]
        assert theirs[: len(sums)] == sums


def test_cells_are_cloud_optimised(merged):
    for cell in read_cells(merged, read_plan(merged))[:2]:
        for path in pathlib.Path(merged / "cells").glob(f"{cell.id}_*.tif"):
            with rasterio.open(path) as file:
                assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
