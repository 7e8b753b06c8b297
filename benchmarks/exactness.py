"""Whether a real scene is the same map however it is cut: windows, workers, order of work, and all in one piece.

    python benchmarks/exactness.py SCENE.tif [--gsd METRES] [--model ID|DIR] [--windows 256,512,1024,2048] [--json FILE]

Several files are put together to a mosaic first. Each variation is a whole job of `sat2map translate` with three
products; the bytes of all files are compared, and the pixels of one job whose blocks are done in random order. Then the
scene is translated in one piece (as much memory as that takes) and its probabilities are compared with those of the
cells; and, to show that this can fail, with those of cells with an eighth of the halo. Scenes finer than the model's
resolution are few cells; `--gsd` with the scene's own makes more of them.
"""

import hashlib
import itertools
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from measuring import arguments, finish
from sat2map.bundle import DEFAULT, find
from sat2map.grid import Block, CellGrid, Window, align_up
from sat2map.runtime import OnnxTranslator, Translator
from sat2map.scenes.georeferenced import SceneOptions, opened, translate_scene
from sat2map.scenes.pictures import Canvas
from sat2map.scenes.resolution import Scene
from sat2map.scenes.translate import PRODUCTS, WINDOW, read_reflected, translate
from sat2map.storage import sha256

CLOSE, SHARE = 1e-4, 0.9999  # DESIGN's bounds: probabilities, share of equal classes


class Agreement(NamedTuple):
    """Cells beside the scene in one piece."""

    cells: int
    largest: float  # difference of probabilities
    classes: float  # share of pixels whose class is the same
    control: float  # difference of probabilities if the halo were an eighth of what it is


def jobs_of_all_kinds(
    translator: Translator, scene: Path, folder: Path, gsd: float | None, windows: list[int], jobs: list[int]
) -> dict[str, set[str]]:
    """Translate the scene in every way; return product -> checksums of its files."""
    found: dict[str, set[str]] = {name: set() for name in PRODUCTS}
    for window, workers in itertools.product(windows, jobs):
        options = SceneOptions(products=PRODUCTS, gsd=gsd, window=window, jobs=workers, overwrite=True)
        paths = translate_scene(translator, scene, folder / "map.tif", options)
        for name, path in zip(PRODUCTS, paths, strict=True):
            found[name].add(sha256(path))
        print(f"  window {window}, {workers} workers: colour {sha256(paths[0])[:16]}", flush=True)
    return found


def in_order(translator: Translator, shown: Scene, window: int) -> dict[str, np.ndarray]:
    """The products in memory, blocks row by row."""
    canvas = Canvas(*shown.shape[:2])
    translate(translator, shown, canvas, PRODUCTS, window=window, jobs=1)
    return canvas.products


def shuffled(translator: Translator, shown: Scene, window: int, seed: int) -> dict[str, np.ndarray]:
    """The products in memory, blocks in random order, as a killed and resumed job may do them."""
    height, width, _ = shown.shape
    card = translator.card
    grid = CellGrid(height, width, card.cell, card.halo)
    places = [grid.pixels(block).clipped(height, width) for block in grid.blocks(window)]
    canvas = Canvas(height, width)
    for number in np.random.default_rng(seed).permutation(len(places)):
        wanted = places[number]
        translate(
            translator,
            shown,
            canvas,
            PRODUCTS,
            window=window,
            jobs=2,
            wanted=lambda here, w=wanted: here == w,
        )
    return canvas.products


def beside_one_piece(translator: Translator, shown: Scene, classes: np.ndarray) -> Agreement:
    """Compare the cells, and the class raster that the engine made of them, with the scene in one piece."""
    card = translator.card
    assert card.palette is not None, "a model with classes"
    height, width, _ = shown.shape
    grid = CellGrid(height, width, card.cell, card.halo)
    scene = Window(0, 0, align_up(height, card.stride), align_up(width, card.stride)).grown(card.halo)
    whole = translator(read_reflected(shown, scene)[None], ("probabilities", "index"))
    assert whole.probabilities is not None and whole.index is not None
    largest, control, cells = 0.0, 0.0, 0
    for cell in grid.cells(Block(0, 0, grid.rows, grid.cols)):
        expected = whole.probabilities[0][:, *grid.pixels(cell).clipped(height, width).slices(scene)]
        for halo in (card.halo, align_up(card.halo // 8, card.stride)):
            window = grid.pixels(cell)
            patch = read_reflected(shown, window.grown(halo))
            found = translator(patch[None], ("probabilities",)).probabilities
            assert found is not None
            got = found[0][:, *window.clipped(height, width).slices(window.grown(halo))]
            difference = float(np.abs(got - expected).max())
            if halo == card.halo:
                largest, cells = max(largest, difference), cells + 1
            else:
                control = max(control, difference)
    index = whole.index[0][Window(0, 0, height, width).slices(scene)]
    return Agreement(cells, largest, float((card.palette.to_classes(index) == classes).mean()), control)


def mosaic(files: list[Path], folder: Path) -> Path:
    """One file of several, or the only one."""
    if len(files) == 1:
        return files[0]
    from rasterio.merge import merge

    kind = {
        "driver": "GTiff",
        "photometric": "rgb",
        "blockxsize": 512,
        "blockysize": 512,
    }  # tiles may be JPEGs with a file beside them
    merge(files, dst_path=folder / "mosaic.tif", dst_kwds=kind)
    return folder / "mosaic.tif"


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("scene", nargs="+", type=Path, help="GeoTIFF; several become a mosaic")
    parser.add_argument("--model", default=DEFAULT, help=f"id or folder of a bundle (default {DEFAULT})")
    parser.add_argument("--gsd", type=float, help="metres per pixel that the model is shown")
    parser.add_argument("--windows", type=numbers, default=[256, 512, 1024, 2048], metavar="LIST")
    parser.add_argument("--jobs", type=numbers, default=[1, 2], metavar="LIST", help="workers (default 1,2)")
    options = parser.parse_args()
    bundle = find(options.model)
    translator = OnnxTranslator(bundle)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = mosaic(options.scene, folder)
        print(
            f"{options.scene[0].name}{' and others' if len(options.scene) > 1 else ''}, model {bundle.card.id}"
        )
        files = jobs_of_all_kinds(translator, scene, folder, options.gsd, options.windows, options.jobs)
        ways = len(options.windows) * len(options.jobs)
        alike = all(len(checksums) == 1 for checksums in files.values())
        print(f"  {ways} ways: {'all files equal, byte by byte' if alike else f'NOT EQUAL: {files}'}")
        with opened(bundle.card, scene, SceneOptions(gsd=options.gsd)) as ready:
            straight = in_order(translator, ready.shown, WINDOW)
            mixed = shuffled(translator, ready.shown, min(options.windows), options.rounds)
            same = all(np.array_equal(straight[product], mixed[product]) for product in PRODUCTS)
            print(f"  blocks in random order: {'the same pixels' if same else 'OTHER PIXELS'}")
            agreement = beside_one_piece(translator, ready.shown, straight["classes"])
            shape = ready.shown.shape
    keeps = agreement.largest <= CLOSE and agreement.classes >= SHARE and agreement.control > CLOSE
    print(
        f"  beside one piece of {shape[1]} x {shape[0]} px ({agreement.cells} cells): probabilities differ by "
        f"{agreement.largest:.1e} at most, {agreement.classes:.4%} of classes equal: {'kept' if keeps else 'BROKEN'} "
        f"(control, an eighth of the halo: {agreement.control:.2f})"
    )
    pixels = {product: hashlib.sha256(straight[product].tobytes()).hexdigest() for product in PRODUCTS}
    finish(
        options.json,
        {
            "files": {product: sorted(checksums) for product, checksums in files.items()},
            "pixels": pixels, "alike": alike, "shuffled": same, "one piece": agreement._asdict(),
        },
    )  # fmt: skip
    if not (alike and same and keeps):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
