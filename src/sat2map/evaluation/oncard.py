"""Write what an evaluation found into the card of the bundle that it scored."""

from pathlib import Path

import msgspec

from sat2map import bundle
from sat2map.card import Metrics
from sat2map.errors import BadBundle
from sat2map.evaluation.result import Result, Scores
from sat2map.storage import sha256


def put_on_card(folder: Path, result: Result) -> None:
    """Replace the card's figures of the result's protocol and split, and the README made from it; weights stay.

    Raises BadBundle if the result is of another graph, and what `bundle.open_bundle` and `bundle.write_bundle` raise.
    """
    found = bundle.open_bundle(folder)
    if result.scores.subject.checksum != sha256(found.onnx):
        raise BadBundle(
            f"the figures are of {result.scores.subject.label}, not of the graph in {folder}",
            "Evaluate this bundle, then put its own figures on its card",
        )
    metrics = Metrics(
        protocol=result.protocol,
        split=f"{result.data} {result.split}",
        n=result.n,
        figures=figures_of(result.scores) | calibration_of(result) | cycle_of(result),
        command=f"sat2map evaluate --model {found.card.id} --data {result.data} --protocol {result.protocol}",
        baselines={scores.subject.label: figures_of(scores) for scores in result.baselines},
    )
    others = [m for m in found.card.metrics if (m.protocol, m.split) != (metrics.protocol, metrics.split)]
    card = msgspec.structs.replace(found.card, metrics=(metrics, *others))
    graph, weights = found.onnx.read_bytes(), found.weights.read_bytes()
    bundle.write_bundle(folder, card, graph, weights, overwrite=True)


def figures_of(scores: Scores) -> dict[str, float]:
    """Figures and IoUs of one subject in one table, rounded to what the number of images can carry."""
    figures = scores.figures | {f"iou.{name}": share for name, share in scores.iou.items()}
    return {name: round(value, 4) for name, value in figures.items()}


def calibration_of(result: Result) -> dict[str, float]:
    """The calibration error as a figure, if confidence was scored."""
    return {} if result.calibration is None else {"ece": round(result.calibration.expected_error, 4)}


def cycle_of(result: Result) -> dict[str, float]:
    """The headline figures of the way back, if it was gone."""
    if result.cycle is None:
        return {}
    return {f"cycle.{name}": round(result.cycle.figures[name], 4) for name in ("miou6", "road_f1_3px")}
