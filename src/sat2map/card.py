"""What a trained model says about itself: `ModelCard`, and its form on disk, a STAC item with the MLM extension.

STAC (stacspec.org) is how geospatial catalogues describe files; its machine-learning extension (MLM) adds what a
model eats and returns, so that other tools can list our models. Whatever STAC has no word for is kept in fields of our
own that start with `sat2map:`; a card is rebuilt from those alone, exactly.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from sat2map.errors import BadBundle
from sat2map.familiar import Familiar
from sat2map.palette import Palette

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
UNBOUNDED = -1  # receptive radius of a network whose every output sees its whole window
MLM = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v1.1.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from. `recipe` holds JSON values only."""

    data: str  # name of the data set
    licence: str  # note on the licence of the data
    pairs: int
    recipe: dict[str, Any]
    images_seen: int
    hours: float
    versions: dict[str, str]  # package name -> version
    data_manifest: str = ""  # SHA-256 of the list of the data's files


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of one evaluation, with what it takes to repeat it."""

    protocol: str  # a name of EVALUATION.md, e.g. maps-600
    split: str
    n: int  # images
    figures: dict[str, float]
    command: str
    baselines: dict[str, dict[str, float]] = {}  # blank, copy, … -> the same figures


class Ground(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a ground-view model is shown, and the picture that it draws. `views/` has the geometry."""

    route: Literal[
        "latent", "projected"
    ]  # shown the satellite crop itself, or the crop as projected into the picture (views/projection.py)
    height: int  # px of the picture
    width: int
    field: float  # degrees from its left to its right; 360: a panorama
    horizon: float = 0.5  # where the horizon lies, as a share of the height from the top
    eye: float = 1.7  # metres above the ground
    heights: tuple[float, ...] = ()  # projected: metres of the planes, three channels of the input each
    side: int  # px of the square satellite crop, the standing point in its middle
    turned: bool = True  # latent: the crop is turned so that the heading is up; False: north is
    stand: float = 0.5  # latent: where in the crop one stands, as a share of its height from the top

    def wrong(self) -> list[str]:
        """Say what cannot be; an empty list for sound facts."""
        checks = {
            f"a picture of {self.width} x {self.height} px": min(self.width, self.height) >= 8
            and max(self.width, self.height) <= 4096,
            f"a field of {self.field} degrees": 1 <= self.field < 170 or self.field == 360,
            f"a horizon at {self.horizon} of the height": 0 <= self.horizon <= 1,
            f"an eye at {self.eye} m": 0.1 <= self.eye <= 1000,
            f"a crop of {self.side} px": 8 <= self.side <= 4096,
            f"planes at {self.heights} m": (self.route == "projected") == bool(self.heights)
            and all(0 <= low < 1000 and low != self.eye for low in self.heights),
            f"a standing point at {self.stand}": 0 <= self.stand <= 1,
        }
        return [f"{text} cannot be" for text, sound in checks.items() if not sound]


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that is to be known about a model in order to use, judge and rebuild it."""

    id: str  # [a-z0-9][a-z0-9_-]*, at most 64 characters
    title: str
    direction: Literal["sat2map", "map2sat", "sat2view", "latent2view"]
    kind: Literal["palette", "rgb"]  # what the network predicts: probabilities over a palette, or colours
    architecture: str  # name of the network
    parameters: dict[str, Any]  # what rebuilds it: keyword arguments, JSON values only
    parameter_count: int
    metres_per_pixel: float  # of the training imagery
    palette: Palette | None = None  # palette models only
    ground: Ground | None = None  # direction sat2view only
    latent: int = (
        0  # direction latent2view only: numbers that the graph is given as `latent`, float32 (N, latent)
    )
    bands: int = 3  # red, green, blue; of each plane, for projected ground views
    scaling: str = "uint8 0-255 -> -1 ... 1, inside the graph"
    stride: int  # px; windows start at multiples of it
    receptive_radius: int  # px beyond a stride-aligned square that it depends on; -1: the whole window
    halo: int  # px read around a cell and thrown away
    cell: int  # px per side of the squares that are computed
    windowing: Literal["exact", "blend"] = "exact"  # blend: the network takes statistics of its window
    temperature: float = (
        1.0  # by which scores are divided, so that confidence is calibrated; inside the graph
    )
    familiar: Familiar | None = None  # what it was trained on looks like; None: nobody measured it
    training: Training
    metrics: tuple[Metrics, ...] = ()
    limits: tuple[str, ...] = ()  # sentences: what the model cannot do
    licence: str  # SPDX identifier of the weights
    created: str  # RFC 3339, e.g. 2026-01-31T12:00:00Z

    def __post_init__(self) -> None:
        """Refuse a card that contradicts itself; raises BadBundle."""
        for wrong in self._contradictions():
            raise BadBundle(f"the card of model {self.id!r}: {wrong}", "Export the model again")

    def _contradictions(self) -> list[str]:
        """Say what cannot be; an empty list for a sound card."""
        radius, patch = self.receptive_radius, self.cell + 2 * self.halo
        checks = {
            "an id has 1 to 64 of a-z 0-9 _ - and starts with a letter or digit": ID.fullmatch(self.id),
            "ground facts belong to direction 'sat2view' and to no other": (self.direction == "sat2view")
            == (self.ground is not None),
            f"{self.bands} bands; pictures have 3, projected ones 3 for each plane": self.bands
            == 3 * (len(self.ground.heights) if self.ground and self.ground.heights else 1),
            f"{self.latent} numbers of a latent": self.latent >= 0
            and (self.latent > 0) == (self.direction == "latent2view"),
            "a palette belongs to kind 'palette' and to no other": (self.kind == "palette")
            == (self.palette is not None),
            f"stride {self.stride} and cell {self.cell} must be positive": self.stride > 0 < self.cell,
            f"halo {self.halo} must not be negative": self.halo >= 0,
            f"temperature {self.temperature} must be positive": self.temperature > 0,
            f"{self.metres_per_pixel} metres per pixel must be positive": self.metres_per_pixel > 0,
        }
        wrong = [text for text, sound in checks.items() if not sound]
        wrong += self.ground.wrong() if self.ground else []
        if wrong or self.ground:  # a ground view is one picture: there are no cells
            return wrong
        if self.windowing == "blend":
            if 2 * self.halo > self.cell:
                wrong.append(f"blending needs a cell of twice the halo {self.halo} or more, not {self.cell}")
            if patch % self.stride:
                wrong.append(f"cell + 2 halo = {patch} is no multiple of the stride {self.stride}")
        else:
            if self.halo % self.stride or self.cell % self.stride:
                wrong.append(f"cell {self.cell} and halo {self.halo} must be multiples of {self.stride}")
            if not 0 <= radius <= self.halo:
                wrong.append(f"halo {self.halo} does not cover the receptive radius {radius}")
        return wrong

    @property
    def patch(self) -> int:
        """Side of what the network is given for one cell, in pixels."""
        return self.cell + 2 * self.halo


def shown_sides(card: ModelCard) -> tuple[int, int]:
    """Return height and width of what the network is given at a time, in pixels."""
    if card.ground is None:
        return card.patch, card.patch
    if card.ground.route == "projected":
        return card.ground.height, card.ground.width
    return card.ground.side, card.ground.side


class Asset(NamedTuple):
    """A file of a bundle as its card names it."""

    sha256: str  # 64 hexadecimal digits
    size: int  # bytes


ARTIFACTS = {
    "model.onnx": ("onnx", "application/octet-stream; framework=onnx", "ONNX graph: uint8 in, map out", "onnx"),
    "model.safetensors": ("weights", "application/octet-stream; application=safetensors", "Weights to go on from",
                          "safetensors.torch.save_file"),
}  # fmt: skip


def to_stac(card: ModelCard, assets: Mapping[str, Asset]) -> dict[str, Any]:
    """Return the card as a STAC MLM item (JSON values). `assets`: file name -> checksum and size."""
    own = {f"sat2map:{key}": value for key, value in msgspec.to_builtins(card).items() if key != "id"}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM, CLASSIFICATION, FILE],
        "id": card.id,
        "geometry": None,
        "properties": {
            "datetime": card.created,
            "title": card.title,
            "description": " ".join(card.limits) or card.title,
            "license": card.licence,
            "gsd": card.metres_per_pixel,
            **_mlm(card),
            **own,
        },
        "assets": {
            key: {
                "href": f"./{name}",
                "title": title,
                "type": media,
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": artifact,
                "file:checksum": f"1220{assets[name].sha256}",  # multihash: SHA-256, 32 bytes
                "file:size": assets[name].size,
            }
            for name, (key, media, title, artifact) in ARTIFACTS.items()
            if name in assets
        },
        "links": [],
    }


def _mlm(card: ModelCard) -> dict[str, Any]:
    """Return the fields of the MLM extension, which are derived and never read back."""
    tasks = ["generative", *(["semantic-segmentation"] if card.palette else [])]
    outputs = [_output("colour", ["generative"], "uint8", ["batch", "height", "width", "channel"], 3)]
    if card.palette:
        seg = ["semantic-segmentation"]
        outputs += [
            _output("index", seg, "uint8", ["batch", "height", "width"]),
            _output("confidence", seg, "uint8", ["batch", "height", "width"]),
            _output(
                "probabilities", seg, "float32", ["batch", "class", "height", "width"], len(card.palette)
            ),
        ]
        outputs[1]["classification:classes"] = [
            {
                "value": index,
                "name": f"palette-{index}",
                "description": card.palette.names[number],
                "color_hint": "".join(f"{level:02X}" for level in colour),
            }
            for index, (colour, number) in enumerate(
                zip(card.palette.colours, card.palette.classes, strict=True)
            )
        ]
    return {
        "mlm:name": f"sat2map-{card.id}".rstrip("_-"),
        "mlm:architecture": card.architecture,
        "mlm:tasks": tasks,
        "mlm:framework": "ONNX",
        "mlm:pretrained": True,
        "mlm:pretrained_source": card.training.data,
        "mlm:total_parameters": card.parameter_count,
        "mlm:input": [_latent_input(card.latent)]
        if card.latent
        else [
            {
                "name": "image",
                "description": f"RGB at {card.metres_per_pixel:g} m per pixel; {card.scaling}",
                "bands": [],
                "input": {
                    "shape": [-1, *shown_sides(card), card.bands],
                    "dim_order": ["batch", "height", "width", "channel"],
                    "data_type": "uint8",
                },
                "value_scaling": None,
                "resize_type": None,
            }
        ],
        "mlm:output": outputs,
    }


def _latent_input(count: int) -> dict[str, Any]:
    """Return the MLM input object of a model that is given numbers."""
    return {
        "name": "latent",
        "description": "normal draws with mean 0 and deviation 1",
        "bands": [],
        "input": {"shape": [-1, count], "dim_order": ["batch", "latent"], "data_type": "float32"},
        "value_scaling": None,
        "resize_type": None,
    }


def _output(
    name: str, tasks: list[str], kind: str, order: list[str], channels: int | None = None
) -> dict[str, Any]:
    """Return one MLM output object; sides follow those of the input, hence -1."""
    shape = [channels if axis in ("channel", "class") else -1 for axis in order]
    return {"name": name, "tasks": tasks, "result": {"shape": shape, "dim_order": order, "data_type": kind}}


def from_stac(item: Mapping[str, Any]) -> tuple[ModelCard, dict[str, Asset]]:
    """Return card and assets of a STAC item written by `to_stac`.

    Raises BadBundle, with the path of the wrong field, for an item of another kind or with unknown or missing fields.
    """
    try:
        found = msgspec.convert(item, _Item)
        own = {
            key.removeprefix("sat2map:"): value
            for key, value in found.properties.items()
            if key.startswith("sat2map:")
        }
        card = msgspec.convert({**own, "id": found.id}, ModelCard)
    except msgspec.ValidationError as error:
        raise BadBundle(
            f"card.json is not the card of a sat2map model: {error}", "Export it again"
        ) from error
    names = {key: name for name, (key, *_) in ARTIFACTS.items()}
    assets = {
        names[key]: Asset(asset.checksum.removeprefix("1220"), asset.size)
        for key, asset in found.assets.items()
        if key in names
    }
    return card, assets


class _File(msgspec.Struct):
    checksum: str = msgspec.field(name="file:checksum")
    size: int = msgspec.field(name="file:size")


class _Item(msgspec.Struct):
    id: str
    type: Literal["Feature"]
    stac_version: str
    properties: dict[str, Any]
    assets: dict[str, _File]
