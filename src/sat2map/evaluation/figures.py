"""The figures as people read them: names, digits, which way is better, and one table of several subjects."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sat2map.evaluation.result import Result, Scores


class Figure(NamedTuple):
    """How to show a figure."""

    title: str
    digits: int
    higher_is_better: bool
    meaning: str


FIGURES: dict[str, Figure] = {
    "miou6": Figure("mIoU6", 3, True, "mean IoU of land, building, road, highway, green, water"),
    "road_f1_3px": Figure("road F1, 3 px", 3, True, "road or highway, right within 3 px"),
    "iou.building": Figure("IoU building", 3, True, "intersection over union of buildings"),
    "l1": Figure("L1", 2, False, "mean absolute error in levels, 0-255"),
    "rmse": Figure("RMSE", 2, False, "root mean square error in levels, 0-255"),
    "psnr": Figure("PSNR", 2, True, "peak signal-to-noise ratio in dB"),
    "acc5": Figure("acc5", 3, True, "share of pixels whose largest channel error is below 5"),
    "acc10": Figure("acc10", 3, True, "share of pixels whose largest channel error is below 10"),
    "ssim": Figure("SSIM", 3, True, "structural similarity, Gaussian 11×11"),
    "cycle.miou6": Figure(
        "cycle mIoU6", 3, True, "mapped back by a frozen model: mIoU6 against the input map"
    ),
    "cycle.road_f1_3px": Figure(
        "cycle road F1", 3, True, "mapped back by a frozen model: road F1 within 3 px"
    ),
}


def describe(key: str) -> Figure:
    """How to show the figure `key`; distances, whose names depend on the features, included."""
    if key in FIGURES:
        return FIGURES[key]
    kind = "Fréchet" if key.startswith("f") else "kernel"  # fid, fd_…; kid, kd_…
    return Figure(
        key, 1 if kind == "Fréchet" else 3, False, f"{kind} distance of features to those of the truth"
    )


def show(key: str, value: float | None) -> str:
    """The value with its usual digits, or a dash."""
    return "–" if value is None else f"{value:.{describe(key).digits}f}"


class Row(NamedTuple):
    """One subject of a table; figures that it lacks are absent."""

    label: str
    baseline: bool
    figures: Mapping[str, float]


class Table(NamedTuple):
    """Subjects and the figures that at least one of them has."""

    keys: tuple[str, ...]
    rows: tuple[Row, ...]

    def best(self, key: str) -> float | None:
        """The best value of a column, baselines included; None where nothing can be compared."""
        values = [row.figures[key] for row in self.rows if key in row.figures]
        if len(values) < 2:
            return None
        return max(values) if describe(key).higher_is_better else min(values)


def flat(scores: Scores, result: Result | None = None) -> dict[str, float]:
    """Figures of a subject by their table keys; with `result`, also its cycle agreement."""
    found = dict(scores.figures)
    if scores.iou:
        found["iou.building"] = scores.iou["building"]
    if result and result.cycle:
        found |= {f"cycle.{key}": result.cycle.figures[key] for key in ("miou6", "road_f1_3px")}
    return found


def table(results: Sequence[Result]) -> Table:
    """The subjects of some results on the same pictures, and their baselines once (those of the first)."""
    rows = [Row(r.scores.subject.label, False, flat(r.scores, r)) for r in results]
    rows += [Row(s.subject.label, True, flat(s)) for s in results[0].baselines]
    have = set().union(*(row.figures for row in rows))
    return Table(tuple(key for key in (*FIGURES, *_distances(have)) if key in have), tuple(rows))


def _distances(keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key not in FIGURES)
