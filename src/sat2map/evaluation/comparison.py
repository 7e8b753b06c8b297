"""Several subjects on the same pictures: one table, their differences with intervals, and the same baselines."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import msgspec

from sat2map.errors import NotComparable
from sat2map.evaluation import page
from sat2map.evaluation.figures import FIGURES, describe, show, table
from sat2map.evaluation.result import Result
from sat2map.evaluation.uncertainty import Interval, difference


class Difference(NamedTuple):
    """`other` minus `one` in the figure `key`, with the 95 % interval over the choice of images."""

    one: str
    other: str
    key: str
    value: float
    interval: Interval

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval.low > 0 or self.interval.high < 0


def require_comparable(results: Sequence[Result]) -> None:
    """Raise NotComparable unless all results are of the same protocol, split and pictures."""
    first = results[0]
    for other in results[1:]:
        for field in ("protocol", "direction", "data", "split", "n"):
            if getattr(first, field) != getattr(other, field):
                raise NotComparable(
                    f"{first.scores.subject.label} has {field} {getattr(first, field)!r}, "
                    f"{other.scores.subject.label} has {getattr(other, field)!r}",
                    "Evaluate both on the same pictures by the same protocol",
                )
        if [i.name for i in first.scores.images] != [i.name for i in other.scores.images]:
            raise NotComparable(
                f"{first.scores.subject.label} and {other.scores.subject.label} were scored on different pictures",
                "Evaluate both with the same --data and --limit",
            )


def differences(results: Sequence[Result]) -> list[Difference]:
    """Of every later result to the first, in the headline figures."""
    first = results[0].scores
    keys = ("miou6", "road_f1_3px") if first.confusion else ("ssim", "psnr")
    return [
        Difference(
            first.subject.label,
            other.scores.subject.label,
            key,
            other.scores.figures[key] - first.figures[key],
            difference(first.images, other.scores.images, key),
        )
        for other in results[1:]
        for key in keys
    ]


def to_json(results: Sequence[Result]) -> bytes:
    """The table and the differences as JSON."""
    first, shown = results[0], table(results)
    content = {
        "protocol": first.protocol,
        "data": first.data,
        "split": first.split,
        "n": first.n,
        "rows": [{"label": r.label, "baseline": r.baseline, "figures": dict(r.figures)} for r in shown.rows],
        "differences": [
            {"one": d.one, "other": d.other, "figure": d.key, "value": d.value, "low": d.interval.low,
             "high": d.interval.high}
            for d in differences(results)
        ],
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def render(results: Sequence[Result]) -> str:
    """The comparison as one HTML page."""
    first = results[0]
    labels = [result.scores.subject.label for result in results]
    body = [
        f"<h1>{escape(' · '.join(labels))}</h1>",
        page.chips([first.data, first.protocol, f"split {first.split}", f"n = {first.n}"]),
        page.figures_table(table(results)),
        page.paragraph("↑ higher is better, ↓ lower is better; the best of each column is marked."),
        *(
            f'<p class="warn">{escape(note)}</p>'
            for note in dict.fromkeys(n for r in results for n in r.notes)
        ),
        page.section(
            "Differences",
            page.paragraph(
                "95 % bootstrap intervals over the choice of images, both scored on the same ones."
            ),
            page.facts((f"{d.other} - {d.one}", sentence(d)) for d in differences(results)),
        )
        if len(results) > 1
        else "",
        page.section(
            "How this was measured",
            page.facts(
                (r.scores.subject.label, f"{r.created}, {r.command or 'as a library'}") for r in results
            ),
            page.facts((FIGURES[k].title, FIGURES[k].meaning) for k in table(results).keys if k in FIGURES),
        ),
    ]
    return page.page(" · ".join(labels), filter(None, body))


def sentence(d: Difference) -> str:
    """The difference in words."""
    low, high = show(d.key, d.interval.low), show(d.key, d.interval.high)
    doubt = "" if d.certain else "; could be chance"
    return f"{describe(d.key).title} {d.value:+.{describe(d.key).digits}f} ({low} to {high}{doubt})"
