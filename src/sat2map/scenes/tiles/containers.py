"""Where tiles go: a folder of PNG files, an MBTiles database or a PMTiles archive, whole under its name or not at all.

Sources of the formats: TileJSON 3.0.0, MBTiles 1.3, PMTiles 3. Tiles without a pixel are left out of all of them.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat2map import storage
from sat2map.mercator import Degrees, Tile

Put = Callable[[Tile, bytes], None]

TILEJSON = "tiles.json"
JOB = "sat2map_job"


@dataclass(frozen=True)
class Tileset:
    """What a set of tiles says about itself."""

    name: str
    description: str
    zooms: tuple[int, int]
    extent: Degrees
    more: dict[str, str]  # further words: model, product, job …

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees; west is larger than east where the set crosses 180 degrees."""
        west, south, east, north = (round(value, 7) for value in self.extent)
        return west, south, east if east <= 180 else round(east - 360, 7), north

    @property
    def centre(self) -> tuple[float, float, int]:
        """Longitude and latitude in degrees, and the zoom at which viewers begin."""
        east = (self.extent.west + self.extent.east) / 2
        east = east if east <= 180 else east - 360
        return round(east, 7), round((self.extent.south + self.extent.north) / 2, 7), sum(self.zooms) // 2

    def tilejson(self) -> dict[str, Any]:
        """Return the set as TileJSON, with addresses relative to where the file lies."""
        return {
            "tilejson": "3.0.0",
            "name": self.name,
            "description": self.description,
            "scheme": "xyz",
            "tiles": ["{z}/{x}/{y}.png"],
            "minzoom": self.zooms[0],
            "maxzoom": self.zooms[1],
            "bounds": list(self.bounds),
            "center": list(self.centre),
            **self.more,
        }


@contextmanager
def folder(path: Path, tileset: Tileset, *, overwrite: bool) -> Iterator[Put]:
    """Yield a function that takes tiles; afterwards `path` has them as z/x/y.png, and `tiles.json`.

    Raises OutputExists, StorageFailed.
    """
    with storage.committing_folder(path, overwrite=overwrite or _is_empty(path)) as draft:

        def put(tile: Tile, data: bytes) -> None:
            column = draft / str(tile.z) / str(tile.x)
            column.mkdir(parents=True, exist_ok=True)
            (column / f"{tile.y}.png").write_bytes(data)

        yield put
        text = json.dumps(tileset.tilejson(), indent=2, ensure_ascii=False) + "\n"
        (draft / TILEJSON).write_text(text, "utf-8")


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


@contextmanager
def mbtiles(path: Path, tileset: Tileset, *, overwrite: bool) -> Iterator[Put]:
    """Yield a function that takes tiles; afterwards `path` is an MBTiles database, whose rows count from the south.

    Raises OutputExists, StorageFailed.
    """
    import sqlite3

    west, south, east, north = tileset.bounds
    metadata = {
        "name": tileset.name,
        "format": "png",
        "bounds": f"{west},{south},{east},{north}",
        "center": ",".join(map(str, tileset.centre)),
        "minzoom": str(tileset.zooms[0]),
        "maxzoom": str(tileset.zooms[1]),
        "description": tileset.description,
        "type": "overlay",
        "version": "1",
        **tileset.more,
    }
    with storage.replacing(path, overwrite=overwrite) as draft, _refusals(path):
        database = sqlite3.connect(draft, isolation_level=None)
        try:
            database.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA application_id = 0x4d504258;"
                "CREATE TABLE metadata (name text, value text);"
                "CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob);"
            )
            database.execute("BEGIN")
            database.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())

            def put(tile: Tile, data: bytes) -> None:
                row = (1 << tile.z) - 1 - tile.y
                database.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (tile.z, tile.x, row, data))

            yield put
            database.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
            database.execute("COMMIT")
        finally:
            database.close()


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Raise StorageFailed instead of what SQLite says when it cannot write."""
    import sqlite3

    from sat2map.errors import StorageFailed

    try:
        yield
    except sqlite3.Error as error:
        raise StorageFailed(
            f"cannot write {path}: {error}",
            "See that the disk has room, then run the command again with --resume",
        ) from error


@contextmanager
def pmtiles(path: Path, tileset: Tileset, *, overwrite: bool) -> Iterator[Put]:
    """Yield a function that takes tiles; afterwards `path` is a clustered PMTiles archive.

    Tiles come in any order and wait beside `path` until they can be written in the order of their numbers.
    Raises OutputExists, StorageFailed.
    """
    from pmtiles.tile import Compression, TileType, zxy_to_tileid
    from pmtiles.writer import Writer

    west, south, east, north = tileset.bounds
    if west > east:  # the header has no word for that
        west, east = -180.0, 180.0
    longitude, latitude, zoom = tileset.centre
    header = {
        "tile_type": TileType.PNG,
        "tile_compression": Compression.NONE,
        "min_lon_e7": round(west * 1e7),
        "min_lat_e7": round(south * 1e7),
        "max_lon_e7": round(east * 1e7),
        "max_lat_e7": round(north * 1e7),
        "center_zoom": zoom,
        "center_lon_e7": round(longitude * 1e7),
        "center_lat_e7": round(latitude * 1e7),
    }
    metadata = {
        "name": tileset.name, "description": tileset.description, "type": "overlay", "version": "1",
        **tileset.more,
    }  # fmt: skip
    places: list[tuple[int, int, int]] = []  # number of the tile, offset and length in `waiting`
    with (
        storage.replacing(path, overwrite=overwrite) as draft,
        # Nameless files on the disk of the output: the temporary folder may be small.
        tempfile.TemporaryFile(dir=draft.parent) as waiting,
        tempfile.TemporaryFile(dir=draft.parent) as ordered,
        draft.open("wb") as file,
    ):

        def put(tile: Tile, data: bytes) -> None:
            places.append((zxy_to_tileid(*tile), waiting.tell(), len(data)))
            waiting.write(data)

        yield put
        if not places:
            return
        writer: Any = Writer(file)  # type: ignore[no-untyped-call]
        writer.tile_f.close()
        writer.tile_f = ordered
        for number, offset, length in sorted(places):
            waiting.seek(offset)
            writer.write_tile(number, waiting.read(length))
        writer.finalize(header, metadata)


CONTAINERS = {"xyz": folder, "mbtiles": mbtiles, "pmtiles": pmtiles}
