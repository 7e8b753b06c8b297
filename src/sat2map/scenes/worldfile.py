"""A map of a scene as an ordinary picture, and the small files beside it that say where it lies.

The world file (six numbers, ESRI) has the transform, `.prj` the CRS as ESRI's programs read it, `.aux.xml` both as GDAL
and QGIS read them, with the tags that a GeoTIFF would carry and the names of classes. Missing pixels are transparent,
in JPEG, which knows no transparency, white.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from sat2map import storage
from sat2map.errors import ImageTooLarge, UnsupportedFormat, UnusableCrs
from sat2map.images import encode_png, write_image
from sat2map.scenes import raster

UInt8 = npt.NDArray[np.uint8]

# Suffix -> that of the world file: its first and last letter and a w, or what programs look for instead.
WORLD = {".png": ".pgw", ".jpg": ".jgw", ".jpeg": ".jgw", ".webp": ".wld"}
MOST = 1 << 28  # px: pictures are encoded in one piece, in memory
NO_CLASS = 255
PAPER = 255  # white
_SHA256, _JOB = "SAT2MAP_PICTURE_SHA256", "SAT2MAP_JOB"


def is_picture(path: Path) -> bool:
    """Tell whether a name is that of a picture with a world file."""
    return path.suffix.lower() in WORLD


def product_paths(out: Path, products: tuple[str, ...]) -> dict[str, Path]:
    """Say where each product goes: `out` for the colour or a single product, else PNGs beside it.

    Raises UnsupportedFormat for class numbers and percents in a format that changes them.
    """
    paths = {
        name: out if name == "colour" or len(products) == 1 else out.with_name(f"{out.stem}_{name}.png")
        for name in products
    }
    for name, path in paths.items():
        if name != "colour" and path.suffix.lower() != ".png":
            raise UnsupportedFormat(f"cannot write {name} to {path}", "Use a name that ends in .png or .tif")
    return paths


def check_place(place: raster.Place, out: Path) -> None:
    """Raise UnusableCrs if a world file cannot say where the scene lies, ImageTooLarge if it is no picture."""
    if place.transform is None:
        raise UnusableCrs(
            "the scene has no transform, which is what a world file holds", "Write a .tif instead"
        )
    if place.height * place.width > MOST:
        raise ImageTooLarge(
            f"{out.name} would have {place.width:,} x {place.height:,} px, which is no longer a picture",
            "Write a .tif, or tiles (.pmtiles)",
        )


def write_pictures(
    pieces: Iterable[raster.Piece],
    paths: Mapping[str, Path],
    place: raster.Place,
    layers: Mapping[str, raster.Layer],
    names: tuple[str, ...],
    folder: Path,
) -> None:
    """Put pieces together and write pictures and what belongs beside them; all of it is replaced.

    `folder` is where unfinished files may lie. `.aux.xml` comes first and names the checksum of its picture, so that
    `is_finished` can tell a picture of this job from another. Raises StorageFailed, UnsupportedFormat.
    """
    shape = place.height, place.width
    canvas = {name: np.zeros((*shape, 3) if layers[name].bands == 3 else shape, np.uint8) for name in paths}
    valid = np.ones(shape, np.bool_)
    for window, products, known in pieces:
        for name, whole in canvas.items():
            whole[window.slices()] = products[name]
        if known is not None:
            valid[window.slices()] = known
    for name, path in paths.items():
        draft = folder / f"{name}{path.suffix.lower()}"
        _encode(draft, canvas.pop(name), valid, layers[name])
        tags = {**layers[name].tags, _SHA256: storage.sha256(draft)}
        for beside, text in _sidecars(path, place, tags, names if name == "classes" else ()).items():
            storage.write_text(beside, text)
        with storage.replacing(path, overwrite=True) as last:
            draft.replace(last)


def _encode(path: Path, pixels: UInt8, valid: npt.NDArray[np.bool_], layer: raster.Layer) -> None:
    is_whole = bool(valid.all())
    if pixels.ndim == 3 and path.suffix in (".jpg", ".jpeg"):
        write_image(path, pixels if is_whole else np.where(valid[..., None], pixels, PAPER), overwrite=True)
    elif pixels.ndim == 3:
        alpha = np.where(valid, 255, 0).astype(np.uint8)
        write_image(
            path, pixels if is_whole else np.dstack([pixels * valid[..., None], alpha]), overwrite=True
        )
    else:
        shown = np.where(valid, pixels, NO_CLASS).astype(np.uint8)
        palette = np.zeros((NO_CLASS + 1, 3), np.uint8)
        palette[: len(layer.colours)] = layer.colours or palette[:0]
        storage.write_bytes(
            path,
            encode_png(shown, palette if layer.colours else None, None if is_whole else NO_CLASS),
        )


def beside(path: Path) -> list[Path]:
    """Return the files that belong to a picture: `.aux.xml`, the world file and the CRS."""
    world = path.with_suffix(WORLD[path.suffix.lower()])
    return [path.with_name(f"{path.name}.aux.xml"), world, path.with_suffix(".prj")]


def _sidecars(
    path: Path, place: raster.Place, tags: Mapping[str, str], names: tuple[str, ...]
) -> dict[Path, str]:
    aux, world, crs = beside(path)
    affine = place.transform
    # A world file counts from the centre of the first pixel, GDAL from its corner.
    first = (affine.a + affine.b) / 2 + affine.c, (affine.d + affine.e) / 2 + affine.f
    numbers = (affine.a, affine.d, affine.b, affine.e, *first)
    files = {aux: _pam(place, tags, names), world: "".join(f"{number:.12g}\n" for number in numbers)}
    if place.crs:
        files[crs] = raster.wkt_of(place.crs, esri=True) + "\n"
    return files


def _pam(place: raster.Place, tags: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Return what GDAL calls persistent auxiliary metadata."""
    affine = place.transform
    numbers = ", ".join(repr(float(n)) for n in (affine.c, affine.a, affine.b, affine.f, affine.d, affine.e))
    lines = ["<PAMDataset>"]
    if place.crs:
        lines.append(f"  <SRS>{escape(raster.wkt_of(place.crs))}</SRS>")
    lines.append(f"  <GeoTransform>{numbers}</GeoTransform>\n  <Metadata>")
    lines += [f'    <MDI key="{escape(key)}">{escape(value)}</MDI>' for key, value in tags.items()]
    lines.append("  </Metadata>")
    if names:
        listed = "".join(f"<Category>{escape(name)}</Category>" for name in names)
        lines.append(f'  <PAMRasterBand band="1"><CategoryNames>{listed}</CategoryNames></PAMRasterBand>')
    return "\n".join([*lines, "</PAMDataset>", ""])


def job_of(path: Path) -> str | None:
    """Return the digest of the job that made a picture; None if it is another's, or was changed."""
    try:
        text = beside(path)[0].read_text("utf-8")
        found: dict[str, Any] = dict(re.findall(r'<MDI key="(\w+)">([0-9a-f]{64})</MDI>', text))
        is_its = hashlib.sha256(path.read_bytes()).hexdigest() == found.get(_SHA256)
    except (OSError, ValueError, KeyError):
        return None
    return found.get(_JOB) if is_its else None
