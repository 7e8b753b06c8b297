"""`report.html` of a run: how far it is, its curves, and its sample pictures through time. One file, no scripts."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sat2map import images, storage
from sat2map.evaluation import page
from sat2map.evaluation.pictures import photo
from sat2map.training.journal import read_log
from sat2map.training.recipe import Recipe, to_yaml

Series = Sequence[tuple[float, float]]  # (images seen, value)
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 200, 52, 24
POINTS = 400  # at most this many points per curve: longer ones are averaged
TIMELINE = 12  # sample sheets shown, evenly spread, the newest among them
CURVES = (
    ("Development figures", "development", ("miou6", "road_f1_3px")),
    ("IoU by class", "development", ("iou.building", "iou.road", "iou.green", "iou.water")),
    ("Mean absolute error (levels)", "development", ("l1",)),
    ("Generator loss", "train", ("g", "cross_entropy", "l1", "adversarial", "matching")),
    ("Discriminator", "train", ("d", "d_real", "d_fake")),
    ("Gradient norms", "train", ("g_norm", "d_norm")),
)
HUES = ("#0f8a72", "#d9822b", "#4a6fd1", "#b3477d", "#8a8f24")


def write_report(run: Path, recipe: Recipe, seconds: float) -> None:
    """Write the run's report from what lies in its folder. Raises StorageFailed."""
    log = read_log(run)
    newest = next((entry for entry in reversed(log) if entry["kind"] == "development"), {})
    seen = max((float(entry["seen"]) for entry in log), default=0.0)
    share = f"{100 * min(seen / recipe.run.images, 1):.0f} % of {recipe.run.images:,} images"
    heads = [
        ("images seen", f"{seen:,.0f}", share),
        ("hours", f"{seconds / 3600:.2f}", "of steps, this machine"),
    ]
    for name in ("miou6", "road_f1_3px", "l1"):
        if name in newest:
            heads.append((name, f"{newest[name]:.3f}", f"development pairs, n = {newest['n']:.0f}"))
    body = [
        f"<header><h1>Run {escape(run.name)}: {escape(recipe.name)}</h1></header>",
        page.paragraph(recipe.origin),
        page.heads(heads),
        page.section("Samples through time", _timeline(run)),
        page.section("Curves", '<div class="two">' + "".join(_charts(log)) + "</div>"),
        page.section("Recipe", f"<pre><code>{escape(to_yaml(recipe))}</code></pre>"),
    ]
    storage.write_text(run / "report.html", page.page(f"{run.name} – training", body))


def _timeline(run: Path) -> str:
    sheets = sorted((run / "samples").glob("step-*.png"))
    stride = max(1, -(-len(sheets) // TIMELINE))
    shown = sheets[::-1][::stride][::-1]
    if not shown:
        return page.paragraph("No samples yet.")
    cards = (
        f'<figure style="flex:0 0 min(100%,44rem);scroll-snap-align:start">'
        f'<img style="width:100%;border-radius:6px" alt="{path.stem}" src="{photo(images.read_image(path))}">'
        f"<figcaption>{path.stem.replace('-', ' ')}: satellite, generated, true map</figcaption></figure>"
        for path in reversed(shown)
    )
    return (
        '<div tabindex="0" style="display:flex;gap:1rem;overflow-x:auto;scroll-snap-type:x mandatory">'
        + "".join(cards)
        + "</div>"
        + page.paragraph("Newest first; scroll sideways to go back in time.")
    )


def _charts(log: list[dict[str, Any]]) -> list[str]:
    charts = []
    for title, kind, names in CURVES:
        entries = [entry for entry in log if entry["kind"] == kind]
        lines = {name: [(float(e["seen"]), float(e[name])) for e in entries if name in e] for name in names}
        filled = {name: points for name, points in lines.items() if len(points) > 1}
        if filled:
            charts.append(f"<div><h3>{escape(title)}</h3>{curves(filled, title)}</div>")
    return charts or [page.paragraph("Curves appear once there are two points.")]


def thin(points: Series) -> Series:
    """At most POINTS points: means of equal runs of neighbours."""
    size = -(-len(points) // POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def curves(lines: Mapping[str, Series], title: str) -> str:
    """Curves over images seen as one SVG with a legend; the axis spans the central 98 % of the values."""
    values = sorted(y for points in lines.values() for _, y in points)
    low, high = values[len(values) // 100], values[-1 - len(values) // 100]
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    last = max(x for points in lines.values() for x, _ in points)

    def at(x: float, y: float) -> str:
        share = min(max((y - low) / (high - low), 0), 1)
        return f"{LEFT + (WIDTH - LEFT) * x / last:.1f},{(HEIGHT - BOTTOM) * (1 - share) + 6:.1f}"

    parts = [
        f'<text class="soft" x="0" y="14">{high:.3g}</text>',
        f'<text class="soft" x="0" y="{HEIGHT - BOTTOM + 6}">{low:.3g}</text>',
        f'<text class="soft" x="{WIDTH}" y="{HEIGHT}" text-anchor="end">{last:,.0f} images</text>',
    ]
    legend = []
    for hue, (name, points) in zip(HUES, lines.items(), strict=False):
        path = " ".join(at(x, y) for x, y in thin(points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{hue}" stroke-width="1.8"/>')
        legend.append(f'<li><i style="background:{hue}"></i>{escape(name)} {points[-1][1]:.3g}</li>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 6}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
        f'<ul class="legend">{"".join(legend)}</ul>'
    )
