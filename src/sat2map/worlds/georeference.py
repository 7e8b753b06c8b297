"""The pictures of a town that lies somewhere on the globe, as Cloud Optimized GeoTIFFs."""

import tempfile
from pathlib import Path

from sat2map import __version__, storage
from sat2map.grid import Window
from sat2map.palette import CLASS_NAMES, MAPS
from sat2map.scenes import raster
from sat2map.worlds.files import Place
from sat2map.worlds.pictures import Pictures

NOTICE = "A town that does not exist, painted by sat2map imagine; the place is where its plan was laid"


def write_scenes(folder: Path, pictures: Pictures, window: Window, gsd: float, place: Place) -> None:
    """Write map.tif, satellite.tif and classes.tif (with its names and colours) into `folder`.

    `window` is where the pictures lie in the world's raster of `gsd` metres per pixel, whose origin is `place`. Raises
    StorageFailed.
    """
    lies = raster.placed(place.crs, window.col * gsd, -window.row * gsd, gsd, window.height, window.width)
    tags = {
        "TIFFTAG_SOFTWARE": f"sat2map {__version__}",
        "TIFFTAG_IMAGEDESCRIPTION": NOTICE,
        "SAT2MAP_GENERATED": "yes",
    }
    names = ",".join(f"{number}={name}" for number, name in enumerate(CLASS_NAMES))
    layers = {
        "map": raster.Layer("colour", tags),
        "satellite": raster.Layer("colour", tags),
        "classes": raster.Layer("classes", {**tags, "SAT2MAP_CLASSES": names}, MAPS.class_colours()),
    }
    pixels = {"map": pictures.street, "satellite": pictures.sat, "classes": pictures.classes}
    whole = Window(0, 0, window.height, window.width)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".scenes-") as work:
        plain = {name: Path(work) / f"{name}.tif" for name in layers}
        raster.write_plain(plain, layers, lies, [(whole, pixels, None)], masked=False)
        for name, layer in layers.items():
            raster.finalise(plain[name], folder / f"{name}.tif", layer, {})
    for path, text in raster.sidecars(folder / "classes.tif", CLASS_NAMES, MAPS.class_colours()).items():
        storage.write_text(path, text)
