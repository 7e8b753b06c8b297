"""What a vector file holds: its layers, told by the first bytes and never by the name."""

from pathlib import Path
from typing import Any, NamedTuple

from sat2map.errors import CorruptFile, FileMissing
from sat2map.scenes.vectors.writing import require

HEAD = 72  # bytes
STYLES = "layer_styles"


class LayerFacts(NamedTuple):
    """One layer."""

    name: str
    geometry: str | None  # None: a table without geometries
    features: int
    crs: str | None
    bounds: tuple[float, ...] | None  # left, bottom, right, top in units of the CRS
    fields: tuple[str, ...]


class VectorFacts(NamedTuple):
    """One file."""

    format: str
    layers: tuple[LayerFacts, ...]
    is_styled: bool  # QGIS finds a style for its layers in it


def vector_format(path: Path) -> str | None:
    """Tell GPKG, FlatGeobuf and GeoJSON by their first bytes; None for all else and for what cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return None
    if head.startswith(b"SQLite format 3\0") and head[68:72] == b"GPKG":
        return "GPKG"
    if head.startswith(b"fgb\x03"):
        return "FlatGeobuf"
    return "GeoJSON" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else None


def vector_facts(path: Path) -> VectorFacts:
    """Describe a vector file. Raises FileMissing, MissingExtra without the vector parts, CorruptFile."""
    require()
    from pyogrio import errors, list_layers, read_info

    kind = vector_format(path)
    if kind is None:
        raise FileMissing(f"{path} is no GeoPackage, GeoJSON or FlatGeobuf file", "Check the path")
    real = path.resolve()  # an absolute path cannot be one of GDAL's names of other places
    remedy = "Copy it again, or make it anew with sat2map vectorize"
    try:
        found = list_layers(real)
        layers = tuple(
            _layer(
                name, geometry, read_info(real, layer=name, force_feature_count=True, force_total_bounds=True)
            )
            for name, geometry in found
            if name != STYLES
        )
    except (errors.DataSourceError, errors.DataLayerError, errors.FeatureError, errors.CRSError) as error:
        raise CorruptFile(
            f"{path} begins like {kind}, but cannot be read: {' '.join(str(error).split())[:300]}", remedy
        ) from error
    if not layers and kind != "GPKG":  # only a GeoPackage can be empty and sound
        raise CorruptFile(f"{path} begins like {kind}, but cannot be read: it has no layer", remedy)
    return VectorFacts(kind, layers, any(name == STYLES for name, _ in found))


def _layer(name: str, geometry: str | None, info: dict[str, Any]) -> LayerFacts:
    bounds = info["total_bounds"]
    return LayerFacts(
        name=name,
        geometry=geometry,
        features=int(info["features"]),
        crs=info["crs"],
        bounds=None if bounds is None or not info["features"] else tuple(map(float, bounds)),
        fields=tuple(map(str, info["fields"])),
    )
