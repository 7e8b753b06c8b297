"""A network of your own over scenes of any size, without seams: all that is asked of it is to be a Translator.

The "network" here calls green what is greener than it is red or blue, averaged over 9 x 9 px. Put yours in its
place: JAX, scikit-learn, an HTTP call. What the card says of it is what joins windows exactly: `receptive_radius`, how
many pixels an output looks at beyond its own, and `halo`, at least as many.

    python examples/own_network.py photo.png green.png
"""

import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np

from sat2map.card import ModelCard, Training
from sat2map.images import read_image, write_image
from sat2map.palette import GREEN, LAND, Palette
from sat2map.runtime import Translation
from sat2map.scenes.pictures import translate_image

REACH = 4  # px to each side
CARD = ModelCard(
    id="greenness", title="Greenness", direction="sat2map", kind="palette", architecture="mean", parameters={},
    parameter_count=0, metres_per_pixel=0.9, palette=Palette(((233, 229, 222), (203, 223, 172)), (LAND, GREEN)),
    stride=1, receptive_radius=REACH, halo=REACH, cell=256, licence="Apache-2.0", created="2026-12-01T00:00:00Z",
    training=Training("none", "none", pairs=0, recipe={}, images_seen=0, hours=0.0, versions={}),
)  # fmt: skip


class Greenness:
    """Implements the protocol `sat2map.runtime.Translator`."""

    card = CARD

    def __call__(self, batch: np.ndarray, want: Collection[str]) -> Translation:
        """uint8 (N, H, W, 3) -> the fields that are wanted."""
        red, green, blue = np.moveaxis(batch.astype(np.float32), -1, 0)
        excess = green - (red + blue) / 2  # (N, H, W)
        padded = np.pad(excess, ((0, 0), (REACH, REACH), (REACH, REACH)), "edge")
        squares = np.lib.stride_tricks.sliding_window_view(padded, (2 * REACH + 1,) * 2, axis=(1, 2))
        share = 1 / (1 + np.exp(-(squares.mean((-2, -1)) - 4) / 2))  # how green, 0 to 1
        index = (share > 0.5).astype(np.uint8)
        fields = {
            "index": index,
            "colour": CARD.palette.decode(index),
            "confidence": np.rint(100 * np.maximum(share, 1 - share)).astype(np.uint8),
            "probabilities": np.stack([1 - share, share], 1),
        }
        return Translation(**{name: values for name, values in fields.items() if name in want})


def main(source: Path, target: Path) -> None:
    """Translate in small windows, and show that they are those of one large window."""
    picture = read_image(source)
    pieces = translate_image(Greenness(), picture, window=256)["colour"]
    at_once = translate_image(Greenness(), picture, window=1 << 20)["colour"]
    print("windows join without seams:", bool((pieces == at_once).all()))
    write_image(target, pieces, overwrite=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
