"""The kind of scene, by a network trained on Places365 (Zhou et al. 2017, doi:10.1109/TPAMI.2017.2723009).

A float32 input is taken for one that torchvision's conventions prepare: RGB, 0 to 1, minus the mean of ImageNet, by its
deviation. A uint8 input gets RGB 0-255 as it is. Scores or probabilities come out, one per label.
"""

from pathlib import Path

import numpy as np

from sat2map import images
from sat2map.collect.funnel.boxes import Float32, UInt8
from sat2map.collect.funnel.networks import Network
from sat2map.errors import BadNetwork, FileMissing

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
LEAST = 0.005  # probabilities below are not worth noting

# The outdoor scenes of Places365 in which nature, wild or farmed, is the subject.
NATURAL = (
    "badlands", "bamboo_forest", "beach", "butte", "canyon", "cliff", "coast", "corn_field",
    "creek", "desert/sand", "desert/vegetation", "desert_road", "farm", "field/cultivated",
    "field/wild", "field_road", "forest/broadleaf", "forest_path", "forest_road", "glacier",
    "grotto", "hayfield", "hot_spring", "ice_floe", "iceberg", "islet", "lagoon", "lake/natural",
    "lawn", "marsh", "mountain", "mountain_path", "mountain_snowy", "ocean", "orchard", "pasture",
    "pond", "rainforest", "rice_paddy", "river", "rock_arch", "sky", "snowfield", "swamp",
    "tree_farm", "tundra", "valley", "vineyard", "volcano", "waterfall", "watering_hole", "wave",
    "wheat_field",
)  # fmt: skip


class Scenes:
    """Names the scenes that a picture may show."""

    def __init__(self, path: Path, labels: Path, threads: int = 1) -> None:
        """Open the network and its labels. Raises FileMissing, BadNetwork."""
        self.network = Network(path, threads=threads, side=224)
        self.labels = read_labels(labels)

    def __call__(self, pixels: UInt8) -> dict[str, float]:
        """RGB `uint8 (H, W, 3)` to probabilities by label, the likeliest first, without the least ones.

        The middle square of the picture is looked at. Raises BadNetwork if the scores are not one per label.
        """
        square = images.resized(_middle(pixels), self.network.height, self.network.width)
        given = square if self.network.dtype is np.uint8 else (square / np.float32(255) - _MEAN) / _DEVIATION
        scores = next(iter(self.network(given.transpose(2, 0, 1)).values())).reshape(-1)
        if len(scores) != len(self.labels):
            raise self.network.wrong(f"gives {len(scores)} scores, and there are {len(self.labels)} labels")
        chances = probabilities(scores)
        order = [int(i) for i in np.argsort(-chances, kind="stable") if chances[i] >= LEAST]
        return {self.labels[i]: round(float(chances[i]), 4) for i in order}


def _middle(pixels: UInt8) -> UInt8:
    side = min(pixels.shape[:2])
    row, col = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[row : row + side, col : col + side]


def probabilities(scores: Float32) -> Float32:
    """Return scores as probabilities: as they are if they are some already, else their softmax."""
    if scores.min() >= 0 and abs(float(scores.sum()) - 1) < 1e-3:
        return scores
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum(), np.float32)


def read_labels(path: Path) -> list[str]:
    """Read names, one in a line, in the order of the scores; `/a/alley 4` as Places365 writes it is `alley`.

    Raises FileMissing, BadNetwork.
    """
    if not path.is_file():
        raise FileMissing(f"there are no labels {path}", "Check the path.")
    names = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        words = line.split()
        if words:
            name = words[0]
            names.append(name[3:] if name[:1] == "/" and name[2:3] == "/" else name)
    if len(names) < 2 or len(set(names)) != len(names):
        raise BadNetwork(
            f"the labels {path} are {len(names)} names, {len(set(names))} of them different",
            "Give one name in a line, as in categories_places365.txt",
        )
    return names
