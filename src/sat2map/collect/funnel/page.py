"""The contact sheet: the funnel as a table, and pictures of what was kept and rejected, with reasons."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from sat2map import images, storage
from sat2map.collect.collection import Collection
from sat2map.collect.funnel.measuring import PREVIEW
from sat2map.collect.funnel.run import Row
from sat2map.collect.funnel.stages import STAGES
from sat2map.collect.manifest import Photo
from sat2map.errors import Sat2MapError

NAME = "funnel.html"
SHOWN = 24  # pictures of one stage

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th { text-align: left; }
td, th { padding: .3rem .9rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } .idle { opacity: .5; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .7rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .4rem; overflow: hidden; }
figure img, .none { display: block; width: 100%; height: 8rem; object-fit: cover; background: var(--soft); }
.none { display: grid; place-items: center; font-size: 13px; }
figcaption { font-size: 12px; line-height: 1.35; padding: .35rem .5rem; overflow-wrap: anywhere; }
figcaption b { display: block; font-weight: 600; } h2 { margin: 2rem 0 .6rem; font-size: 1.15rem; }
"""


def write_page(path: Path, collection: Collection, rows: Sequence[Row], *, overwrite: bool = True) -> None:
    """Write the contact sheet, one file that needs nothing else. Raises OutputExists, StorageFailed."""
    storage.write_text(path, page(collection, rows), overwrite=overwrite)


def page(collection: Collection, rows: Sequence[Row]) -> str:
    """Return the page as HTML. At most `SHOWN` pictures of a stage are shown, spread evenly over all."""
    kept = list(collection.kept())
    sections = [
        _section("kept", f"Kept ({len(kept)})", "", collection, [(p, _scene(collection, p)) for p in kept])
    ]
    for row in rows:
        rejected = list(_rejected(collection, row.stage))
        if rejected:
            title = f"Rejected by {row.stage} ({len(rejected)})"
            sections.append(_section(row.stage, title, f"not {STAGES[row.stage]}", collection, rejected))
    title = f"Funnel of {html.escape(collection.folder.name)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1>{_table(rows)}{''.join(sections)}</body></html>\n"
    )


def _table(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        reasons = ", ".join(f"{reason} {count}" for reason, count in row.reasons.most_common())
        cells = f'<td class="number">{row.entered}</td><td class="number">{row.kept}</td>'
        text = "not asked" if row.is_idle else html.escape(reasons)
        lines.append(
            f"<tr{' class=idle' if row.is_idle else ''}><td>{row.stage}</td>{cells}<td>{text}</td></tr>"
        )
    head = "<tr><th>stage</th><th>in</th><th>out</th><th>rejected</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"


def _rejected(collection: Collection, stage: str) -> Iterable[tuple[Photo, str]]:
    """Yield the photos that a stage was the first to reject, and why."""
    if stage == "review":
        for photo in collection.passed():
            if collection.decisions.get(photo.key) is False:
                yield photo, "rejected by a person"
        return
    names = list(STAGES)
    for key, photo in collection.photos.items():
        said = collection.verdicts.get(key, {})
        first = next((name for name in names if name in said and not said[name].kept), None)
        if first == stage:
            yield photo, said[stage].reason


def _scene(collection: Collection, photo: Photo) -> str:
    verdict = collection.verdicts.get(photo.key, {}).get("scene")
    return verdict.reason if verdict else ""


def _section(
    name: str, title: str, meaning: str, collection: Collection, photos: list[tuple[Photo, str]]
) -> str:
    step = max(1, -(-len(photos) // SHOWN))
    cards = "".join(_card(collection, photo, reason) for photo, reason in photos[::step])
    more = f" One in {step} is shown." if step > 1 else ""
    return f'<h2 id="{name}">{title}</h2><p>{html.escape(meaning)}{more}</p><div class="sheet">{cards}</div>'


def _card(collection: Collection, photo: Photo, reason: str) -> str:
    data = _preview(collection, photo)
    shown = (
        f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        if data
        else '<div class="none">no picture</div>'
    )
    names = html.escape(photo.title or photo.key)
    return f"<figure>{shown}<figcaption><b>{names}</b>{html.escape(reason)}</figcaption></figure>"


def _preview(collection: Collection, photo: Photo) -> bytes:
    """Return the preview of a photo, made now if the funnel never got so far; empty if the photo cannot be shown."""
    if not photo.file:
        return b""
    path = collection.preview(photo)
    try:
        if not path.is_file():
            images.write_image(
                path, images.within(images.read_image(collection.path(photo)), PREVIEW), overwrite=True
            )
        return path.read_bytes()
    except (Sat2MapError, OSError):
        return b""
