"""Seams of a classic network whose instance norm looks at its whole window: as tiles, cropped, and with Hann blending.

    python benchmarks/seams.py [SCENE.tif] [--gsd METRES] --pairs maps/train [--steps 500] [--json FILE]
    python benchmarks/seams.py [SCENE.tif] [--gsd METRES] --model DIR

With pairs (pictures side by side, satellite left), a small ResNet of CycleGAN's kind learns L1 for a minute or so;
`--blocks` and `--width` say how small. The bundle of another network that wants blending can be given instead. `tiles`
are windows side by side; `cropped` overlap by `--overlap` px and are cut in the middle of it; `blended` are those with
the weights of `sat2map.scenes.blend`. The seam score is the mean gradient of the map across the borders of windows over
that elsewhere: 1 where nobody can tell. Gradients are taken for every distance from a border, so that a seam elsewhere
would show too (`worst`), and the spread of the other distances says what is chance.
"""

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

import reference
from measuring import arguments, finish
from sat2map.bundle import ModelCard, Training, find
from sat2map.images import read_image
from sat2map.models import build_generator
from sat2map.runtime import Field, OnnxTranslator, Translation, Translator
from sat2map.scenes.georeferenced import SceneOptions, opened
from sat2map.scenes.pictures import Canvas
from sat2map.scenes.resolution import Scene
from sat2map.scenes.translate import translate
from scene import write_scene

PAIRS, CROP, BATCH, RATE = 48, 128, 4, 2e-3  # pictures, px, squares, Adam's step
METRES = 0.9  # per pixel of `maps`


class Seams(NamedTuple):
    """Mean gradients across lines between pixels, over the median of them all."""

    border: float  # at the borders of windows
    worst: float  # at the distance from a border at which it is largest
    spread: tuple[float, float]  # the middle 95 % of all distances


class InTorch:
    """A network of three outputs as a translator."""

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        self.network, self.card = network.eval(), card

    def __call__(self, batch: np.ndarray, want: Collection[Field]) -> Translation:
        """Return the colours."""
        with torch.inference_mode():
            out = self.network(to_tensor(batch))  # (N, 3, H, W)
        colour = ((out + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
        return Translation(colour=colour.numpy())


class Recut:
    """The same network cut another way, whether or not that does it justice."""

    def __init__(self, translator: Translator, cell: int, halo: int, windowing: str) -> None:
        radius = -1 if windowing == "blend" else 0
        changes = {"cell": cell, "halo": halo, "windowing": windowing, "receptive_radius": radius}
        self._translator, self.card = translator, msgspec.structs.replace(translator.card, **changes)

    def __call__(self, batch: np.ndarray, want: Collection[Field]) -> Translation:
        """Translate as the network does."""
        return self._translator(batch, want)


def trained(pairs: Path, steps: int, parameters: dict[str, int], seed: int = 0) -> Translator:
    """An instance-norm ResNet after `steps` batches of random squares from 48 pairs; L1, rate falling by and by."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    files = sorted(pairs.glob("*.jpg"))
    chosen = random.choice(len(files), min(PAIRS, len(files)), replace=False)
    pictures = [read_image(files[number]) for number in chosen]
    network = build_generator("resnet", 3, {"norm": "instance", **parameters})
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * min(1, 2 * (1 - step / steps))
        squares = [square(pictures, random) for _ in range(BATCH)]
        sat, street = (to_tensor(half) for half in zip(*squares, strict=True))
        loss = functional.l1_loss(network(sat), street)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item() * 127.5)
    last = losses[-50:]
    print(
        f"trained for {steps} steps: L1 {losses[0]:.1f} levels at first, {sum(last) / len(last):.1f} at last"
    )
    card = ModelCard(
        id="classic", title="A small ResNet", direction="sat2map", kind="rgb", architecture="resnet",
        parameters=parameters, parameter_count=reference.parameters(network), metres_per_pixel=METRES,
        stride=network.stride, receptive_radius=-1, halo=32, cell=192, windowing="blend",
        training=Training("maps", "none", len(files), {}, BATCH * steps, 0.0, {}), licence="Apache-2.0",
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip
    return InTorch(network, card)


def square(pictures: Sequence[np.ndarray], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same random square of both halves of a random pair."""
    picture = pictures[random.integers(len(pictures))]
    middle = picture.shape[1] // 2
    row, col = random.integers(picture.shape[0] - CROP), random.integers(middle - CROP)
    rows = slice(row, row + CROP)
    return picture[rows, col : col + CROP], picture[rows, middle + col : middle + col + CROP]


def to_tensor(images: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def ways(window: int, overlap: int) -> dict[str, tuple[int, int, str]]:
    """How windows are put together: name -> cell, halo, windowing."""
    return {
        "tiles": (window, 0, "exact"),
        "cropped": (window - overlap, overlap // 2, "exact"),
        "blended": (window - overlap, overlap // 2, "blend"),
    }


def seams(colours: np.ndarray, cell: int) -> Seams:
    """Score (H, W, 3) colours made of cells whose borders lie at multiples of `cell` px."""
    values = colours.astype(np.float32)
    sums, counts = np.zeros(cell), np.zeros(cell)
    for axis in (0, 1):
        step = np.abs(np.diff(values, axis=axis)).mean((1 - axis, 2))  # across each line
        distance = (np.arange(len(step)) + 1) % cell  # of the line from the border before it
        sums += np.bincount(distance, step, cell)
        counts += np.bincount(distance, minlength=cell)
    gradients = sums / np.maximum(counts, 1)
    scores = gradients / max(float(np.median(gradients)), 1e-9)
    low, high = np.percentile(scores[1:], (2.5, 97.5))
    return Seams(float(scores[0]), float(scores.max()), (float(low), float(high)))


def measure(translator: Translator, scene: Scene, window: int, overlap: int) -> dict[str, Seams]:
    """Translate the scene in each way and score it."""
    found = {}
    for name, (cell, halo, windowing) in ways(window, overlap).items():
        canvas = Canvas(*scene.shape[:2])
        translate(Recut(translator, cell, halo, windowing), scene, canvas, jobs=1)
        found[name] = seams(canvas.products["colour"], cell)
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("scene", nargs="?", type=Path, help="GeoTIFF (default: noise)")
    parser.add_argument("--gsd", type=float, help="metres per pixel that the model is shown")
    parser.add_argument("--model", type=Path, metavar="DIR", help="bundle of a network that wants blending")
    parser.add_argument("--pairs", type=Path, metavar="DIR", help="pairs to train a small one on instead")
    parser.add_argument("--steps", type=int, default=500, help="of training (default 500)")
    parser.add_argument("--blocks", type=int, default=6, help="of the ResNet (default 6)")
    parser.add_argument("--width", type=int, default=8, help="channels of the ResNet (default 8)")
    parser.add_argument("--window", type=int, default=128, help="px of a window (default 128)")
    parser.add_argument("--overlap", type=int, default=32, help="px that windows share (default 32)")
    options = parser.parse_args()
    if bool(options.model) == bool(options.pairs):
        parser.error("give --model or --pairs")
    if options.model:
        translator: Translator = OnnxTranslator(find(options.model))
    else:
        shape = {"blocks": options.blocks, "width": options.width}
        translator = trained(options.pairs, options.steps, shape)
    with tempfile.TemporaryDirectory() as name:
        path = options.scene or Path(name) / "noise.tif"
        if not options.scene:
            write_scene(path, 1024, translator.card.metres_per_pixel)
        with opened(translator.card, path, SceneOptions(gsd=options.gsd)) as ready:
            height, width, _ = ready.shown.shape
            print(f"{path.name}, {width} x {height} px, windows of {options.window} px")
            found = measure(translator, ready.shown, options.window, options.overlap)
    for kind, (border, worst, (low, high)) in found.items():
        print(f"  {kind:8} seam score {border:.2f} (elsewhere {low:.2f} to {high:.2f}, worst {worst:.2f})")
    finish(options.json, {kind: score._asdict() for kind, score in found.items()})


if __name__ == "__main__":
    main()
