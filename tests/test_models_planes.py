"""Class planes say what the colours of a map mean, softly, and leave the picture itself as it is."""

import numpy as np
import torch

from sat2map.models import build_discriminator, build_generator
from sat2map.models.planes import CLASSES, ClassPlanes
from sat2map.palette import BUILDING, LAND, MAPS, ROAD


def levels(*colours: tuple[float, ...]) -> torch.Tensor:
    """One row of pixels (1, 3, 1, W) in [-1, 1] of colours in levels."""
    return torch.tensor(colours).float().T[None, :, None] / 127.5 - 1


def test_every_colour_of_the_table_has_its_class() -> None:
    planes = ClassPlanes()(levels(*MAPS.colours))[0, 3:, 0]  # (CLASSES, K)
    assert planes.argmax(0).tolist() == list(MAPS.classes)
    assert planes.amin() >= -1 and planes.amax() <= 1
    torch.testing.assert_close(((planes + 1) / 2).sum(0), torch.ones(len(MAPS.colours)))


def test_random_colours_have_the_class_that_scoring_gives_them() -> None:
    random = np.random.default_rng(0)
    colours = random.integers(150, 256, (40, 50, 3), dtype=np.uint8)
    picture = torch.from_numpy(colours).permute(2, 0, 1)[None].float() / 127.5 - 1
    shares = ClassPlanes()(picture)[0, 3:]
    ours, theirs = shares.argmax(0).numpy(), MAPS.to_classes(MAPS.encode(colours))
    sure = (
        shares.amax(0).numpy() > 0
    )  # more than half: between two colours of one class, the sum may decide otherwise
    assert sure.mean() > 0.8
    assert (ours == theirs)[sure].mean() > 0.97


def test_between_two_colours_the_planes_pass_from_one_to_the_other() -> None:
    land, road = np.array(MAPS.colours[0]), np.array(MAPS.colours[3])
    mixed = [tuple(land + (road - land) * share) for share in np.linspace(0, 1, 9)]
    planes = ClassPlanes()(levels(*mixed))[0, 3:, 0]
    assert bool((planes[LAND].diff() < 1e-6).all())
    assert bool((planes[ROAD].diff() > -1e-6).all())
    assert planes[BUILDING].argmax() not in (0, 8), "half-way between them lies the colour of buildings"


def test_colours_and_all_other_channels_come_through() -> None:
    pair = torch.rand(2, 6, 8, 8) * 2 - 1
    out = ClassPlanes()(pair)
    assert out.shape == (2, 6 + CLASSES, 8, 8)
    assert torch.equal(out[:, :6], pair)


def test_networks_with_planes_see_what_they_could_not_see_before() -> None:
    """A building beside land, eight levels apart: planes show it five times as large, or larger."""
    land, building = levels(MAPS.colours[0]), levels(MAPS.colours[2])
    planes = ClassPlanes()
    apart = (planes(land) - planes(building)).norm() / (land - building).norm()
    assert apart > 5
    torch.manual_seed(0)
    generator = build_generator(
        "carto", 3, {"planes": True, "widths": [8, 8], "encoder": [1, 1], "decoder": [1]}
    )
    judge = build_discriminator("folded", 6, {"planes": True, "widths": [8, 8]})
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    scores, _ = judge(torch.cat([picture, generator(picture)], 1))
    scores.mean().backward()
    assert all(weight.grad is not None for weight in generator.parameters())
    assert not any("planes" in name for name in generator.state_dict()), "the table is code, not weights"
