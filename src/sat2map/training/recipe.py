"""Recipes: everything that decides a training run, as small frozen structs that read from and write to YAML.

    recipe = override(load_recipe("carto"), ["optimiser.rate=1e-3", "data.batch=2"])

Unknown keys, wrong types and impossible values are refused with the place and the value. The resolved recipe is
written to the run folder and travels inside checkpoints and the model card. All lengths are counted in images seen,
so that they survive a change of batch size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from sat2map.errors import BadRecipe, FileMissing, UnknownModel
from sat2map.training.contradictions import contradictions
from sat2map.training.guard.settings import GuardPart

Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
_FOLDER = Path(__file__).parents[1] / "recipes"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts: immutable, keyword-only, strict."""


class FinishPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last part of a run on larger crops: they show the network the context that it will have in whole scenes."""

    start: Share  # share of the run's images after which it begins
    crop: Count  # px
    batch: Count


class DataPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pixels the networks see."""

    direction: Literal["sat2map", "map2sat", "sat2view", "latent2view"] = "sat2map"
    load: Count | None = None  # px: pairs are resized to this square first (bicubic); None = native size
    crop: Count = 256  # px: side of the random square that a sample is
    batch: Count = 4
    mirror: bool = True  # left-right flips
    turns: bool = False  # also 90-degree turns (they move shadows to sides where they never fall in nature)
    # What else the picture could have looked like (data.augment); each is a deviation of a factor's logarithm.
    gain: NonNegative = 0.0  # satellite only: brightness, and the tint of each channel by a third of it
    contrast: NonNegative = 0.0  # satellite only: contrast and tone curve
    saturation: NonNegative = 0.0  # satellite only
    scale: Share = 0.0  # half of the samples: zoom between exp(-scale) and exp(scale), turned by any angle
    metres_per_pixel: Positive = 0.9  # of the pixels that the network sees; goes on the card
    licence: str = ""  # what the card says of the data's licence; "" = what the data say themselves
    development: Share = 0.06  # share of the training pairs kept for choosing, cut out by place
    finish: FinishPart | None = None  # None: the same crops from beginning to end


class ViewPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The camera of ground views, and how the satellite picture is projected into it (`views/projection.py`)."""

    height: Count = 128  # px of the picture
    width: Count = 128
    field: Annotated[float, msgspec.Meta(gt=0, le=360)] = 75.0  # degrees from left to right; 360: a panorama
    horizon: Share = 0.5  # share of the height from the top
    eye: Positive = 1.7  # metres
    heights: tuple[NonNegative, ...] = (0.0, 4.0, 8.0, 16.0)  # metres of the planes
    side: Count = 256  # px of the satellite picture around the standing point


class NetworkPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network by name, with plain numbers for its constructor."""

    name: str
    parameters: dict[str, Any] = {}
    initial: Literal["own", "normal", "xavier", "kaiming", "orthogonal"] = (
        "own"  # own: as the network itself says
    )
    spread: Positive = 0.02  # standard deviation of normal kernels, gain of xavier and orthogonal ones


class LatentPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Systems with a latent: photos, and for an encoder what it learns through and how."""

    field: Annotated[float, msgspec.Meta(gt=0, lt=170)] = 75.0  # degrees of the (square) photos
    through: str = ""  # encoder: bundle of the landscape generator, its folder or id
    painter: NetworkPart | None = None  # encoder: that generator; filled in from the bundle
    loss: Literal["mse", "ssim", "layout"] = "layout"  # encoder: see `losses.views`
    prior: NonNegative = 0.0  # encoder: weight of the latent's mean square
    turned: bool = True  # encoder: crops are turned so that the viewer looks up, where the heading is known


class ObjectivePart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the generator is asked to minimise, and how the discriminator judges."""

    palette: int = 0  # colours of the learned palette, at the most; 0 = the generator paints RGB
    cross_entropy: NonNegative = 0.0  # weight of the palette cross-entropy
    class_balance: Share = 0.25  # colours are weighted by share^-class_balance (0 = all pixels alike)
    reconstruction: Literal["l1", "none"] = "none"
    reconstruction_weight: NonNegative = 100.0
    gradient: NonNegative = 0.0  # weight of the difference between the edges of picture and target
    adversarial: Literal["bce", "lsgan", "hinge", "relativistic", "none"] = "none"
    adversarial_weight: NonNegative = 1.0
    adversarial_from: Share = 0.0  # share of the run after which the discriminator joins
    feature_matching: NonNegative = 0.0  # weight of the L1 distance between discriminator features
    smoothing: Annotated[float, msgspec.Meta(ge=0, lt=0.5)] = (
        0.0  # one-sided: the discriminator's goal for real pictures is 1 - smoothing
    )
    noise: NonNegative = (
        0.0  # deviation of the noise on real and generated pictures shown to the discriminator
    )
    noise_until: Annotated[float, msgspec.Meta(gt=0, le=1)] = (
        1.0  # share of the run after which that noise, falling linearly, is gone
    )
    augment: tuple[
        Literal["colour", "translation", "cutout"], ...
    ] = ()  # DiffAugment, alike for real and generated
    r1: NonNegative = (
        0.0  # penalty on the discriminator's slope at real pictures (gamma; halved, as published)
    )
    r2: NonNegative = 0.0  # the same at generated pictures
    penalty: Literal["exact", "difference"] = "exact"  # how r1 and r2 are computed; difference is cheaper
    penalty_every: Count = 1  # landscape: steps from one computation of r1 and r2 to the next
    cycle: NonNegative = 10.0  # cyclegan: weight of the L1 distance after going there and back
    identity: NonNegative = (
        0.0  # cyclegan: weight of the L1 distance when a picture is of the wanted kind already
    )
    pool: Annotated[int, msgspec.Meta(ge=0)] = 50  # cyclegan: generated pictures kept for the discriminators


class OptimiserPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network's optimiser and its schedule over the run."""

    kind: Literal["adam", "adamw", "muon"] = "adam"
    rate: Positive = 2e-4
    betas: tuple[Share, Share] = (0.5, 0.999)
    decay: NonNegative = 0.0  # decoupled weight decay (adamw, muon)
    matrix_rate: Positive = 0.02  # muon only: rate of the convolution kernels; the rest is AdamW at `rate`
    backbone_rate: Positive = 3e-4  # of a pretrained backbone, which Adam trains, or AdamW without decay
    warmup: Annotated[int, msgspec.Meta(ge=0)] = 0  # images
    schedule: Literal["constant", "linear", "cosine", "step", "onecycle", "plateau"] = "constant"
    decay_from: Share = 0.5  # linear, cosine: share of the run where decay begins
    final: Share = 0.0  # linear, cosine, onecycle: rate at the end, as a share of `rate`
    begin: Share = 0.04  # onecycle: rate at the start, as a share of `rate`
    rise: Share = 0.1  # onecycle: share of the run until `rate` is reached
    drop: Share = 0.1  # step, plateau: factor of each drop
    drop_every: Count = 50_000  # step: images
    patience: Count = 3  # plateau: looks at the development pairs without a better one before a drop
    clip: NonNegative = 0.0  # gradient norm limit; 0 = none


class RunPart(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Length, precision, averaging and what the run leaves on disk."""

    images: Count = 200_000  # images seen
    epochs: Positive | None = (
        None  # the length in epochs of the training pairs instead; `images` follows from it
    )
    added: NonNegative = 0.0  # epochs that the last `--epochs +N` added
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA where there is one
    compile: bool = (
        False  # torch.compile for the generators: slow to start, pays on accelerators in long runs
    )
    workers: Annotated[int, msgspec.Meta(ge=0)] = 0  # threads that make batches ahead; results do not change
    accumulate: Count = 1  # parts that a batch is computed in, one after the other, to save memory
    timeout: Positive = 300.0  # seconds within a step after which other ranks count as lost
    threads: Annotated[int, msgspec.Meta(ge=0)] = (
        0  # CPU threads; 0 = torch's choice. Bit-exactness needs equal threads
    )
    average: NonNegative = 0.0  # half-life of the weight average (EMA), images; 0 = none
    checkpoint_every: Count = 10_000  # images
    sample_every: Count = 10_000  # images
    log_every: Count = 400  # images
    keep: Annotated[int, msgspec.Meta(ge=2)] = 3  # newest checkpoints kept, beside the best


class Recipe(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole training run. `origin` says where it comes from and what is known to be unstated there."""

    name: str
    origin: str = ""
    limits: tuple[str, ...] = ()  # sentences for the card: what a model trained this way cannot do
    # pix2pix learns from pairs, cyclegan without them, landscape from photos, encoder from views through a landscape
    system: Literal["pix2pix", "cyclegan", "landscape", "encoder"] = "pix2pix"
    data: DataPart = DataPart()
    view: ViewPart | None = None  # only for pix2pix with data.direction=sat2view
    latent: LatentPart | None = None  # only for landscape and encoder
    generator: NetworkPart
    discriminator: NetworkPart | None = None
    objective: ObjectivePart = ObjectivePart()
    optimiser: OptimiserPart = OptimiserPart()
    discriminator_optimiser: OptimiserPart = OptimiserPart()
    run: RunPart = RunPart()
    guard: GuardPart = GuardPart()

    def __post_init__(self) -> None:
        """Refuse combinations that cannot train."""
        for wrong, said in contradictions(self):
            if wrong:
                raise ValueError(said)

    @property
    def inputs(self) -> int:
        """Channels of what the generator is given."""
        return 3 * len(self.view.heights) if self.view else 3


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_recipe(name: str | Path) -> Recipe:
    """Read a shipped recipe by name, or a YAML file by path. Raises UnknownModel, FileMissing, BadRecipe."""
    path = _FOLDER / f"{name}.yaml" if str(name) in recipe_names() else Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        raise UnknownModel(
            f"no recipe is called {name}", f"Use one of {', '.join(recipe_names())}, or a .yaml file"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileMissing(f"cannot read the recipe {path}: {error.strerror}", "Check the path") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Recipe:
    """YAML text -> Recipe; `where` names the source in errors. Raises BadRecipe."""
    import yaml

    try:
        return msgspec.convert(yaml.safe_load(text), Recipe)
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise BadRecipe(
            f"{where} is no valid recipe: {error}", "Compare it with `sat2map train carto --print-config`"
        ) from error


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Apply `a.b=c` settings, values in YAML spelling, all at once. Raises BadRecipe naming the settings."""
    import yaml

    tree = msgspec.to_builtins(recipe)
    try:
        for setting in settings:
            _apply(tree, setting)
        return msgspec.convert(tree, Recipe)
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        culprits = [one for one in settings if len(settings) > 1 and not _fits(recipe, one)]
        named = " ".join(repr(setting) for setting in culprits or settings)
        raise BadRecipe(
            f"override {named} does not fit: {error}", "See `--print-config` for the fields"
        ) from error


def _fits(recipe: Recipe, setting: str) -> bool:
    """Tell whether one setting alone is sound."""
    try:
        override(recipe, [setting])
    except BadRecipe:
        return False
    return True


def _apply(tree: Any, setting: str) -> None:
    import yaml

    path, found, value = setting.partition("=")
    *parents, leaf = path.split(".")
    place = tree
    for key in parents:
        place = place.get(key) if isinstance(place, dict) else None
    if not found or not isinstance(place, dict):
        raise BadRecipe(
            f"override {setting!r} names no field", "Write section.field=value, e.g. data.batch=2"
        )
    place[leaf] = yaml.safe_load(value)
    if isinstance(place[leaf], str):  # YAML reads 1e-3 as text: numbers need a dot there
        place[leaf] = _number(place[leaf])
    if path == "run.images":  # the length in images takes the place of one in epochs
        place["epochs"] = None


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML; `parse` reads it back to an equal recipe."""
    import yaml

    text: str = yaml.safe_dump(msgspec.to_builtins(recipe), sort_keys=False, allow_unicode=True, width=110)
    return text
