"""Recognises how a folder keeps its views."""

from pathlib import Path

from sat2map.data.views.found import by_names, in_folders, sate_to_ground
from sat2map.data.views.listed import LISTS, ViewRecord, read_list
from sat2map.data.views.pairs import LAYOUTS, Known, ViewPair, ViewSet
from sat2map.errors import BadDataset, FileMissing

COLLECTION = "manifest.jsonl"


def open_views(
    folder: Path,
    *,
    ground: Path | None = None,
    facts: Path | None = None,
    known: Known | None = None,
    reviewed: bool = False,
    crops: bool = True,
) -> ViewSet:
    """Open the views of a folder in any layout, or of a folder of satellite pictures and one of photos (`ground`).

    A list (`facts`, or `views.jsonl` or `views.csv` in the folder) adds what it says of the views it names; `known` is
    what holds for all views of which nothing else is said. `reviewed`: of a collection only what a person has kept;
    without `crops`, also its photos that have no satellite view beside them.
    Raises FileMissing, BadDataset, BadCollection.
    """
    for path in (folder, ground):
        if path is not None and not path.is_dir():
            raise FileMissing(f"{path} is no folder", "Name a folder of views: " + LAYOUTS)
    said = facts or next((folder / name for name in LISTS if (folder / name).is_file()), None)
    records = read_list(said) if said else []
    licence = attribution = ""
    if ground is not None:
        pairs = by_names(folder, ground)
    elif records and all(record.satellite and record.ground for record in records):
        assert said is not None
        pairs, records = [record.pair(said.parent) for record in records], []
        licence, attribution = _terms(folder)
    elif (folder / COLLECTION).is_file():
        from sat2map.data.views.collected import open_collection

        pairs = open_collection(folder, reviewed=reviewed, crops=crops)
    else:
        pairs = in_folders(folder) or sate_to_ground(folder)
    if not pairs:
        raise BadDataset(
            f"{folder} holds no views that are laid out in a known way", "Known ways: " + LAYOUTS
        )
    pairs = _with_facts(pairs, records, said)
    return ViewSet(
        folder,
        [pair._replace(known=pair.known.over(known or Known())) for pair in pairs],
        licence,
        attribution,
    )


def _with_facts(pairs: list[ViewPair], records: list[ViewRecord], said: Path | None) -> list[ViewPair]:
    """Views with what a list says of them, by name or by the stem of the photo's file."""
    if not records:
        return pairs
    lines = {record.name: record for record in records}
    pairs_of = [(pair, lines.get(pair.name) or lines.get(pair.ground.stem)) for pair in pairs]
    if not any(record for _, record in pairs_of):
        raise BadDataset(
            f"{said} names none of the {len(pairs)} views, such as {pairs[0].name}",
            "Its column `name` must hold their names, without suffixes",
        )
    return [
        pair
        if record is None
        else pair._replace(
            known=record.known.over(pair.known),
            split=record.split if record.split != "all" else pair.split,
            place=record.place or pair.place,
        )
        for pair, record in pairs_of
    ]


def _terms(folder: Path) -> tuple[str, str]:
    """(licence, attribution) of an invented set, from its list of pairs."""
    from sat2map.data.manifest import read_manifest
    from sat2map.data.pairs import MANIFEST

    if not (folder / MANIFEST).is_file():
        return "", ""
    pairs = read_manifest(folder)
    return pairs.licence, pairs.attribution


def is_view_folder(folder: Path) -> bool:
    """Tell whether a folder looks like a set of views (rather than, say, a plain folder of photos)."""
    lists = any((folder / name).is_file() for name in (*LISTS, COLLECTION))
    return lists or bool(in_folders(folder) or sate_to_ground(folder))
