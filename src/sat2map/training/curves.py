"""Curves of a run's log as inline SVG, with marks where the guard spoke."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from sat2map.training.cyclegan import BACK

Series = Sequence[tuple[float, float]]  # (images seen, value)
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 200, 52, 24
POINTS = 400  # at most this many points per curve: longer ones are averaged
HUES = ("#0f8a72", "#d9822b", "#4a6fd1", "#b3477d", "#8a8f24", "#6b7280", "#c0392b", "#7d5ab5")


class Chart(NamedTuple):
    """A title, the kind of log entries, and the names in them; those of a way back are added by themselves."""

    title: str
    kind: str
    names: tuple[str, ...]


CHARTS = (
    Chart("Development figures", "development", ("miou6", "road_f1_3px")),
    Chart("IoU by class", "development", ("iou.building", "iou.road", "iou.green", "iou.water")),
    Chart("Mean absolute error (levels)", "development", ("l1", "cycle_l1", "back.cycle_l1", "back.l1")),
    Chart("Generator loss", "train", ("g", "cross_entropy", "l1", "adversarial", "matching", "cycle", "identity")),
    Chart("Discriminator", "train", ("d", "d_real", "d_fake")),
    Chart("Gradient norms", "train", ("g_norm", "d_norm")),
    Chart(
        "Guard: generated pictures beside true ones (1 = alike)",
        "train",
        ("guard.variety", "guard.contrast", "guard.brightness", "guard.follow"),
    ),
    Chart("Guard: distance from the truth (0 to 2)", "train", ("guard.error",)),
    Chart("Guard: discriminator's loss over that of guessing", "train", ("guard.guessing",)),
)  # fmt: skip


def charts(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every chart that has two points to join."""
    marks = [float(entry["seen"]) for entry in log if entry["kind"] == "guard"]
    found = []
    for title, kind, names in CHARTS:
        entries = [entry for entry in log if entry["kind"] == kind]
        lines = {
            name: [(float(e["seen"]), float(e[name])) for e in entries if name in e]
            for name in (name + side for side in ("", BACK) for name in names)
        }
        filled = {name: points for name, points in lines.items() if len(points) > 1}
        if filled:
            found.append(f"<div><h3>{escape(title)}</h3>{curves(filled, title, marks)}</div>")
    return found


def thin(points: Series) -> Series:
    """At most POINTS points: means of equal runs of neighbours."""
    size = -(-len(points) // POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def curves(lines: Mapping[str, Series], title: str, marks: Sequence[float] = ()) -> str:
    """Curves over images seen as one SVG with a legend; the axis spans the central 98 % of the values.

    `marks` are dashed lines at numbers of images.
    """
    values = sorted(y for points in lines.values() for _, y in points)
    low, high = values[len(values) // 100], values[-1 - len(values) // 100]
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    last = max(x for points in lines.values() for x, _ in points)

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT) * min(x / last, 1.0)

    def at(x: float, y: float) -> str:
        share = min(max((y - low) / (high - low), 0), 1)
        return f"{across(x):.1f},{(HEIGHT - BOTTOM) * (1 - share) + 6:.1f}"

    parts = [
        f'<text class="soft" x="0" y="14">{high:.3g}</text>',
        f'<text class="soft" x="0" y="{HEIGHT - BOTTOM + 6}">{low:.3g}</text>',
        f'<text class="soft" x="{WIDTH}" y="{HEIGHT}" text-anchor="end">{last:,.0f} images</text>',
    ]
    parts += [
        f'<line class="tick" stroke-dasharray="3 4" x1="{across(x):.1f}" x2="{across(x):.1f}" y1="2" '
        f'y2="{HEIGHT - BOTTOM + 6}"><title>the guard spoke after {x:,.0f} images</title></line>'
        for x in marks
    ]
    legend = []
    for n, (name, points) in enumerate(lines.items()):
        hue = HUES[n % len(HUES)]
        path = " ".join(at(x, y) for x, y in thin(points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{hue}" stroke-width="1.8"/>')
        shown = escape(name.removeprefix("guard.").replace("_", " "))
        legend.append(f'<li><i style="background:{hue}"></i>{shown} {points[-1][1]:.3g}</li>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 6}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f'<ul class="legend">{"".join(legend)}</ul>'
    )
