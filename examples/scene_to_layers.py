"""A GeoTIFF of any size to a map raster and a GeoPackage on the same ground. Needs the extra `vector`.

python examples/scene_to_layers.py ortho.tif out/
"""

import sys
from pathlib import Path

from sat2map.runtime import open_translator
from sat2map.scenes.georeferenced import translate_scene
from sat2map.scenes.job import SceneOptions
from sat2map.scenes.vectorize import vectorize
from sat2map.scenes.vectors.opening import open_classes


def main(scene: Path, folder: Path) -> None:
    """Write map.tif, map_classes.tif and map.gpkg; a second call goes on where a killed first one stopped."""
    folder.mkdir(exist_ok=True)
    options = SceneOptions(products=("colour", "classes"), resume=(folder / ".map.tif.job").exists())
    written = translate_scene(
        open_translator("carto"),
        scene,
        folder / "map.tif",
        options,
        on_notice=lambda text: print("note:", text),
    )
    print(*written, sep="\n")
    with open_classes(folder / "map_classes.tif") as classes:
        summary = vectorize(classes, folder / "map.gpkg")
    print(*summary.paths, *(f"{name}: {count}" for name, count in summary.counts.items()), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
