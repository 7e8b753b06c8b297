"""The sample sheets of a run through time: a slider in the report, and an animated GIF beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sat2map import images
from sat2map.data.batches import UInt8
from sat2map.data.check_page import thumbnail
from sat2map.evaluation import page
from sat2map.evaluation.pictures import photo
from sat2map.images.animation import write_gif

FRAMES = 24  # sheets shown, evenly spread over the run, the newest among them
LONGEST = 720  # px of a frame of the animation
ANIMATION = "samples.gif"
COLUMNS = {
    "pix2pix": "from left to right: what the generator was given, what it made of it, the truth",
    "landscape": "a photo on the left, then generated pictures, always of the same latents",
    "encoder": "from left to right: the satellite crop, what was drawn from it, the photo taken there",
    "cyclegan": "from left to right: given, generated, back again; and the same from the other side",
}

SCRIPT = """
"use strict";
for (const line of document.querySelectorAll(".timeline")) {
  const frames = [...line.querySelectorAll("img")], slider = line.querySelector("input");
  const label = line.querySelector("output"), button = line.querySelector("button");
  let timer = 0;
  const show = () => {
    frames.forEach((frame, n) => { frame.hidden = n !== Number(slider.value); });
    label.textContent = frames[slider.value].alt;
  };
  const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
  slider.addEventListener("input", () => { stop(); show(); });
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    button.textContent = "Pause";
    if (Number(slider.value) === frames.length - 1) { slider.value = -1; }
    const next = () => {
      slider.value = Number(slider.value) + 1; show();
      if (Number(slider.value) === frames.length - 1) { stop(); }
    };
    timer = setInterval(next, 600);
    if (slider.value === "0") { show(); }
  });
  line.querySelector(".controls").hidden = frames.length < 2;
  show();
}
"""


def shown_sheets(run: Path) -> list[Path]:
    """At most FRAMES sample sheets in the order of time, evenly spread, the first and the newest among them."""
    sheets = sorted((run / "samples").glob("step-*.png"))
    if len(sheets) <= FRAMES:
        return sheets
    chosen = np.linspace(0, len(sheets) - 1, FRAMES).round().astype(int)
    return [sheets[n] for n in chosen]


def timeline(names: Sequence[str], sheets: Sequence[UInt8], system: str) -> str:
    """The sheets (H, W, 3), oldest first, behind a slider; without scripts the newest is seen."""
    if not sheets:
        return page.paragraph("No samples yet.")
    last = len(sheets) - 1
    frames = "".join(
        f'<img style="width:100%;max-width:600px;border-radius:6px" alt="{name}" src="{photo(sheet)}"'
        f"{'' if n == last else ' hidden'}>"
        for n, (name, sheet) in enumerate(zip(names, sheets, strict=True))
    )
    return (
        f'<div class="timeline">{frames}<div class="controls" hidden>'
        '<p style="display:flex;gap:.8rem;align-items:center">'
        f'<button type="button">Play</button><input type="range" min="0" max="{last}" value="{last}" step="1" '
        'aria-label="time of training" style="flex:0 1 24rem"><output></output></p></div></div>'
        + page.paragraph(f"Rows are pictures kept for choosing; {COLUMNS[system]}.")
    )


def write_animation(run: Path, sheets: Sequence[UInt8]) -> None:
    """Write the sheets, reduced, as samples.gif; those of another size than the newest are left out."""
    small = [thumbnail(sheet, LONGEST) for sheet in sheets]
    frames = [frame for frame in small if frame.shape == small[-1].shape]
    if len(frames) > 1:
        write_gif(run / ANIMATION, frames, overwrite=True)


def read_sheets(run: Path) -> tuple[list[str], list[UInt8]]:
    """Captions and pixels of the sheets that are shown."""
    paths = shown_sheets(run)
    captions = [f"step {int(path.stem.removeprefix('step-')):,}" for path in paths]
    return captions, [images.read_image(path) for path in paths]
