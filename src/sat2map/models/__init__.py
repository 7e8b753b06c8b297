"""Networks: generators and discriminators, built by name from plain numbers.

    generator = build_generator("carto", outputs=16, parameters={"widths": [64, 128, 192]})
    judge = build_discriminator("patch", inputs=6, parameters={"layers": 4})

A generator maps (N, C, H, W) in [-1, 1] to (N, outputs, H, W). It has
`stride`: input sides must be multiples of it, in px;
`outputs`: channels that it gives;
`receptive_radius()`: px beyond a stride-aligned square that it depends on, `receptive.UNBOUNDED` if the whole window;
`windowing`: "exact" (read a halo of that radius and crop) or "blend" (overlap windows and average).

What the channels mean is decided by the caller: scores of palette colours (softmax to come) or, with three of them,
RGB. All but `carto` end in a tanh when they have three outputs, as published; `carto` always gives raw scores.
`paint` makes a picture of either.

A discriminator maps (N, C, H, W), condition and examined picture one after the other, to `(score_map, features)`:
scores before any sigmoid and the list of inner activations for feature matching. `receptive_field()` is the side of
its patch in px.

A painter maps latents (N, latent) to pictures (N, 3, side, side) in [-1, 1], an encoder satellite crops to latents.
Painters have discriminators of their own, which give one score per picture.
"""

import inspect
import warnings
from typing import Any, TypeAlias, TypeVar, get_type_hints

import msgspec
import torch
from torch import Tensor, nn

from sat2map.errors import BadRecipe, UnknownModel
from sat2map.models.carto import Carto
from sat2map.models.dcgan import DcganDiscriminator, DcganGenerator
from sat2map.models.encoder import SatelliteEncoder
from sat2map.models.folded import FoldedDiscriminator
from sat2map.models.landscape import LandscapeDiscriminator, LandscapeGenerator
from sat2map.models.maxpool import MaxPoolDiscriminator, MaxPoolUNet
from sat2map.models.patch import PatchDiscriminator, PixelDiscriminator
from sat2map.models.resnet import ResNet
from sat2map.models.unet import UNet

Generator: TypeAlias = Carto | UNet | ResNet | MaxPoolUNet
Discriminator: TypeAlias = (
    PatchDiscriminator
    | PixelDiscriminator
    | FoldedDiscriminator
    | MaxPoolDiscriminator
    | DcganDiscriminator
    | LandscapeDiscriminator
)
Painter: TypeAlias = DcganGenerator | LandscapeGenerator
Network = TypeVar("Network", bound=nn.Module)

GENERATORS: dict[str, type[Generator]] = {
    "carto": Carto,
    "unet": UNet,
    "resnet": ResNet,
    "unet-maxpool": MaxPoolUNet,
}
DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "patch": PatchDiscriminator,
    "pixel": PixelDiscriminator,
    "folded": FoldedDiscriminator,
    "maxpool": MaxPoolDiscriminator,
}
# those that judge pictures of one size as a whole, with one score each
WHOLE_DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "dcgan": DcganDiscriminator,
    "landscape": LandscapeDiscriminator,
}
PAINTERS: dict[str, type[Painter]] = {"dcgan": DcganGenerator, "landscape": LandscapeGenerator}
ENCODERS: dict[str, type[SatelliteEncoder]] = {"satellite": SatelliteEncoder}


def build_generator(name: str, outputs: int, parameters: dict[str, Any], inputs: int = 3) -> Generator:
    """Build a generator with fresh weights from torch's global random state. Raises UnknownModel, BadRecipe."""
    return _build(GENERATORS, "generator", name, parameters, {"outputs": outputs, "inputs": inputs})


def build_discriminator(name: str, inputs: int, parameters: dict[str, Any]) -> Discriminator:
    """Build a discriminator for `inputs` channels, those of both pictures. Raises UnknownModel, BadRecipe."""
    known = DISCRIMINATORS | WHOLE_DISCRIMINATORS
    return _build(known, "discriminator", name, parameters, {"inputs": inputs})


def build_painter(name: str, parameters: dict[str, Any]) -> Painter:
    """Build a network from a latent to pictures, with fresh weights. Raises UnknownModel, BadRecipe."""
    return _build(PAINTERS, "painter", name, parameters, {})


def build_encoder(name: str, parameters: dict[str, Any], latent: int) -> SatelliteEncoder:
    """Build a network from a crop to a latent of so many numbers. Raises UnknownModel, BadRecipe."""
    return _build(ENCODERS, "encoder", name, parameters, {"latent": latent})


def paint(generator: nn.Module, scores: Tensor) -> Tensor:
    """Output of an RGB generator (N, 3, H, W) -> float32 picture in [-1, 1], differentiable."""
    return torch.tanh(scores.float()) if isinstance(generator, Carto) else scores.float()


def _build(
    registry: dict[str, type[Network]],
    what: str,
    name: str,
    parameters: dict[str, Any],
    given: dict[str, int],
) -> Network:
    if name not in registry:
        raise UnknownModel(f"no {what} is called {name!r}", f"Use one of {', '.join(registry)}")
    kind = registry[name]
    fitting = _fitting(kind, f"{what}.parameters of {name}", parameters, given)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element")  # becomes the error below
            network = kind(**given, **fitting)
        if any(weight.numel() == 0 for weight in network.parameters()):
            raise ValueError("a layer is left without channels")
    except (ValueError, RuntimeError) as error:  # RuntimeError: torch refuses a negative size
        raise BadRecipe(
            f"{what} {name} cannot be built from {parameters}: {error}", "Change these numbers"
        ) from error
    return network


def _fitting(
    kind: type[nn.Module], where: str, parameters: dict[str, Any], given: dict[str, int]
) -> dict[str, Any]:
    """Parameters converted to the constructor's types. Raises BadRecipe naming what does not fit."""
    hints = get_type_hints(kind.__init__)
    known = [key for key in inspect.signature(kind).parameters if key not in given]
    wrong = [str(key) for key in parameters if key not in known]
    if wrong:
        raise BadRecipe(f"{where} has no {', '.join(wrong)}", f"It has {', '.join(known)}")
    fitting = {}
    for key, value in parameters.items():
        try:
            fitting[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            raise BadRecipe(
                f"{where}: {key}={value!r} does not fit: {error}", "Give a value of that kind"
            ) from error
    return fitting
