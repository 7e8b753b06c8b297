"""What a plan is said to take: the formula of docs/scale.md, and what `batch plan` prints."""

import dataclasses
import json

import msgspec
import pytest

import regions
from sat2map.batch.described import TilesSource
from sat2map.batch.estimate import MEASURED, OVERLAP, RATES, Prices, Rates, cost_of, requests_of, told
from sat2map.batch.plan import Model, read_cells
from sat2map.bundle import find
from sat2map.cli.main import main
from sat2map.grid import Window


def test_costs_follow_the_formula():
    rates, prices = Rates(seconds=6.0, size=0.5, start=10.0), Prices(core_hour=0.1, gigabyte_month=0.02)
    cost = cost_of(100.0, rates, metres=0.5, workers=4, prices=prices)
    assert cost.megapixels == pytest.approx(400 * OVERLAP)
    assert cost.core_hours == pytest.approx((4 * 10 + 400 * OVERLAP * 6) / 3600)
    assert cost.gigabytes == pytest.approx(400 * OVERLAP * 0.5 / 1000)
    assert cost.money == pytest.approx(cost.core_hours * 0.1 + cost.gigabytes * 0.02)


def test_ten_times_the_area_takes_ten_times_as_much_but_for_the_start():
    rates = dataclasses.replace(RATES, start=0.0)
    small, large = cost_of(10, rates), cost_of(100, rates)
    assert large.core_hours == pytest.approx(10 * small.core_hours)
    assert large.money == pytest.approx(10 * small.money)


def test_a_plan_knows_its_pixels_and_says_what_they_take(tmp_path, capsys):
    scene = regions.scene(tmp_path / "scene.tif", 11.99, 47.0, "EPSG:32632", 600, 700)
    plan = regions.plan([scene], tmp_path / "plan", crs="EPSG:32632", gsd=0.9)
    assert plan.megapixels == pytest.approx(
        sum(cell.cost for cell in read_cells(tmp_path / "plan", plan)), abs=0.01
    )
    assert 600 * 700 / 1e6 <= plan.megapixels < 1.05 * 600 * 700 / 1e6
    assert told(plan) == "0.4 million px", "nothing was measured of the tiny model"
    shipped = msgspec.structs.replace(plan, model=Model(MEASURED, MEASURED, ""))
    assert "core minutes" in told(shipped) and "MB of rasters" in told(shipped)
    model = str(tmp_path / "model")
    assert main(["batch", "plan", str(scene), str(tmp_path / "cli"), "--model", model, "--cell", "512"]) == 0
    assert "million px" in capsys.readouterr().out


def test_the_measured_model_is_shipped():
    assert find(MEASURED).card.id == MEASURED


def test_fetching_takes_the_time_that_the_rate_asks_for(tmp_path):
    scene = regions.scene(tmp_path / "scene.tif", 11.99, 47.0, "EPSG:32632", 100, 100)
    plan = regions.plan([scene], tmp_path / "plan")
    tiles = TilesSource("a", "a", "17", Window(0, 0, 1, 1), 1200, (0, 0, 1, 1), Window(0, 0, 1, 1), rate=4.0)
    both = msgspec.structs.replace(plan, sources=(*plan.sources, tiles))
    assert requests_of(plan) == (0, 0) and requests_of(both) == (1200, 300.0)
    assert "1,200 tiles to fetch, at least 5.0 minutes" in told(both)


def test_the_page_has_the_figures_that_are_used(pytestconfig):
    page = (pytestconfig.rootpath / "docs" / "scale.md").read_text("utf-8")
    for value in (
        RATES.seconds,
        RATES.size,
        RATES.start,
        OVERLAP,
        Prices().core_hour,
        Prices().gigabyte_month,
    ):
        assert f"| {json.dumps(value)} |" in page, value
