"""`report.html` of a run: how far it is, what the guard said, curves, samples in time. One file; nothing is fetched."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sat2map import images, storage
from sat2map.data.quarantine import QUARANTINE
from sat2map.evaluation import page
from sat2map.evaluation.pictures import photo
from sat2map.training.about import ABOUT
from sat2map.training.curves import charts
from sat2map.training.journal import CONTACT, lines_of, read_log
from sat2map.training.recipe import Recipe, to_yaml
from sat2map.training.timeline import SCRIPT, read_sheets, timeline, write_animation

HEADLINES = ("miou6", "road_f1_3px", "l1", "cycle_l1", "swd", "layout")


def write_report(run: Path, recipe: Recipe, seconds: float) -> None:
    """Write the run's report and animation from what lies in its folder. Raises StorageFailed."""
    log = read_log(run)
    names, sheets = read_sheets(run)
    write_animation(run, sheets)
    body = [
        f"<header><h1>Run {escape(run.name)}: {escape(recipe.name)}</h1></header>",
        page.paragraph(recipe.origin),
        page.heads(_heads(log, recipe, seconds)),
        _said(log),
        page.section("Samples through time", timeline(names, sheets, recipe.system)),
        _contact(run),
        page.section("Curves", _curves(log)),
        _made_with(run),
        page.section(
            "Recipe",
            f"<details><summary>all that was set</summary><pre><code>{escape(to_yaml(recipe))}</code></pre></details>",
        ),
    ]
    text = page.page(f"{run.name} – training", filter(None, body), SCRIPT)
    storage.write_text(run / "report.html", text)


def _heads(log: Sequence[Mapping[str, Any]], recipe: Recipe, seconds: float) -> list[tuple[str, str, str]]:
    newest: Mapping[str, Any] = next((entry for entry in reversed(log) if entry["kind"] == "development"), {})
    seen = max((float(entry["seen"]) for entry in log), default=0.0)
    share = f"{100 * min(seen / recipe.run.images, 1):.0f} % of {recipe.run.images:,} images"
    heads = [
        ("images seen", f"{seen:,.0f}", share),
        ("hours", f"{seconds / 3600:.2f}", "of steps, this machine"),
    ]
    if seconds > 0:
        heads.append(("images per second", f"{seen / seconds:.1f}", "of steps"))
    for name in HEADLINES:
        if name in newest:
            count = f", n = {newest['n']:.0f}" if "n" in newest else ""
            heads.append((name, f"{newest[name]:.3f}", f"pictures kept for choosing{count}"))
    return heads


def _said(log: Sequence[Mapping[str, Any]]) -> str:
    """What the guard said, and what followed."""
    lines = [entry for entry in log if entry["kind"] == "guard"]
    if not lines:
        return ""
    boxes = (
        f'<p class="warn"><b>{escape(str(entry["alarm"]))}</b><br>{escape(str(entry["answer"]))}</p>'
        for entry in lines
    )
    return page.section("What the guard said", *boxes)


def _contact(run: Path) -> str:
    """The newest contact sheet, if there is one."""
    sheets = sorted((run / "samples").glob(CONTACT.format("*")))
    if not sheets:
        return ""
    uri = photo(images.read_image(sheets[-1]))
    shown = (
        '<div class="panels" style="grid-template-columns:1fr;max-width:760px">'
        f'<img tabindex="0" alt="samples" src="{uri}"></div>'
    )
    step = int(sheets[-1].stem.rpartition("-")[2])
    return page.section(f"Many samples, step {step:,}", shown)


def _curves(log: Sequence[Mapping[str, Any]]) -> str:
    found = charts(log)
    if not found:
        return page.paragraph("Curves appear once there are two points.")
    return f'<div class="two">{"".join(found)}</div>'


def _made_with(run: Path) -> str:
    """Versions, device and data, and the pairs that were left out."""
    try:
        about = json.loads((run / ABOUT).read_bytes())
    except FileNotFoundError:  # runs from before there was such a file
        return ""
    parts = [page.facts(about.items())]
    left_out = [json.loads(line) for line in lines_of(run / QUARANTINE)]
    if left_out:
        rows = "".join(
            f"<dt>{escape(line['pair'])}</dt><dd>{escape('; '.join(line['why']))}</dd>" for line in left_out
        )
        parts.append(f"<details><summary>{len(left_out)} pairs left out</summary><dl>{rows}</dl></details>")
    return page.section("Made with", *parts)
