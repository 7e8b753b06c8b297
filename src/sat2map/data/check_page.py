"""The findings of a check as one self-contained HTML page with thumbnails."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sat2map import images, storage
from sat2map.data.check import Audit
from sat2map.data.findings import KINDS, Finding
from sat2map.data.pairs import PairedSet, read
from sat2map.data.quarantine import Entry
from sat2map.errors import Sat2MapError

UInt8 = npt.NDArray[np.uint8]

THUMB = 96  # px, about
SHOWN = 16  # findings of one kind with pictures; the rest by name

STYLE = """
:root { color-scheme: light dark; --line: #8884; --fault: #c0392b; --warning: #b9770e; --note: #2e6da4; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
td, th { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
td.count { text-align: right; font-variant-numeric: tabular-nums; }
.fault { color: var(--fault); } .warning { color: var(--warning); } .note { color: var(--note); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; }
figure { margin: 0; padding: .5rem; border: 1px solid var(--line); border-radius: .4rem; max-width: 24rem; }
figure img { image-rendering: auto; display: inline-block; margin-right: 2px; }
figcaption { font-size: 13px; overflow-wrap: anywhere; } h2 { margin-top: 2rem; }
"""


def thumbnail(rgb: UInt8, side: int = THUMB) -> UInt8:
    """Shrink (H, W, 3) by a whole factor, averaging, so that the longer side is about `side` px."""
    factor = max(1, max(rgb.shape[:2]) // side)
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    blocks = rgb[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    small: UInt8 = np.rint(blocks.mean((1, 3))).astype(np.uint8)
    return small


def _picture(rgb: UInt8, alt: str) -> str:
    small = thumbnail(rgb)
    data = base64.b64encode(images.encode_png(small)).decode()
    size = f'width="{small.shape[1]}" height="{small.shape[0]}"'
    return f'<img {size} alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _card(finding: Finding, pairs: PairedSet, numbers: dict[str, int]) -> str:
    rows = []
    for name in finding.pairs[:4]:
        try:
            sat, street = read(pairs[numbers[name]])
            pictures = _picture(sat, f"{name}, satellite") + _picture(street, f"{name}, street map")
        except Sat2MapError:
            pictures = ""
        rows.append(f"<div>{pictures}<br>{html.escape(name)}</div>")
    more = f"<div>and {len(finding.pairs) - 4} more</div>" if len(finding.pairs) > 4 else ""
    return f"<figure>{''.join(rows)}{more}<figcaption>{html.escape(finding.detail)}</figcaption></figure>"


def _proposal(unfit: Sequence[Entry]) -> str:
    if not unfit:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(entry.pair)}</td><td>{html.escape('; '.join(entry.why))}</td></tr>"
        for entry in unfit
    )
    return (
        f"<h2>Better left out of training ({len(unfit)})</h2><p>What <code>data check --quarantine FILE</code> writes. "
        "Of duplicates one stays, the held-out or the first one.</p>"
        f"<details><summary>{len(unfit)} pairs and why</summary><table>{rows}</table></details>"
    )


def page(found: Audit, pairs: PairedSet, unfit: Sequence[Entry] = ()) -> str:
    """Return the page as HTML; decodes the pairs that it shows. `unfit` are the pairs proposed for quarantine."""
    numbers = {pair.name: number for number, pair in enumerate(pairs)}
    summary = found.summary()
    rows = "".join(
        f'<tr><td class="{severity}">{severity}</td><td><a href="#{n}">{kind}</a></td>'
        f'<td class="count">{count}</td><td>{html.escape(KINDS[kind][1])}</td></tr>'
        for n, (kind, (severity, count)) in enumerate(summary.items())
    )
    sections = []
    for n, (kind, (severity, count)) in enumerate(summary.items()):
        of_kind = [finding for finding in found.findings if finding.kind == kind]
        cards = "".join(_card(finding, pairs, numbers) for finding in of_kind[:SHOWN])
        rest = ", ".join(" + ".join(finding.pairs) for finding in of_kind[SHOWN:])
        sections.append(
            f'<h2 id="{n}" class="{severity}">{kind} ({count})</h2><p>{html.escape(KINDS[kind][1])}</p>'
            f'<div class="cards">{cards}</div>'
            + (
                f"<details><summary>{count - SHOWN} more</summary><p>{html.escape(rest)}</p></details>"
                if rest
                else ""
            )
        )
    splits = ", ".join(f"{count} {html.escape(split)}" for split, count in found.splits.items())
    sizes = ", ".join(f"{count} of {size} px" for size, count in found.sizes.items())
    title = f"Check of {html.escape(found.folder)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{len(pairs)} pairs: {splits}. Sizes of one half: {sizes or 'none readable'}.</p>"
        + (
            f"<table><tr><th></th><th>finding</th><th>pairs</th><th>meaning</th></tr>{rows}</table>"
            if rows
            else ""
        )
        + ("".join(sections) or "<p>Nothing found.</p>")
        + _proposal(unfit)
        + "</body></html>\n"
    )


def write_page(
    path: Path, found: Audit, pairs: PairedSet, unfit: Sequence[Entry] = (), *, overwrite: bool = False
) -> None:
    """Write the page; raises OutputExists and StorageFailed."""
    storage.write_text(path, page(found, pairs, unfit), overwrite=overwrite)
