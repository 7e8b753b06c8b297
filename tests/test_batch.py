"""A region is the same map however it is cut, whoever computes it, and whatever dies on the way."""

import json

import numpy as np
import pytest
import rasterio

import regions
from batches import Here, pixels, same_maps
from sat2map import mercator, storage
from sat2map.batch.cell import Worker
from sat2map.batch.journal import Outcome, read_standing, record
from sat2map.batch.merge import merge_plan
from sat2map.batch.mosaic import Mosaic
from sat2map.batch.plan import CELLS, RASTERS, PlannedCell, read_cells, read_plan
from sat2map.batch.rasters import _after_widest_gap
from sat2map.batch.run import run_plan
from sat2map.batch.status import prometheus_text, status_of
from sat2map.bundle import find
from sat2map.cli.main import main
from sat2map.errors import BadPlan, CellsMissing, CorruptFile
from sat2map.grid import Window
from sat2map.runtime import OnnxTranslator
from sat2map.scenes.tiles import open_mercator


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return regions.region(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def reference(sources, tmp_path_factory):
    """A plan of 512 px cells, computed here in order."""
    folder = tmp_path_factory.mktemp("batch") / "plan"
    regions.plan(sources, folder)
    run_plan(folder, lambda: Here(folder))
    return folder


def test_the_same_sources_give_the_same_plan_byte_for_byte(sources, reference, tmp_path):
    (tmp_path / "model").symlink_to(reference.parent / "model")
    again = regions.plan(sources, tmp_path / "plan")
    assert again.checksum == read_plan(reference).checksum
    assert (tmp_path / "plan" / CELLS).read_bytes() == (reference / CELLS).read_bytes()


def test_cells_cover_all_pixels_of_the_sources_and_no_others_are_planned(reference):
    plan = read_plan(reference)
    cells = read_cells(reference, plan)
    windows = [cell.window(plan.side) for cell in cells]
    for source in plan.sources:
        own = mercator.window_of(mercator.Degrees(*source.extent), plan.zoom)
        assert sum(own.shared(window).area for window in windows) == own.area
    assert len(set(windows)) == len(windows) and all(cell.cost > 0 for cell in cells)
    assert [(cell.row, cell.col) for cell in cells] == sorted((cell.row, cell.col) for cell in cells)


@pytest.mark.parametrize(("side", "shuffle"), [(1024, None), (512, 3), (2048, 1)])
def test_neither_size_nor_order_of_cells_changes_a_pixel(sources, reference, tmp_path, side, shuffle):
    folder = tmp_path / "plan"
    regions.plan(sources, folder, side=side, model=str(reference.parent / "model"))
    run_plan(folder, lambda: Here(folder), shuffle=shuffle)
    same_maps(reference, folder)
    same_maps(folder, reference)


def test_a_cell_with_more_scenes_than_are_kept_open_reads_all_of_them(
    sources, reference, tmp_path, monkeypatch
):
    monkeypatch.setattr("sat2map.batch.cell.KEPT_OPEN", 1)
    folder = tmp_path / "plan"
    plan = regions.plan(sources, folder, side=2048, model=str(reference.parent / "model"))
    assert max(len(cell.sources) for cell in read_cells(folder, plan)) > 1
    run_plan(folder, lambda: Here(folder))
    same_maps(reference, folder)


def test_a_single_scene_has_the_pixels_of_its_tiles(sources, reference, tmp_path):
    folder = tmp_path / "plan"
    plan = regions.plan(sources[:1], folder, model=str(reference.parent / "model"))
    run_plan(folder, lambda: Here(folder))
    translator = OnnxTranslator(find(str(reference.parent / "model")), threads=1)
    with open_mercator(translator, sources[0], ("classes",)) as scene:
        assert scene.zoom == plan.zoom
        for tile in mercator.tiles(scene.data, scene.zoom):
            expected = scene.tile(tile, "classes")
            _, values, valid = pixels(folder, "classes", tile.window)
            if expected is None:
                assert not valid.any()
                continue
            np.testing.assert_array_equal(valid, expected.valid)
            np.testing.assert_array_equal(values[..., 0][valid], expected.pixels[valid])


def test_where_scenes_overlap_the_first_one_is_seen(reference):
    worker = Worker(read_plan(reference), reference)
    plan, whole, overlapping = worker.plan, Window(0, 0, 512, 512), 0
    for cell in read_cells(reference, plan):
        layers = [
            layer
            for number in cell.sources
            for layer in worker.layers(number, cell.window(plan.side), cell.window(plan.side))
        ]
        if len(layers) < 2:
            continue
        (first, second), seen = [layer.valid(whole) for layer in layers], Mosaic(layers).read(whole)
        overlapping += int((first & second).sum())
        np.testing.assert_array_equal(seen[first], layers[0].read(whole)[first])
        np.testing.assert_array_equal(seen[second & ~first], layers[1].read(whole)[second & ~first])
    worker.close()
    assert overlapping > 1000


def test_a_scene_across_180_degrees_is_planned_on_both_sides(tmp_path):
    path = regions.scene(tmp_path / "fiji.tif", 179.9985, -17.0, "EPSG:32760", width=700)
    plan = regions.plan([path], tmp_path / "plan")
    cells = read_cells(tmp_path / "plan", plan)
    last = mercator.side(plan.zoom) // plan.side - 1
    assert {cell.col for cell in cells} >= {0, last} and all(0 <= cell.col <= last for cell in cells)
    run_plan(tmp_path / "plan", lambda: Here(tmp_path / "plan"))
    world, _, valid = pixels(tmp_path / "plan", "colour")
    assert world.width < 1200 and valid.mean() > 0.9
    done = read_standing(tmp_path / "plan").finished
    assert all(done[cell.id].state == "done" for cell in cells if cell.col in (0, last))


def test_an_area_of_interest_leaves_cells_out_and_changes_none(sources, reference, tmp_path):
    west, south, east, north = read_plan(reference).sources[0].extent
    folder = tmp_path / "plan"
    regions.plan(
        sources, folder, bbox=(west, south, (west + east) / 2, north), model=str(reference.parent / "model")
    )
    few, all_ = (read_cells(f, read_plan(f)) for f in (folder, reference))
    assert 0 < len(few) < len(all_) and set(few) < set(all_)
    with pytest.raises(BadPlan, match="no source has a pixel"):
        regions.plan(sources, tmp_path / "far", bbox=(1, 2, 3, 4), model=str(reference.parent / "model"))
    assert not (tmp_path / "far").exists()


def test_a_batch_that_is_done_computes_nothing_and_a_damaged_cell_is_computed_again(reference, tmp_path):
    import shutil

    folder = tmp_path / "plan"
    shutil.copytree(reference, folder)
    run_plan(folder, lambda: pytest.fail("there was nothing to do"))
    damaged = sorted((folder / RASTERS).glob("*_classes.tif"))[1]
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-10])
    engine = Here(folder)
    run_plan(folder, lambda: engine)
    assert engine.computed == [damaged.name.removesuffix("_classes.tif")] and damaged.read_bytes() == before


@pytest.mark.parametrize(
    ("spans", "start"),
    [([(10, 5)], 10), ([(10, 5), (12, 20), (60, 5)], 10), ([(95, 10)], 95), ([(0, 3), (40, 5), (95, 4)], 95),
     ([(2, 1), (95, 10)], 95), ([(0, 100)], 0)],
)  # fmt: skip
def test_a_frame_on_a_circle_begins_after_the_widest_gap(spans, start):
    assert _after_widest_gap(spans, 100) == start


def test_what_fails_once_is_tried_again_and_what_fails_twice_is_put_aside(sources, reference, tmp_path):
    folder = tmp_path / "plan"
    regions.plan(sources, folder, model=str(reference.parent / "model"))
    cells = read_cells(folder, read_plan(folder))
    tried: list[str] = []

    def spoil(cell: PlannedCell) -> Outcome | None:
        tried.append(cell.id)
        bad = cell.id == cells[1].id or (cell.id == cells[0].id and tried.count(cell.id) == 1)
        return Outcome(cell.id, "died", {}, "its process ended with exit code -9") if bad else None

    with pytest.raises(CellsMissing, match=f"1 of the cells.*{cells[1].id}.*exit code -9"):
        run_plan(folder, lambda: Here(folder, spoil))
    standing = read_standing(folder)
    assert list(standing.quarantined) == [cells[1].id] and tried.count(cells[1].id) == 2
    assert len(standing.finished) == len(cells) - 1
    with pytest.raises(CellsMissing, match=r"1 of \d+ cells are not done"):
        merge_plan(folder)
    run_plan(folder, lambda: Here(folder), retry=True)
    same_maps(reference, folder)


def test_a_source_that_changed_since_the_plan_poisons_its_own_cells_only(tmp_path):
    west = regions.scene(tmp_path / "west.tif", 11.98, 47.0, "EPSG:32632")
    east = regions.scene(tmp_path / "east.tif", 11.999, 47.0, "EPSG:32632", seed=2)
    folder = tmp_path / "plan"
    plan = regions.plan([west, east], folder)
    regions.scene(east, 11.999, 47.0, "EPSG:32632", seed=3)
    with pytest.raises(CellsMissing, match="has changed since"):
        run_plan(folder, lambda: Here(folder))
    cells = read_cells(folder, plan)
    assert set(read_standing(folder).quarantined) == {cell.id for cell in cells if 1 in cell.sources}


def test_the_virtual_raster_is_the_cells(reference):
    written = {path.name for path in merge_plan(reference)}
    assert {"merged.vrt", "merged_classes.vrt", "merged_confidence.vrt", "collection.json"} <= written
    for product in regions.PRODUCTS:
        name = "merged.vrt" if product == "colour" else f"merged_{product}.vrt"
        world, values, valid = pixels(reference, product)
        with rasterio.open(reference / name) as file:
            assert file.crs.to_epsg() == 3857
            np.testing.assert_array_equal(np.moveaxis(file.read(), 0, -1)[valid], values[valid])
            np.testing.assert_array_equal(file.dataset_mask() != 0, valid)
            box = mercator.bounds(world, read_plan(reference).zoom)
            assert np.allclose(file.bounds, (box.left, box.bottom, box.right, box.top), atol=1e-6)


def test_the_catalogue_names_rasters_sources_and_model(reference):
    merge_plan(reference)
    collection = json.loads((reference / "collection.json").read_bytes())
    items = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    plan = read_plan(reference)
    assert len(items) == sum(o.state == "done" for o in read_standing(reference).finished.values())
    assert json.loads((reference / "model.json").read_bytes())["id"] == plan.model.id
    for href in items:
        item = json.loads((reference / href).read_bytes())
        for asset in item["assets"].values():
            path = (reference / "items" / asset["href"]).resolve()
            assert asset["file:checksum"] == "1220" + storage.sha256(path)
        sources = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
        assert sources and set(sources) <= {source.path for source in plan.sources}


def test_vectors_are_those_of_the_whole(reference, sources, tmp_path):
    pytest.importorskip("pyogrio", reason="the vector extra is not installed")
    from pyogrio import raw

    folder = tmp_path / "plan"
    regions.plan(sources, folder, side=2048, model=str(reference.parent / "model"))
    run_plan(folder, lambda: Here(folder))
    merge_plan(folder, vectors=True)
    merge_plan(reference, vectors=True)
    for layer in ("roads", "buildings", "water"):
        one, other = (raw.read(f / "merged.gpkg", layer=layer) for f in (reference, folder))
        shapes = [sorted(bytes(shape) for shape in found[2]) for found in (one, other)]
        assert shapes[0] == shapes[1]


def test_the_archive_holds_the_tiles_that_a_job_of_the_scene_has(sources, reference, tmp_path):
    from pmtiles.reader import MmapSource, Reader

    folder = tmp_path / "plan"
    plan = regions.plan(sources[:1], folder, model=str(reference.parent / "model"))
    run_plan(folder, lambda: Here(folder))
    merge_plan(folder, tiles=True)
    translator, count = OnnxTranslator(find(str(reference.parent / "model")), threads=1), 0
    with open_mercator(translator, sources[0], regions.PRODUCTS) as scene:
        for product in regions.PRODUCTS:
            name = "merged.pmtiles" if product == "colour" else f"merged_{product}.pmtiles"
            with (folder / name).open("rb") as file:
                archive = Reader(MmapSource(file))
                for zoom in range(plan.zoom - 2, plan.zoom + 1):
                    for tile in mercator.tiles(mercator.at_zoom(scene.data, plan.zoom, zoom), zoom):
                        expected = scene.png(tile, product)
                        assert archive.get(tile.z, tile.x, tile.y) == expected
                        count += expected is not None
    assert count > 30


def test_the_status_adds_up_and_speaks_prometheus(reference):
    status = status_of(reference)
    assert status.done == status.cells == read_plan(reference).cells and not status.quarantined
    lines = dict(line.split() for line in prometheus_text(status).splitlines() if not line.startswith("#"))
    assert float(lines["sat2map_batch_cells"]) == status.cells == float(lines["sat2map_batch_cells_done"])


def test_a_watch_ends_when_nothing_is_left(reference, tmp_path, capsys, monkeypatch):
    import shutil

    folder = tmp_path / "plan"
    shutil.copytree(reference, folder)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:-2]))

    def work(seconds: float) -> None:
        assert seconds == 7
        left = len(lines) - len((folder / "journal.jsonl").read_text().splitlines())
        with (folder / "journal.jsonl").open("a") as file:
            file.write(lines[-left])

    monkeypatch.setattr("sat2map.cli.batch.time.sleep", work)
    assert main(["batch", "status", str(folder), "--watch", "7"]) == 0
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "cells done" in line]
    assert said == [str(len(lines) - 2), str(len(lines) - 1), str(len(lines))]


def test_the_last_attempt_decides_where_a_cell_stands(reference, tmp_path):
    """A cell that was done, lost its files and died twice is put aside until it is retried, and not also done."""
    plan = read_plan(reference)
    (cell, *_) = read_cells(reference, plan)
    done, died = Outcome(cell.id, "done", {"a.tif": "0" * 64}), Outcome(cell.id, "died", why="killed")
    for outcome in (done, died, died):
        record(tmp_path, outcome)
    standing = read_standing(tmp_path)
    assert set(standing.quarantined) == {cell.id} and not standing.finished
    assert not standing.missing([cell])
    assert standing.missing([cell], retry=True) == [cell]
    record(tmp_path, done)
    standing = read_standing(tmp_path)
    assert set(standing.finished) == {cell.id} and not standing.quarantined


def test_a_torn_journal_line_is_no_cell_and_other_cells_than_planned_are_refused(reference, tmp_path):
    import shutil

    folder = tmp_path / "plan"
    shutil.copytree(reference, folder)
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"cell":"torn","sta')
    assert "torn" not in read_standing(folder).finished
    record(folder, Outcome("x", "empty"))
    assert "x" in read_standing(folder).finished
    (folder / CELLS).write_bytes((folder / CELLS).read_bytes()[:-3])
    with pytest.raises(CorruptFile):
        run_plan(folder, lambda: Here(folder))


def test_cells_must_hold_whole_cells_of_the_network(sources, tmp_path):
    import tiny

    tiny.bundle(tmp_path / "large", cell=768, halo=8)
    with pytest.raises(BadPlan, match="768"):
        regions.plan(sources, tmp_path / "plan", model=str(tmp_path / "large"), side=512)
    assert not (tmp_path / "plan").exists()


def test_a_stac_item_collection_names_scenes(sources, tmp_path):
    items = [
        {"id": path.stem, "assets": {"thumbnail": {"href": "x.png"}, "visual": {"href": str(path)}}}
        for path in sources
    ]
    catalogue = tmp_path / "search.json"
    catalogue.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    plan = regions.plan([catalogue], tmp_path / "plan")
    assert [source.item for source in plan.sources] == ["west", "east"]
    items[0]["assets"]["visual"]["href"] = "https://example.com/a.tif"
    catalogue.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with pytest.raises(BadPlan, match="Download"):
        regions.plan([catalogue], tmp_path / "other")
