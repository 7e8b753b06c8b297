"""`sat2map info`: what is this image, scene, vector file, set of tiles, model or run?"""

import json
import re
from pathlib import Path
from typing import Any

import click

from sat2map.cli.descriptions import scene_lines, tile_lines, vector_lines, work_lines

RECIPE, LOG = "recipe.yaml", "log.jsonl"


@click.command(short_help="Describe an image, a scene, vectors, tiles, a model or a run.")
@click.argument("what", metavar="X")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(what: str, as_json: bool) -> None:
    """Describe an image, a scene, vectors, tiles, a model or a run.

    X is an image, a GeoTIFF, a GeoPackage, GeoJSON or FlatGeobuf file, tiles (PMTiles, MBTiles, a folder with
    tiles.json), the id of a shipped model, the folder of a bundle, or the folder of a run. The result of `info` is a
    description on standard output; a model's files are checked against their checksums first. Of scenes it also says
    which model made them, if sat2map did, and how large the default model would see them.

    \b
    Examples:
      sat2map info photo.png
      sat2map info ortho.tif
      sat2map info map.gpkg
      sat2map info map.pmtiles
      sat2map info carto
      sat2map info runs/first --json
    """
    from sat2map.bundle import find, shipped

    path = Path(what)
    if what in shipped():
        facts = model_facts(what)
    elif path.is_dir() and ((path / RECIPE).is_file() or (path / LOG).is_file()):
        facts = run_facts(path)
    elif found := tile_facts(path):
        facts = found
    elif path.is_file():
        facts = file_facts(path)
    elif path.is_dir() or path.suffix == "":
        facts = model_facts(str(find(what).folder))
    else:
        from sat2map.errors import FileMissing

        raise FileMissing(f"{what} is no file, no folder and no model", "Check the path")
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        _show(facts)


def file_facts(path: Path) -> dict[str, Any]:
    """Tell scenes, vector files and images apart by their first bytes, and describe them."""
    from sat2map.bundle import find
    from sat2map.scenes.facts import scene_facts
    from sat2map.scenes.raster.header import is_tiff
    from sat2map.scenes.vectors.facts import vector_facts, vector_format

    about = {"path": str(path), "bytes": path.stat().st_size}
    if is_tiff(path):
        return {"is": "scene", **about, **scene_facts(path, find().card)}
    if vector_format(path):
        found = vector_facts(path)
        layers = [layer._asdict() for layer in found.layers]
        return {"is": "vectors", **about, "format": found.format, "styled": found.is_styled, "layers": layers}
    return image_facts(path)


def tile_facts(path: Path) -> dict[str, Any] | None:
    """Describe a set of tiles; None for what is none."""
    from sat2map.scenes.tiles.finished import kind_of, words_of

    kind = kind_of(path) if path.exists() else None
    if kind is None:
        return None
    size = path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*.png"))
    return {"is": "tiles", "path": str(path), "format": kind, "bytes": size, "metadata": words_of(path, kind)}


def image_facts(path: Path) -> dict[str, Any]:
    """Read the header of an image; nothing is decoded."""
    from sat2map.images import image_size, sniff

    height, width = image_size(path)
    with path.open("rb") as file:
        kind = sniff(file.read(12))
    return {
        "is": "image",
        "path": str(path),
        "format": kind,
        "width": width,
        "height": height,
        "bytes": path.stat().st_size,
    }


def model_facts(id_or_dir: str) -> dict[str, Any]:
    """Check a bundle and return its card."""
    import msgspec

    from sat2map.bundle import find

    found = find(id_or_dir)
    size = sum(path.stat().st_size for path in found.folder.iterdir())
    card: dict[str, Any] = msgspec.to_builtins(found.card)
    return {"is": "model", "path": str(found.folder), "bytes": size, **card}


def run_facts(folder: Path) -> dict[str, Any]:
    """Say where a training run stands, from its recipe and its log; works without the training parts installed."""
    from sat2map.storage import read_lines

    recipe = folder / RECIPE
    text = recipe.read_text("utf-8", "replace") if recipe.is_file() else ""
    name = re.search(r"^name: *(.+)$", text, re.MULTILINE)
    lines = read_lines(folder / LOG) if (folder / LOG).is_file() else []
    latest: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            latest[str(entry["kind"])] = entry
        except (ValueError, KeyError, TypeError):
            continue  # a log may have been edited by hand; the rest of it still says something
    steps = [entry.get("step", 0) for entry in latest.values()]
    checkpoints = sorted(path.name for path in (folder / "checkpoints").glob("step-*"))
    return {
        "is": "run",
        "path": str(folder),
        "recipe": name[1].strip("'\" ") if name else None,
        "step": max(steps, default=0),
        "checkpoints": checkpoints,
        "latest": latest,
    }


def _show(facts: dict[str, Any]) -> None:
    """Print facts as lines of name and value; parts get a heading of their own."""
    lines_of = {
        "scene": scene_lines, "vectors": vector_lines, "tiles": tile_lines, "model": _model_lines, "run": _run_lines,
    }  # fmt: skip
    if facts["is"] in lines_of:
        facts = lines_of[facts["is"]](facts)
    if "bytes" in facts:
        facts = {**facts, "bytes": f"{facts['bytes']:,}"}
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for number, line in enumerate(lines or ["none"]):
            click.echo(f"{name if number == 0 else '':{width}}  {line}")


def _model_lines(facts: dict[str, Any]) -> dict[str, Any]:
    training = facts["training"]
    figures = []
    for metrics in facts["metrics"]:
        columns = {"model": metrics["figures"], **metrics["baselines"]}
        figures.append(f"{metrics['protocol']}, split {metrics['split']}, n = {metrics['n']}")
        for name in metrics["figures"]:
            values = (f"{title} {column[name]:.4g}" for title, column in columns.items() if name in column)
            figures.append(f"  {name}: {', '.join(values)}")
    return {
        "is": f"model {facts['id']}: {facts['title']}",
        "path": facts["path"],
        "bytes": facts["bytes"],
        "task": f"{facts['direction']}, {facts['kind']}",
        "network": f"{facts['architecture']}, {facts['parameter_count'] / 1e6:.2f} million parameters",
        **work_lines(facts),
        "training": f"{training['data']}, {training['pairs']:,} pairs, {training['images_seen']:,} images seen in "
        f"{training['hours']:.1f} hours",
        "data licence": training["licence"],
        "figures": figures,
        "limits": list(facts["limits"]),
        "licence": facts["licence"],
        "created": facts["created"],
    }


def _run_lines(facts: dict[str, Any]) -> dict[str, Any]:
    lines = {
        "is": f"run of recipe {facts['recipe'] or 'unknown'}",
        "path": facts["path"],
        "step": facts["step"],
        "checkpoints": ", ".join(facts["checkpoints"]) or "none",
    }
    for kind, entry in facts["latest"].items():
        values = (
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in entry.items()
            if name != "kind"
        )
        lines[f"latest {kind}"] = ", ".join(values)
    return lines
