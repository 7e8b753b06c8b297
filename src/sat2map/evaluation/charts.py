"""Charts of a report as inline SVG: bars with the baselines as ticks, a reliability diagram, a row of dots."""

from collections.abc import Mapping, Sequence
from html import escape

from sat2map.evaluation.calibration import ReliabilityBin

_WIDTH = 640
_LEFT, _RIGHT = 92, 56  # px for names and values


def bars(
    values: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]
) -> str:
    """Shares 0-1 as horizontal bars; the best baseline of each is a tick across its bar."""
    height, span = 30 * len(values) + 26, _WIDTH - _LEFT - _RIGHT
    parts = [_grid(height - 26)]
    for i, (name, value) in enumerate(values.items()):
        y = 30 * i + 4
        best = max((scores.get(name, 0.0) for scores in baselines.values()), default=0.0)
        at = _LEFT + span * best
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{max(span * value, 1):.1f}" height="22" rx="3" fill="{colours[name]}" '
            'stroke="#8886"/>'
            f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 2}" y2="{y + 24}">'
            f"<title>best baseline: {best:.3f}</title></line>"
            f'<text x="{_LEFT + span * max(value, best) + 8:.1f}" y="{y + 16}">{value:.3f}</text>'
        )
    return _svg(height, "intersection over union of each class", parts)


def dots(values: Sequence[float], mean: float, title: str) -> str:
    """One dot per image on an axis from 0 to 1, stacked where they crowd, and a line at `mean`."""
    span, radius = _WIDTH - 2 * 20, 4
    stacks: dict[int, int] = {}
    places = []
    for value in sorted(values):
        column = round(value * span / (2 * radius))
        stacks[column] = stacks.get(column, 0) + 1
        places.append((20 + column * 2 * radius, stacks[column]))
    step = min(2 * radius, 150 / max(stacks.values(), default=1))
    floor = step * max(stacks.values(), default=1) + 14
    circles = (
        f'<circle cx="{x}" cy="{floor - step * level + radius:.1f}" r="{radius - 0.6}" fill="var(--accent)" '
        'fill-opacity=".75"/>'
        for x, level in places
    )
    axis = "".join(
        f'<text class="soft" x="{20 + span * tick / 10:.0f}" y="{floor + 22:.0f}" text-anchor="middle">'
        f"{tick / 10:g}</text>"
        for tick in range(0, 11, 2)
    )
    x = 20 + span * mean
    lines = (
        f'<line class="grid" x1="20" x2="{20 + span}" y1="{floor + 6:.0f}" y2="{floor + 6:.0f}"/>'
        f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{floor + 6:.0f}"/>'
    )
    return _svg(floor + 28, title, [*circles, lines, axis])


def reliability(bins: Sequence[ReliabilityBin]) -> str:
    """How often a confidence was right: the diagonal is a calibrated model; wider dots hold more pixels."""
    side, left, top = 300, 46, 8
    total = max(sum(row.count for row in bins), 1)
    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{left + side}" y1="{top + side * (1 - t / 4):.0f}" '
        f'y2="{top + side * (1 - t / 4):.0f}"/>'
        f'<text class="soft" x="{left - 6}" y="{top + side * (1 - t / 4) + 4:.0f}" text-anchor="end">{25 * t} %</text>'
        f'<text class="soft" x="{left + side * t / 4:.0f}" y="{top + side + 18}" text-anchor="middle">{25 * t} %</text>'
        for t in range(5)
    )
    points = [(left + side * b.confidence, top + side * (1 - b.accuracy), b) for b in bins]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    circles = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 + 9 * (b.count / total) ** 0.5:.1f}" fill="var(--accent)" '
        f'fill-opacity=".8"><title>{b.low:.0%}-{b.high:.0%}: {b.count:,} px, right {b.accuracy:.1%}</title></circle>'
        for x, y, b in points
    )
    ends = f'x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"'
    diagonal = f'<line class="tick" stroke-dasharray="4 4" {ends}/>'
    path = f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="2"/>'
    caption = f'<text class="soft" x="{left + side / 2}" y="{top + side + 38}" text-anchor="middle">confidence</text>'
    return _svg(
        side + 56, "share of right pixels by confidence", [grid, diagonal, path, circles, caption], side + 76
    )


def _grid(height: int) -> str:
    span = _WIDTH - _LEFT - _RIGHT
    return "".join(
        f'<line class="grid" x1="{_LEFT + span * t / 4}" x2="{_LEFT + span * t / 4}" y1="0" y2="{height}"/>'
        f'<text class="soft" x="{_LEFT + span * t / 4}" y="{height + 18}" text-anchor="middle">{t / 4:g}</text>'
        for t in range(5)
    )


def _svg(height: float, title: str, parts: Sequence[str], width: int = _WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" style="max-width:{width}px" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )
