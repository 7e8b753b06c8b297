"""What a set of tiles that is there says about itself: a folder with `tiles.json`, an MBTiles or a PMTiles file."""

import json
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sat2map.scenes.tiles.containers import JOB, TILEJSON

Words = dict[str, Any]

_MOST = 1 << 20  # bytes of metadata that are looked at
_MAGIC = {b"PMTiles": "pmtiles", b"SQLite format 3": "mbtiles"}


def kind_of(path: Path) -> str | None:
    """Tell which container `path` is by its first bytes, or by its `tiles.json`; None if it is none."""
    if path.is_dir():
        return "xyz" if (path / TILEJSON).is_file() else None
    with path.open("rb") as file:
        head = file.read(16)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind == "mbtiles" and path.suffix.lower() != ".mbtiles":  # a GeoPackage is SQLite, too
        return None
    return kind


def job_in(path: Path, kind: str) -> str | None:
    """Return the digest of the job that made a set of tiles of this `kind`; None if it is none of ours."""
    job = words_of(path, kind).get(JOB)
    return job if isinstance(job, str) else None


def words_of(path: Path, kind: str) -> Words:
    """Return what a set of tiles says, by the names of TileJSON; empty where it says nothing that can be read.

    Always numbers, where they are there: `minzoom`, `maxzoom`, `bounds` (west, south, east, north) and `tiles_count`.
    """
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        return _READERS[kind](path)
    return {}


def _in_folder(path: Path) -> Words:
    found = json.loads((path / TILEJSON).read_bytes()[:_MOST])
    return found if isinstance(found, dict) else {}


def _in_database(path: Path) -> Words:
    import sqlite3

    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            found: Words = dict(database.execute("SELECT name, value FROM metadata"))
            (count,) = database.execute("SELECT COUNT(*) FROM tiles").fetchone()
    except sqlite3.Error:
        return {}
    numbers: Words = {"tiles_count": count}
    numbers |= {name: int(found[name]) for name in ("minzoom", "maxzoom") if name in found}
    if "bounds" in found:
        numbers["bounds"] = [float(part) for part in found["bounds"].split(",")]
    return found | numbers


def _in_archive(path: Path) -> Words:
    import zlib

    from pmtiles.tile import deserialize_header

    with path.open("rb") as file:
        try:
            header = deserialize_header(file.read(127))
        except Exception:  # the library has no common base class for what it raises of other files
            return {}
        if header["metadata_length"] > _MOST:
            return {}
        file.seek(header["metadata_offset"])
        data = file.read(header["metadata_length"])
    found: Words = {}
    with suppress(zlib.error):
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        found = json.loads(unpacker.decompress(data, _MOST))
    corners = header["min_lon_e7"], header["min_lat_e7"], header["max_lon_e7"], header["max_lat_e7"]
    return found | {
        "minzoom": header["min_zoom"],
        "maxzoom": header["max_zoom"],
        "bounds": [corner / 1e7 for corner in corners],
        "tiles_count": header["addressed_tiles_count"],
    }


_READERS: dict[str, Callable[[Path], Words]] = {
    "xyz": _in_folder,
    "mbtiles": _in_database,
    "pmtiles": _in_archive,
}
