"""Pieces of a report page: one HTML file without links, readable from disk, in light and dark."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from sat2map.evaluation.figures import Table, describe, show
from sat2map.evaluation.style import STYLE


class Panel(NamedTuple):
    """One picture of a strip."""

    caption: str
    uri: str


def page(title: str, body: Iterable[str], script: str = "") -> str:
    """A whole HTML document. No code runs in it but `script`, and nothing is fetched."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'{allowed}\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + f"\n</main>{code}</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what belongs to it."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(parts) + "</section>"


def paragraph(text: str, kind: str = "soft") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>'


def chips(texts: Iterable[str]) -> str:
    """Short facts in a row."""
    return '<ul class="chips">' + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def heads(values: Iterable[tuple[str, str, str]]) -> str:
    """Large figures: (name, value, remark)."""
    cards = (
        f'<div class="head"><span class="soft">{escape(name)}</span><b>{escape(value)}</b>'
        f'<span class="soft">{escape(remark)}</span></div>'
        for name, value, remark in values
    )
    return f'<div class="heads">{"".join(cards)}</div>'


def strip(title: str, remark: str, panels: Sequence[Panel]) -> str:
    """Pictures of one pair side by side; a click shows one at full size."""
    shown = "".join(
        f'<figure><img tabindex="0" src="{panel.uri}" alt="{escape(title)}: {escape(panel.caption)}">'
        f"<figcaption>{escape(panel.caption)}</figcaption></figure>"
        for panel in panels
    )
    return (
        f'<div class="strip"><header><h3>{escape(title)}</h3><span class="soft">{escape(remark)}</span></header>'
        f'<div class="panels">{shown}</div></div>'
    )


def legend(colours: dict[str, str]) -> str:
    """Names of colours."""
    items = (
        f'<li><i style="background:{colour}"></i>{escape(name)}</li>' for name, colour in colours.items()
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def figures_table(table: Table) -> str:
    """Subjects down, figures across; the best of each column is marked, wherever it lies."""
    columns = "".join(
        f'<th scope="col" title="{escape(describe(key).meaning)}">{escape(describe(key).title)}'
        f" {'↑' if describe(key).higher_is_better else '↓'}</th>"
        for key in table.keys
    )
    rows = []
    for row in table.rows:
        cells = []
        for key in table.keys:
            value = row.figures.get(key)
            best = ' class="best"' if value is not None and value == table.best(key) else ""
            cells.append(f"<td{best}>{show(key, value)}</td>")
        kind = ' class="baseline"' if row.baseline else ""
        rows.append(f'<tr{kind}><th scope="row">{escape(row.label)}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def matrix_table(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Confusion matrix, each row as a share of its true class; classes that never occur are left out."""
    present = [i for i in range(len(names)) if sum(matrix[i]) or any(row[i] for row in matrix)]
    total = max(sum(map(sum, matrix)), 1)
    rows = []
    for i in present:
        in_row = sum(matrix[i])
        cells = []
        for j in present:
            share = matrix[i][j] / in_row if in_row else 0.0
            kind = ' class="right"' if i == j else ""
            cells.append(
                f'<td{kind} style="--share:{share:.3f}" title="{matrix[i][j]:,} px">'
                f"{'–' if not in_row else f'{100 * share:.0f}' if share >= 0.005 else '·'}</td>"
            )
        rows.append(
            f'<tr><th scope="row">{escape(names[i])}</th>{"".join(cells)}<td>{100 * in_row / total:.1f} %</td></tr>'
        )
    columns = "".join(f'<th scope="col">{escape(names[j])}</th>' for j in present)
    return (
        '<div class="scroll matrix"><table><thead><tr><th>true \\ predicted</th>'
        f"{columns}<th>of all pixels</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values; values are shown as they are."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs) + "</dl>"
