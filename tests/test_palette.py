"""Palettes: encode is the nearest colour, decode its inverse, and learning finds the flat colours of a map."""

import msgspec
import numpy as np
import pytest

from sat2map.errors import BadDataset
from sat2map.palette import CLASS_NAMES, MAPS, ROAD, WATER, Palette, learn


def brute_force(palette: Palette, rgb: np.ndarray) -> np.ndarray:
    distance = (rgb.reshape(-1, 1, 3).astype(int) - np.array(palette.colours)) ** 2
    return distance.sum(-1).argmin(-1).reshape(rgb.shape[:-1])


@pytest.mark.parametrize("seed", range(5))
def test_encode_is_the_nearest_colour_for_any_palette(seed):
    random = np.random.default_rng(seed)
    colours = tuple(tuple(int(v) for v in c) for c in random.integers(0, 256, (seed * 7 + 2, 3)))
    palette = Palette(colours, (0,) * len(colours))
    rgb = random.integers(0, 256, (200, 300, 3), np.uint8)
    assert (palette.encode(rgb) == brute_force(palette, rgb)).all()


def test_encode_agrees_near_the_palette_colours_themselves():
    random = np.random.default_rng(9)
    near = np.array(MAPS.colours)[random.integers(0, len(MAPS), 50_000)] + random.integers(
        -9, 10, (50_000, 3)
    )
    rgb = near.clip(0, 255).astype(np.uint8)
    assert (MAPS.encode(rgb) == brute_force(MAPS, rgb)).all()


def test_decode_then_encode_is_identity():
    index = np.arange(len(MAPS), dtype=np.uint8).reshape(1, -1)
    assert (MAPS.encode(MAPS.decode(index)) == index).all()


def test_json_round_trip():
    assert msgspec.json.decode(msgspec.json.encode(MAPS), type=Palette) == MAPS


def test_learned_palette_recovers_planted_colours_under_noise():
    random = np.random.default_rng(1)
    planted = np.array(MAPS.colours)[[0, 3, 4, 7, 10]]
    flat = planted[random.integers(0, 5, (4, 100, 100))]
    maps = [(m + random.integers(-2, 3, m.shape)).clip(0, 255).astype(np.uint8) for m in flat]
    found = learn(maps, 5)
    gaps = np.abs(np.array(found.colours)[:, None] - planted).max(-1)
    assert (gaps.min(0) <= 3).all() and found.names == CLASS_NAMES
    assert {ROAD, WATER} <= set(found.classes)


def test_flat_maps_have_a_palette_of_the_colours_that_they_have():
    flat = np.array(MAPS.colours, np.uint8)[[0, 3, 7, 10]]
    maps = [flat[np.random.default_rng(n).integers(0, 4, (9, 9))] for n in range(3)]
    found = learn(maps, 20)
    assert sorted(found.colours) == sorted(map(tuple, flat.tolist()))


def test_pictures_of_hardly_any_colour_are_no_maps():
    with pytest.raises(BadDataset, match="distinct colours"):
        learn([np.zeros((8, 8, 3), np.uint8)], 4)


@pytest.mark.parametrize("classes", [(0,), (0, 99)])
def test_palettes_that_contradict_themselves_are_refused(classes):
    with pytest.raises(BadDataset):
        Palette(((0, 0, 0), (9, 9, 9)), classes)


def test_the_scorers_table_is_ours(shared):
    scope: dict = {}
    source = (shared / "tools" / "score.py").read_text().split("def read")[0]
    table = source[source.index("PALETTE = ") :].split("COLOURS")[0]
    code = compile(table, "score-table", "exec")
    exec(code, scope)
    assert scope["PALETTE"] == list(zip(MAPS.colours, MAPS.classes, strict=True))
