"""Pictures of the training's kind are familiar, others are announced, and a card carries the knowledge."""

import msgspec
import numpy as np
import pytest

from fakes import FakeTranslator
from sat2map.familiar import CELL, MOST_CELLS, Familiar, cells_of, learn, windows
from sat2map.images import read_image
from sat2map.palette import MAPS
from sat2map.scenes.familiarity import warn
from sat2map.scenes.pictures import Picture


def town(seed: int, side: int = 300) -> np.ndarray:
    """A street map of noise: blocks, streets, a park or two, in exact colours with slight JPEG-like noise."""
    random = np.random.default_rng(seed)
    index = np.zeros((side, side), np.uint8)
    for _ in range(30):
        row, col = random.integers(0, side, 2)
        index[row : row + 12, col : col + 20] = 2
    for at in random.integers(0, side, 8):
        index[at : at + 9] = 3
        index[:, side - at : side - at + 7] = 3
    row = int(random.integers(0, side - 60))
    index[row : row + 50, 20:90] = 7 if seed % 2 else 10
    noise = random.integers(-2, 3, (side, side, 3))
    return np.clip(MAPS.decode(index).astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def familiar() -> Familiar:
    return learn(map(town, range(60)), map(town, range(100, 130)), MAPS.colours)


def judge(familiar: Familiar, picture: np.ndarray):
    return familiar.judge(cells_of(picture))


def test_pictures_of_the_same_kind_are_familiar(familiar):
    verdicts = [judge(familiar, town(seed)) for seed in range(200, 240)]
    assert sum(verdict.strange for verdict in verdicts) <= 2
    assert not any(verdict.sentence() for verdict in verdicts if not verdict.strange)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: 255 - picture,
        lambda picture: picture[..., ::-1],
        lambda picture: np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8),
        lambda picture: picture[..., 1:2].repeat(3, -1) // 2,
    ],
    ids=["inverted", "channels swapped", "noise", "dark grey"],
)
def test_other_colours_are_announced_with_their_share(familiar, change):
    for seed in range(3):
        verdict = judge(familiar, np.ascontiguousarray(change(town(seed))))
        assert verdict.strange and verdict.colours > 1
        assert f"{verdict.off_palette:.0%}" in verdict.sentence()


def test_right_colours_in_the_wrong_structure_are_announced(familiar):
    scattered = MAPS.decode(np.random.default_rng(0).integers(0, len(MAPS), (300, 300), np.uint8))
    verdict = judge(familiar, scattered)
    assert verdict.colours <= 1 < verdict.distance and "times as far" in verdict.sentence()


def test_knowledge_survives_the_card(familiar):
    again = msgspec.json.decode(msgspec.json.encode(familiar), type=Familiar)
    assert again == familiar and judge(again, town(5)) == judge(familiar, town(5))
    assert len(msgspec.json.encode(familiar)) < 16_000


@pytest.mark.parametrize("size", [(10, 10), (256, 256), (255, 3000), (5000, 4000)])
def test_windows_are_few_whole_and_inside(size):
    found = windows(*size)
    assert 1 <= len(found) <= MOST_CELLS and len(set(found)) == len(found)
    for window in found:
        assert window.row >= 0 and window.row + window.height <= size[0]
        assert window.col >= 0 and window.col + window.width <= size[1]
        assert (window.height, window.width) == (min(CELL, size[0]), min(CELL, size[1]))


def test_the_user_is_told_once_and_only_about_what_is_strange(familiar):
    told: list[str] = []
    card = msgspec.structs.replace(FakeTranslator().card, familiar=familiar)
    warn(card, Picture(town(300)), "town.png", told.append)
    assert told == []
    warn(card, Picture(255 - town(300)), "night.png", told.append)
    assert len(told) == 1 and told[0].startswith("night.png is unlike")
    warn(card, Picture(255 - town(300)), "night.png", told.append, blank=lambda window: True)
    warn(msgspec.structs.replace(card, familiar=None), Picture(255 - town(300)), "night.png", told.append)
    assert len(told) == 1


def test_real_maps_are_told_from_photographs(shared):
    files = sorted((shared / "data" / "maps" / "train").glob("*.jpg"))
    train = [read_image(path)[:, 600:] for path in files[:400:10]]
    held_out = [read_image(path)[:, 600:] for path in files[600::25]]
    val = [read_image(path) for path in sorted((shared / "data" / "maps" / "val").glob("*.jpg"))[::5]]
    known = learn(train, held_out, MAPS.colours)
    assert sum(judge(known, pair[:, 600:]).strange for pair in val) <= 1
    assert all(judge(known, pair[:, :600]).strange for pair in val)
