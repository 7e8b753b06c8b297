"""The loss study: tables against oracles, counting on constructed tables, and a whole study of a model that knows."""

import json
from pathlib import Path

import numpy as np
import pytest

from sat2map import images
from sat2map.card import Ground
from sat2map.data.views import open_views
from sat2map.errors import BadDataset
from sat2map.evaluation import losses, matching
from sat2map.evaluation.sliced import sliced_distance
from sat2map.runtime import Translation
from sat2map.views.viewer import Viewer


def pictures(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth pictures with some texture."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).repeat(side // 4, 1).repeat(side // 4, 2)
    return np.clip(coarse + random.normal(0, 20, (count, side, side, 3)), 0, 255).astype(np.uint8)


def test_tables_hold_what_training_minimises() -> None:
    torch = pytest.importorskip("torch", reason="the other implementation is torch's")
    from sat2map.data.batches import to_tensor
    from sat2map.losses.views import VIEW_LOSSES

    one, two = pictures(3), pictures(4, seed=1)
    tables = matching.tables(one, two)
    a, b = to_tensor(one), to_tensor(two)
    for name, loss in VIEW_LOSSES.items():
        assert tables[name].shape == (3, 4)
        expected = [[float(loss(a[i : i + 1], b[j : j + 1])) for j in range(4)] for i in range(3)]
        assert np.allclose(tables[name], expected, rtol=1e-3, atol=1e-5), name
    assert torch.equal(VIEW_LOSSES["layout"](a, a), torch.tensor(0.0))


def test_structure_is_that_of_another_implementation() -> None:
    pytest.importorskip("torchmetrics", reason="the oracle comes with the [train] extra")
    from torchmetrics.functional.image import structural_similarity_index_measure as oracle

    from sat2map.data.batches import to_tensor

    one, two = pictures(1, 64), pictures(1, 64, seed=1)
    both = np.clip(0.7 * one + 0.3 * two, 0, 255).astype(np.uint8)
    _, full = oracle(to_tensor(both), to_tensor(one), data_range=2.0, return_full_image=True)
    expected = 1 - float(full[..., 5:-5, 5:-5].mean())  # windows that lie inside
    assert matching.tables(both, one)["ssim"][0, 0] == pytest.approx(expected, abs=2e-4)


def test_layout_sees_where_colours_are_and_texture_that_has_no_place() -> None:
    flat = np.full((1, 32, 32, 3), 128, np.uint8)
    left, right = flat.copy(), flat.copy()
    left[:, :, :16], right[:, :, 16:] = 220, 220
    moved = np.roll(left, 1, 2)
    table = matching.tables(left, np.concatenate([moved, right]))["layout"][0]
    assert table[0] < 0.5 * table[1]
    flat = np.full((1, 64, 64, 3), 128, np.uint8)
    # stripes against stripes that are shifted by half a period: every pixel differs, the texture does not
    stripes = flat + (np.arange(64) // 2 % 2 * 80).astype(np.uint8)[None, None, :, None]
    shifted = np.roll(stripes, 2, 2)
    plain = np.full_like(flat, 168)
    found = matching.tables(stripes, np.concatenate([shifted, plain]))
    assert found["layout"][0, 0] < found["layout"][0, 1]
    assert found["mse"][0, 0] > found["mse"][0, 1], "pixels say the opposite"


def test_counting() -> None:
    table = np.array([[1.0, 2, 3], [2, 1, 3], [3, 1, 2]])
    match = matching.judge(table, ["a", "b", "c"])
    assert (match.n, match.hits, match.share, match.chance) == (3, 2, 2 / 3, 1 / 3)
    assert match.order == (0, 0, 1) and match.nearest == (0, 1, 1)
    assert match.preferred == pytest.approx((1 + 1 + 0.5) / 3)
    tied = matching.judge(np.ones((4, 4)), ["a"] * 4)
    assert tied.hits == 0 and tied.preferred == 0.5, "who cannot tell has not found"
    assert matching.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert matching.wilson(0, 20)[0] == 0 < matching.wilson(0, 20)[1]


def test_a_table_of_chance_is_near_chance_and_places_widen_the_interval() -> None:
    random = np.random.default_rng(3)
    match = matching.judge(random.normal(size=(400, 400)), [str(n) for n in range(400)])
    assert match.hits <= 6, "one is expected"
    assert match.preferred_low < 0.5 < match.preferred_high
    lumps = (
        np.repeat(random.normal(size=40), 10)[:, None] * np.eye(400) + random.normal(size=(400, 400)) * 0.5
    )
    alone = matching.judge(lumps, [str(n) for n in range(400)])
    together = matching.judge(lumps, [str(n // 10) for n in range(400)])
    assert together.preferred_high - together.preferred_low > 1.5 * (
        alone.preferred_high - alone.preferred_low
    )


class Told:
    """A translator that draws the crop's own upper half as the view; or always the same."""

    def __init__(self, knows: bool) -> None:
        from tiny import card

        self.card = card(
            direction="sat2view", kind="rgb", palette=None, windowing="blend", receptive_radius=-1, halo=0, cell=32,
            stride=32, metres_per_pixel=1.0, id="told",
            ground=Ground(route="latent", height=32, width=32, field=75.0, side=32),
        )  # fmt: skip
        self.knows = knows

    def __call__(self, batch: np.ndarray, want: object) -> Translation:
        drawn = batch if self.knows else np.full_like(batch, 120)
        return Translation(colour=drawn)


@pytest.fixture
def views(tmp_path: Path) -> Path:
    for number, picture in enumerate(pictures(8)):
        turned = np.rot90(picture, number % 4)  # heading 90 · number: what lies ahead is up in the photo
        for folder, pixels in (("satellite", picture), ("ground", turned)):
            path = tmp_path / "views" / folder / f"{number}.png"
            images.write_image(path, np.ascontiguousarray(pixels), overwrite=False)
    lines = [f"{n},{90 * n % 360},1.0,place {n // 2}" for n in range(8)]
    (tmp_path / "views" / "views.csv").write_text("name,heading,metres,place\n" + "\n".join(lines) + "\n")
    return tmp_path / "views"


def test_a_model_that_knows_wins_every_row_and_one_that_does_not_wins_none(
    views: Path, tmp_path: Path
) -> None:
    found, seen = losses.study(Viewer(Told(True)), open_views(views), split="val")
    assert (found.n, found.places) == (8, 4)
    for loss, match in found.matches.items():
        assert match.hits == 8 and match.preferred == 1, loss
        assert len(found.first[loss]) == 8 and found.first[loss][1][1] == min(found.first[loss][1])
    losses.write_page(tmp_path / "page.html", found, seen)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "real 3" in text and "chance 12.5%" in text and text.count("photo of this place") >= 8
    assert json.loads(losses.to_json(found))["matches"]["layout"]["share"] == 1
    blind, _ = losses.study(Viewer(Told(False)), open_views(views), split="val")
    assert all(match.hits <= 1 and match.low <= match.chance for match in blind.matches.values())


def test_one_view_is_no_study(views: Path) -> None:
    with pytest.raises(BadDataset, match="two or more"):
        losses.study(Viewer(Told(True)), open_views(views), split="all", limit=1)


def test_the_sliced_distance_is_least_for_pictures_of_the_same_kind() -> None:
    one, two = pictures(24), pictures(24, seed=1)
    blurred = np.stack([images.resized(images.resized(p, 8, 8), 32, 32) for p in two])
    dark = (two // 3).astype(np.uint8)
    same = sliced_distance(one, two)
    assert sliced_distance(one, one) == 0 < same
    assert sliced_distance(one, blurred) > 1.1 * same and sliced_distance(one, dark) > 1.1 * same
    assert sliced_distance(one, two) == same, "the same draws"
