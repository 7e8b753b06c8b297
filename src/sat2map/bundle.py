"""A trained model on disk: a folder with the graph, the weights, the card and a manifest of checksums.

`card.json` is a STAC MLM item, `model.onnx` runs without torch, `model.safetensors` is there to train on from, and
`README.md` says the same to people. Nothing in a bundle is ever unpickled.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from sat2map import storage
from sat2map.card import UNBOUNDED, Asset, Ground, Metrics, ModelCard, Training, from_stac, to_stac
from sat2map.errors import BadBundle, FileMissing, OutputExists, UnknownModel

__all__ = [
    "DEFAULT", "UNBOUNDED", "Bundle", "Metrics", "ModelCard", "Training",
    "find", "open_bundle", "readme", "shipped", "write_bundle",
]  # fmt: skip

DEFAULT = "carto"  # id of the model that is used when none is named
CARD, ONNX, WEIGHTS, README = "card.json", "model.onnx", "model.safetensors", "README.md"
CARD_LIMIT = 1 << 20  # bytes; a card is text of a few KB, and nobody should make us parse more


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files match their checksums."""

    folder: Path
    card: ModelCard

    @property
    def onnx(self) -> Path:
        """The graph that ONNX Runtime runs."""
        return self.folder / ONNX

    @property
    def weights(self) -> Path:
        """The weights as safetensors."""
        return self.folder / WEIGHTS


def write_bundle(
    folder: Path,
    card: ModelCard,
    onnx_bytes: bytes,
    safetensors_bytes: bytes,
    readme_text: str | None = None,
    *,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that is either whole or not there, and open it.

    The README is made from the card unless given. Raises OutputExists, also with `overwrite` if the folder holds
    something else than a bundle; StorageFailed; BadBundle for a card of more than 1 MiB.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise OutputExists(f"{folder} holds other things than a bundle", "Name another folder")
    files = {ONNX: onnx_bytes, WEIGHTS: safetensors_bytes}
    assets = {
        name: Asset(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()
    }
    encoded = msgspec.json.format(msgspec.json.encode(to_stac(card, assets)), indent=2) + b"\n"
    if len(encoded) > CARD_LIMIT:
        raise BadBundle(
            f"the card of model {card.id!r} has {len(encoded)} bytes, {CARD_LIMIT} are allowed",
            "Shorten its recipe or its limits",
        )
    files[CARD] = encoded
    files[README] = (readme(card) if readme_text is None else readme_text).encode()
    with storage.committing_folder(folder, overwrite=overwrite) as draft:
        for name, content in files.items():
            storage.write_bytes(draft / name, content)
    return open_bundle(folder)


def open_bundle(folder: Path) -> Bundle:
    """Check every checksum of a bundle and read its card.

    Raises FileMissing if there is no such folder, CorruptFile if a file does not match the manifest, and BadBundle if
    a part is missing, if the card is not ours, or if it was made for other weights.
    """
    if not folder.is_dir():
        raise FileMissing(f"{folder}: no such folder", "Name a bundle folder as `sat2map export` leaves it")
    for name in (CARD, ONNX, WEIGHTS, storage.MANIFEST):
        if not (folder / name).is_file():
            raise BadBundle(f"{folder} has no {name}", "Name a bundle folder as `sat2map export` leaves it")
    storage.verify(folder)
    listed = msgspec.json.decode((folder / storage.MANIFEST).read_bytes())
    card, assets = read_card(folder / CARD)
    for name in (ONNX, WEIGHTS):
        if name not in assets or assets[name].sha256 != listed.get(name, {}).get("sha256"):
            raise BadBundle(f"{folder}: card.json was written for another {name}", "Export the model again")
    return Bundle(folder, card)


def read_card(path: Path) -> tuple[ModelCard, dict[str, Asset]]:
    """Read a card and the checksums of the files it was written for. Raises BadBundle."""
    if path.stat().st_size > CARD_LIMIT:
        raise BadBundle(f"{path} is larger than {CARD_LIMIT} bytes", "A card is a few KB: export it again")
    try:
        item = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadBundle(f"{path} is not JSON: {error}", "Export the model again") from error
    if not isinstance(item, dict):
        raise BadBundle(f"{path} is no STAC item", "Export the model again")
    return from_stac(item)


@cache
def shipped() -> dict[str, Path]:
    """Return the bundles that come with the package, by id. Only these ids can be asked for by name."""
    root = Path(__file__).parent / "bundles"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CARD}"))}


def find(id_or_dir: str | Path = DEFAULT) -> Bundle:
    """Open the shipped bundle of this id, or the bundle in this folder.

    An id is looked up in a table and never made into a path; anything else must be an existing folder (write `./carto`
    for a folder called like an id). Raises UnknownModel, and whatever `open_bundle` raises.
    """
    known = shipped()
    if str(id_or_dir) in known and not isinstance(id_or_dir, Path):
        return open_bundle(known[str(id_or_dir)])
    if not Path(id_or_dir).is_dir():
        ids = ", ".join(known) or "none in this installation"
        raise UnknownModel(
            f"no model {str(id_or_dir)!r}",
            f"Use the id of a shipped model ({ids}) or the folder of a bundle as `sat2map export` leaves it",
        )
    return open_bundle(Path(id_or_dir))


def readme(card: ModelCard) -> str:
    """Return the model card for people, in Markdown."""
    what = {
        "sat2map": "satellite or aerial imagery to street map",
        "map2sat": "street map to imagery",
        "sat2view": "satellite or aerial imagery to the view from the ground",
        "latent2view": "numbers to landscapes that do not exist",
    }
    command = "sat2map translate IMAGE.png MAP.png"
    if card.ground:
        command = "sat2map view LON,LAT VIEW.png --scene SCENE.tif"
    if card.latent:
        command = "sat2map train view-encoder --data VIEWS --run RUN --through"
    seams = {
        "exact": f"None: pixels depend on at most {card.receptive_radius} px around them, and {card.halo} px are read.",
        "blend": "Overlapping windows are blended: the network takes statistics of its window.",
    }
    training = card.training
    facts = {
        "Task": what[card.direction],
        "Network": f"{card.architecture}, {card.parameter_count / 1e6:.2f} million parameters",
        "Input": f"{card.latent} normal draws"
        if card.latent
        else f"RGB at about {card.metres_per_pixel:g} m per pixel",
        **({"Picture": _picture(card.ground)} if card.ground else {"Seams": seams[card.windowing]}),
        "Training data": f"{training.data}, {training.pairs} pairs ({training.licence})",
        "Training": f"{training.images_seen:,} images seen in {training.hours:.1f} hours",
        "Versions": ", ".join(f"{name} {version}" for name, version in training.versions.items()),
        "Licence of the weights": card.licence,
        "Created": card.created,
    }
    parts = [
        f"# {card.title}",
        "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items())]),
    ]
    parts += ["## Use", f"```\n{command}{'' if card.latent else ' --model'} {card.id}\n```",
              "For a model that is not shipped, give the folder of this file instead of the id."]  # fmt: skip
    if card.palette:
        names = (card.palette.names[number] for number in card.palette.classes)
        legend = zip(names, card.palette.colours, strict=True)
        parts += ["## Colours", "\n".join(f"- rgb{colour}: {name}" for name, colour in legend)]
    if card.metrics:
        parts += ["## Figures", *(_table(metrics) for metrics in card.metrics)]
    if card.limits:
        parts += ["## Limits", "\n".join(f"- {sentence}" for sentence in card.limits)]
    return "\n\n".join(parts) + "\n"


def _picture(ground: Ground) -> str:
    """Return what a ground-view model is shown and draws, in words."""
    shape = "all around" if ground.field == 360 else f"{ground.field:g} degrees wide"
    shown = f"a satellite crop of {ground.side} px"
    if ground.heights:
        planes = ", ".join(f"{height:g}" for height in ground.heights)
        shown += f", projected outside the graph onto level planes at {planes} m"
    return (
        f"{ground.width} x {ground.height} px, {shape}, seen from {ground.eye:g} m, horizon at {ground.horizon:.0%} "
        f"of the height from the top; from {shown}"
    )


def _table(metrics: Metrics) -> str:
    """Return one evaluation as a Markdown table with a column per baseline."""
    columns = {"this model": metrics.figures, **metrics.baselines}
    lines = [f"{metrics.protocol}, split {metrics.split}, n = {metrics.n} (`{metrics.command}`)", ""]
    lines += [f"| figure | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for figure in metrics.figures:
        cells = (f"{column[figure]:.4g}" if figure in column else "" for column in columns.values())
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)
