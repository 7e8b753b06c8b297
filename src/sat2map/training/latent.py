"""Latent systems: the generator that an encoder learns through, and how good a run is on photos kept for choosing."""

from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from sat2map import bundle
from sat2map.card import ModelCard
from sat2map.data.batches import UInt8, to_tensor
from sat2map.errors import BadBundle, BadRecipe, UnsuitableModel
from sat2map.evaluation.sliced import sliced_distance
from sat2map.losses.views import VIEW_LOSSES, at_one_size
from sat2map.models import Painter, build_painter
from sat2map.training.dataset import Data
from sat2map.training.player import System
from sat2map.training.predict import weights_of
from sat2map.training.recipe import LatentPart, NetworkPart, Recipe

LIMIT = 64  # photos looked at during training, and pictures generated
COLUMNS = 5  # generated pictures in a row of a sample sheet
BATCH = 16


def is_landscape(card: ModelCard) -> bool:
    """Tell whether a model paints latents."""
    return card.direction == "latent2view"


def with_painter(recipe: Recipe) -> Recipe:
    """Fill in the generator that the recipe names as a bundle. Raises BadRecipe, UnknownModel, BadBundle.

    A run that goes on has it filled in already and is held to it.
    """
    part = _part(recipe)
    if not part.through:
        raise BadRecipe(
            f"the recipe {recipe.name} learns through a landscape generator, and names none",
            "Train one (sat2map train landscape), export it, and give the bundle with --through",
        )
    card = _landscape(part.through).card
    painter = NetworkPart(name=card.architecture, parameters=card.parameters)
    if part.painter not in (None, painter):
        raise BadRecipe(
            f"the recipe learns through {part.painter}, the bundle {part.through} is {painter}",
            "Name the bundle with which the run began",
        )
    return msgspec.structs.replace(recipe, latent=msgspec.structs.replace(part, painter=painter))


def open_painter(recipe: Recipe) -> Painter:
    """Return the generator of the bundle with its weights. Raises what `with_painter` raises."""
    from safetensors.torch import load

    part = _part(with_painter(recipe))
    assert part.painter is not None, "just filled in"
    network = build_painter(part.painter.name, part.painter.parameters)
    weights = load(_landscape(part.through).weights.read_bytes())
    try:
        network.load_state_dict({name: value.float() for name, value in weights.items()})
    except RuntimeError as error:
        raise BadBundle(
            f"the weights of {part.through} are not those of its card", "Export the landscape model again"
        ) from error
    return network


def _landscape(id_or_dir: str | Path) -> bundle.Bundle:
    found = bundle.find(id_or_dir)
    if not is_landscape(found.card):
        raise UnsuitableModel(
            f"model {found.card.id!r} goes {found.card.direction}, and paints no latents",
            "Name the bundle of a landscape model: sat2map train landscape, then sat2map export",
        )
    return found


def _part(recipe: Recipe) -> LatentPart:
    assert recipe.latent is not None, "recipes of latent systems have this part"
    return recipe.latent


def fixed_latents(count: int, size: int, seed: int) -> Tensor:
    """(count, size) normal numbers, the same for the same seed."""
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def painted(network: torch.nn.Module, inputs: Tensor) -> UInt8:
    """(N, 3, S, S) pictures of inputs (N, ...) as uint8 (N, S, S, 3)."""
    device = next(network.parameters()).device
    pictures = torch.cat([network(part.to(device)).float().cpu() for part in torch.split(inputs, BATCH)])
    levels = pictures.permute(0, 2, 3, 1).add(1).mul(127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).numpy()


def figures(system: System, data: Data) -> dict[str, float]:
    """Development figures of the averaged weights.

    Of a landscape the sliced distance of as many generated as true photos; of an encoder the three losses of
    `losses.views` and, as l1, the mean difference in levels.
    """
    player = system.players["generator"]
    numbers = _spread(data.development, LIMIT)
    with weights_of(player.network, player.best_weights):
        if data.recipe.system == "landscape":
            true = np.stack([data.target(number) for number in (numbers or data.training[:LIMIT])])
            latents = fixed_latents(len(true), player.network.latent, data.recipe.run.seed)  # type: ignore[arg-type]
            drawn = painted(player.network, latents)
            return {"n": float(len(true)), "swd": sliced_distance(true, drawn)}
        crops = np.stack([data.source(number) for number in numbers])
        true = np.stack([data.target(number) for number in numbers])
        drawn = painted(player.network, to_tensor(crops))
    pictures, photos = at_one_size(to_tensor(drawn), to_tensor(true))
    found = {name: float(loss(pictures, photos)) for name, loss in VIEW_LOSSES.items()}
    return {"n": float(len(true)), "l1": float((pictures - photos).abs().mean() * 127.5)} | found


def panels(system: System, data: Data, rows: int) -> list[tuple[UInt8, ...]]:
    """Rows of a sample sheet: a photo and pictures of fixed latents; or crop, picture drawn from it, photo."""
    player, seed = system.players["generator"], data.recipe.run.seed
    numbers = _spread(data.development or data.training, rows)
    true = [data.target(number) for number in numbers]
    with weights_of(player.network, player.best_weights):
        if data.recipe.system == "landscape":
            latents = fixed_latents(COLUMNS * len(true), player.network.latent, seed)  # type: ignore[arg-type]
            drawn = painted(player.network, latents)
            return [(photo, *drawn[n * COLUMNS : (n + 1) * COLUMNS]) for n, photo in enumerate(true)]
        crops = [data.source(number) for number in numbers]
        drawn = painted(player.network, to_tensor(np.stack(crops)))
    side = drawn.shape[1]
    return [
        (_fitted(crop, side), picture, _fitted(photo, side))
        for crop, picture, photo in zip(crops, drawn, true, strict=True)
    ]


def _fitted(square: UInt8, side: int) -> UInt8:
    from sat2map import images

    return images.resized(square, side, side)


def _spread(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    return numbers[:: max(1, len(numbers) // count)][:count]
