"""A model of one's own in one go: invent pairs, train, export, evaluate beside the baselines. Needs the extra `train`.

A few hundred images show that all parts work together; the shipped model saw 92,000 (docs/LOG.md).

    python examples/learn_from_towns.py work/ --pairs 200 --images 2000
"""

import argparse
from pathlib import Path

from sat2map.bundle import open_bundle
from sat2map.data.imagined import PairSettings, make_pairs
from sat2map.data.pairs import PairedSet
from sat2map.evaluation import figures
from sat2map.evaluation.protocol import PROTOCOLS, evaluate
from sat2map.evaluation.systems import Model
from sat2map.runtime import OnnxTranslator
from sat2map.training.export import export_run
from sat2map.training.loop import train
from sat2map.training.recipe import load_recipe, override


def main() -> None:
    """Leave the folders `pairs`, `run` and `bundle` in the folder that was named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("settings", nargs="*", metavar="a.b=c", help="more settings of the recipe")
    options = parser.parse_args()
    pairs, run, bundle = (options.folder / name for name in ("pairs", "run", "bundle"))

    make_pairs(pairs, PairSettings(options.pairs, seed=1, tile=256, val=0.2), jobs=1, report=quiet)
    shorter = [f"run.images={options.images}", "optimiser.warmup=200"]
    recipe = override(load_recipe("carto"), [*shorter, *options.settings])
    train(recipe, pairs, run, on_progress=told)
    export_run(run, bundle, model_id="towns")

    model = Model(OnnxTranslator(open_bundle(bundle)))
    result = evaluate(model, PairedSet.open(pairs), protocol=PROTOCOLS["native"])
    table = figures.table([result])
    for row in table.rows:
        shown = (
            f"{key} {figures.show(key, row.figures.get(key))}" for key in ("miou6", "road_f1_3px", "psnr")
        )
        print(f"{row.label:20}", *shown, sep="  ")
    print(f"n = {result.n}")


def quiet(done: int, total: int, note: str) -> None:
    """Take reports that nobody needs."""


def told(done: int, total: int, note: str) -> None:
    """Print one report in a hundred images."""
    if done % 100 == 0:
        print(f"{done} of {total} images: {note}", flush=True)


if __name__ == "__main__":
    main()
