"""Of which job are the tiles that are there already?"""

import json
from contextlib import closing, suppress
from pathlib import Path

from sat2map.scenes.tiles.containers import JOB, TILEJSON

_MOST = 1 << 20  # bytes of metadata that are looked at


def job_in(path: Path, kind: str) -> str | None:
    """Return the digest of the job that made a set of tiles of this `kind`; None if it is none of ours."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        match kind:
            case "xyz":
                return _text(json.loads((path / TILEJSON).read_bytes()[:_MOST]).get(JOB))
            case "mbtiles":
                return _in_database(path)
            case _:
                return _in_archive(path)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _in_database(path: Path) -> str | None:
    import sqlite3

    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            found = database.execute("SELECT value FROM metadata WHERE name = ?", (JOB,)).fetchone()
            return _text(found[0]) if found else None
    except sqlite3.Error:
        return None


def _in_archive(path: Path) -> str | None:
    import zlib

    from pmtiles.tile import deserialize_header

    with path.open("rb") as file:
        try:
            header = deserialize_header(file.read(127))
        except Exception:  # the library has no common base class for what it raises of other files
            return None
        if header["metadata_length"] > _MOST:
            return None
        file.seek(header["metadata_offset"])
        data = file.read(header["metadata_length"])
    with suppress(zlib.error):
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        return _text(json.loads(unpacker.decompress(data, _MOST)).get(JOB))
    return None
