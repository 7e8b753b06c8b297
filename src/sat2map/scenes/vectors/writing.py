"""Vector files: features are appended to a GeoPackage in batches; other formats are streamed from it at the end.

So no format needs all features in memory. GDAL writes, through pyogrio, always to names that `storage` gave out.
"""

import contextlib
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sat2map.errors import MissingExtra, StorageFailed, UnsupportedFormat
from sat2map.scenes.vectors.layers import Layer, qml
from sat2map.storage import refuse_existing, replacing

Geometries = npt.NDArray[np.object_]
Columns = dict[str, npt.NDArray[Any]]

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".fgb": "FlatGeobuf"}
BATCH = 4096  # features
GPKG = {"VERSION": "1.2"}  # GDAL before 3.7, as in QGIS of Debian 12, warns of newer ones
TYPES = {"polygons": "Polygon", "lines": "LineString"}
TOGETHER = "map"  # the one layer of a GeoJSON file

STYLES = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
    f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')));
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)
    VALUES ('layer_styles', 'attributes', 'layer_styles', '', 0);
"""


def require() -> None:
    """Raise MissingExtra unless the packages of the `vector` extra are there."""
    try:
        import pyogrio  # noqa: F401
        import shapely  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"this needs the Python package {error.name!r}, which is not installed",
            "Install the vector parts: pip install 'sat2map[vector]'",
        ) from error


def output_paths(out: Path, layers: Sequence[Layer]) -> dict[str, Path]:
    """Say which file each layer goes to: FlatGeobuf holds one layer, so there are several, named after them.

    Raises UnsupportedFormat if the suffix of `out` is none of ours.
    """
    if out.suffix.lower() not in DRIVERS:
        raise UnsupportedFormat(
            f"cannot write vectors to {out}: the suffix is {out.suffix!r}",
            f"Use {' or '.join(DRIVERS)}",
        )
    if DRIVERS[out.suffix.lower()] == "FlatGeobuf" and len(layers) > 1:
        return {layer.name: out.with_name(f"{out.stem}_{layer.name}{out.suffix}") for layer in layers}
    return {layer.name: out for layer in layers}


class LayerWriter:
    """Collects features per layer and appends them to a GeoPackage, some thousand at a time."""

    def __init__(
        self,
        path: Path,
        crs: str | None,
        layers: Sequence[Layer],
        columns: Mapping[str, Sequence[str]],
        *,
        together: bool,
    ) -> None:
        """Create the layers, empty. `columns` are the numeric ones of each kind; every feature also has its class.

        `together`: there is one layer for all, `TOGETHER`, which has all columns and one that says which layer a
        feature belongs to.
        """
        self._path, self._crs, self._together = path, crs, together
        every = tuple(dict.fromkeys(name for names in columns.values() for name in names))
        self._numbers = {layer.name: every if together else tuple(columns[layer.kind]) for layer in layers}
        self._waiting: dict[str, list[tuple[Geometries, Columns]]] = {}
        self._types = {layer.name: TYPES[layer.kind] for layer in layers}
        self.counts = dict.fromkeys(self._types, 0)
        for name in [layers[0].name] if together else self._types:
            self._append(name, np.empty(0, object), self._aligned(0, name, {}))

    def add(self, layer: str, geometries: Geometries, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take features: `columns` holds `class` (names) and numbers, NaN or left out where there is none."""
        if not len(geometries):
            return
        waiting = self._waiting.setdefault(layer, [])
        waiting.append((geometries, self._aligned(len(geometries), layer, columns)))
        self.counts[layer] += len(geometries)
        if sum(len(part) for part, _ in waiting) >= BATCH:
            self._flush(layer)

    def finish(self) -> None:
        """Write what is waiting."""
        for layer in list(self._waiting):
            self._flush(layer)

    def _aligned(self, count: int, layer: str, columns: Mapping[str, npt.NDArray[Any]]) -> Columns:
        aligned: Columns = {"layer": np.full(count, layer, object)} if self._together else {}
        aligned["class"] = np.asarray(columns.get("class", np.empty(0)), object)
        for name in self._numbers[layer]:
            aligned[name] = np.asarray(columns.get(name, np.full(count, np.nan)), np.float64)
        return aligned

    def _flush(self, layer: str) -> None:
        parts = self._waiting.pop(layer)
        columns = {name: np.concatenate([part[name] for _, part in parts]) for name in parts[0][1]}
        self._append(layer, np.concatenate([part for part, _ in parts]), columns)

    def _append(self, layer: str, geometries: Geometries, columns: Columns) -> None:
        import shapely
        from pyogrio import raw

        with _writing(self._path):
            raw.write(
                self._path, shapely.to_wkb(geometries), list(columns.values()), list(columns),
                layer=TOGETHER if self._together else layer, driver="GPKG",
                geometry_type="Unknown" if self._together else self._types[layer], crs=self._crs,
                append=self._path.exists(), nan_as_null=True, dataset_options=GPKG,
            )  # fmt: skip


def add_styles(path: Path, layers: Sequence[Layer], width_field: str, metric: bool) -> None:
    """Put a table of styles into a GeoPackage, by which QGIS paints the layers when it opens them."""
    rows = [
        ("", "", layer.name, "geom", layer.name, qml(layer, width_field, metric), "", 1, "sat2map", "", None)
        for layer in layers
    ]
    with _writing(path), contextlib.closing(sqlite3.connect(path)) as base, base:
        base.executescript(STYLES)
        base.executemany(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, styleSLD, useAsDefault, description, owner, ui) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def convert(
    staged: Path, layer: str, out: Path, driver: str, kind: str, crs: str | None, name: str = TOGETHER
) -> None:
    """Stream one layer of a GeoPackage into a file of another format, where it is called `name`.

    GeoJSON follows RFC 7946 if the place on Earth is known: longitude and latitude of WGS 84 to 7 decimals, shells
    anticlockwise. Otherwise its coordinates are those of the layer.
    """
    from pyogrio import raw

    options = {"RFC7946": "YES"} if driver == "GeoJSON" and crs else {}
    with _writing(out), raw.open_arrow(staged, layer=layer, use_pyarrow=False) as (meta, stream):
        raw.write_arrow(
            stream, out, layer=name, driver=driver,
            geometry_type=kind, geometry_name=meta["geometry_name"] or "wkb_geometry", crs=crs,
            layer_options=options,
        )  # fmt: skip


def write_boxes(
    path: Path,
    boxes: Sequence[tuple[float, float, float, float]],
    column: str,
    values: Sequence[str],
    crs: str,
) -> None:
    """Write rectangles (left, bottom, right, top) with one column of text to a FlatGeobuf. Raises StorageFailed."""
    import shapely
    from pyogrio import raw

    shapes = shapely.box(*np.asarray(boxes, np.float64).reshape(-1, 4).T)
    with _writing(path):
        raw.write(
            path, shapely.to_wkb(shapes), [np.asarray(values, object)], [column],
            layer="index", driver="FlatGeobuf", geometry_type="Polygon", crs=crs,
        )  # fmt: skip


@contextlib.contextmanager
def replacing_all(paths: Sequence[Path], *, overwrite: bool) -> Iterator[list[Path]]:
    """Yield a temporary name for each path; all become their paths when the block ends well. See `replacing`."""
    for path in paths:
        refuse_existing(path, overwrite=overwrite)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(replacing(path, overwrite=overwrite)) for path in paths]


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what GDAL and SQLite say about a file that cannot be written into StorageFailed."""
    from pyogrio import errors

    try:
        with warnings.catch_warnings():
            # Layers without a coordinate system are meant to have none; the caller says so in a notice.
            warnings.filterwarnings("ignore", message=".*'crs' was not provided")
            yield
    except (errors.DataSourceError, errors.DataLayerError, errors.FeatureError, sqlite3.Error) as error:
        reason = str(error).rpartition(": ")[2]  # before that stands a temporary name
        raise StorageFailed(
            f"cannot write vectors into {path.parent}: {reason}",
            "Check the free space and the rights of the folder.",
        ) from error
