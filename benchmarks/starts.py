"""Every recipe that learns from maps and imagery, for some seconds on invented towns: what its samples look like.

    python benchmarks/starts.py docs/images/recipes.jpg [--only NAME,NAME] [--images 1.0] [--pairs DIR]

A start, not a result: networks are reduced, crops of 64 px, one seed. Rows of the sheet are recipes, each with two
pairs that were kept for choosing: given, made, true. The pairs are made by `sat2map imagine --pairs`, so that the sheet
shows nobody's imagery. What each recipe was given and the figures it ends with are printed as a table.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from sat2map.data.check_page import thumbnail
from sat2map.data.imagined import PairSettings, make_pairs
from sat2map.training import checkpoint, development, export, loop, setup
from sat2map.training.predict import paint_picture
from sat2map.training.recipe import Recipe, load_recipe, override

UInt8 = npt.NDArray[np.uint8]
SIDE, PAIRS, ROWS = (
    64,
    40,
    2,
)  # px of a crop and of a picture shown (pairs have twice as many), pairs made, pairs shown
GAP, MARGIN = 4, 116  # px between pictures, px for names
UNET = ["generator.parameters={levels: 5, width: 16, dropout: 0.5, norm: instance}"]
PATCH = ["discriminator.parameters={layers: 2, width: 16, norm: batch}"]
SMALL = "widths: [24, 32, 48], encoder: [1, 1, 1], decoder: [1, 1], head: 32"
CARTO = ["data.finish=null", "optimiser.warmup=60", "run.average=60"]
PAINTER = [*CARTO, f"generator.parameters={{{SMALL}}}", "objective.palette=8", "data.scale=0"]
REVERSE = [
    *CARTO, f"generator.parameters={{{SMALL}, noise: 4}}", "data.crop=128", "data.batch=2",
    "discriminator.parameters.widths=[16, 32]",
]  # fmt: skip
CLASSIC = [*UNET, *PATCH, "optimiser.rate=5e-4", "discriminator_optimiser.rate=5e-4"]

# Recipe -> images, what was reduced or changed.
STARTS: dict[str, tuple[int, list[str]]] = {
    "carto": (1600, PAINTER),
    "carto-reverse": (800, REVERSE),
    "pix2pix-paper": (400, CLASSIC),
    "pix2pix-keras": (400, CLASSIC),
    "pix2pix-unet7": (400, CLASSIC),
    "pix2pix-stable": (400, [*CLASSIC, "optimiser.rate=25e-5"]),
    "pix2pix-onecycle": (400, CLASSIC),
    "unet-maxpool-512": (400, ["generator.parameters={levels: 3, width: 12, dropout: 0.5, norm: batch}",
                               "discriminator.parameters={levels: 3, width: 8, norm: batch}",
                               "optimiser.rate=2e-3", "discriminator_optimiser.rate=1e-3"]),
    "pix2pix-resnet9": (300, ["generator.parameters={blocks: 3, width: 16, norm: instance}", *PATCH,
                              "optimiser.rate=5e-4"]),
    "cyclegan": (250, ["generator.parameters={blocks: 3, width: 16, norm: instance}",
                       "discriminator.parameters={layers: 2, width: 16, norm: instance}", "optimiser.rate=5e-4"]),
}  # fmt: skip
AFTER = {"pix2pix-onecycle": "pix2pix-stable"}  # begins with that one's bundle


def reduced(name: str, share: float) -> Recipe:
    """The recipe with its start's settings, `share` of its length."""
    images, settings = STARTS[name]
    images = round(images * share)
    recipe = load_recipe(name)
    run = [
        f"run.images={images}",
        f"run.checkpoint_every={images}",
        f"run.sample_every={images}",
        "run.threads=1",
    ]
    return override(recipe, [f"data.crop={SIDE}", "data.load=null", *settings, *run, "data.development=0.15"])


def start(
    name: str, pairs: Path, folder: Path, share: float
) -> tuple[list[tuple[UInt8, ...]], dict[str, float]]:
    """Train, and paint development pictures: rows of (given, made, true), and the figures at the end."""
    run, recipe = folder / name, reduced(name, share)
    origin = folder / f"{AFTER[name]}-bundle" if name in AFTER else None
    loop.train(recipe, pairs, run, start_from=origin)
    if name in AFTER.values():
        export.export_run(run, folder / f"{name}-bundle", model_id=name)
    data = setup.open_data(recipe, pairs, lambda done, total, note: None)
    trained = export.load_run(run)
    rows = []
    for number in data.development[:ROWS]:
        given = data.source(number)
        made = paint_picture(
            trained.network, development.predict(trained.network, given, recipe), trained.palette
        )
        rows.append((given, made, data.target(number)))
    newest = checkpoint.newest(run)
    assert newest is not None, "a run that ended has a checkpoint"
    return rows, checkpoint.read_state(newest).figures


def sheet(found: dict[str, list[tuple[UInt8, ...]]]) -> Image.Image:
    """One line for each recipe: its name, and its rows side by side."""
    line = SIDE + GAP
    page = Image.new("RGB", (MARGIN + 3 * ROWS * line + ROWS * GAP, len(found) * line + GAP), "white")
    pen = ImageDraw.Draw(page)
    for n, (name, rows) in enumerate(found.items()):
        top = GAP + n * line
        pen.text((GAP, top + SIDE // 2 - 6), name, fill="black")
        for m, row in enumerate(rows):
            for k, picture in enumerate(row):
                left = MARGIN + (3 * m + k) * line + m * GAP
                page.paste(Image.fromarray(thumbnail(picture, SIDE)), (left, top))
    return page


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default=",".join(STARTS))
    parser.add_argument("--images", type=float, default=1.0, help="share of the usual lengths")
    parser.add_argument("--pairs", type=Path, help="a set to train on instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[tuple[UInt8, ...]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        folder = Path(scratch)
        pairs = options.pairs or folder / "pairs"
        if not options.pairs:
            make_pairs(
                pairs, PairSettings(PAIRS, 4, tile=2 * SIDE, gsd=1.8, val=0), 1, lambda *progress: None
            )
        for name in options.only.split(","):
            begin = time.process_time()
            found[name], figures = start(name, pairs, folder, options.images)
            shown = {key: round(value, 3) for key, value in figures.items() if "." not in key}
            seconds = time.process_time() - begin
            print(f"{name}: {json.dumps(shown)}, {seconds:.0f} s of processor time", flush=True)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            sheet(found).save(options.out, quality=82)
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
