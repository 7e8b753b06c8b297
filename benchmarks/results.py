"""Several trained models and the trivial baselines in one table, written into a document.

    python benchmarks/results.py BUNDLE... --data maps --into docs/recipes.md [--keep results] [--limit 25]
        [--protocols maps-600,reverse-600] [--features squeezenet.npz] [--cycle-model carto] [-j 2]
        [--beside other.json]

Each BUNDLE (a folder, or the id of a shipped model) is scored by the protocol of its direction, and so are the
baselines. A model that learned at another ground resolution than the protocol's pictures have is given each picture at
its own, and its answer is brought back to the size of the truth (both bicubic): otherwise a U-Net that was trained on
pictures of 286 px would be asked for what it has never seen. `--keep` holds the whole results as `sat2map evaluate
--json` writes them, for `sat2map compare`; what is there of the same graph, pictures and options is not computed again.

`--beside` names results of systems that are no bundles, as `sat2map evaluate --predictions DIR --json` writes them.

The table goes between the lines `<!-- results -->` and `<!-- end of results -->` of the document, or to the screen.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sat2map.bundle import Bundle, find
from sat2map.card import ModelCard
from sat2map.data.pairs import PairedSet
from sat2map.evaluation import figures
from sat2map.evaluation.features import open_extractor
from sat2map.evaluation.protocol import NATIVE, PROTOCOLS, Protocol, evaluate
from sat2map.evaluation.result import Result, read_result, to_json
from sat2map.evaluation.systems import Model, Prediction
from sat2map.runtime import OnnxTranslator, Translator
from sat2map.storage import sha256, write_bytes

UInt8 = npt.NDArray[np.uint8]
GROUND = 0.9  # metres per pixel of the pictures of `maps` at their native size
NEAR = 0.05  # a difference of resolution that is left alone
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
LEFT_OUT = ("rmse", "acc5")  # said again by others


class AtOwnScale(Model):
    """A model that sees pictures at the ground resolution that it learned."""

    def __init__(self, translator: Translator, protocol: Protocol, checksum: str = "") -> None:
        """`checksum` is that of the graph."""
        super().__init__(translator, checksum)
        self.factor = scale_of(translator.card, protocol)

    @classmethod
    def of(cls, bundle: Bundle, protocol: Protocol) -> "AtOwnScale":
        """A bundle's model."""
        return cls(OnnxTranslator(bundle), protocol, sha256(bundle.onnx))

    def __call__(self, name: str, source: UInt8) -> Prediction:
        """Translate `source` (H, W, 3), reduced or enlarged where the model expects it."""
        if self.factor == 1:
            return super().__call__(name, source)
        height, width = source.shape[:2]
        seen = super().__call__(
            name, resized(source, round(width * self.factor), round(height * self.factor))
        )
        confidence = None if seen.confidence is None else resized(seen.confidence, width, height)
        return Prediction(resized(seen.colour, width, height), confidence)


def scale_of(card: ModelCard, protocol: Protocol) -> float:
    """Pixels that the model wants for each pixel of the protocol's pictures."""
    ground = GROUND * NATIVE / protocol.reduced if protocol.reduced else GROUND
    factor = ground / card.metres_per_pixel
    return 1.0 if protocol.required is None or abs(factor - 1) < NEAR else factor


def resized(picture: UInt8, width: int, height: int) -> UInt8:
    """(H, W) or (H, W, 3) at another size."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def score(bundle: Bundle, protocol: Protocol, options: argparse.Namespace) -> Result:
    """The bundle's result, from `--keep` if it is there."""
    system = AtOwnScale.of(bundle, protocol)
    kept = options.keep / f"{bundle.card.id}.{protocol.name}.json" if options.keep else None
    if kept and kept.is_file():
        found = read_result(kept)
        same = found.scores.subject.checksum == system.subject.checksum and found.data == options.data.name
        has_all = bool(found.realism) >= bool(options.features) and bool(found.cycle) >= wants_cycle(
            protocol, options
        )
        if same and has_all and options.limit in (None, found.n):
            return found
    cycle = None
    if wants_cycle(protocol, options):
        cycle = AtOwnScale.of(find(options.cycle_model), PROTOCOLS[protocol.name.replace("reverse", "maps")])
    result = evaluate(
        system, PairedSet.open(options.data), protocol=protocol, limit=options.limit, jobs=options.jobs, cycle=cycle,
        extractor=open_extractor(options.features, inception=False) if options.features else None,
        command=shlex.join(["python", *sys.argv]),
    )  # fmt: skip
    if kept:
        write_bytes(kept, to_json(result), overwrite=True)
    return result


def wants_cycle(protocol: Protocol, options: argparse.Namespace) -> bool:
    """Tell whether pictures are to be mapped back."""
    return bool(options.cycle_model) and protocol.direction == "map2sat"


def markdown(results: Sequence[tuple[Bundle | None, Result]]) -> str:
    """One table: for each direction its models, then the baselines."""
    tables = {
        direction: figures.table([result for _, result in results if result.direction == direction])
        for direction in dict.fromkeys(result.direction for _, result in results)
    }
    have = {key for table in tables.values() for key in table.keys}
    keys = [key for key in figures.FIGURES if key in have and key not in LEFT_OUT]
    keys += sorted(have - set(figures.FIGURES))  # distances of features
    training = {bundle.card.id: bundle.card.training for bundle, _ in results if bundle}
    titles = [figures.describe(key).title for key in keys]
    lines = [f"| | images seen | {' | '.join(titles)} |", "|---|---" + "|---" * len(keys) + "|"]
    for direction, table in tables.items():
        one = next(result for _, result in results if result.direction == direction)
        way = "satellite to map" if direction == "sat2map" else "map to satellite"
        lines.append(f"| **{way}**, `{one.protocol}`, n = {one.n} |" + " |" * (len(keys) + 1))
        for row in table.rows:
            seen = f"{training[row.label].images_seen:,}" if row.label in training else ""
            name = f"*{row.label}*" if row.baseline else f"`{row.label}`"
            values = " | ".join(figures.show(key, row.figures.get(key)) for key in keys)
            lines.append(f"| {name} | {seen} | {values} |")
    return "\n".join(lines) + "\n"


def put_into(document: Path, table: str) -> None:
    """Replace what stands between the two lines; ends where they are missing."""
    text = document.read_text("utf-8")
    head, begin, rest = text.partition(BEGIN + "\n")
    _, end, tail = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{document} has no lines {BEGIN} and {END}")
    document.write_text(f"{head}{BEGIN}\n\n{table}\n{END}{tail}", "utf-8")


def main() -> None:
    """Score what was named, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--protocols", default="maps-600,reverse-600", help="one for each direction")
    parser.add_argument("--into", type=Path, metavar="MARKDOWN")
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--beside", type=Path, nargs="*", default=[], metavar="JSON")
    parser.add_argument("--cycle-model", metavar="ID|DIR")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    protocols = {PROTOCOLS[name].direction: PROTOCOLS[name] for name in options.protocols.split(",")}
    results: list[tuple[Bundle | None, Result]] = []
    for name in options.bundles:
        bundle = find(name)
        results.append((bundle, score(bundle, protocols[bundle.card.direction], options)))
        print(f"{name}: {results[-1][1].seconds:.0f} s", file=sys.stderr, flush=True)
    results += [(None, read_result(path)) for path in options.beside]
    table = markdown(results)
    if options.into:
        put_into(options.into, table)
    print(table)


if __name__ == "__main__":
    main()
