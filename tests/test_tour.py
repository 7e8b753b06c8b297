"""A tour shows what its models make, measures the way back, and is made whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

import fakes
import tiny
from sat2map.cli.main import main
from sat2map.errors import UnsuitableModel
from sat2map.grid import Window
from sat2map.images import read_image
from sat2map.runtime import Translation
from sat2map.tour import require_pair, sheet, visit, write_tour
from sat2map.worlds import Town, World, paint


class Same:
    """A translator that changes nothing, so that the way back is known."""

    def __init__(self, direction: str) -> None:
        self.card = fakes.card(direction=direction, kind="rgb", palette=None)

    def __call__(self, batch: np.ndarray, want: object) -> Translation:
        return Translation(colour=batch)


def test_the_way_back_is_perfect_where_nothing_is_changed() -> None:
    stop = visit(Town(3, "grid"), Same("map2sat"), Same("sat2map"), 90, 0.9, 1)
    assert np.array_equal(stop.street, stop.again)
    assert stop.figures["miou6"] > 0.3  # classes that the window does not have count as 0
    assert stop.figures["road_f1_3px"] == 1
    window = Window(-50, -50, 100, 100)
    assert np.array_equal(stop.street, paint(World(Town(3, "grid")), window).street), "the world's own pixels"


@pytest.mark.parametrize(
    ("painter", "mapper", "gsd"),
    [("sat2map", "sat2map", 0.9), ("map2sat", "map2sat", 0.9), ("map2sat", "sat2map", 2.0)],
)
def test_models_that_do_not_fit_are_refused_before_anything_is_written(
    painter: str, mapper: str, gsd: float, tmp_path: Path
) -> None:
    with pytest.raises(UnsuitableModel):
        require_pair(Same(painter), Same(mapper), gsd)
    with pytest.raises(UnsuitableModel):
        write_tour(
            tmp_path / "tour", [Town(1)], Same(painter), Same(mapper), 90, gsd, 1, lambda *_: None,
            overwrite=False,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_the_command_makes_one_page_of_many_towns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.bundle(tmp_path / "back")
    tiny.bundle(tmp_path / "there", direction="map2sat", kind="rgb", palette=None)
    out = tmp_path / "tour"
    command = ["imagine", str(out), "--tour", "2", "--seed", "5", "--size", "90", "-j", "1", "--json"]
    command += ["--model", str(tmp_path / "there"), "--back", str(tmp_path / "back")]
    assert main(command) == 0
    summary = json.loads(capsys.readouterr().out)
    told = json.loads((out / "tour.json").read_text())
    assert summary["towns"] == told["n"] == 2
    assert summary["figures"] == told["figures"]
    assert [row["town"]["seed"] for row in told["towns"]] == [5, 6]
    assert len({row["town"]["style"] for row in told["towns"]}) == 2, "styles in turn"
    page = (out / "index.html").read_text()
    for row in told["towns"]:
        for file in (f"{row['name']}-map.png", f"{row['name']}-imagery.jpg", f"{row['name']}-again.png"):
            assert f'src="{file}"' in page
            assert read_image(out / file).shape == (100, 100, 3)
    assert read_image(out / "sheet.jpg").shape == (200, 2 * 600 + 10, 3)
    assert main(command) == 2, "an existing tour is not replaced unasked"
    assert main([*command, "--overwrite"]) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    command[1] = str(tmp_path / "mine")
    assert main([*command, "--overwrite"]) == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_sheet_holds_every_picture_where_it_belongs() -> None:
    strips = [[np.full((8, 8, 3), 10 * town + part, np.uint8) for part in range(3)] for town in range(3)]
    made = sheet(strips)
    assert made.shape == (2 * 8 + 10, 2 * 24 + 10, 3)
    for town in range(3):
        top, left = town // 2 * 18, town % 2 * 34
        for part in range(3):
            square = made[top : top + 8, left + 8 * part : left + 8 * part + 8]
            assert (square == 10 * town + part).all()
    assert (made[18:, 34:] == 255).all(), "the place of a fourth town is empty"


def test_options_of_other_results_are_refused(tmp_path: Path) -> None:
    assert main(["imagine", str(tmp_path / "out"), "--tour", "2", "--views"]) == 2
    assert main(["imagine", str(tmp_path / "out"), "--back", "carto"]) == 2
    assert not list(tmp_path.iterdir())
