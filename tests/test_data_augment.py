"""Properties of the variations that training sees."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="batches need the train extra")

from sat2map.data.augment import Light, Warp, draw_warp
from sat2map.data.batches import BatchMaker
from sat2map.palette import MAPS

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)


def picture(seed: int, side: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_no_change_is_the_very_picture():
    assert Light().vary(RAMP, np.random.default_rng(0)) is RAMP


@pytest.mark.parametrize("light", [Light(gain=0.3), Light(contrast=0.3), Light(gain=0.2, contrast=0.2)])
def test_light_keeps_the_order_of_levels(light):
    for seed in range(8):
        changed = light.vary(RAMP, np.random.default_rng(seed)).reshape(256, 3).astype(int)
        assert (np.diff(changed, axis=0) >= 0).all() and not (changed == RAMP.reshape(256, 3)).all()


def test_saturation_leaves_grey_alone_and_moves_colours_along_their_line_to_grey():
    light = Light(saturation=0.5)
    for seed in range(8):
        assert (abs(light.vary(RAMP, np.random.default_rng(seed)).astype(int) - RAMP) <= 1).all()
    red = np.full((4, 4, 3), (140, 100, 100), np.uint8)
    spreads = [int(np.ptp(light.vary(red, np.random.default_rng(seed))[0, 0])) for seed in range(8)]
    assert min(spreads) < 40 < max(spreads)


def test_a_warp_without_zoom_or_angle_is_a_crop():
    source = picture(1)
    for layer in (source, source[..., 0]):
        assert (Warp(10 + 7.5, 20 + 7.5, 16, 1.0, 0.0).apply(layer) == layer[10:26, 20:36]).all()


def test_a_quarter_turn_is_rot90():
    source = picture(2, 33)
    for layer in (source, source[..., 0]):
        assert (Warp(16, 16, 33, 1.0, np.pi / 2).apply(layer) == np.rot90(layer, -1)).all()


def test_beyond_the_edge_both_kinds_of_layer_are_reflected_alike():
    source = picture(3, 8)
    wide = Warp(3.5, 3.5, 24, 1.0, 0.0)
    assert (wide.apply(source)[..., 0] == np.pad(source[..., 0], 8, "symmetric")).all()
    assert (wide.apply(source[..., 0]) == np.pad(source[..., 0], 8, "symmetric")).all()


def test_drawn_squares_lie_inside_where_they_can():
    random, drawn = np.random.default_rng(0), 0
    for _ in range(200):
        warp = draw_warp(random, 100, 90, 40, 0.2)
        if warp is None:
            continue
        drawn += 1
        half = warp.zoom * 19.5 * (abs(np.cos(warp.angle)) + abs(np.sin(warp.angle)))
        assert half - 1e-6 <= warp.row <= 99 - half + 1e-6 and half - 1e-6 <= warp.col <= 89 - half + 1e-6
        assert np.exp(-0.2) <= warp.zoom <= np.exp(0.2)
    assert 70 < drawn < 130


class Halves:
    """One pair whose two halves are the same street map: any disagreement comes from the warp."""

    def __len__(self) -> int:
        return 1

    def street(self, number: int) -> np.ndarray:
        blocks = np.random.default_rng(7).integers(0, len(MAPS), (12, 12), np.uint8)
        return MAPS.decode(blocks.repeat(12, 0).repeat(12, 1))

    sat = street

    def index(self, number: int) -> np.ndarray:
        return MAPS.encode(self.street(number))


def test_pictures_and_indices_of_a_warped_sample_agree_away_from_edges():
    maker = BatchMaker(Halves(), [0], seed=1, batch=4, crop=64, palette=True, turns=True, scale=0.3)
    for seen in range(0, 24, 4):
        batch = maker(seen)
        assert batch.source.equal(batch.target)
        street = ((batch.target + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        decoded = MAPS.decode(batch.palette_index.numpy().astype(np.uint8))
        assert (abs(street.astype(int) - decoded).max(-1) <= 1).mean() > 0.7


def test_crops_of_unwarped_samples_are_those_of_a_run_without_warps():
    plain = BatchMaker(Halves(), [0], seed=1, batch=1, crop=64, palette=True)
    warped = BatchMaker(Halves(), [0], seed=1, batch=1, crop=64, palette=True, scale=0.3)
    same = [plain(i).source.equal(warped(i).source) for i in range(60)]
    assert 15 < sum(same) < 45


def test_crops_are_parts_of_the_picture():
    maker = BatchMaker(Halves(), [0], seed=1, batch=1, crop=64, mirror=False)
    whole = Halves().street(0)
    crops = {
        whole[row : row + 64, col : col + 64].tobytes()
        for row in range(whole.shape[0] - 63)
        for col in range(whole.shape[1] - 63)
    }
    for seen in range(20):
        shown = ((maker(seen).target[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        assert shown.tobytes() in crops
