"""One town as a folder: pictures, plan, parameters, and a page that shows them."""

import html
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from sat2map import __version__, images, storage
from sat2map.errors import BadWorld, MissingExtra, OutputExists
from sat2map.grid import Window
from sat2map.palette import CLASS_NAMES, MAPS
from sat2map.worlds.files import Place, write_plan
from sat2map.worlds.georeference import write_scenes
from sat2map.worlds.layouts import Bounds
from sat2map.worlds.pictures import paint_large, paint_view
from sat2map.worlds.standpoints import standpoint
from sat2map.worlds.terrain import Town
from sat2map.worlds.world import World

Progress = Callable[[int, int, str], None]
PAGE, PARAMETERS = "index.html", "town.json"
LARGEST = 16_000  # px per side
VIEW = (360, 640)  # px
VIEWS = 4


def centred(size: float, gsd: float) -> Window:
    """The window of `size` metres around a world's origin. Raises BadWorld if that is no picture."""
    side = round(size / gsd) if gsd > 0 else 0
    if not 16 <= side <= LARGEST:
        raise BadWorld(
            f"{size:g} m at {gsd:g} m per pixel are {side:,} px on a side",
            f"Choose a size between 16 and {LARGEST:,} px",
        )
    return Window(-(side // 2), -(side // 2), side, side)


def write_town(
    folder: Path,
    town: Town,
    size: float,
    gsd: float,
    place: Place | None,
    jobs: int,
    report: Progress,
    *,
    overwrite: bool,
) -> list[str]:
    """Make the folder of a town; return notices about what was left out.

    Raises BadWorld, OutputExists (also with `overwrite` if the folder holds something else), StorageFailed.
    """
    window = centred(size, gsd)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / PARAMETERS).is_file():
        raise OutputExists(f"{folder} holds other things than a town", "Name another folder")
    with storage.committing_folder(folder, overwrite=overwrite) as draft:
        world = World(town)
        pictures = paint_large(town, window, gsd, jobs, report)
        images.write_image(draft / "map.png", pictures.street, overwrite=False)
        images.write_image(draft / "satellite.png", pictures.sat, overwrite=False)
        palette = np.array(MAPS.class_colours(), np.uint8)
        images.write_image(draft / "classes.png", pictures.classes, overwrite=False, palette=palette)
        if place:
            write_scenes(draft, pictures, window, gsd, place)
        reach = window.height * gsd / 2
        eyes = [
            standpoint(world, dx * reach, dy * reach)
            for dx, dy in ((0, 0), (-0.4, 0.3), (0.45, 0.35), (0.2, -0.45))
        ]
        for number, eye in enumerate(eyes[:VIEWS], 1):
            report(number, VIEWS, "views")
            images.write_image(draft / f"view-{number}.png", paint_view(world, eye, *VIEW), overwrite=False)
        notices = _write_plans(draft, world, reach, place)
        described = {
            **msgspec.to_builtins(town),
            "size": size,
            "gsd": gsd,
            "at": list(place) if place else None,
            "classes": list(CLASS_NAMES),
            "views": [eye._asdict() for eye in eyes[:VIEWS]],
            "version": __version__,
        }
        storage.write_json(draft / PARAMETERS, described)
        storage.write_text(draft / PAGE, _page(town, size, gsd, place))
    return notices


def _write_plans(draft: Path, world: World, reach: float, place: Place | None) -> list[str]:
    plan = world.plan(Bounds(-reach, -reach, reach, reach))
    try:
        for name in ("plan.gpkg", "plan.geojson"):
            write_plan(draft / name, plan, place, overwrite=False)
    except MissingExtra as error:
        return [f"no plan as vector layers: {error}"]
    return []


def _page(town: Town, size: float, gsd: float, place: Place | None) -> str:
    """One page that shows the files beside it."""
    title = f"{town.style.capitalize()} town {town.seed}"
    given = html.escape(json.dumps(msgspec.to_builtins(town))[1:-1].replace('"', ""))
    views = "".join(f'<img src="view-{n}.png" alt="View {n} from a street">' for n in range(1, VIEWS + 1))
    scenes = (
        '<p>For GIS: <a href="map.tif">map.tif</a>, <a href="satellite.tif">satellite.tif</a>, '
        f'<a href="classes.tif">classes.tif</a>, laid out at {place.longitude:g}, {place.latitude:g}.</p>'
        if place
        else ""
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
:root {{ color-scheme: light dark; --paper: #fbfaf7; --ink: #1d2125; --soft: #5b636b; --accent: #0b6bcb }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #16191c; --ink: #e8e6e1; --soft: #a3abb3; --accent: #6cb2ff }} }}
body {{ font: 1rem/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 78rem; padding: 1.5rem max(1.25rem, 3vw) 3rem;
  background: var(--paper); color: var(--ink) }}
a {{ color: var(--accent) }}
.two {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem }}
img {{ width: 100%; display: block; border-radius: 4px }} figure {{ margin: 0 }} figcaption {{ color: var(--soft) }}
</style></head><body>
<h1>{html.escape(title)}</h1>
<p>A town that does not exist: {size:g} m on a side at {gsd:g} m per pixel, made by sat2map {__version__} from
these numbers: {given}.</p>
<div class="two">
<figure><img src="map.png" alt="Street map"><figcaption>Street map</figcaption></figure>
<figure><img src="satellite.png" alt="Satellite picture"><figcaption>Procedural satellite picture</figcaption></figure>
</div>
<h2>From the street</h2>
<div class="two">{views}</div>
{scenes}<p><a href="classes.png">classes.png</a>, <a href="town.json">town.json</a>, and the plan as
<code>plan.gpkg</code> and <code>plan.geojson</code> if the vector parts of sat2map are installed.</p>
</body></html>
"""
