"""Pictures that share ground are found, others are not, and no split separates them."""

import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat2map.data.cache import PixelCache
from sat2map.data.overlaps import Overlap, blur, find_overlaps
from sat2map.data.pairs import PairedSet
from sat2map.data.places import PlaceMap, components, find_places, split_by_place
from sat2map.errors import BadDataset
from sat2map.images import write_image

SIDE = 240


def mosaic(seed: int, side: int = 900) -> np.ndarray:
    """Ground with blobs of many sizes, as a city from above has; uint8 (side, side, 3)."""
    random = np.random.default_rng(seed)
    noise = [blur(random.normal(0, 1, (side, side)).astype(np.float32), sigma) for sigma in (1.5, 4.0, 12.0)]
    grey = sum(layer / layer.std() for layer in noise)
    return np.clip(110 + 25 * grey, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def tile(ground: np.ndarray, row: int, col: int, seed: int = 0) -> np.ndarray:
    """Cut a tile and give it noise of its own, as lossy compression does."""
    noise = np.random.default_rng((seed, row, col)).normal(0, 2, (SIDE, SIDE, 1))
    return np.clip(ground[row : row + SIDE, col : col + SIDE] + noise, 0, 255).astype(np.uint8)


def test_overlapping_tiles_are_found_with_their_shift_and_others_are_not():
    one, other = mosaic(1), mosaic(2)
    corners = [(0, 0), (61, 93), (140, 10), (600, 600), (430, 655)]
    tiles = [tile(one, *corner) for corner in corners] + [tile(other, 0, 0), tile(other, 61, 93)]
    found = {(o.first, o.second): o for o in find_overlaps(tiles)}
    expected = {}
    for i, (row, col) in enumerate(corners):
        for j, (row2, col2) in enumerate(corners[:i]):
            if abs(row - row2) < SIDE and abs(col - col2) < SIDE:
                expected[j, i] = (row2 - row, col2 - col)
    expected[5, 6] = (-61, -93)
    assert found.keys() == expected.keys()
    for couple, (rows, cols) in expected.items():
        assert abs(found[couple].rows - rows) <= 2 and abs(found[couple].cols - cols) <= 2
        share = (SIDE - abs(rows)) * (SIDE - abs(cols)) / SIDE**2
        assert found[couple].share == pytest.approx(share, abs=0.03)


def test_featureless_and_identical_pictures_do_not_mislead():
    water = np.full((SIDE, SIDE, 3), 40, np.uint8)
    town = tile(mosaic(3), 0, 0)
    found = find_overlaps([water, town, water, town])
    assert [(o.first, o.second, o.rows, o.cols, o.share) for o in found] == [(1, 3, 0, 0, 1.0)]


def test_endless_repetition_stays_bounded():
    pattern = np.tile(tile(mosaic(4), 0, 0)[:24, :24], (10, 10, 1))
    assert len(find_overlaps([pattern] * 4)) <= 6


links = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40)


@given(links)
def test_components_join_what_is_linked_and_nothing_else(edges):
    labels = components(30, edges)
    assert all(labels[a] == labels[b] for a, b in edges)
    assert len(set(labels)) >= 30 - len(edges)
    reach = np.eye(30, dtype=bool)
    for a, b in edges:
        reach[a, b] = reach[b, a] = True
    for _ in range(5):
        reach = reach @ reach
    assert all((labels[a] == labels[b]) == reach[a, b] for a in range(30) for b in range(30))


def place_map(edges: list[tuple[int, int]], count: int) -> PlaceMap:
    looks = np.random.default_rng(0).normal(size=(count, 12))
    overlaps = tuple(Overlap(a, b, 0, 0, 0.5, 0.99) for a, b in edges if a != b)
    return PlaceMap("key", overlaps, tuple(tuple(row) for row in looks.tolist()))


@given(links, st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_no_split_separates_two_pictures_of_the_same_ground(edges, share, seed):
    places = place_map(edges, 30)
    try:
        train, dev, apart = split_by_place(places, share, seed)
    except BadDataset:
        return  # everything hangs together; the tests below show that this is not the rule
    assert sorted(train + dev + apart) == list(range(30))
    for a, b in edges:
        assert not ({a, b} & set(train) and {a, b} & set(dev))
    assert split_by_place(places, share, seed) == (train, dev, apart)


def test_many_small_places_are_divided_whole_and_in_the_share_asked_for():
    places = place_map([(3 * k, 3 * k + 1) for k in range(100)], 300)
    train, dev, apart = split_by_place(places, 0.1, 1)
    assert apart == () and 27 <= len(dev) <= 30 and len(train) + len(dev) == 300
    assert split_by_place(places, 0.1, 2).dev != dev


def test_one_large_place_is_cut_and_the_pictures_along_the_cut_stand_apart():
    side = 20  # a grid of tiles, each sharing ground with its four neighbours
    edges = [(r * side + c, r * side + c + 1) for r in range(side) for c in range(side - 1)]
    edges += [(r * side + c, (r + 1) * side + c) for r in range(side - 1) for c in range(side)]
    train, dev, apart = split_by_place(place_map(edges, side * side), 0.1, 0)
    assert len(dev) == 40
    assert 0 < len(apart) <= 20  # a compact piece: a line of 40 in the open would have about 80 neighbours
    assert not any({a, b} & set(train) and {a, b} & set(dev) for a, b in edges)


def test_the_development_side_looks_like_the_whole():
    places = place_map([], 400)
    looks = np.array(places.looks)
    dev = split_by_place(places, 0.1, 0).dev
    random = [np.random.default_rng(s).choice(400, 40, replace=False) for s in range(50)]
    offs = [np.linalg.norm(looks[chosen].mean(0)) for chosen in random]
    assert np.linalg.norm(looks[list(dev)].mean(0)) < np.median(offs)


def test_impossible_shares_are_refused():
    for share in (0.0, 1.0, 0.001):
        with pytest.raises(BadDataset, match="share"):
            split_by_place(place_map([], 30), share)
    with pytest.raises(BadDataset, match="one place"):
        split_by_place(place_map([(0, k) for k in range(1, 30)], 30), 0.5)


def test_places_are_kept_beside_the_pixels_and_found_again(tmp_path: pathlib.Path):
    ground = mosaic(5)
    for number, corner in enumerate([(0, 0), (80, 60), (500, 500)]):
        sat = tile(ground, *corner)
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        write_image(folder / f"{number}.png", np.concatenate([sat, sat // 2], 1), overwrite=False)
    cache = PixelCache.build(PairedSet.open(tmp_path / "set"), tmp_path / "cache")
    seen: list[tuple[int, int]] = []
    first = find_places(cache, lambda *at: seen.append(at))
    assert first.labels() == (0, 0, 1) and seen[-1] == (6, 6) and seen == sorted(seen)
    kept = next(cache.folder.glob("places-*.json"))
    assert find_places(cache, lambda *at: pytest.fail("computed again")) == first
    kept.write_bytes(kept.read_bytes()[:-20])
    assert find_places(cache) == first


def test_real_tiles_of_two_regions_share_no_ground_and_neighbours_do(shared, tmp_path):
    """The `maps` validation tiles were cut from another latitude band than the training tiles (Isola et al. 2017)."""
    every = PairedSet.open(shared / "data" / "maps")
    names = {"train/127", "train/861", "train/981", "train/288", *(f"val/{n}" for n in range(1, 13))}
    few = PairedSet(every.folder, [pair for pair in every if pair.name in names])
    cache = PixelCache.build(few, tmp_path)
    found = find_places(cache).overlaps
    couples = {frozenset((cache.names[o.first], cache.names[o.second])) for o in found}
    assert {frozenset(("train/127", "train/861")), frozenset(("train/288", "train/981"))} <= couples
    assert not [o for o in found if cache.names[o.first][:3] != cache.names[o.second][:3]]
