"""How good the run is on the pictures kept for choosing: the class figures of EVALUATION.md, at native size."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from sat2map.data.batches import UInt8
from sat2map.evaluation.metrics import class_iou, confusion, relaxed_f1, road_counts
from sat2map.evaluation.sliced import COARSEST, sliced_distance
from sat2map.models import Generator
from sat2map.palette import CLASS_NAMES, MAPS
from sat2map.training import latent
from sat2map.training.cyclegan import BACK
from sat2map.training.dataset import Data
from sat2map.training.player import System
from sat2map.training.predict import paint_picture, scores_of, weights_of
from sat2map.training.recipe import Recipe
from sat2map.training.views import flat

LIMIT = 48  # pictures scored during training; enough to rank checkpoints, cheap enough to do often
CYCLE_LIMIT = 16  # pictures sent there and back


def margin_of(network: Generator) -> int:
    """Halo for whole pictures: the receptive radius, rounded up to the stride; 0 for unbounded networks."""
    radius = network.receptive_radius()
    return max(0, -(-radius // network.stride) * network.stride)


def predict(network: Generator, picture: UInt8, recipe: Recipe) -> Tensor:
    """Scores (K, H, W) for one whole picture (H, W, 3)."""
    precision = torch.bfloat16 if recipe.run.precision == "bf16" else torch.float32
    margin = 0 if recipe.view else margin_of(network)  # a view ends where its picture does
    return scores_of(network, picture, margin=margin, stride=network.stride, precision=precision)


@contextmanager
def best_generators(system: System) -> Iterator[dict[str, Generator]]:
    """The system's generators by name, in evaluation mode with their averaged weights if they have any."""
    forth, back = system.players["generator"], system.players.get("generator" + BACK)
    with weights_of(forth.network, forth.best_weights):
        if back is None:
            yield {"generator": forth.generator}
            return
        with weights_of(back.network, back.best_weights):
            yield {"generator": forth.generator, "generator" + BACK: back.generator}


def look(system: System, data: Data) -> dict[str, float]:
    """Development figures of a system as it stands; with a way back, also those of the cycles."""
    if data.recipe.latent is not None:
        return latent.figures(system, data)
    with best_generators(system) as found:
        forth, back = found["generator"], found.get("generator" + BACK)
        result = figures(forth, data, data.recipe) if data.is_paired else {}
        if back is not None:
            result |= cycle_figures(forth, back, data)
    return result


def panels(system: System, data: Data, rows: int) -> list[tuple[UInt8, ...]]:
    """Rows of a sample sheet, always of the same development pictures: source, generated, true.

    Without pairs: source, generated, back again; picture of the other kind, generated, back again.
    """
    if data.recipe.latent is not None:
        return latent.panels(system, data, rows)

    def spread(numbers: tuple[int, ...]) -> tuple[int, ...]:
        return numbers[:: max(1, len(numbers) // rows)][:rows]

    with best_generators(system) as found:
        forth, back = found["generator"], found.get("generator" + BACK)
        made: list[tuple[UInt8, ...]] = []
        chosen = [
            (data.source(here), data.target(there))
            for here, there in zip(spread(data.sources), spread(data.targets), strict=False)
        ]
        side = min(min(picture.shape[:2]) for pair in chosen for picture in pair)
        for source, target in chosen:
            if not data.is_paired:  # heaps hold all sizes: the corner that all have
                source, target = source[:side, :side], target[:side, :side]
            picture = _painted(forth, source, data)
            if back is None:
                made.append((flat(source) if data.recipe.view else source, picture, target))
                continue
            returned = _painted(back, target, data)
            again = _painted(back, picture, data), _painted(forth, returned, data)
            made.append((source, picture, again[0], target, returned, again[1]))
    return made


def _painted(network: Generator, picture: UInt8, data: Data) -> UInt8:
    return paint_picture(network, predict(network, picture, data.recipe), data.palette)


def cycle_figures(forth: Generator, back: Generator, data: Data) -> dict[str, float]:
    """Mean absolute difference in levels after going there and back, from either kind of picture.

    It knows nothing of how real the pictures in between look. With pairs, `back.l1` is the error of the way back.
    """
    ways = (
        ("cycle", forth, back, data.sources, data.source, data.target),
        ("back.cycle", back, forth, data.targets, data.target, data.source),
    )
    found = {}
    for name, first, second, numbers, read, truth in ways:
        cycled, errors = [], []
        chosen = numbers[:: max(1, len(numbers) // CYCLE_LIMIT)][:CYCLE_LIMIT]
        for number in chosen:
            picture = read(number)
            painted = _painted(first, picture, data)
            cycled.append(_difference(_painted(second, painted, data), picture))
            if data.is_paired and first is back:
                errors.append(_difference(painted, truth(number)))
        found[f"{name}_l1"] = float(np.mean(cycled))
        if errors:
            found["back.l1"] = float(np.mean(errors))
    return found


def _difference(one: UInt8, other: UInt8) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())


def figures(network: Generator, data: Data, recipe: Recipe, limit: int = LIMIT) -> dict[str, float]:
    """Development figures of the network as it stands: l1 always; miou6, road F1 and IoUs where maps are painted.

    Of imagery painted against a discriminator also swd, the sliced distance of the middles of generated and of true
    pictures: sharp pictures differ more from the truth, pixel by pixel, than blurred ones, so l1 would choose those.
    """
    matrix = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    roads = np.zeros(4, np.int64)
    errors, crowds = [], []
    numbers = data.development[:: max(1, len(data.development) // limit)][:limit]
    for number in numbers:
        painted = paint_picture(network, predict(network, data.source(number), recipe), data.palette)
        truth = data.target(number)
        if recipe.data.direction == "sat2map":
            true_class, guess_class = (MAPS.to_classes(MAPS.encode(p)) for p in (truth, painted))
            matrix += confusion(true_class, guess_class)
            roads += road_counts(true_class, guess_class)
        elif recipe.objective.adversarial != "none":
            crowds.append((_middle(truth), _middle(painted)))
        errors.append(_difference(painted, truth))
    found = {"n": float(len(numbers)), "l1": float(np.mean(errors))}
    if crowds and len({true.shape for true, _ in crowds}) == 1:
        true, made = (np.stack(side) for side in zip(*crowds, strict=True))
        found["swd"] = sliced_distance(true, made)
    if recipe.data.direction == "sat2map":
        iou = [share or 0.0 for share in class_iou(matrix)]
        one, two, three, four = (int(count) for count in roads)
        found |= {"miou6": float(np.mean(iou[:6])), "road_f1_3px": relaxed_f1((one, two, three, four))}
        found |= {f"iou.{name}": share for name, share in zip(CLASS_NAMES, iou, strict=True)}
    return found


def _middle(picture: UInt8) -> UInt8:
    """The largest middle square with a side that a pyramid can halve down to its coarsest level."""
    side = COARSEST << int(np.log2(min(picture.shape[:2]) / COARSEST))
    top, left = ((size - side) // 2 for size in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def score(found: dict[str, float]) -> float:
    """One number to choose checkpoints by, higher is better: mean of the two headline figures, or minus a distance.

    That is the distance of crowds of pictures, of the layout of views, or l1.

    Without pairs there is no truth to choose by, only the error of the cycles: look at the samples.
    """
    if "miou6" in found:
        return 0.5 * (found["miou6"] + found["road_f1_3px"])
    for name in ("swd", "layout", "l1"):
        if name in found:
            return -found[name]
    return -(found["cycle_l1"] + found["back.cycle_l1"])
