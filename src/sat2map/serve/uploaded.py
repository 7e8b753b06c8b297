"""An uploaded file, in the worker: a picture to a PNG, a scene to GeoTIFFs and, if wanted, vectors."""

from collections.abc import Callable
from pathlib import Path

from sat2map.errors import MissingExtra
from sat2map.images import Limits, read_image
from sat2map.runtime import Translator
from sat2map.scenes import raster
from sat2map.scenes.georeferenced import translate_scene
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.pictures import translate_image, write_products
from sat2map.scenes.translate import PRODUCTS
from sat2map.serve.messages import Done, Open, Work
from sat2map.serve.names import VECTORS

SIDE = 65_536  # px; of an uploaded scene

Report = Callable[[int, int, str], None]


class Cancelled(Exception):
    """Nobody wants the result any more."""


def translate_upload(work: Work, translator: Translator, limits: Open, report: Report) -> Done:
    """Translate the file of `work` into its folder; `report` is called with (done, total, note) and may raise.

    Raises what `read_image`, `translate_scene` and `vectorize` raise.
    """
    source = Path(work.path)
    if work.is_scene:
        return _scene(work, source, translator, limits, report)
    image = read_image(source, Limits(pixels=limits.picture_pixels))
    made = translate_image(translator, image, jobs=1, on_progress=report)
    write_products(made, {"colour": source.parent / "map.png"}, translator.card, overwrite=True)
    return Done(work.id, {"colour": "map.png"}, ())


def _scene(work: Work, source: Path, translator: Translator, limits: Open, report: Report) -> Done:
    products = PRODUCTS if translator.card.palette else PRODUCTS[:1]
    notices: list[str] = []
    options = SceneOptions(products=products, jobs=1, overwrite=True)
    out = source.parent / "map.tif"
    paths = translate_scene(
        translator, source, out, options,
        limits=raster.Limits(side=SIDE, decoded=limits.scene_bytes), on_progress=report, on_notice=notices.append,
    )  # fmt: skip
    files = {product: path.name for product, path in zip(products, paths, strict=True)}
    add_vectors(source.parent, files, notices, report)
    return Done(work.id, files, tuple(notices))


def add_vectors(folder: Path, files: dict[str, str], notices: list[str], report: Report) -> None:
    """Add a GeoPackage to the results in `folder`, if they have classes; a notice where a part of us is missing."""
    if "classes" in files:
        try:
            files["vectors"] = _vectors(folder, files, report)
        except MissingExtra as error:
            notices.append(str(error))


def _vectors(folder: Path, files: dict[str, str], report: Report) -> str:
    from sat2map.scenes.vectorize import vectorize
    from sat2map.scenes.vectors.opening import open_classes, open_confidence

    def drawing(done: int, total: int, note: str) -> None:
        report(done, total, "drawing")

    with (
        open_classes(folder / files["classes"]) as classes,
        open_confidence(folder / files["confidence"]) as sure,
    ):
        vectorize(classes, folder / VECTORS, None, sure, overwrite=True, on_progress=drawing)
    return VECTORS
