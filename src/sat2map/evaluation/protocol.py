"""The protocols of docs/EVALUATION.md: what is compared, at which size; all counted in one pass."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from sat2map.data.pairs import Pair, PairedSet, read, source_and_target
from sat2map.errors import BadDataset
from sat2map.evaluation.calibration import Reliability
from sat2map.evaluation.features import Extractor
from sat2map.evaluation.metrics import PairScore, Tally, classes_of, score_pair, sum_scores
from sat2map.evaluation.realism import FeatureSet, Realism, measure, require_enough
from sat2map.evaluation.result import Calibration, Result, Scores, versions
from sat2map.evaluation.systems import (
    LAND_COLOUR,
    SATELLITE_COLOUR,
    Blank,
    Copy,
    Folder,
    MeanTarget,
    Prediction,
    System,
    mean_image,
)

UInt8 = npt.NDArray[np.uint8]
Progress = Callable[[int, int, str], None]
Direction = Literal["sat2map", "map2sat"]
NATIVE = 600  # px, the side of the pictures of the `maps` set


class Protocol(NamedTuple):
    """What goes in and what is compared."""

    name: str
    direction: Direction
    required: int | None  # px: the side that pairs must have; None for any
    reduced: int | None  # px: the side to which both halves are reduced (bicubic); None for none


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("maps-600", "sat2map", NATIVE, None),
        Protocol("maps-256", "sat2map", NATIVE, 256),
        Protocol("reverse-600", "map2sat", NATIVE, None),
        Protocol("reverse-256", "map2sat", NATIVE, 256),
        Protocol("native", "sat2map", None, None),  # other data, at the size it has
        Protocol("reverse-native", "map2sat", None, None),
    )
}


def default_protocol(direction: Direction) -> Protocol:
    """The headline protocol of a direction."""
    return PROTOCOLS["maps-600" if direction == "sat2map" else "reverse-600"]


def load(pair: Pair, protocol: Protocol) -> tuple[UInt8, UInt8]:
    """Read a pair as (source, target), uint8 (H, W, 3), at the size of the protocol; BadDataset for other sizes."""
    halves = read(pair)
    height, width = halves[0].shape[:2]
    if protocol.required and (height, width) != (protocol.required, protocol.required):
        raise BadDataset(
            f"pair {pair.name} is {width}×{height} px a half; protocol {protocol.name} is defined on "
            f"{protocol.required}×{protocol.required}",
            "Use --protocol native (or reverse-native) for other data",
        )
    if protocol.reduced:
        side = (protocol.reduced, protocol.reduced)
        sat, street = (np.asarray(Image.fromarray(h).resize(side, Image.Resampling.BICUBIC)) for h in halves)
        halves = sat, street
    return source_and_target(halves, protocol.direction)


def baselines(pairs: PairedSet, protocol: Protocol) -> tuple[list[System], list[str]]:
    """Blank, copy and mean of the training targets, and notes on what could not be had."""
    maps = protocol.direction == "sat2map"
    label, notes = ("mean map" if maps else "mean picture"), list[str]()
    mean = None
    if pairs.splits.get("train"):
        mean = mean_image(load(pair, protocol)[1] for pair in pairs.of("train"))
    colour = LAND_COLOUR if maps else SATELLITE_COLOUR
    found: list[System] = [Blank(colour, "blank, land colour" if maps else "one constant colour"), Copy()]
    if mean is not None:
        found.append(MeanTarget(mean, label))
    else:
        notes.append(f"No {label}: {pairs.folder.name} has no training split of one size.")
    return found, notes


class _Outcome(NamedTuple):
    """What one pair contributes; arrays only where somebody asked for them."""

    scores: list[PairScore]  # of each system, in order
    features: list[
        npt.NDArray[np.float64]
    ]  # (D,) of the target, then of each system; empty without an extractor
    reliability: tuple[UInt8, npt.NDArray[np.bool_]] | None
    cycle: PairScore | None
    prediction: Prediction  # of the first system


def evaluate(
    system: System,
    pairs: PairedSet,
    *,
    protocol: Protocol,
    split: str = "val",
    limit: int | None = None,
    jobs: int = 1,
    extractor: Extractor | None = None,
    cycle: System | None = None,
    on_prediction: Callable[[str, Prediction], None] | None = None,
    on_progress: Progress | None = None,
    command: str = "",
) -> Result:
    """Score `system` and the baselines on one split of `pairs` in one pass, `jobs` pairs at a time.

    `limit` takes the first pairs in natural order. `extractor` adds realism; `cycle`, a satellite → map system, adds
    cycle agreement to map → satellite; `on_prediction` is given every prediction, in order. Raises BadDataset for an
    empty split, a wrong size or a missing prediction, TooFewImages for realism on fewer than 50 images.
    """
    started = time.monotonic()
    chosen = pairs.of(split)[:limit]
    if extractor:
        require_enough(len(chosen))
    if isinstance(system, Folder):
        system.require([pair.name for pair in chosen])
    others, notes = baselines(pairs, protocol)
    subjects = [system, *others]
    tallies = [Tally() for _ in subjects]
    images: list[PairScore] = []
    cycled: list[PairScore] = []
    reliability = Reliability()
    crowds = [FeatureSet() for _ in [None, *subjects]]  # of the targets, then of each system

    def work(pair: Pair) -> _Outcome:
        return _score(pair, protocol, subjects, cycle, extractor)

    for done, (pair, outcome) in enumerate(_in_order(work, chosen, jobs), start=1):
        for tally, score in zip(tallies, outcome.scores, strict=True):
            tally.add(score)
        images.append(outcome.scores[0])
        if outcome.reliability:
            reliability.add(*outcome.reliability)
        if outcome.cycle:
            cycled.append(outcome.cycle)
        for crowd, vector in zip(crowds, outcome.features, strict=False):
            crowd.add(vector)
        if on_prediction:
            on_prediction(pair.name, outcome.prediction)
        if on_progress:
            on_progress(done, len(chosen), pair.name)
    realism = (
        [measure(extractor, crowds[0], made) for made in crowds[1:]] if extractor else [None] * len(subjects)
    )
    return Result(
        protocol=protocol.name,
        direction=protocol.direction,
        data=pairs.folder.resolve().name,
        split=split,
        n=len(images),
        scores=_scores(system, tallies[0], realism[0], tuple(images)),
        baselines=tuple(map(_scores, others, tallies[1:], realism[1:])),
        notes=tuple(notes),
        calibration=_calibration(reliability),
        realism=realism[0],
        cycle=_scores(cycle, sum_scores(cycled), None, tuple(cycled)) if cycle and cycled else None,
        versions=versions(),
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=round(time.monotonic() - started, 1),
    )


def _score(
    pair: Pair,
    protocol: Protocol,
    subjects: Sequence[System],
    cycle: System | None,
    extractor: Extractor | None,
) -> _Outcome:
    """Read one pair, predict with every system, score."""
    source, target = load(pair, protocol)
    maps = protocol.direction == "sat2map"
    predictions = [system(pair.name, source) for system in subjects]
    scores = [score_pair(pair.name, target, p.colour, maps=maps) for p in predictions]
    mine, reliability = predictions[0], None
    if maps and mine.confidence is not None:
        reliability = (mine.confidence, classes_of(mine.colour) == classes_of(target))
    cycled = None
    if cycle and not maps:
        cycled = score_pair(pair.name, source, cycle(pair.name, mine.colour).colour)
    seen = [target, *(p.colour for p in predictions)] if extractor else []
    features = [extractor(image[None])[0] for image in seen] if extractor else []
    return _Outcome(scores, features, reliability, cycled, mine)


def _in_order(
    work: Callable[[Pair], _Outcome], pairs: Sequence[Pair], jobs: int
) -> Iterator[tuple[Pair, _Outcome]]:
    """Do `work` for every pair, `jobs` at a time, a few in memory; results come in the order of the pairs."""
    remaining = iter(pairs)
    with ThreadPoolExecutor(jobs) as pool:
        while few := list(islice(remaining, 2 * jobs)):
            yield from zip(few, pool.map(work, few), strict=True)


def _scores(
    system: System, tally: Tally, realism: Realism | None = None, images: tuple[PairScore, ...] = ()
) -> Scores:
    matrix = tuple(map(tuple, tally.confusion.tolist())) if tally.iou() else ()
    figures = tally.figures() | (realism.figures if realism else {})
    return Scores(system.subject, figures, tally.iou(), matrix, images)


def _calibration(reliability: Reliability) -> Calibration | None:
    if not reliability.pixels:
        return None
    return Calibration(reliability.error(), reliability.pixels, reliability.table())
