"""Plans in a projected CRS: the same promises as on web tiles, and the pixels of a scene that lies on the grid."""

import json
import pathlib

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

import geotiffs
import regions
from batches import Here, pixels, same_maps
from sat2map.batch.cell import Worker
from sat2map.batch.grids import LONLAT, MetricGrid, metric_grid
from sat2map.batch.journal import read_standing
from sat2map.batch.merge import merge_plan
from sat2map.batch.plan import read_cells, read_plan
from sat2map.batch.run import run_plan
from sat2map.batch.sampling import STEP, Sampled, Sampling
from sat2map.bundle import find
from sat2map.cli.main import main
from sat2map.errors import BadPlan, UnusableCrs
from sat2map.grid import Window
from sat2map.runtime import OnnxTranslator
from sat2map.scenes import raster
from sat2map.scenes.georeferenced import translate_scene
from sat2map.scenes.job import SceneOptions

LAEA = "EPSG:3035"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return regions.region(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def reference(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grids") / "plan"
    regions.plan(sources, folder, crs=LAEA, gsd=0.9)
    run_plan(folder, lambda: Here(folder))
    return folder


def model_of(folder: pathlib.Path) -> str:
    return str(folder.parent / "model")


def test_cells_cover_all_pixels_and_lie_on_multiples_of_their_size(reference):
    plan = read_plan(reference)
    cells = read_cells(reference, plan)
    assert plan.grid == MetricGrid(LAEA, 0.9)
    for source in plan.sources:
        with rasterio.open(source.path) as file:
            ends = [file.xy(row, col, offset="center") for row in (0, 250, 499) for col in (0, 310, 619)]
            xs, ys = transform(file.crs, LAEA, *zip(*ends, strict=True))
        for x, y in zip(xs, ys, strict=True):
            row, col = int(np.floor(-y / 0.9)), int(np.floor(x / 0.9))
            assert source.window.covers(Window(row, col, 1, 1))
            assert any(cell.window(plan.side).covers(Window(row, col, 1, 1)) for cell in cells)
    assert len({cell.id for cell in cells}) == len(cells) and all(cell.cost > 0 for cell in cells)


@pytest.mark.parametrize(("side", "shuffle"), [(1024, None), (512, 3)])
def test_neither_size_nor_order_of_cells_changes_a_pixel(sources, reference, tmp_path, side, shuffle):
    folder = tmp_path / "plan"
    regions.plan(sources, folder, crs=LAEA, gsd=0.9, side=side, model=model_of(reference))
    run_plan(folder, lambda: Here(folder), shuffle=shuffle)
    same_maps(reference, folder)
    same_maps(folder, reference)


def test_the_merged_raster_opens_as_one_scene_in_that_crs(reference):
    merge_plan(reference)
    for product in regions.PRODUCTS:
        name = "merged.vrt" if product == "colour" else f"merged_{product}.vrt"
        world, values, valid = pixels(reference, product)
        with rasterio.open(reference / name) as file:
            assert file.crs.to_epsg() == 3035 and file.res == pytest.approx((0.9, 0.9))
            assert file.transform.c == pytest.approx(world.col * 0.9) and file.transform.f == pytest.approx(
                -world.row * 0.9
            )
            np.testing.assert_array_equal(np.moveaxis(file.read(), 0, -1)[valid], values[valid])
            np.testing.assert_array_equal(file.dataset_mask() != 0, valid)
    for path in (reference / "items").iterdir():
        item = json.loads(path.read_bytes())
        west, south, east, north = item["bbox"]
        assert 11.98 < west < east < 12.02 and 46.98 < south < north < 47.02


def test_vectors_are_those_of_the_whole(reference, sources, tmp_path):
    pytest.importorskip("pyogrio", reason="the vector extra is not installed")
    from pyogrio import raw

    folder = tmp_path / "plan"
    regions.plan(sources, folder, crs=LAEA, gsd=0.9, side=2048, model=model_of(reference))
    run_plan(folder, lambda: Here(folder))
    found = []
    for plan in (reference, folder):
        merge_plan(plan, vectors=True)
        about, _, shapes, _ = raw.read(plan / "merged.gpkg", layer="buildings")
        assert about["crs"] == LAEA
        found.append(sorted(bytes(shape) for shape in shapes))
    assert found[0] == found[1] != []


def on_the_grid(folder: pathlib.Path, crs: str, left: float, top: float, size: float) -> pathlib.Path:
    pixels = geotiffs.texture(700, 900, seed=4)
    return geotiffs.write(
        folder / "scene.tif", pixels, crs=crs, transform=Affine(size, 0, left, 0, -size, top)
    )


def test_a_scene_on_the_grid_has_the_pixels_of_its_own_translation(tmp_path):
    scene = on_the_grid(tmp_path, "EPSG:2056", 2_600_002.0, 1_200_000.0, 0.5)
    regions.plan([scene], tmp_path / "plan", crs="EPSG:2056", gsd=0.5)
    run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    translator = OnnxTranslator(find(str(tmp_path / "model")), threads=1)
    options = SceneOptions(products=regions.PRODUCTS, output_crs="EPSG:2056", gsd=0.5)
    translate_scene(translator, scene, tmp_path / "own.tif", options)
    inner = slice(64, -64)  # at the edges the mirror images begin half a pixel apart
    for product in regions.PRODUCTS:
        own = tmp_path / ("own.tif" if product == "colour" else f"own_{product}.tif")
        world, values, valid = pixels(tmp_path / "plan", product)
        assert valid.all() and (world.col, world.row) == (5_200_004, -2_400_000)
        with rasterio.open(own) as file:
            assert file.transform.c == world.col * 0.5 and file.transform.f == -world.row * 0.5
            expected = np.moveaxis(file.read(), 0, -1)
        np.testing.assert_array_equal(values[inner, inner], expected[inner, inner])


def test_an_origin_moves_the_grid_to_that_of_another_file(tmp_path):
    scene = on_the_grid(tmp_path, "EPSG:32632", 500_000.37, 5_000_000.11, 0.9)
    plan = regions.plan(
        [scene], tmp_path / "plan", crs="EPSG:32632", gsd=0.9, origin=(500_000.37, 5_000_000.11)
    )
    assert plan.sources[0].window == Window(0, 0, 700, 900)
    assert [cell.id for cell in read_cells(tmp_path / "plan", plan)][:2] == ["32632-s0-e0", "32632-s0-e1"]


def test_the_sampler_agrees_with_gdal(tmp_path):
    smooth = np.kron(geotiffs.texture(50, 62), np.ones((10, 10, 1), np.uint8))
    scene = geotiffs.write(
        tmp_path / "utm.tif", smooth, crs="EPSG:32632", transform=Affine(0.9, 0, 727_000, 0, -0.9, 5_210_000)
    )
    with (
        raster.open_scene(scene) as dataset,
        raster.warped(dataset, LAEA, 0.9, None, raster.Limits()) as vrt,
    ):
        theirs, there = np.moveaxis(vrt.read((1, 2, 3)), 0, -1), vrt.dataset_mask() != 0
        grid = MetricGrid(LAEA, 0.9, vrt.transform.c, vrt.transform.f)
        source, place = raster.RasterSource(dataset, "utm.tif"), raster.Place.of(dataset)
        whole = Window(0, 0, vrt.height, vrt.width)
        sampled = Sampled(Sampling(source, place, None, False), grid, whole, whole)
        ours, here = sampled.read(whole), sampled.valid(whole)
    both = here & there
    assert both.mean() > 0.9 and (here ^ there).mean() < 0.01
    apart = np.abs(ours.astype(int) - theirs)[both]
    assert (
        apart.mean() < 0.6 and np.percentile(apart, 99) <= 8
    )  # its kernel approximates to an eighth of a pixel


def test_coordinates_between_computed_points_are_right_to_a_thousandth(tmp_path):
    scene = on_the_grid(tmp_path, "EPSG:32632", 700_000, 5_200_000, 0.9)
    with raster.open_scene(scene) as dataset:
        source, place = raster.RasterSource(dataset, "x"), raster.Place.of(dataset)
        grid = metric_grid(LAEA, 0.9)
        row, col = grid.window_of(place, "x")[:2]
        square = Window(row // 512 * 512, col // 512 * 512, 512, 512)
        rows, cols = Sampled(Sampling(source, place, None, False), grid, square, square)._positions(square)
        at = [(5, 7), (STEP // 2, STEP // 2), (500, 300)]
        xs = [(square.col + c + 0.5) * 0.9 for _, c in at]
        ys = [-(square.row + r + 0.5) * 0.9 for r, _ in at]
        exact = raster.pixels_at(place, xs, ys, LAEA)
    for (r, c), x, y in zip(at, *exact, strict=True):
        assert rows[r, c] == pytest.approx(y, abs=1e-3) and cols[r, c] == pytest.approx(x, abs=1e-3)


def test_smaller_pixels_become_means(tmp_path):
    scene = on_the_grid(tmp_path, "EPSG:2056", 2_600_000.0, 1_200_000.0, 0.5)
    plan = regions.plan([scene], tmp_path / "plan", crs="EPSG:2056", gsd=1.0)
    worker = Worker(plan, tmp_path / "plan")
    own = plan.sources[0].window
    (layer,) = worker.layers(0, own, own)
    seen = layer.read(Window(0, 0, own.height, own.width))
    worker.close()
    with rasterio.open(scene) as file:
        fine = np.moveaxis(file.read(), 0, -1).astype(float)
    means = np.floor((fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4 + 0.5)
    np.testing.assert_array_equal(seen, means)


def test_the_mirror_image_is_seen_beyond_the_edges_and_counts_for_nothing(tmp_path):
    scene = on_the_grid(tmp_path, "EPSG:2056", 2_600_000.0, 1_200_000.0, 0.5)
    plan = regions.plan([scene], tmp_path / "plan", crs="EPSG:2056", gsd=0.5)
    worker = Worker(plan, tmp_path / "plan")
    own = plan.sources[0].window
    around = own.grown(8)
    (layer,) = worker.layers(0, around, around)
    whole = Window(0, 0, around.height, around.width)
    seen, valid = layer.read(whole), layer.valid(whole)
    worker.close()
    np.testing.assert_array_equal(seen[7::-1, 8:-8], seen[8:16, 8:-8])
    np.testing.assert_array_equal(seen[8:-8, -8:], seen[8:-8, -9:-17:-1])
    assert valid[8:-8, 8:-8].all() and not valid[:8].any() and not valid[:, -8:].any()


def test_a_plan_goes_across_utm_zones_and_180_degrees(tmp_path):
    """Both zones at the line, on the grid of one of them; the other grid has the same ground."""
    scenes = [
        regions.scene(tmp_path / "west.tif", 179.9965, -17.0, "EPSG:32760", width=500),
        regions.scene(tmp_path / "east.tif", -179.9995, -17.0, "EPSG:32701", width=500, seed=2),
    ]
    plan = regions.plan(scenes, tmp_path / "plan", crs="EPSG:32760", gsd=0.9)
    run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    world, _, valid = pixels(tmp_path / "plan", "colour")
    assert world.width < 1100 and valid.mean() > 0.85
    assert max(cell.bounds[2] for cell in read_cells(tmp_path / "plan", plan)) > 180
    merge_plan(tmp_path / "plan")
    crossing = [
        item
        for path in (tmp_path / "plan" / "items").iterdir()
        if (item := json.loads(path.read_bytes()))["bbox"][0] > item["bbox"][2]
    ]
    assert crossing and all(item["geometry"]["type"] == "MultiPolygon" for item in crossing)
    assert all(
        -180 <= x <= 180 for item in crossing for part in item["geometry"]["coordinates"] for x, _ in part[0]
    )


@pytest.mark.parametrize(("crs", "lat"), [("EPSG:3413", 90.0), ("EPSG:3031", -90.0)])
def test_a_plan_may_hold_a_pole(tmp_path, crs, lat):
    scene = on_the_grid(tmp_path, crs, -450 * 0.9, 350 * 0.9, 0.9)
    plan = regions.plan([scene], tmp_path / "plan", crs=crs, gsd=0.9)
    run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    _, _, valid = pixels(tmp_path / "plan", "classes")
    assert valid.all() and valid.shape == (700, 900)
    assert {cell.bounds[3 if lat > 0 else 1] for cell in read_cells(tmp_path / "plan", plan)} == {lat}
    assert plan.sources[0].extent[0::2] == (-180, 180)


def test_areas_and_windows_agree_with_proj():
    grid = metric_grid("EPSG:2056", 0.5)
    lons, lats = [8.54, 8.55], [47.37, 47.38]
    rows, cols = grid.positions(lons, lats)
    xs, ys = transform(LONLAT, "EPSG:2056", lons, lats)
    assert cols * 0.5 == pytest.approx(xs) and -rows * 0.5 == pytest.approx(ys)
    (box,) = grid.degrees(
        [Window(int(rows[1]), int(cols[0]), int(rows[0] - rows[1]), int(cols[1] - cols[0]))]
    )
    assert box == pytest.approx((8.54, 47.37, 8.55, 47.38), abs=2e-4)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2263", "EPSG:99999", "utm32"])
def test_a_crs_without_metres_is_refused(sources, tmp_path, crs):
    with pytest.raises(UnusableCrs):
        regions.plan(sources, tmp_path / "plan", crs=crs)
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize("crs", ["EPSG:32648", "EPSG:3031"])
def test_a_scene_that_the_crs_does_not_reach_is_refused(sources, tmp_path, crs):
    with pytest.raises(UnusableCrs, match=r"west\.tif.*(on the ground|not defined)"):
        regions.plan(sources, tmp_path / "plan", crs=crs, gsd=0.9)


def test_web_tiles_and_their_options_stay_with_web_tiles(sources, reference, tmp_path, capsys):
    with pytest.raises(BadPlan, match="--tiles"):
        merge_plan(reference, tiles=True)
    for wanted in ({"crs": LAEA, "zoom": 17}, {"origin": (0.0, 0.0)}):
        with pytest.raises(BadPlan):
            regions.plan(sources, tmp_path / "plan", **wanted)
    plan = regions.plan(sources, tmp_path / "plan", crs="EPSG:3857", gsd=0.9)
    assert plan.zoom == 17
    model = str(tmp_path / "model")
    arguments = ["batch", "plan", str(sources[0]), str(tmp_path / "cli"), "--model", model, "--cell", "512"]
    assert main([*arguments, "--crs", LAEA, "--gsd", "1.5"]) == 0
    assert "1.5 m in EPSG:3035" in capsys.readouterr().out
    assert read_plan(tmp_path / "cli").grid == MetricGrid(LAEA, 1.5)


def test_nothing_of_a_run_is_lost_in_the_journal(reference):
    done = read_standing(reference).finished
    assert {outcome.state for outcome in done.values()} <= {"done", "empty"}
    assert set(done) == {cell.id for cell in read_cells(reference, read_plan(reference))}


@pytest.mark.parametrize("grid", [{}, {"crs": LAEA}])
def test_between_scenes_that_lie_apart_there_are_no_cells_and_no_pixels(tmp_path, grid):
    apart = [
        regions.scene(tmp_path / "a.tif", 11.99, 47.0, "EPSG:32632", 200, 200),
        regions.scene(tmp_path / "b.tif", 12.03, 47.02, "EPSG:32633", 200, 200, seed=2),
    ]
    plan = regions.plan(apart, tmp_path / "plan", gsd=0.9, **grid)
    cells = read_cells(tmp_path / "plan", plan)
    assert plan.cells <= 8, "at most four around each"
    assert {number for cell in cells for number in cell.sources} == {0, 1}
    run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    merge_plan(tmp_path / "plan")
    with rasterio.open(tmp_path / "plan" / "merged_classes.vrt") as file:
        mask = file.dataset_mask() != 0
        own = [source.window for source in plan.sources]
        assert min(mask.shape) > 2000 and 0 < mask.sum() <= sum(window.area for window in own)
        assert (file.read(1)[~mask] == 255).all()


def test_beyond_web_tiles_only_another_grid_helps(tmp_path):
    scene = on_the_grid(tmp_path, "EPSG:3413", -450 * 0.9, 350 * 0.9, 0.9)
    with pytest.raises(UnusableCrs, match="there are no web tiles"):
        regions.plan([scene], tmp_path / "plan")
    assert regions.plan([scene], tmp_path / "plan", crs="EPSG:3413", gsd=0.9).cells > 0


def test_web_tiles_end_at_85_degrees_and_a_plan_with_them(tmp_path):
    scene = regions.scene(tmp_path / "north.tif", 10.0, 85.053, "EPSG:32632", 500, 300)
    plan = regions.plan([scene], tmp_path / "plan", gsd=0.9)
    assert min(cell.row for cell in read_cells(tmp_path / "plan", plan)) == 0
    run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    _, _, valid = pixels(tmp_path / "plan", "colour")
    assert valid.mean() > 0.9
