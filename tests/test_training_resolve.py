"""A recipe says the most; what pictures have less of gives way before training, and nothing else changes."""

import pytest

pytest.importorskip("torch", reason="training needs the [train] extra")

import msgspec

from sat2map.training.recipe import load_recipe, override
from sat2map.training.resolve import with_colours, with_finish

CARTO = load_recipe("carto")  # 256 px, finish at 448 px and batch 2


@pytest.mark.parametrize(
    ("side", "crop", "batch"), [(600, 448, 2), (448, 448, 2), (400, 384, 3), (330, 320, 4)]
)
def test_the_finish_has_crops_that_fit(side, crop, batch):
    found = with_finish(CARTO, side).data.finish
    assert found is not None and (found.crop, found.batch) == (crop, batch)
    assert found.start == CARTO.data.finish.start


@pytest.mark.parametrize("side", [256, 300, 100])
def test_pictures_no_larger_than_the_crops_of_the_beginning_have_no_finish(side):
    found = with_finish(CARTO, side)
    assert found.data.finish is None
    assert msgspec.structs.replace(found.data, finish=CARTO.data.finish) == CARTO.data


def test_recipes_without_a_finish_or_with_pictures_of_their_own_size_stay():
    paper = load_recipe("pix2pix-paper")
    loaded = override(CARTO, ["data.load=300"])
    assert with_finish(paper, 100) is paper and with_finish(loaded, 100) is loaded


def test_colours_change_the_palette_alone():
    found = with_colours(CARTO, 9)
    assert found.objective.palette == 9
    assert with_colours(found, CARTO.objective.palette) == CARTO
