"""How good the run is on the pairs kept for choosing: the class figures of EVALUATION.md, at native size."""

import numpy as np
import torch
from torch import Tensor

from sat2map.evaluation.metrics import class_iou, confusion, relaxed_f1, road_counts
from sat2map.models import Generator
from sat2map.palette import CLASS_NAMES, MAPS
from sat2map.training.predict import paint_picture, scores_of
from sat2map.training.recipe import Recipe
from sat2map.training.setup import Data

LIMIT = 48  # pairs scored during training; enough to rank checkpoints, cheap enough to do often


def margin_of(network: Generator) -> int:
    """Halo for whole pictures: the receptive radius, rounded up to the stride; 0 for unbounded networks."""
    radius = network.receptive_radius()
    return max(0, -(-radius // network.stride) * network.stride)


def predict(network: Generator, data: Data, number: int, recipe: Recipe) -> Tensor:
    """Scores (K, H, W) for one pair's source."""
    precision = torch.bfloat16 if recipe.run.precision == "bf16" else torch.float32
    return scores_of(
        network, data.source(number), margin=margin_of(network), stride=network.stride, precision=precision
    )


def figures(network: Generator, data: Data, recipe: Recipe, limit: int = LIMIT) -> dict[str, float]:
    """Development figures of the network as it stands: l1 always; miou6, road F1 and IoUs where maps are painted."""
    matrix = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    roads = np.zeros(4, np.int64)
    errors = []
    numbers = data.development[:: max(1, len(data.development) // limit)][:limit]
    for number in numbers:
        painted = paint_picture(network, predict(network, data, number, recipe), data.palette)
        truth = data.target(number)
        if recipe.data.direction == "sat2map":
            true_class, guess_class = (MAPS.to_classes(MAPS.encode(p)) for p in (truth, painted))
            matrix += confusion(true_class, guess_class)
            roads += road_counts(true_class, guess_class)
        errors.append(float(np.abs(truth.astype(np.int16) - painted).mean()))
    found = {"n": float(len(numbers)), "l1": float(np.mean(errors))}
    if recipe.data.direction == "sat2map":
        iou = [share or 0.0 for share in class_iou(matrix)]
        one, two, three, four = (int(count) for count in roads)
        found |= {"miou6": float(np.mean(iou[:6])), "road_f1_3px": relaxed_f1((one, two, three, four))}
        found |= {f"iou.{name}": share for name, share in zip(CLASS_NAMES, iou, strict=True)}
    return found


def score(found: dict[str, float]) -> float:
    """One number to choose checkpoints by, higher is better: mean of the two headline figures, or minus l1."""
    if "miou6" in found:
        return 0.5 * (found["miou6"] + found["road_f1_3px"])
    return -found["l1"]
