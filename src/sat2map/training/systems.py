"""From a recipe to the networks that it trains: built, initialised from its seed, each with its optimiser."""

import torch
from torch import Tensor, nn

from sat2map import losses
from sat2map.errors import BadRecipe
from sat2map.models import (
    Discriminator,
    Generator,
    build_discriminator,
    build_encoder,
    build_generator,
    build_painter,
)
from sat2map.models.carto import Carto
from sat2map.models.carto import initialise as start_at_prior
from sat2map.models.encoder import Encoded
from sat2map.models.initial import initialise
from sat2map.models.norms import InstanceNorm
from sat2map.training.cyclegan import BACK, CycleGan
from sat2map.training.dataset import Data
from sat2map.training.landscape import Landscape
from sat2map.training.latent import open_painter
from sat2map.training.optimise import Average, Optimiser
from sat2map.training.pix2pix import Objective, Pix2Pix
from sat2map.training.player import Player, System
from sat2map.training.pretrained import load_pretrained
from sat2map.training.recipe import NetworkPart, OptimiserPart, Recipe
from sat2map.training.through import ThroughGenerator

CPU = torch.device("cpu")


def build_system(recipe: Recipe, data: Data, device: torch.device = CPU) -> System:
    """The recipe's training system on a device, fresh from its seed. Raises UnknownModel, BadRecipe."""
    precision = torch.bfloat16 if recipe.run.precision == "bf16" else torch.float32
    if recipe.system == "cyclegan":
        return CycleGan(build_cycle(recipe, device), recipe.objective, precision)
    if recipe.system == "landscape":
        return Landscape(build_landscape(recipe, device), recipe.objective, precision)
    if recipe.latent is not None:
        return ThroughGenerator(build_through(recipe, device), recipe.latent, precision)
    players, thrifty = build_players(recipe, data.shares, device), recipe.run.accumulate > 1
    return Pix2Pix(players, objective_of(recipe, data, device), precision, thrifty=thrifty)


def objective_of(recipe: Recipe, data: Data, device: torch.device = CPU) -> Objective:
    """The recipe's objective with the palette's colours and class weights filled in."""
    if data.palette is None or data.shares is None:
        return Objective(recipe.objective)
    colours = torch.tensor(data.palette.colours).float().div(127.5).sub(1)  # (K, 3)
    weights = losses.balanced_weights(data.shares, recipe.objective.class_balance)
    return Objective(recipe.objective, colours.to(device), weights.to(device))


def build_players(
    recipe: Recipe, shares: Tensor | None = None, device: torch.device = CPU
) -> dict[str, Player]:
    """Generator and, if the recipe names one, discriminator; `shares` (K,) are those of the palette's colours."""
    torch.manual_seed(recipe.run.seed)
    generator = new_generator(recipe)
    _check_crops(recipe, generator.stride)
    if isinstance(generator, Carto):
        start_at_prior(generator, shares)
    if recipe.run.compile:
        generator.compile()
    players = {"generator": _player(generator.to(device), recipe.optimiser, recipe.run.average)}
    if recipe.discriminator is not None:
        judge = new_discriminator(recipe.discriminator, recipe.inputs + 3)
        players["discriminator"] = _player(judge.to(device), recipe.discriminator_optimiser)
    return players


def build_cycle(recipe: Recipe, device: torch.device = CPU) -> dict[str, Player]:
    """Both generators and both discriminators of unpaired training; those of the way back end in `_back`."""
    assert recipe.discriminator is not None, "recipes without one are refused"
    torch.manual_seed(recipe.run.seed)
    players = {}
    for side in ("", BACK):
        generator = new_generator(recipe)
        _check_crops(recipe, generator.stride)
        if recipe.run.compile:
            generator.compile()
        players[f"generator{side}"] = _player(generator.to(device), recipe.optimiser, recipe.run.average)
        judge = new_discriminator(recipe.discriminator, 3)
        players[f"discriminator{side}"] = _player(judge.to(device), recipe.discriminator_optimiser)
    return players


def build_landscape(recipe: Recipe, device: torch.device = CPU) -> dict[str, Player]:
    """Generator from a latent, and the discriminator of its pictures. Raises UnknownModel, BadRecipe."""
    assert recipe.discriminator is not None, "recipes without one are refused"
    torch.manual_seed(recipe.run.seed)
    generator = build_painter(recipe.generator.name, recipe.generator.parameters)
    judge = new_discriminator(recipe.discriminator, 3)
    for what, side in (
        ("generator", generator.side),
        ("discriminator", getattr(judge, "side", generator.side)),
    ):
        if side != recipe.data.crop:
            raise BadRecipe(
                f"{what} works at {side} px and data.crop is {recipe.data.crop}",
                f"Set data.crop={side}, or {what}.parameters to what suits {recipe.data.crop} px",
            )
    return {
        "generator": _player(generator.to(device), recipe.optimiser, recipe.run.average),
        "discriminator": _player(judge.to(device), recipe.discriminator_optimiser),
    }


def build_through(recipe: Recipe, device: torch.device = CPU) -> dict[str, Player]:
    """Encoder before the generator of a bundle. Raises BadRecipe, BadBundle, UnknownModel."""
    painter = open_painter(recipe)
    torch.manual_seed(recipe.run.seed)
    encoder = build_encoder(recipe.generator.name, recipe.generator.parameters, painter.latent)
    if encoder.side != recipe.data.crop:
        raise BadRecipe(
            f"the encoder takes {encoder.side} px and data.crop is {recipe.data.crop}",
            f"Set data.crop={encoder.side}, or generator.parameters.side={recipe.data.crop}",
        )
    network = Encoded(encoder, painter).to(device)
    return {"generator": _player(network, recipe.optimiser, recipe.run.average)}


def new_generator(recipe: Recipe) -> Generator:
    """The recipe's generator with fresh weights from torch's global random state."""
    part = recipe.generator
    network = build_generator(part.name, recipe.objective.palette or 3, part.parameters, recipe.inputs)
    if part.initial != "own":
        initialise(network, part.initial, part.spread)
    load_pretrained(network)
    return network


def new_discriminator(part: NetworkPart, inputs: int) -> Discriminator:
    """The recipe's discriminator for so many channels, with fresh weights."""
    network = build_discriminator(part.name, inputs, part.parameters)
    if part.initial != "own":
        initialise(network, part.initial, part.spread)
    return network


def _player(network: nn.Module, optimiser: OptimiserPart, average: float = 0.0) -> Player:
    """Bring the network into the memory layout that suits it, and give it its optimiser.

    That is channels-last, which Muon needs, but for instance norm, which torch computes faster and more exactly in the
    default layout: a step of pix2pix-paper takes about a tenth less time there.
    """
    if optimiser.kind == "muon" or not any(isinstance(part, InstanceNorm) for part in network.modules()):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Player(network, Optimiser(network, optimiser), Average(network, average) if average else None)


def _check_crops(recipe: Recipe, stride: int) -> None:
    finish = recipe.data.finish
    for field, crop in (
        ("data.crop", recipe.data.crop),
        ("data.finish.crop", finish.crop if finish else stride),
    ):
        if crop % stride:
            raise BadRecipe(
                f"{field}={crop} is no multiple of the stride {stride} of {recipe.generator.name}",
                f"Set {field}={max(crop // stride, 1) * stride}",
            )
